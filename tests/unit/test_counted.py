"""What is counted in C of sockets that come, move, change hands and end, beside plain sums of the
same rows."""

from __future__ import annotations

import random
from collections import Counter as Tally
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nettop.engine.edges import OCTAVES
from nettop.engine.handle import Engine
from nettop.metrics.series import Count
from nettop.model.types import (
    NO_PLANE,
    Dist,
    Flag,
    PlaneHas,
    Proto,
    Sick,
    UdpMoved,
    Verdict,
    Who,
)
from tests.unit.test_metrics import One, Run, end, listener, socket

_GROW = {
    "bytes_sent": Count.SENT_BYTES, "bytes_acked": Count.ACKED_BYTES,
    "bytes_received": Count.RECEIVED_BYTES, "bytes_retrans": Count.RETRANS_BYTES,
    "total_retrans": Count.RETRANS_SEGMENTS, "drops": Count.DROPS, "busy_ms": Count.BUSY_MS,
    "rwnd_limited_ms": Count.RWND_MS, "sndbuf_limited_ms": Count.SNDBUF_MS,
}  # fmt: skip
_LAST = ("bytes_sent", "bytes_acked", "bytes_received", "bytes_retrans", "total_retrans")


class Churn:
    """Sockets by chance, and what they did by the program that held them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.live: dict[int, One] = {}
        self.waits: dict[int, list[int]] = {}  # of each, so far
        self.done: Tally[tuple[str, str]] = Tally()  # (program, what)
        self.next = 1

    def program(self) -> bytes:
        return self.chance.choice((b"web", b"db", b"mail"))

    def add(self, one: One, what: str, n: int) -> None:
        self.done[one.comm.decode(), what] += n

    def moved(self, one: One, names: tuple[str, ...]) -> One:
        """The same a while later; what it did is its program's."""
        grown = {
            name: self.chance.randrange(1, 2000) for name in names if self.chance.random() < 0.6
        }
        for name, more in grown.items():
            self.add(one, _GROW[name].name, more)
        acked = grown.get("bytes_acked", 0)
        rec = one.rec._replace(**{n: getattr(one.rec, n) + more for n, more in grown.items()})
        rec = rec._replace(flags=int(Flag.INFO), rtt_us=self.chance.randrange(1, 10**6))
        self.add(one, "rtt", acked > 0)
        return one._replace(rec=rec)

    def waited(self, one: One) -> tuple[One, int]:
        """Deliveries of the interval."""
        octave, n = self.chance.randrange(OCTAVES), self.chance.randrange(1, 9)
        octaves = [n if k == octave else 0 for k in range(OCTAVES)]
        had = self.waits.setdefault(one.rec.cookie, [0] * OCTAVES)
        self.waits[one.rec.cookie] = [a + b for a, b in zip(had, octaves, strict=True)]
        self.add(one, "waits", n)
        plane = replace(
            NO_PLANE, has=PlaneHas.WAIT, wait=Dist(count=n, sum_ns=n * 100),
            wait_octaves=b"".join(k.to_bytes(4, "little") for k in octaves),
        )  # fmt: skip
        return one._replace(plane=plane), n

    def udp(self, one: One) -> One:
        rx, tx = self.chance.randrange(500), self.chance.randrange(500)
        self.add(one, Count.UDP_RECEIVED_BYTES.name, rx)
        self.add(one, Count.UDP_SENT_BYTES.name, tx)
        return one._replace(
            plane=replace(NO_PLANE, has=PlaneHas.UDP, udp=UdpMoved(rx, tx, 0, 0, 1))
        )

    def tick(self, run: Run) -> list[One]:
        for cookie, one in [*self.live.items()]:
            self.live[cookie] = one = one._replace(plane=NO_PLANE)
            if one.rec.proto == Proto.UDP:
                self.live[cookie] = self.udp(one)
            elif self.chance.random() < 0.15:
                self._end(run, self.live.pop(cookie))
            elif self.chance.random() < 0.6:
                if self.chance.random() < 0.2:
                    one = one._replace(comm=self.program())
                one = self.moved(one, tuple(_GROW))
                self.live[cookie] = self.waited(one)[0] if self.chance.random() < 0.5 else one
        for _ in range(self.chance.randrange(6)):
            self._begin()
        return [*self.live.values()]

    def _begin(self) -> None:
        cookie, self.next = self.next, self.next + 1
        if self.chance.random() < 0.2:
            proto, state = Proto.UDP, 7
        else:
            proto, state = Proto.TCP, 1
        one = socket(cookie, comm=self.program(), proto=proto, state=state)
        if proto == Proto.TCP:
            self.add(one, Count.OPENED.name, 1)
            one = self.moved(one, tuple(_GROW))
        self.live[cookie] = one._replace(rec=one.rec._replace(flags=int(Flag.INFO | Flag.NEW)))

    def _end(self, run: Run, one: One) -> None:
        """With a record of its last numbers, or without."""
        if self.chance.random() < 0.3:
            return
        last = self.moved(one, _LAST)
        octaves = self.waits.pop(one.rec.cookie, [0] * OCTAVES)
        more, octave = self.chance.randrange(5), self.chance.randrange(OCTAVES)
        octaves = [n + more * (k == octave) for k, n in enumerate(octaves)]
        self.add(one, "waits", more)
        self.add(one, Count.CLOSED.name, 1)
        numbers: dict[str, Any] = {name: getattr(last.rec, name) for name in _LAST}
        run.feed.ends.append(
            end(one, wait_count=sum(octaves), wait_octaves=octaves, wait_sum_ns=100 * sum(octaves),
                **numbers)
        )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_each_program_has_what_its_sockets_did(seed: int) -> None:
    churn, run = Churn(seed), Run("process")
    run.tick(listener(443))
    before: dict[str, tuple[float, ...]] = {}
    for _ in range(12):
        rows = churn.tick(run)
        ill = [one for one in rows if churn.chance.random() < 0.1]
        bit = 1 << Verdict.LOSS
        run.feed.ill = [
            Sick(one.rec.cookie, 0, bit, bit, Verdict.LOSS, Verdict.LOSS, Who.NET, Who.NET, 0, 0,
                 1, 1)
            for one in ill
        ]  # fmt: skip
        run.tick(*rows, listener(443))
        present, sick = Tally(o.comm for o in rows), Tally(o.comm for o in ill)
        for series in run.gatherer.groups.series:
            program = dict(series.labels)["process"]
            of = {what: n for (name, what), n in churn.done.items() if name == program}
            counts = series.counts
            assert {which.name: counts[which] for which in Count if which.name in of} == {
                which.name: of[which.name] for which in Count if which.name in of
            }
            assert (
                sum(n for which, n in zip(Count, counts, strict=True) if which.name not in of) == 0
            )
            assert sum(series.sums.rtt) == of.get("rtt", 0)
            assert sum(series.sums.waits) == of.get("waits", 0)
            assert series.sums.wait_sum_ns == 100 * of.get("waits", 0)
            assert series.sockets == present[program.encode()]
            unwell = series.frozen().unwell.get(("net", "loss"), 0)
            assert unwell == sick[program.encode()]
            was = before.get(program)
            assert was is None or all(a >= b for a, b in zip(counts, was, strict=True))
            before[program] = counts


def test_a_delivery_to_a_socket_that_was_not_accepted_counts_once() -> None:
    """The plane has it for the listener too."""
    run = Run("service")
    plane: dict[str, Any] = {
        "has": PlaneHas.WAIT, "wait": Dist(count=3, sum_ns=300),
        "wait_octaves": b"".join((3 * (k == 2)).to_bytes(4, "little") for k in range(OCTAVES)),
    }  # fmt: skip
    at_443 = listener(443)._replace(plane=replace(NO_PLANE, **plane))
    run.tick(at_443, socket(1, **plane))
    assert sum(run.series(port="443").sums.waits) == 3
    assert run.series(port="443").sums.wait_sum_ns == 300


def test_a_socket_that_was_missed_once_after_its_end_is_not_counted_anew() -> None:
    run = Run()
    one = socket(1, bytes_sent=500)
    run.tick(one, listener(443))
    run.feed.ends = [end(one, bytes_sent=600)]
    missed = one._replace(rec=one.rec._replace(flags=int(Flag.INFO | Flag.MISSED | Flag.NEW)))
    for _ in range(3):
        run.tick(missed, listener(443))
    assert run.count(Count.SENT_BYTES) == 100
    assert run.count(Count.OPENED) == 0
    assert run.count(Count.CLOSED) == 1


def test_a_group_that_ended_gives_its_number_to_another_that_begins_with_0() -> None:
    run = Run("process", top=1)
    run.tick(socket(1, comm=b"first"))
    for n in range(2, 40):  # each for one tick, folded
        run.tick(socket(1, comm=b"first"), socket(n, comm=b"p%d" % n, bytes_sent=n))
    groups = run.gatherer.groups
    assert groups.folded == 1
    groups.counter.begin(Engine(), 10**11, 0, filtered=False)
    assert len([*groups.counter.end([]).groups()]) < 8  # of 39
    assert run.count(Count.SENT_BYTES, process="other") == 0


def _opened_closed_sent(run: Run, process: str) -> tuple[float, float, float]:
    which = (Count.OPENED, Count.CLOSED, Count.SENT_BYTES)
    opened, closed, sent = (run.count(count, process=process) for count in which)
    return opened, closed, sent


def test_a_socket_that_connects_and_closes_once_more_in_a_tick_is_its_programs() -> None:
    run = Run("process")
    first, twice = socket(1, comm=b"first"), socket(2, comm=b"twice", bytes_sent=100)
    for _ in range(2):
        run.tick(first, twice, listener(443))
    run.feed.ends = [
        end(twice, at_ns=1, bytes_sent=150), end(twice, at_ns=2, bytes_sent=70),
        end(socket(3, comm=b"unseen"), at_ns=3, bytes_sent=7),
        end(socket(3, comm=b"unseen"), at_ns=4, bytes_sent=5),
    ]  # fmt: skip
    for _ in range(2):
        run.tick(first, listener(443))
    assert _opened_closed_sent(run, "twice") == (1, 2, 50 + 70)
    assert _opened_closed_sent(run, "unseen") == (2, 2, 7 + 5)
    assert _opened_closed_sent(run, "first") == (0, 0, 0)


def test_a_socket_that_connected_once_more_before_the_tick_is_counted_as_two() -> None:
    run = Run("process")
    run.tick(socket(1, bytes_sent=1000, total_retrans=7, drops=3, busy_ms=50), listener(443))
    again = socket(1, bytes_sent=200, total_retrans=1, drops=4, busy_ms=55)
    run.feed.ends = [end(again, bytes_sent=1500, total_retrans=9)]
    run.tick(again, listener(443))
    assert _opened_closed_sent(run, "web") == (1, 1, 500 + 200)
    assert run.count(Count.RETRANS_SEGMENTS) == 2 + 1
    assert (run.count(Count.DROPS), run.count(Count.BUSY_MS)) == (1, 5)
    more = socket(1, bytes_sent=260, total_retrans=1, drops=4, busy_ms=55)
    run.tick(more, listener(443))
    run.feed.ends.append(end(more, bytes_sent=261, total_retrans=1))
    run.tick(listener(443))
    assert _opened_closed_sent(run, "web") == (1, 2, 500 + 261)


def test_counters_of_32_bits_go_on_after_their_end() -> None:
    run, most = Run("process"), 2**32 - 1
    run.tick(socket(1, drops=most - 2, total_retrans=most), listener(443))
    run.tick(socket(1, drops=4, total_retrans=1), listener(443))
    assert run.count(Count.DROPS) == 7
    assert run.count(Count.RETRANS_SEGMENTS) == 2
    assert run.count(Count.OPENED) == 0


def test_what_a_socket_waited_before_it_was_there_once_more_is_not_counted_at_its_end() -> None:
    """As under a filter that it passes now and then."""
    run = Run("process")
    octaves = b"".join((4 * (k == 2)).to_bytes(4, "little") for k in range(OCTAVES))
    waits: dict[str, Any] = {
        "has": PlaneHas.WAIT, "wait": Dist(count=4, sum_ns=400), "wait_octaves": octaves,
    }  # fmt: skip
    one = socket(1, flags=int(Flag.INFO | Flag.NEW))
    run.tick(listener(443))
    run.tick(one._replace(plane=replace(NO_PLANE, **waits)), listener(443))
    for _ in range(3):
        run.tick(listener(443))
    run.tick(socket(1), listener(443))
    so_far = [4 * (k == 2) for k in range(OCTAVES)]
    run.feed.ends = [end(one, wait_count=4, wait_octaves=so_far, wait_sum_ns=400)]
    run.tick(listener(443))
    assert sum(run.series().sums.waits) == 4
    assert run.series().sums.wait_sum_ns == 400


def test_a_tick_that_was_not_ended_leaves_no_socket_without_a_group() -> None:
    run = Run("process")
    run.feed.sockets = [socket(1), socket(2)]
    counter = run.gatherer.groups.counter
    run.feed.count_sockets(counter, 10**9, 0, filtered=False)
    assert [key.comm for key in run.feed.count_sockets(counter, 2 * 10**9, 0, filtered=False)] == [
        b"web".ljust(16, b"\0")
    ]
    number = counter.group(counter.series())
    assert [present for _, present, _ in counter.end([number]).groups()] == [2]
