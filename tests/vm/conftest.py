"""Every guest that a chosen test asks for, booted once: what times something when the first test
asks for a guest, the others behind the tests of other folders. Two have the processors at a time:
of an odd number of those that time something, one is booted beside tests that leave it one.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lanes import is_beside_a_guest
from tests.vm import boots
from tests.vm.behind import Behind
from tests.vm.guest import GuestReport
from tests.vm.packages import Unavailable

Asked = Callable[[str], GuestReport]
_ahead = pytest.StashKey[list[Behind]]()
_HERE = Path(__file__).parent


class _Beside:
    """The plugin that boots this guest when the first of those tests begins."""

    def __init__(self, ahead: list[Behind], name: str, tests: frozenset[str]) -> None:
        self.name = name
        self._ahead, self._tests, self._pid = ahead, tests, os.getpid()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        # Of the processes that run these tests, the one where guests are asked for.
        if self._tests and nodeid in self._tests and os.getpid() == self._pid:
            self._tests = frozenset()
            self._ahead.append(Behind([self.name], "beside"))


def _names(items: list[pytest.Item]) -> set[str]:
    """Of the guests that these tests ask for."""
    calls = [item.callspec for item in items if hasattr(item, "callspec")]
    names = {str(call.params.get("report")) for call in calls}
    return names | {name for item in items for name in getattr(item, "fixturenames", ())}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: is_beside_a_guest(item) or 2 * item.path.is_relative_to(_HERE))


def pytest_collection_finish(session: pytest.Session) -> None:
    ahead = session.config.stash[_ahead] = []
    if session.config.option.collectonly or os.geteuid() != 0:
        return
    if os.environ.get("NETTOP_VM") == "0" or platform.machine() != "x86_64":
        return
    if all(item.path.is_relative_to(_HERE) for item in session.items):
        return
    names = _names(session.items)
    if chosen := [b.name for b in boots.BOOTS if b.name in names and not b.timed]:
        ahead.append(Behind(chosen))
    timed = [b.name for b in boots.BOOTS if b.name in names and b.timed]
    beside = frozenset(item.nodeid for item in session.items if is_beside_a_guest(item))
    if len(timed) % 2 and beside and len(os.sched_getaffinity(0)) > 1:
        session.config.pluginmanager.register(_Beside(ahead, timed[-1], beside))


def pytest_sessionfinish(session: pytest.Session) -> None:
    for behind in session.config.stash.get(_ahead, []):
        behind.close()


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """What the guest of that name said; skips where it cannot be had."""
    ahead = {name: behind for behind in request.config.stash[_ahead] for name in behind.names}
    names = _names(request.session.items) - set(ahead)
    # No more than two guests at a time: each has a core.
    with ThreadPoolExecutor(2) as pool:
        for behind in request.config.stash[_ahead]:
            behind.as_others()
            pool.submit(behind.until_ended)
        futures = {b.name: pool.submit(b.run) for b in boots.BOOTS if b.name in names}

        def asked(name: str) -> GuestReport:
            try:
                if name in ahead:
                    return ahead[name].report(name)
                return futures[name].result()
            except Unavailable as why:
                pytest.skip(f"no guest {name}: {why}")

        try:
            yield asked
        finally:
            for future in futures.values():
                future.cancel()


@pytest.fixture(scope="session", params=boots.WANTED)
def report(request: pytest.FixtureRequest, guest: Asked) -> GuestReport:
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
