"""Every guest that a chosen test asks for, booted once: what times nothing runs beside the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.vm import boots
from tests.vm.guest import Told
from tests.vm.packages import Unavailable

Asked = Callable[[str], Told]


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """What the guest of that name said; skips where it cannot be had."""
    items = request.session.items
    calls = [item.callspec for item in items if hasattr(item, "callspec")]
    names = {str(call.params.get("told")) for call in calls}
    names |= {name for item in items for name in getattr(item, "fixturenames", ())}
    futures: dict[str, Future[Told]] = {}
    with ThreadPoolExecutor(1) as timed, ThreadPoolExecutor(1) as beside:
        for boot in boots.BOOTS:
            if boot.name in names:
                lane = timed if boot.timed else beside
                futures[boot.name] = lane.submit(boot.run)

        def asked(name: str) -> Told:
            try:
                return futures[name].result()
            except Unavailable as why:
                pytest.skip(f"no guest {name}: {why}")

        try:
            yield asked
        finally:
            for future in futures.values():
                future.cancel()


@pytest.fixture(scope="session", params=boots.WANTED)
def told(request: pytest.FixtureRequest, guest: Asked) -> Told:
    """Of a kernel."""
    return guest(request.param)


@pytest.fixture(scope="session")
def tsnic(guest: Asked) -> Told:
    """Of 6.12 with clocks of our own."""
    return guest("tsnic")


@pytest.fixture(scope="session")
def nics(guest: Asked) -> Told:
    """Of 6.12 with emulated cards."""
    return guest("nics")


@pytest.fixture(scope="session")
def sending(guest: Asked) -> Told:
    """Of a kernel with BPF timestamping, and clocks of our own."""
    return guest("sending")
