"""The parts of one probe's way, from the stamps of both ends."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

from nettop.clocks.follow import SystemTime
from nettop.probe.wire import FarTimes
from nettop.stamps import Flight


class Leg(Enum):
    """In the order of the way; the value is what the screen and JSON call it."""

    CONNECT = "connect"
    SEND = "send"
    QDISC = "qdisc"
    NIC = "nic"
    ACK = "ack"
    OUT = "net_out"
    FAR_IN = "far_in"
    FAR_APP = "far_app"
    FAR_OUT = "far_out"
    BACK = "net_back"
    NET = "net"
    IN = "in"
    WAIT = "wait"
    ROUND = "round"


LABELS = {
    Leg.CONNECT: ("connect", "connect() → established"),
    Leg.SEND: ("send", "send() → SCHED"),
    Leg.QDISC: ("qdisc", "SCHED → SND"),
    Leg.NIC: ("nic", "SND → HW tx"),
    Leg.ACK: ("ack", "SND → ACK"),
    Leg.OUT: ("net →", "SND → far rx"),
    Leg.FAR_IN: ("far in", "far rx → its read"),
    Leg.FAR_APP: ("far app", "its read → its send()"),
    Leg.FAR_OUT: ("far out", "its send() → its SND"),
    Leg.BACK: ("net ←", "far SND → our rx"),
    Leg.NET: ("net+far", "SND → our rx"),
    Leg.IN: ("in", "HW rx → our rx"),
    Leg.WAIT: ("wait", "our rx → read"),
    Leg.ROUND: ("round", "send() → answer read"),
}
ONE_WAY = frozenset({Leg.OUT, Leg.BACK})  # both hosts' clocks; carry a bar
HARDWARE = frozenset({Leg.NIC, Leg.IN})  # the NIC's clock and the system's; carry a bar
# What a stacked bar of the mean is made of; ack runs beside the others, the NIC's legs lie inside
# the network's.
PARTS = tuple(leg for leg in Leg if leg not in HARDWARE | {Leg.ACK, Leg.ROUND})


class Round(Struct):
    """One probe: its send, its answer, and what both ends stamped. Times of CLOCK_REALTIME."""

    seq: int
    flight: Flight
    size: int
    read_ns: int | None = None  # None: not answered (yet)
    read_mono_ns: int = 0
    arrived_ns: int | None = None
    far: FarTimes | None = None
    arrived_hw_ns: int | None = None  # the NIC's own clock
    clock_steps: int = 0  # that had been seen when the answer came
    left_hw: SystemTime | None = None
    arrived_hw: SystemTime | None = None

    @property
    def answered(self) -> bool:
        return self.read_ns is not None

    @property
    def round_ns(self) -> int | None:
        """CLOCK_MONOTONIC, so that setting the clock does not matter."""
        return self.read_mono_ns - self.flight.clocks.before_mono_ns if self.answered else None


def near_legs(r: Round) -> dict[Leg, int]:
    """What follows from this end and the answer; a leg without both of its ends is left out."""
    out: dict[Leg, int] = {}
    f = r.flight
    _between(out, Leg.SEND, f.clocks.before_ns, f.sched_ns)
    _between(out, Leg.QDISC, f.sched_ns, f.snd_ns)
    if r.left_hw is not None and (left := f.left_before(r.left_hw.ns + r.left_hw.bar_ns)):
        _between_clocks(out, Leg.NIC, r.left_hw.ns - left, r.left_hw)
    _since_departure(out, Leg.ACK, f, f.ack_ns)
    if not r.answered:
        return out
    if r.far is not None:
        _since_departure(out, Leg.OUT, f, r.far.arrived_ns)
        _between(out, Leg.FAR_IN, r.far.arrived_ns, r.far.read_ns)
        _between(out, Leg.FAR_APP, r.far.read_ns, r.far.send_ns)
    else:
        _since_departure(out, Leg.NET, f, r.arrived_ns)
    if r.arrived_hw is not None and r.arrived_ns is not None:
        _between_clocks(out, Leg.IN, r.arrived_ns - r.arrived_hw.ns, r.arrived_hw)
    _between(out, Leg.WAIT, r.arrived_ns, r.read_ns)
    assert r.round_ns is not None
    out[Leg.ROUND] = r.round_ns
    return out


def late_legs(r: Round, later: FarTimes) -> dict[Leg, int]:
    """What a later answer adds about the answer to this probe."""
    out: dict[Leg, int] = {}
    if r.far is not None:
        _between(out, Leg.FAR_OUT, r.far.send_ns, later.told_snd_ns)
    _between(out, Leg.BACK, later.told_snd_ns, r.arrived_ns)
    return out


def one_way_bar_ns(far: FarTimes, boot: int, error_ns: int | None) -> int | None:
    """By how much one-way times may be off; None: not known, the clocks are not synchronised.

    The same running kernel on both ends has one clock. Else each clock's own maximum error counts.
    """
    if boot and far.boot == boot:
        return 0
    if error_ns is None or far.clock_error_ns is None:
        return None
    return error_ns + far.clock_error_ns


def within_bar(legs: Mapping[Leg, int], bar_ns: int | None) -> dict[Leg, int]:
    """One-way times below 0 by no more than the bar are 0; by more they stay negative, and are
    counted as such. All stay as they are where the bar is not known."""
    least_ns = -(bar_ns or 0)
    return {leg: 0 if leg in ONE_WAY and least_ns <= ns < 0 else ns for leg, ns in legs.items()}


def _between(out: dict[Leg, int], leg: Leg, begin: int | None, end: int | None) -> None:
    if begin is not None and end is not None:
        out[leg] = end - begin


def _since_departure(out: dict[Leg, int], leg: Leg, f: Flight, end: int | None) -> None:
    if end is not None:
        _between(out, leg, f.left_before(end), end)


def _between_clocks(out: dict[Leg, int], leg: Leg, ns: int, hardware: SystemTime) -> None:
    """Below 0 by no more than the bar is 0; by more it stays negative, and is counted as such."""
    out[leg] = 0 if -hardware.bar_ns <= ns < 0 else ns
