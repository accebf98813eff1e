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
PROBES, SENDS = 20, 20
US, MS = 1_000, 1_000_000


@pytest.fixture(scope="module", params=KERNELS)
def told(request: pytest.FixtureRequest) -> Told:
    try:
        guest = kernel(request.param)
        module = built(guest, "tsnic")
        environ = {"NETTOP_VM_TSNIC": str(module)}
        return scenario(guest, ["tsnic.clocks", "tsnic.probes"], seconds=600, environ=environ)
    except Unavailable as why:
        pytest.skip(f"no hardware clocks with Linux {request.param}: {why}")


# Two ports of each driver's card on one wire; igb wants a root port of its own.
NICS = (
    "-netdev", "hubport,id=h0,hubid=0", "-netdev", "hubport,id=h1,hubid=0",
    "-device", "pcie-root-port,id=rp0,chassis=1", "-device", "pcie-root-port,id=rp1,chassis=2",
    "-device", "igb,bus=rp0,netdev=h0,mac=52:54:00:00:00:01,romfile=",
    "-device", "igb,bus=rp1,netdev=h1,mac=52:54:00:00:00:02,romfile=",
    "-netdev", "hubport,id=h2,hubid=1",
    "-device", "e1000e,netdev=h2,mac=52:54:00:00:00:03,romfile=",
    "-netdev", "hubport,id=h3,hubid=2",
    "-device", "virtio-net-pci,netdev=h3,mac=52:54:00:00:00:04,romfile=",
)  # fmt: skip


@pytest.fixture(scope="module")
def nics() -> Told:
    try:
        return scenario(kernel("6.12"), ["nics"], seconds=600, devices=NICS)
    except Unavailable as why:
        pytest.skip(f"no emulated NICs: {why}")


@pytest.mark.parametrize("method", ["precise", "extended"])
def test_offset_and_frequency_are_those_injected(told: Told, method: str) -> None:
    clocks = fact(told, "tsnic.clocks")[method]
    assert len(clocks) == 2
    for clock in clocks:
        assert clock["method"] == method
        least_ns, most_ns = clock["true_ns"]
        bar_ns = clock["bar_ns"] + clock["set_within_ns"]
        assert clock["set_within_ns"] < 50 * US
        assert least_ns - bar_ns <= clock["offset_ns"] <= most_ns + bar_ns
        assert abs(clock["ppb"] - clock["true_ppb"]) <= clock["ppb_bar"] + 500
        assert clock["bar_ns"] < MS


@pytest.fixture(scope="module")
def sending() -> Told:
    """A kernel with BPF timestamping, which 6.12 has not."""
    try:
        guest = kernel("newest")
        environ = {"NETTOP_VM_TSNIC": str(built(guest, "tsnic"))}
        return scenario(guest, ["tsnic.sends"], seconds=300, environ=environ)
    except Unavailable as why:
        pytest.skip(f"no hardware clocks here: {why}")


def test_the_nic_stage_is_from_driver_to_wire(sending: Told) -> None:
    """Of a program that knows nothing of it, by a clock that is 5 ms off and runs too fast."""
    seen = fact(sending, "tsnic.sends")
    assert seen["reason"] is None
    assert (seen["sends"], seen["count"]) == (SENDS, SENDS)
    assert 0 < seen["bar_ns"] < MS
    assert 2 * MS - seen["bar_ns"] <= seen["p50_ns"] <= seen["max_ns"] < 4 * MS
    assert seen["host"]["count"] == SENDS
    assert seen["host"]["bar_ns"] == seen["bar_ns"]


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


# --- real drivers ---


def test_a_clock_that_works(nics: Told) -> None:
    """igb: read in windows, a bar of microseconds at most, no drift of its own."""
    ports = fact(nics, "nics.clocks")["igb"]
    assert len(ports) == 2
    for port in ports:
        assert {"hardware-transmit", "hardware-raw-clock"} <= set(port["capabilities"])
        clock = port["clock"]
        assert clock["state"] in ("locked", "steady", "drifts")  # the driver set it at boot
        assert clock["method"] == "extended"
        assert clock["bar_ns"] < 50 * US
        assert abs(clock["frequency_ppb"]) < 20_000
        assert any("PTP packets only" in text for text in port["remarks"])


def test_a_clock_that_is_wrong(nics: Told) -> None:
    """e1000e as QEMU has it claims everything, and its clock runs 2.5 times too fast."""
    (port,) = fact(nics, "nics.clocks")["e1000e"]
    assert "hardware-transmit" in port["capabilities"]
    assert port["clock"]["state"] == "runs wrong"
    assert port["clock"]["speed"] == pytest.approx(2.5, abs=0.1)


def test_no_clock(nics: Told) -> None:
    (port,) = fact(nics, "nics.clocks")["virtio_net"]
    assert port["phc"] is None
    assert any("stamps in software only" in text for text in port["remarks"])
    failed = fact(nics, "nics.refusals")["failed"]
    assert "its driver virtio_net cannot stamp what it sends in hardware" in failed
    assert failed.count("\n") == 1


def test_receive_stamps_of_a_real_driver(nics: Told) -> None:
    """The card stamps before the kernel does, and not long before."""
    seen = fact(nics, "nics.igb_received")
    assert seen["stamped"] >= seen["sent"] * 9 // 10
    assert seen["unknown"] <= seen["sent"] // 10  # a guest that stands still is a clock's step
    told = seen["before_kernel_ns"]
    assert all(-bar_ns <= ns for ns, bar_ns in told)
    near = sum(ns < 20 * MS and bar_ns < 200 * US for ns, bar_ns in told)
    assert near >= len(told) * 9 // 10  # a guest that stood still is late itself


def test_transmit_stamps_of_a_real_driver(nics: Told) -> None:
    """None wrong, nine in ten there, and the NIC is set as it was."""
    seen = fact(nics, "nics.igb")
    assert seen["sent"] == seen["answered"] == 30
    assert seen["nic"]["count"] >= 27
    assert seen["nic"]["count"] + seen["missing"].get("hardware", 0) == 30
    assert seen["disagree"] == 0
    assert 0 <= seen["nic"]["p50_ns"] <= seen["nic"]["max_ns"] < seen["round_max_ns"]
    assert not seen["received"]
    assert seen["before"] == seen["after"] == {"tx_type": "off", "rx_filter": "none"}
