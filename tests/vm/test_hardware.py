"""Hardware clocks and stamps against a NIC whose truth is known (tests/vm/tsnic)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vm.guest import Told, scenario
from tests.vm.kernels import kernel
from tests.vm.modules import built
from tests.vm.packages import Unavailable
from tests.vm.test_kernels import WANTED, fact, pytestmark

__all__ = ["pytestmark"]
KERNELS = [name for name in ("6.12",) if name in WANTED]
PROBES = 20
US, MS = 1_000, 1_000_000


@pytest.fixture(scope="module", params=KERNELS)
def told(request: pytest.FixtureRequest) -> Told:
    try:
        guest = kernel(request.param)
        module = built(guest, "tsnic")
        environ = {"NETTOP_VM_TSNIC": str(module)}
        return scenario(guest, ["tsnic"], seconds=240, environ=environ)
    except Unavailable as why:
        pytest.skip(f"no hardware clocks with Linux {request.param}: {why}")


@pytest.mark.parametrize("method", ["precise", "extended"])
def test_offset_and_frequency_are_those_injected(told: Told, method: str) -> None:
    clocks = fact(told, "tsnic.clocks")[method]
    assert len(clocks) == 2
    for clock in clocks:
        assert clock["method"] == method
        # The truth is of a moment later, by as long as the program took to end.
        slack = 2 * abs(clock["true_ppb"])  # two seconds
        assert abs(clock["offset_ns"] - clock["true_ns"]) <= clock["bar_ns"] + slack + 20 * US
        assert abs(clock["ppb"] - clock["true_ppb"]) <= clock["ppb_bar"] + 500
        assert clock["bar_ns"] < MS


def stamped(told: Told, what: str) -> dict[str, Any]:
    seen: dict[str, Any] = fact(told, "tsnic.probes")[what]
    assert (seen["sent"], seen["answered"]) == (PROBES, PROBES)
    assert (seen["unknown"], seen["disagree"]) == (0, 0)
    assert seen["before"] == seen["after"] == {"tx_type": "off", "rx_filter": "none"}
    return seen


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_every_probe_has_its_hardware_stamps(told: Told, proto: str) -> None:
    """Clocks that are milliseconds off and drift, yet the legs are microseconds, within the bar."""
    seen = stamped(told, proto)
    assert not seen["missing"].get("hardware")
    for leg in ("nic", "in"):
        assert seen["legs"][leg]["count"] == PROBES, leg
        assert 0 <= seen["legs"][leg]["p50_ns"] < MS, leg
        assert 0 < seen["legs"][leg]["bar_ns"] < MS, leg
    assert seen["legs"]["nic"]["max_ns"] <= seen["legs"]["round"]["max_ns"]


def test_lost_stamps_are_counted(told: Told) -> None:
    """One in four is missing, and said to be."""
    seen = stamped(told, "lossy")
    missing = seen["missing"]["hardware"]
    assert PROBES // 4 - 1 <= missing <= PROBES // 4 + 1
    assert seen["legs"]["nic"]["count"] == PROBES - missing
