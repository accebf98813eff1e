"""WHO `cpu`: what is read late because the program was ready and no CPU was given to it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine import ffi, lib
from nettop.model.evidence import CpuWait, CpuWaits, Evidence, HostTick, Moved, Process
from nettop.model.types import Because, Owner, Proto, Row, Verdict, Who
from nettop.text.explain import explain
from nettop.text.words import who_text
from tests.export.make import make_model
from tests.feeding import FedEngine
from tests.netlink import connection, done, skmeminfo

SECOND, MS = 10**9, 10**6
PID, INODE = 12, 77
HALF = CpuWait(PID, True, SECOND, SECOND // 2)


def holder(inode: int, pid: int, more: int = 0) -> bytes:
    """struct nt_holder of native/procs/nt_holders.h."""
    proc = struct.pack("<4IQ16s", pid, 3, Owner.PROC, more, 1, b"reader")
    assert len(proc) == ffi.sizeof("struct nt_proc")
    return struct.pack("<QII", inode, 1 + more, 0) + proc * 9


class Reader:
    """A socket with 400 KB that nobody has read for so long, in a tick a second."""

    def __init__(self, more: int = 0) -> None:
        self.engine, self.at, self.more = FedEngine(), 100, more

    def tick(self, unread_ms: int, waits: list[CpuWait]) -> Row:
        """waits: known after the sweep."""
        raw = connection(1, 280, skmeminfo(), inode=INODE, rqueue=400_000,
                         bytes_received=900_000, last_data_recv=unread_ms) + done()  # fmt: skip
        now_ns = self.at * SECOND
        self.engine.feed_begin(now_ns)
        if self.at == 100:
            record = holder(INODE, PID, self.more)
            self.engine._section(lib.NT_S_OWNERS, 0, len(record), record)
        self.engine.feed(1, Proto.TCP, raw)
        self.engine.feed_end(now_ns)
        self.at += 1
        self.engine.cpu_waits(waits)
        row = self.engine.find(1)
        assert row is not None
        return row


def who(row: Row) -> str | None:
    return who_text(row)


def test_a_wait_for_the_cpu_takes_the_blame_and_says_so() -> None:
    reader = Reader()
    reader.tick(10_000, [HALF])
    row = reader.tick(11_000, [HALF])
    assert (who(row), row.rec.because) == ("cpu", Because.NO_CPU)
    told = explain(row, None, make_model(), None)
    assert "waited for a CPU" in told.evidence
    assert "cpu.stat" in told.next_step
    assert "not given a CPU" not in told.unknown


@pytest.mark.parametrize(
    ("wait", "said"),
    [
        (HALF._replace(run_delay_ns=SECOND // 2 - MS), "app"),  # less than half of an interval
        (HALF._replace(pid=PID + 1), "app"),  # another process
        (HALF._replace(sure=False), "cpu?"),
        (HALF, "cpu"),
    ],
)
def test_what_explains_half_of_it(wait: CpuWait, said: str) -> None:
    reader = Reader()
    reader.tick(10_000, [wait])
    assert who(reader.tick(11_000, [wait])) == said


def test_what_is_known_after_the_sweep_judges_it_too() -> None:
    """Ticks may be far apart: a tick later may be too late. Totals and filters follow."""
    reader = Reader()
    assert who(reader.tick(10_000, [])) == "app"
    row = reader.tick(11_000, [HALF])
    assert (who(row), row.rec.because) == ("cpu", Because.NO_CPU)
    totals = reader.engine.totals()
    assert (sum(totals.who[Who.CPU]), sum(totals.who[Who.APP])) == (1, 0)
    # As where a sweep says it: it stays a while, and goes.
    said = [who(reader.tick(12_000 + 1000 * n, [])) for n in range(7)]
    assert (said[:4], said[-1]) == (["cpu"] * 4, "app")


def judged(proto: Proto, at_each: Callable[[int], bytes], waits: list[CpuWait]) -> Row:
    """A socket after four seconds of these messages, by how its program waits for a CPU."""
    engine = FedEngine()
    record = holder(INODE, PID)
    for at in range(100, 104):
        engine.feed_begin(at * SECOND)
        engine._section(lib.NT_S_OWNERS, 0, len(record), record)
        engine.feed(1, proto, at_each(at) + done())
        engine.feed_end(at * SECOND)
        engine.cpu_waits(waits)
    row = engine.find(1)
    assert row is not None
    return row


def is_by_the_wait(row: Row) -> tuple[bool, bool]:
    """Whether evidence and next step are of the wait for a CPU."""
    shown = explain(row, None, make_model(), None)
    return "waited for a CPU" in shown.evidence, "cpu.stat" in shown.next_step


@pytest.mark.parametrize(("waits", "said"), [([HALF], "cpu"), ([], "app")])
def test_a_full_accept_queue_of_a_program_without_a_cpu(waits: list[CpuWait], said: str) -> None:
    full = connection(1, 0, skmeminfo(), state=10, inode=INODE, rqueue=17, wqueue=16)
    row = judged(Proto.TCP, lambda _: full, waits)
    assert (who(row), row.rec.verdict) == (said, Verdict.ACCEPT)
    assert is_by_the_wait(row) == (said == "cpu", said == "cpu")


@pytest.mark.parametrize(("waits", "said"), [([HALF], "cpu"), ([], "app")])
def test_a_full_receive_queue_of_a_program_without_a_cpu(waits: list[CpuWait], said: str) -> None:
    """It drops 50 datagrams a second."""

    def full(at: int) -> bytes:
        mem = skmeminfo(drops=50 * at, rmem=131_072)
        return connection(1, 0, mem, inode=INODE, rqueue=130_000, state=7)

    row = judged(Proto.UDP, full, waits)
    assert (who(row), row.rec.verdict) == (said, Verdict.DROPS)
    assert "its receive queue is full" in explain(row, None, make_model(), None).evidence
    assert is_by_the_wait(row) == (said == "cpu", said == "cpu")


def test_no_more_than_an_interval_is_to_be_explained() -> None:
    for delay_ms, said in ((210, "cpu"), (190, "app")):
        reader = Reader()
        wait = CpuWait(PID, True, 400 * MS, delay_ms * MS)
        reader.tick(10_000, [wait])
        assert who(reader.tick(11_000, [wait])) == said, delay_ms


def test_of_several_holders_any_may_be_the_reader() -> None:
    reader = Reader(more=1)
    reader.tick(10_000, [HALF])
    assert who(reader.tick(11_000, [HALF])) == "cpu?"


def test_the_blame_stays_a_while_and_goes_with_its_cause() -> None:
    reader = Reader()
    said = [who(reader.tick(10_000 + 1000 * n, [HALF] if n in (0, 1, 3) else [])) for n in range(9)]
    assert said[:5] == ["cpu"] * 5
    assert said[-1] == "app"


# --- which processes wait ---


def process(ran_ms: int, waited_ms: int, at: int, **more: Any) -> Process:
    made: dict[str, Any] = {"threads": 1, "read": 1, "states": {"R": 1}, "cgroup": "/a/b",
            "over_ns": SECOND + at - 1, "cpu_ns": ran_ms * MS, "run_delay_ns": waited_ms * MS,
            "longest_tid": PID, "longest_run_delay_ns": waited_ms * MS,
            "longest_cpu_ns": ran_ms * MS, "ran": 1, "waited_longer": 1}  # fmt: skip
    return Process(**made | more)


def ticks(of: CpuWaits, *processes: Process, moved: Moved | None = None) -> list[CpuWait]:
    got: list[CpuWait] = []
    for p in processes:
        evidence = Evidence(processes={PID: p})
        got = of.tick(HostTick(evidence, moved or Moved()))
    return got


def test_more_waiting_than_running() -> None:
    assert ticks(CpuWaits(), process(100, 300, 1)) == [CpuWait(PID, True, SECOND, 300 * MS)]
    # Busy itself: what it waits is little beside what it does.
    assert ticks(CpuWaits(), process(300, 250, 1)) == []
    # And so little makes nothing late.
    assert ticks(CpuWaits(), process(1, 19, 1)) == []


def test_five_intervals_are_taken_together() -> None:
    """A wait is counted when it is over, so that it may all be in one of them."""
    of = CpuWaits()
    got = ticks(of, *(process(10, 1500 if at == 2 else 0, at) for at in range(1, 6)))
    assert got == [CpuWait(PID, True, SECOND + 2, 300 * MS)]
    assert ticks(of, *(process(10, 0, at) for at in range(6, 8))) == []
    assert of.tick(HostTick()) == []


def test_long_intervals_say_it_alone() -> None:
    """What was before 5 s ago does not dilute it."""
    of = CpuWaits()
    long = process(500, 5670, 1, over_ns=6530 * MS)
    got = ticks(of, *(process(10, 0, at, over_ns=2 * SECOND + at) for at in range(1, 5)), long)
    assert got == [CpuWait(PID, True, 6530 * MS, 5670 * MS)]


def test_of_several_threads_a_quota_stops_all() -> None:
    several = process(100, 300, 1, threads=4, read=4, ran=3)
    assert [w.sure for w in ticks(CpuWaits(), several)] == [False]
    for path, stopped, sure in (
        ("/a", 5, True),
        ("/a/b", 5, True),
        ("/a", 4, False),
        ("/c", 5, False),
    ):
        moved = Moved(cgroups={path: {"nr_periods": 10, "nr_throttled": stopped}})
        assert [w.sure for w in ticks(CpuWaits(), several, moved=moved)] == [sure]


def test_whichever_thread_reads_it_waited_if_all_that_ran_did() -> None:
    def sure(**more: int) -> list[bool]:
        return [w.sure for w in ticks(CpuWaits(), process(100, 300, 1, **more))]

    assert sure(threads=4, read=4, ran=2, waited_longer=2) == [True]  # two slept
    assert sure(threads=4, read=4, ran=2, waited_longer=1) == [False]
    assert sure(threads=400, read=32, ran=2, waited_longer=2) == [False]


def test_a_thread_that_runs_now_and_then_changes_nothing() -> None:
    of = CpuWaits()
    said = [ticks(of, process(9, 300, at, ran=1 + (at % 4 == 0))) for at in range(1, 12)]
    assert [w.sure for got in said for w in got] == [True] * 11


def test_the_first_read_says_nothing() -> None:
    first = Process(1, 1, {"R": 1})
    evidence = Evidence(processes={PID: first})
    assert CpuWaits().tick(HostTick(evidence)) == []
