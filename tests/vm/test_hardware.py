"""Hardware clocks and stamps against a NIC whose truth is known (tests/vm/tsnic)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vm.guest import GuestReport
from tests.vm.test_kernels import fact, pytestmark

__all__ = ["pytestmark"]
PROBES, SENDS = 20, 20
US, MS = 1_000, 1_000_000


@pytest.mark.parametrize("method", ["precise", "extended"])
def test_offset_and_frequency_are_those_injected(tsnic: GuestReport, method: str) -> None:
    clocks = fact(tsnic, "tsnic.clocks")[method]
    assert len(clocks) == 2
    for clock in clocks:
        assert clock["method"] == method
        least_ns, most_ns = clock["true_ns"]
        bar_ns = clock["bar_ns"] + clock["set_within_ns"]
        assert clock["set_within_ns"] < 50 * US
        assert least_ns - bar_ns <= clock["offset_ns"] <= most_ns + bar_ns
        assert abs(clock["ppb"] - clock["true_ppb"]) <= clock["ppb_bar"] + 500
        assert clock["bar_ns"] < MS


def test_the_nic_stage_is_from_driver_to_wire(sending: GuestReport) -> None:
    """Of a program that knows nothing of it, by a clock that is 5 ms off and runs too fast."""
    seen = fact(sending, "tsnic.sends")
    assert seen["reason"] is None
    assert (seen["sends"], seen["count"]) == (SENDS, SENDS)
    assert 0 < seen["bar_ns"] < MS
    assert 2 * MS - seen["bar_ns"] <= seen["p50_ns"] < 4 * MS
    assert seen["p50_ns"] <= seen["max_ns"]  # a guest that stands still between the stamps is late
    assert seen["host"]["count"] == SENDS
    assert seen["host"]["bar_ns"] == seen["bar_ns"]


def stamped(tsnic: GuestReport, what: str) -> dict[str, Any]:
    seen: dict[str, Any] = fact(tsnic, "tsnic.probes")[what]
    assert (seen["sent"], seen["answered"]) == (PROBES, PROBES)
    assert seen["unknown"] <= PROBES // 10  # a guest that stands still is a clock's step
    assert seen["disagree"] == 0
    assert seen["before"] == seen["after"] == {"tx_type": "off", "rx_filter": "none"}
    return seen


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_every_probe_has_its_hardware_stamps(tsnic: GuestReport, proto: str) -> None:
    """Clocks that are milliseconds off and drift, yet the legs are microseconds, within the bar."""
    seen = stamped(tsnic, proto)
    assert not seen["missing"].get("hardware")
    for leg in ("nic", "in"):
        assert seen["legs"][leg]["count"] >= PROBES - 2 * seen["unknown"], leg
        assert 0 <= seen["legs"][leg]["p50_ns"] < MS, leg
        assert 0 < seen["legs"][leg]["bar_ns"] < MS, leg
    assert seen["legs"]["nic"]["max_ns"] <= seen["legs"]["round"]["max_ns"]


def test_lost_stamps_are_counted(tsnic: GuestReport) -> None:
    """One in four is missing, and said to be."""
    seen = stamped(tsnic, "lossy")
    missing = seen["missing"]["hardware"]
    assert PROBES // 4 - 1 <= missing <= PROBES // 4 + 1
    assert seen["legs"]["nic"]["count"] >= PROBES - missing - seen["unknown"]


# --- real drivers ---


def test_a_clock_that_works(nics: GuestReport) -> None:
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


def test_a_clock_that_is_wrong(nics: GuestReport) -> None:
    """e1000e as QEMU has it claims everything, and its clock runs 2.5 times too fast."""
    (port,) = fact(nics, "nics.clocks")["e1000e"]
    assert "hardware-transmit" in port["capabilities"]
    assert port["clock"]["state"] == "runs wrong"
    assert port["clock"]["speed"] == pytest.approx(2.5, abs=0.1)


def test_no_clock(nics: GuestReport) -> None:
    (port,) = fact(nics, "nics.clocks")["virtio_net"]
    assert port["phc"] is None
    assert any("stamps in software only" in text for text in port["remarks"])
    failed = fact(nics, "nics.refusals")["failed"]
    assert "its driver virtio_net cannot stamp what it sends in hardware" in failed
    assert failed.count("\n") == 1


def test_receive_stamps_of_a_real_driver(nics: GuestReport) -> None:
    """The card stamps what was sent, before the kernel has it. A guest that stands still is late
    itself; the least of the times in between says how much is shown."""
    seen = fact(nics, "nics.igb_received")
    assert seen["stamped"] >= seen["sent"] * 9 // 10
    assert seen["unknown"] <= seen["sent"] // 10  # a guest that stands still is a clock's step
    placed = seen["placed"]
    assert all(-bar_ns <= after_ns for after_ns, _, bar_ns in placed)
    assert all(-bar_ns <= before_ns for _, before_ns, bar_ns in placed)
    assert min(after_ns + before_ns + bar_ns for after_ns, before_ns, bar_ns in placed) < 20 * MS


def test_transmit_stamps_of_a_real_driver(nics: GuestReport) -> None:
    """None wrong, nine in ten there, and the NIC is set as it was."""
    seen = fact(nics, "nics.igb")
    assert seen["sent"] == seen["answered"] == 30
    assert seen["nic"]["count"] >= 27
    assert seen["nic"]["count"] + seen["missing"].get("hardware", 0) + seen["unknown"] == 30
    assert seen["disagree"] == 0
    assert 0 <= seen["nic"]["p50_ns"] <= seen["nic"]["max_ns"] < seen["round_max_ns"]
    assert not seen["received"]
    assert seen["before"] == seen["after"] == {"tx_type": "off", "rx_filter": "none"}
