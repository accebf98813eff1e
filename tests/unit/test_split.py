"""What waits were spent on: from sums to the parts of an interval, and who is blamed for it."""

from __future__ import annotations

import struct
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine import lib
from nettop.engine.frames import Packer
from nettop.model.evidence import CpuWait
from nettop.model.types import Because, PlaneHas, Proto, Row, Split
from nettop.text.explain import explain
from nettop.text.fields import FIELDS
from nettop.text.waits import is_settled, split_says
from nettop.text.words import who_text
from tests.export.make import make_model
from tests.feeding import FedEngine
from tests.netlink import connection, done, skmeminfo
from tests.unit.test_cpu_wait import holder

SECOND, MS = 10**9, 10**6
FINE = 2048
INODE, PID = 77, 12


class Waits:
    """A socket with unread data, in a tick a second, and the sums of what its reader does."""

    def __init__(self) -> None:
        self.engine, self.at, self.read = FedEngine(), 100, 0
        self.sums = [0] * 6  # waiting, wake, cpu, ran, asleep, stopped

    def tick(self, *more_ms: int, first: int = 1, says: bool = True) -> Row:
        """more_ms: waiting, wake, cpu, ran, asleep, stopped of this interval."""
        engine, now_ns = self.engine, self.at * SECOND
        engine.now_ns = now_ns
        self.read += 1
        head = struct.pack("<QQIIIIII", 0, 0, self.read, self.read, 0, 0, 0, 0)
        engine._section(lib.NT_S_WAIT, 0, 0, head + bytes(8 * FINE))
        self.sums = [a + b * MS for a, b in zip(self.sums, more_ms or [0] * 6, strict=True)]
        if says:
            record = struct.pack("<Q6Q4I", 1, *self.sums, 1, 0, self.read - first + 1, 0)
            engine._section(lib.NT_S_WAIT_SPLITS, 0, len(record), record)
        engine.feed_begin(now_ns)
        raw = connection(1, 280, skmeminfo(), inode=INODE, rqueue=400_000,
                         bytes_received=900_000, last_data_recv=10_000) + done()  # fmt: skip
        engine.feed(1, Proto.TCP, raw)
        engine.feed_end(now_ns)
        self.at += 1
        row = engine.find(1)
        assert row is not None
        return row


def share(row: Row, part: str) -> Any:
    return FIELDS[f"rxwait.{part}"].value(row)


def test_parts_are_of_the_interval() -> None:
    waits = Waits()
    waits.tick()
    row = waits.tick(1000, 0, 600, 100, 300, 0)
    assert row.plane.split[:6] == tuple(ms * MS for ms in (1000, 0, 600, 100, 300, 0))
    assert (share(row, "cpu"), share(row, "ran"), share(row, "stopped")) == (60, 10, 0)
    row = waits.tick(500, 0, 0, 0, 0, 400)
    assert row.plane.split.stopped_ns == 400 * MS
    assert row.plane.split.unknown_ns == 100 * MS
    assert (share(row, "cpu"), share(row, "stopped")) == (0, 80)


def test_the_first_read_of_a_socket_begins_at_nothing() -> None:
    waits = Waits()
    waits.tick(says=False)
    row = waits.tick(200, 0, 50, 0, 0, 0, first=2)
    assert row.plane.split.waiting_ns == 200 * MS


def test_an_interval_whose_beginning_was_not_seen_is_unknown() -> None:
    waits = Waits()
    row = waits.tick(200, 0, 50, 0, 0, 0, first=0)
    assert not row.plane.has & PlaneHas.SPLIT
    assert share(row, "cpu") is None
    assert waits.tick(100, 0, 50, 0, 0, 0, first=0).plane.split.waiting_ns == 100 * MS
    waits.tick(says=False)
    assert not waits.tick(100, 0, 50, 0, 0, 0, first=0).plane.has & PlaneHas.SPLIT


def test_nothing_that_waits_has_no_shares() -> None:
    waits = Waits()
    waits.tick()
    assert share(waits.tick(), "cpu") is None


def test_a_part_that_falls_back_takes_nothing_from_others() -> None:
    """Another thread read than was expected: what was added up before it did is taken back."""
    waits = Waits()
    waits.tick(500, 0, 500, 0, 0, 0)
    split = waits.tick(100, 0, -200, 50, 300, 0).plane.split
    assert split[:6] == (100 * MS, 0, 0, 50 * MS, 50 * MS, 0)


@pytest.mark.parametrize(
    ("parts", "who", "because"),
    [
        ((1000, 0, 500, 0, 500, 0), "cpu", Because.NO_CPU),
        ((1000, 0, 499, 0, 501, 0), "app", Because.PLAIN),
        ((1000, 0, 0, 0, 0, 900), "app", Because.STOPPED),
        ((1000, 0, 0, 900, 0, 0), "app", Because.PLAIN),
        ((1000, 0, 400, 0, 0, 0), "cpu", Because.NO_CPU),  # unknown: by the process's own times
    ],
)
def test_who_is_blamed(parts: tuple[int, ...], who: str, because: Because) -> None:
    """Whatever the process's own times say, where what the reader did is known."""
    waits = Waits()
    waits.engine.feed_begin(99 * SECOND)
    record = holder(INODE, PID)
    waits.engine._section(lib.NT_S_OWNERS, 0, len(record), record)
    for _ in range(3):
        row = waits.tick(*parts)
        waits.engine.cpu_waits([CpuWait(PID, True, SECOND, SECOND)])
    assert (who_text(row), row.rec.because) == (who, because)
    told = explain(row, None, make_model(), None)
    assert "data waited" in told.evidence
    assert "split" in {e.source for e in told.proof}
    assert ("kill -CONT" in told.next_step) == (because is Because.STOPPED)
    assert bool("not given a CPU" in told.unknown) == (
        not is_settled(row.plane.split) and who != "cpu"
    )


def test_what_it_says() -> None:
    split = Split(300 * MS, 1, 260 * MS, 30 * MS, 0, 0)
    assert split_says(split) == (
        "of 300ms that data waited in this interval, it was ready and no CPU was given to it for "
        "260ms, it ran and did something else for 30.0ms, what it did is not known for 10.0ms"
    )
    assert split_says(Split(300 * MS, 0, 0, 0, 0, 0)) == (
        "data waited for 300ms of this interval, and what the reader did meanwhile is not known"
    )


def test_frames_hold_it() -> None:
    waits = Waits()
    waits.engine.keep(True)
    again, packer, unpacker = FedEngine(), Packer(), Packer()
    for parts in ((100, 0, 50, 0, 0, 0), (200, 10, 20, 30, 40, 50)):
        row = waits.tick(*parts)
        again.take(unpacker.unpack(packer.pack(waits.engine.kept())))
        twin = again.find(1)
        assert twin is not None
        assert twin.plane.split == row.plane.split
