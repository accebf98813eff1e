"""NICs' stamps of sends: which clock they need, when they can be told, and what is counted."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

from nettop.clocks import hwtstamp
from nettop.clocks.follow import SystemTime
from nettop.clocks.hwtstamp import Owner
from nettop.clocks.interfaces import TX_TYPES
from nettop.engine import lib
from nettop.export.distributions import host_tx_object, nic_of
from nettop.model.types import Dist, Histogram, NicStage, Stage
from nettop.sources import nics
from nettop.sources.netns import own_inode
from nettop.sources.nics import NicStamps, Placed, Stamp
from nettop.tui.glyphs import UTF8
from nettop.tui.panes.tx import Sends, stage_lines

NETNS = own_inode()
LO = socket.if_nametoindex("lo")
PHC_AHEAD, BAR = 5_000_000, 40


class Clock:
    """5 ms ahead of CLOCK_MONOTONIC; known since first_ns, until read_ns of its own time."""

    def __init__(self) -> None:
        self.read_ns = self.first_ns = 0
        self.closed = False

    def is_between(self, hw_ns: int) -> bool:
        return hw_ns <= self.read_ns

    def to_monotonic(self, hw_ns: int, after_ns: int) -> SystemTime | None:
        known = self.first_ns <= after_ns and self.is_between(hw_ns)
        return SystemTime(hw_ns - PHC_AHEAD, BAR) if known else None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stamps(clock: Clock) -> NicStamps:
    made = NicStamps()
    made._phcs[0] = made._clocks[LO] = clock  # type: ignore[assignment]
    return made


def stamp(left_ns: int, late_ns: int, cookie: int = 7) -> Stamp:
    return Stamp(cookie, left_ns, left_ns + late_ns + PHC_AHEAD, LO, NETNS)


def test_a_stamp_waits_for_the_next_reading_of_its_clock(stamps: NicStamps, clock: Clock) -> None:
    stamps.take(stamp(1_000, 300))
    assert stamps.convertible() == []
    clock.read_ns = PHC_AHEAD + 10_000
    assert stamps.convertible() == [Placed(7, 300, BAR)]
    assert stamps.convertible() == []
    told = stamps.state([Placed(7, 300, BAR), Placed(8, 1, 90)])
    assert told == NicStage(bar_ns=90, run_bar_ns=90)
    assert stamps.state([]).run_bar_ns == 90
    stamps.clear()
    assert stamps.state([]).run_bar_ns == 0


@pytest.mark.parametrize(("late_ns", "told"), [(0, 0), (-BAR, 0), (-BAR - 1, None)])
def test_a_stamp_before_softwares_is_zero_within_the_bar_alone(
    stamps: NicStamps, clock: Clock, late_ns: int, told: int | None
) -> None:
    clock.read_ns = 1 << 60
    stamps.take(stamp(1_000, late_ns))
    assert [p.ns for p in stamps.convertible()] == ([] if told is None else [told])
    assert stamps.state([]).before_software == (told is None)


def test_a_step_of_the_clock_discards(stamps: NicStamps, clock: Clock) -> None:
    stamps.take(stamp(1_000, 300))
    clock.first_ns, clock.read_ns = 1_001, 1 << 60  # its line began anew
    assert stamps.convertible() == []
    assert stamps.state([]).unplaced == 1


def test_a_clock_that_is_not_read_any_more(
    stamps: NicStamps, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps.take(stamp(1_000, 300))
    monkeypatch.setattr(nics, "_LATER_S", -1.0)
    stamps.take(stamp(2_000, 300))
    assert stamps.convertible() == []
    assert stamps.state([]).unplaced == 1, "the other still waits"


def test_more_than_can_wait_are_counted(stamps: NicStamps) -> None:
    for i in range(nics.MOST + 3):
        stamps.take(stamp(i, 1))
    assert stamps.state([]).unplaced == 3


def test_reasons() -> None:
    stamps = NicStamps()
    assert "no NIC stamped" in (stamps.state([]).reason or "")
    stamps.take(Stamp(7, 1, 2, LO, NETNS))
    assert stamps.state([]).reason == "not converted: the driver of lo names no clock"
    stamps.take(Stamp(7, 1, 2, LO, NETNS + 1))
    assert (
        stamps.state([]).reason
        == "not converted: timestamped by a NIC of another network namespace"
    )
    stamps.take(Stamp(7, 1, 2, 1 << 30, NETNS))
    assert "interface 1073741824 cannot be asked" in (stamps.state([]).reason or "")
    assert stamps.state([]).unplaced == 3


def test_nothing_is_left_of_sends_that_are_not_stamped_any_more(
    stamps: NicStamps, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nics, "lib", Lib(0))
    stamps.take(stamp(1_000, 300))
    assert stamps.state([]).reason == "timestamps wait for the next reading of their clock"
    stamps.stop(None)
    clock.read_ns = 1 << 60
    assert clock.closed
    assert stamps.convertible() == []


class Lib:
    """lo's transmit stamps are set like this; no other interface tells."""

    def __init__(self, tx_type: int) -> None:
        self.tx_type = tx_type

    def nt_hwtstamp_get(self, name: bytes, ret: Any) -> int:
        if name != b"lo":
            return -errno.EOPNOTSUPP
        ret.tx_type = self.tx_type
        return 0

    def nt_ts_info(self, name: bytes, ret: Any) -> int:
        return -errno.EOPNOTSUPP

    def nt_stages_nics(self, stages: object, ret: object, most: int) -> int:
        return 0

    def nt_stages_place(self, stages: object, placed: object, n: int) -> int:
        return 0


@pytest.mark.parametrize(
    ("tx_type", "owners", "told"),
    [
        ("on", [Owner(7, "ptp4l", "is running")], "ptp4l (pid 7) may need the stamps of lo"),
        ("on", [], None),
        ("off", [Owner(7, "ptp4l", "is running")], None),
    ],
)
def test_stamps_that_a_daemon_needs_are_not_taken(
    monkeypatch: pytest.MonkeyPatch, tx_type: str, owners: list[Owner], told: str | None
) -> None:
    monkeypatch.setattr(nics, "lib", Lib(TX_TYPES.index(tx_type)))
    monkeypatch.setattr(hwtstamp, "find_owners", lambda: owners)
    assert nics.claimed() == told


def test_the_pane_tells_the_stage_with_its_bar_and_else_why_not() -> None:
    nothing = Histogram(Dist(), ())
    dists = dict.fromkeys(Stage, Dist()) | {
        Stage.NIC: Dist(count=200, p50_ns=40_000, p99_ns=60_000, sum_ns=8_000_000),
        Stage.ACK: Dist(count=200, p50_ns=90_000, p99_ns=90_000, sum_ns=18_000_000),
        Stage.TOTAL: Dist(count=200, p50_ns=90_000, p99_ns=90_000, sum_ns=18_000_000),
    }
    now = tuple(Histogram(dists[stage], ()) for stage in Stage)
    lines = texts(Sends(now, None, nic_bar_ns=400))
    assert any(text.startswith("nic     40.0µs  60.0µs") for text in lines), lines
    assert any("nic ± 400ns" in text for text in lines)
    assert any(text.startswith("mean 90.0µs ") for text in lines), "ack has it in it"
    other = tuple(nothing if stage is Stage.NIC else now[stage] for stage in Stage)
    none = texts(Sends(other, None, nic=NicStage(reason="eth0 is mute")))
    assert any(text.startswith("nic   ") and text.endswith("–  eth0 is mute") for text in none)


def test_the_pane_counts_what_tracepoints_know() -> None:
    queued = Dist(count=6, p50_ns=40_000, p99_ns=60_000, max_ns=60_000, sum_ns=240_000)
    dists = dict.fromkeys(Stage, Dist()) | {Stage.QDISC: queued}
    now = tuple(Histogram(dists[stage], ()) for stage in Stage)
    run = tuple(Histogram(Dist(), ()) for _ in Stage)
    lines = texts(Sends(now, run, by_tracepoints=True))
    assert lines[0].startswith("now ")
    assert any("6 packets left" in text for text in lines), lines


def texts(sends: Sends) -> list[str]:
    lines = stage_lines(sends, 70, 14, UTF8)
    return ["".join(part if isinstance(part, str) else part[0] for part in row) for row in lines]


def test_a_snapshot_has_the_bar_and_what_could_not_be_told() -> None:
    dists = tuple(Dist(1, 5, 5, 5, 5, 5) if s is Stage.NIC else Dist() for s in Stage)
    head = {"tx": host_tx_object(dists, NicStage(40, 40, 0, 3, 1, "not kept"))}
    assert head["tx"]["nic"]["bar_ns"] == 40
    assert nic_of(head) == NicStage(40, 0, 0, 3, 1)
    none = {"tx": host_tx_object((Dist(),) * len(Stage), NicStage(unplaced=2))}
    assert none["tx"] == {"nic": {"count": 0, "unplaced": 2}}
    assert host_tx_object((Dist(),) * len(Stage), NicStage()) == {}


def test_fine_buckets_hold_their_times() -> None:
    for ns in [*range(300), *(1 << k for k in range(9, 37)), 10**9 + 7, (1 << 37) - 1]:
        i = lib.nt_fine_bucket(ns)
        assert lib.nt_bucket_ns(i, 1) <= ns < lib.nt_bucket_ns(i + 1, 1), ns
    assert lib.nt_fine_bucket(1 << 37) == lib.nt_fine_bucket((1 << 64) - 1) == 2047


def test_a_driver_that_does_not_say_may_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Lib):
        def nt_hwtstamp_get(self, name: bytes, ret: Any) -> int:
            return -errno.EOPNOTSUPP

        def nt_ts_info(self, name: bytes, ret: Any) -> int:
            ret.so_timestamping = 1 if name == b"lo" else 2
            return 0

    monkeypatch.setattr(nics, "lib", Mute(0))
    assert nics.stamping() == {LO: "lo"}


def test_what_cannot_be_looked_at_is_not_taken_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> list[tuple[int, str]]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "if_nameindex", full)
    assert nics.claimed() == "which NICs stamp is not known: Too many open files"
