"""A simulated NIC and PHC below the helper: its calls of the kernel are answered by fake_nic.c."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clocks.fake import Fake, compiler


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    if compiler() is None:
        pytest.skip("needs a C compiler")
    return Fake(tmp_path)
