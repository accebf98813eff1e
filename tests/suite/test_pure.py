"""`pytest -m pure` needs neither root nor BPF: root runs it without any capability."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.rootless import without_capabilities


def effective(status: str) -> int:
    return int(
        next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16
    )


@pytest.mark.needs_root
def test_without_capabilities() -> None:
    before = effective(Path("/proc/thread-self/status").read_text())
    with without_capabilities():
        assert effective(Path("/proc/thread-self/status").read_text()) == 0
        assert effective(subprocess.check_output(["cat", "/proc/self/status"], text=True)) == 0
    assert effective(Path("/proc/thread-self/status").read_text()) == before
