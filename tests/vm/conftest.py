"""Every guest that a chosen test asks for, booted once: what times something when the first test
asks for a guest, the others behind the tests of other folders."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.vm import boots
from tests.vm.behind import Behind
from tests.vm.guest import GuestReport
from tests.vm.packages import Unavailable

Asked = Callable[[str], GuestReport]
_behind = pytest.StashKey[Behind]()
_HERE = Path(__file__).parent


def _names(items: list[pytest.Item]) -> set[str]:
    """Of the guests that these tests ask for."""
    calls = [item.callspec for item in items if hasattr(item, "callspec")]
    names = {str(call.params.get("told")) for call in calls}
    return names | {name for item in items for name in getattr(item, "fixturenames", ())}


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or os.geteuid() != 0:
        return
    if os.environ.get("NETTOP_VM") == "0" or platform.machine() != "x86_64":
        return
    if all(item.path.is_relative_to(_HERE) for item in session.items):
        return
    names = _names(session.items)
    if chosen := [b.name for b in boots.BOOTS if b.name in names and not b.timed]:
        session.config.stash[_behind] = Behind(chosen)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if behind := session.config.stash.get(_behind, None):
        behind.close()


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """What the guest of that name said; skips where it cannot be had."""
    behind = request.config.stash.get(_behind, None)
    if behind:
        behind.as_others()
    names = _names(request.session.items) - set(behind.names if behind else ())
    # No more than two guests at a time: each has a core.
    lanes = 1 if behind and not behind.ended else 2
    with ThreadPoolExecutor(lanes) as pool:
        futures = {b.name: pool.submit(b.run) for b in boots.BOOTS if b.name in names}

        def asked(name: str) -> GuestReport:
            try:
                if behind and name in behind.names:
                    return behind.told(name)
                return futures[name].result()
            except Unavailable as why:
                pytest.skip(f"no guest {name}: {why}")

        try:
            yield asked
        finally:
            for future in futures.values():
                future.cancel()


@pytest.fixture(scope="session", params=boots.WANTED)
def told(request: pytest.FixtureRequest, guest: Asked) -> GuestReport:
    """Of a kernel."""
    return guest(request.param)


@pytest.fixture(scope="session")
def tsnic(guest: Asked) -> GuestReport:
    """Of 6.12 with clocks of our own."""
    return guest("tsnic")


@pytest.fixture(scope="session")
def nics(guest: Asked) -> GuestReport:
    """Of 6.12 with emulated cards."""
    return guest("nics")


@pytest.fixture(scope="session")
def sending(guest: Asked) -> GuestReport:
    """Of a kernel with BPF timestamping, and clocks of our own."""
    return guest("sending")
