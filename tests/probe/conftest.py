"""Two namespaces for tests that need a device of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.namespaces import pair


@pytest.fixture(scope="module")
def veth() -> Iterator[tuple[str, str]]:
    with pair() as both:
        yield both
