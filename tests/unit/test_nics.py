"""NICs' stamps of sends: which clock they need, when they can be told, and what is counted."""

from __future__ import annotations

import os
import socket

import pytest

from nettop.clocks.follow import SystemTime
from nettop.planes import nics
from nettop.planes.nics import NicStamps, Placed, Stamp

NETNS = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116
LO = socket.if_nametoindex("lo")
PHC_AHEAD, BAR = 5_000_000, 40


class Clock:
    """5 ms ahead of CLOCK_MONOTONIC; known until `read_ns` of its own time."""

    def __init__(self, read_ns: int = 0) -> None:
        self.read_ns = read_ns
        self.steps_seen = 0
        self.closed = False

    def is_between(self, hw_ns: int) -> bool:
        return hw_ns <= self.read_ns

    def to_monotonic(self, hw_ns: int) -> SystemTime | None:
        return SystemTime(hw_ns - PHC_AHEAD, BAR) if self.is_between(hw_ns) else None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stamps(clock: Clock) -> NicStamps:
    made = NicStamps()
    made._clocks[LO] = clock  # type: ignore[assignment]
    return made


def stamp(left_ns: int, late_ns: int, cookie: int = 7) -> Stamp:
    return Stamp(cookie, left_ns, left_ns + late_ns + PHC_AHEAD, LO, NETNS)


def test_a_stamp_waits_for_the_next_reading_of_its_clock(stamps: NicStamps, clock: Clock) -> None:
    stamps.take(stamp(1_000, 300))
    assert stamps.ripe() == []
    clock.read_ns = PHC_AHEAD + 10_000
    assert stamps.ripe() == [Placed(7, 300, BAR)]
    assert stamps.ripe() == []
    told = stamps.state([Placed(7, 300, BAR), Placed(8, 1, 90)])
    assert (told.bar_ns, told.unplaced, told.before_software) == (90, 0, 0)


@pytest.mark.parametrize(("late_ns", "told"), [(0, 0), (-BAR, 0), (-BAR - 1, None)])
def test_a_stamp_before_softwares_is_zero_within_the_bar_alone(
    stamps: NicStamps, clock: Clock, late_ns: int, told: int | None
) -> None:
    clock.read_ns = 1 << 60
    stamps.take(stamp(1_000, late_ns))
    assert [p.ns for p in stamps.ripe()] == ([] if told is None else [told])
    assert stamps.state([]).before_software == (told is None)


def test_a_step_of_the_clock_discards(stamps: NicStamps, clock: Clock) -> None:
    stamps.take(stamp(1_000, 300))
    clock.steps_seen, clock.read_ns = 1, 1 << 60
    assert stamps.ripe() == []
    assert stamps.state([]).unplaced == 1


def test_a_clock_that_is_not_read_any_more(
    stamps: NicStamps, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps.take(stamp(1_000, 300))
    monkeypatch.setattr(nics, "_LATER_S", -1.0)
    stamps.take(stamp(2_000, 300))
    assert stamps.ripe() == []
    assert stamps.state([]).unplaced == 1, "the other still waits"


def test_more_than_can_wait_are_counted(stamps: NicStamps) -> None:
    for i in range(nics.MOST + 3):
        stamps.take(stamp(i, 1))
    assert stamps.state([]).unplaced == 3


def test_reasons() -> None:
    stamps = NicStamps()
    assert "no NIC has stamped" in (stamps.state([]).reason or "")
    stamps.take(Stamp(7, 1, 2, LO, NETNS))
    assert stamps.state([]).reason == "lo stamps, and its driver names no clock"
    stamps.take(Stamp(7, 1, 2, LO, NETNS + 1))
    assert stamps.state([]).reason == "stamped by a NIC of another network namespace"
    stamps.take(Stamp(7, 1, 2, 1 << 30, NETNS))
    assert (stamps.state([]).reason or "").startswith("interface 1073741824 stamps, and cannot be")
    assert stamps.state([]).unplaced == 3


def test_clocks_are_closed(stamps: NicStamps, clock: Clock) -> None:
    stamps.close()
    assert clock.closed
