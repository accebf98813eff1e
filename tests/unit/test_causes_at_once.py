"""A cause names the party in the tick in which it is found, not in the next one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.causes import Cause
from nettop.model.types import WHO_MAYBE, Because, Level, Proto, Row, Verdict, Who
from nettop.text.words import who_text
from tests.feeding import FedEngine
from tests.netlink import connection, done, skmeminfo

SECOND = 10**9
RTT_MS = 5.0  # srtt to its minimum
OWN_QUEUE = Cause("own_queue", 1, 1 << Verdict.RTT, Verdict.QDISC, Who.KERN, Because.QUEUE, (),
                  value=70.0)  # fmt: skip
UNDECIDED = Cause("own_queue_undecided", 1, 1 << Verdict.RTT, Verdict.RTT, Who.NET | WHO_MAYBE,
                  Because.PLAIN, ())  # fmt: skip
DROPPED_HERE = Cause("dropped_here", 1, 1 << Verdict.LOSS, Verdict.LOSS, Who.KERN, Because.HERE, ())
REFUSED_HERE = Cause("refused_here", 1, 1 << Verdict.DROPS, Verdict.DROPS, Who.KERN, Because.HERE,
                     (), value=3.0, imposes=True)  # fmt: skip


def long_round_trips(ticks: int, **changes: int) -> FedEngine:
    """A full pipe whose srtt is five times its minimum, a tick a second."""
    engine = FedEngine()
    for at in range(100, 100 + ticks):
        given = {"rtt": 100_000, "min_rtt": 20_000, "unacked": 40, "snd_cwnd": 80, **changes}
        engine.feed_begin(at * SECOND)
        raw = connection(1, 280, skmeminfo(), bytes_acked=at * 100_000, **given) + done()
        engine.feed(1, Proto.TCP, raw)
        engine.feed_end(at * SECOND)
    return engine


def row_of(engine: FedEngine) -> Row:
    row = engine.find(1)
    assert row is not None
    return row


def test_a_cause_takes_the_place_of_what_it_explains_in_the_same_sweep() -> None:
    engine = long_round_trips(3)
    before = row_of(engine)
    assert (who_text(before), before.verdicts, before.rec.verdict_value) == (
        "net", [Verdict.RTT], RTT_MS,
    )  # fmt: skip
    engine.causes([OWN_QUEUE], [])
    row = row_of(engine)
    assert (who_text(row), row.verdicts, row.rec.verdict_value) == ("kern", [Verdict.QDISC], 70.0)
    assert row.rec.because == Because.QUEUE
    assert row.level == before.level
    totals = engine.totals()
    assert (sum(totals.who[Who.KERN]), sum(totals.who[Who.NET])) == (1, 0)


def test_a_cause_without_a_number_of_its_own_keeps_that_of_the_condition() -> None:
    engine = long_round_trips(3)
    engine.causes([UNDECIDED], [])
    row = row_of(engine)
    assert (who_text(row), row.verdicts, row.rec.verdict_value) == ("net?", [Verdict.RTT], RTT_MS)


def test_what_did_not_hold_long_enough_is_not_named_by_its_cause() -> None:
    engine = long_round_trips(2)
    engine.causes([OWN_QUEUE], [])
    row = row_of(engine)
    assert (row.verdicts, row.level) == ([], Level.OK)


@pytest.mark.parametrize(
    "cause", [DROPPED_HERE, replace(OWN_QUEUE, cookie=99)], ids=["other verdict", "socket gone"]
)
def test_a_cause_of_something_else_leaves_the_verdict_alone(cause: Cause) -> None:
    engine = long_round_trips(3)
    engine.causes([cause], [])
    row = row_of(engine)
    assert (who_text(row), row.verdicts, row.rec.verdict_value) == ("net", [Verdict.RTT], RTT_MS)


def test_what_this_host_drops_comes_before_the_round_trips_that_it_makes_long() -> None:
    engine = FedEngine()
    for at in range(100, 106):
        engine.feed_begin(at * SECOND)
        lost = {"total_retrans": at * 2, "bytes_retrans": at * 2000, "bytes_sent": at * 200_000}
        raw = connection(1, 280, skmeminfo(), bytes_acked=at * 100_000, rtt=100_000, unacked=40,
                         min_rtt=20_000, snd_cwnd=80, segs_out=at * 200, data_segs_out=at * 200,
                         **lost) + done()  # fmt: skip
        engine.feed(1, Proto.TCP, raw)
        engine.feed_end(at * SECOND)
        engine.causes([DROPPED_HERE], [])
    row = row_of(engine)
    assert (who_text(row), row.rec.because) == ("kern", Because.HERE)
    assert row.verdicts == [Verdict.LOSS, Verdict.RTT]
    assert row.rec.verdict == Verdict.LOSS


@pytest.mark.parametrize("cause", [REFUSED_HERE, None], ids=["dropped here", "not known where"])
def test_what_this_host_drops_comes_before_the_holes_that_it_makes(cause: Cause | None) -> None:
    """Two thirds more holes than it takes for a verdict; the drops are just enough for one."""
    engine = FedEngine()
    for at in range(100, 115):
        engine.feed_begin(at * SECOND)
        raw = connection(1, 280, skmeminfo(), bytes_received=at * 1_000_000, rtt=10_000,
                         min_rtt=10_000, snd_cwnd=10, data_segs_in=at * 700,
                         rcv_ooopack=at * 93) + done()  # fmt: skip
        engine.feed(1, Proto.TCP, raw)
        engine.feed_end(at * SECOND)
        engine.causes([cause] if cause is not None else [], [])
    row = row_of(engine)
    if cause is None:
        assert (who_text(row), row.verdicts) == ("net", [Verdict.ORDER])
        return
    assert (who_text(row), row.rec.because) == ("kern", Because.HERE)
    assert row.verdicts == [Verdict.DROPS, Verdict.ORDER]
