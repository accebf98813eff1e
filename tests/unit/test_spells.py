"""Spells: when each verdict of a socket begins and ends, and how bad it was."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from nettop.model.events import EventsTick, EventType, TypeCount
from nettop.model.types import (
    WHO_MAYBE,
    Because,
    Flag,
    Level,
    Model,
    Owner,
    Proc,
    Proto,
    Row,
    Sick,
    Verdict,
    Who,
)
from nettop.replay import ReplayFeed
from nettop.spells import WORDS_ALONE, Spell, SpellTracker
from nettop.store.recording import Recording
from tests.export.make import make_model, make_row
from tests.feeding import FedEngine
from tests.netlink import connection, done

RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"
S = 10**9


def sick(
    cookie: int = 1, *held: Verdict, values: tuple[float, ...] = (1.0, 1.0),
    unwell: tuple[Verdict, ...] = (), who: tuple[int, int] = (Who.NET, Who.APP),
    because: int = 0, flags: int = 0,
) -> Sick:  # fmt: skip
    """held: worst first."""
    second = held[1] if len(held) > 1 else held[0]
    return Sick(
        cookie, flags, sum(1 << v for v in held), sum(1 << v for v in unwell), held[0], second,
        who[0], who[1] if len(held) > 1 else who[0], because, because, values[0],
        values[1] if len(held) > 1 else values[0],
    )  # fmt: skip


class Rows:
    """What a feed says of one tick."""

    def __init__(self, *now: Sick, row: Row | None = None) -> None:
        self.now, self.row, self.found = list(now), row, 0

    def sick(self, *, matched: bool = True) -> list[Sick]:
        return self.now

    def find(self, cookie: int) -> Row | None:
        self.found += 1
        return self.row or make_row(cookie)


def at(second: int) -> Model:
    return replace(make_model(), seq=second + 1, wall_ns=second * S, mono_ns=second * S)


def test_a_spell_is_from_the_first_tick_that_has_it_to_the_first_that_has_not() -> None:
    tracker = SpellTracker()
    assert tracker.take(at(0), Rows()) == []
    for second in (1, 2, 3):
        assert tracker.take(at(second), Rows(sick(1, Verdict.LOSS))) == []
    (standing,) = tracker.standing
    assert (standing.from_ns, standing.seen_ns, standing.to_ns) == (1 * S, 3 * S, None)
    (ended,) = tracker.take(at(4), Rows())
    assert ended is standing
    assert (ended.to_ns, ended.ticks, ended.verdict) == (4 * S, 3, Verdict.LOSS)
    assert tracker.standing == []
    assert tracker.take(at(5), Rows()) == []


def test_the_worst_number_stands_with_its_who_and_cause() -> None:
    tracker = SpellTracker()
    of = Verdict.DROPS
    tracker.take(at(0), Rows(sick(1, of, values=(3.0,), who=(Who.APP, 0), because=Because.FULL)))
    worst = sick(1, of, values=(9.0,), who=(Who.KERN, 0), because=Because.MEMORY, unwell=(of,))
    tracker.take(at(1), Rows(worst))
    tracker.take(at(2), Rows(sick(1, of, values=(4.0,), who=(Who.NET | WHO_MAYBE, 0))))
    (spell,) = tracker.finish(3 * S)
    assert (spell.worst, spell.who, spell.because) == (9.0, "kern", Because.MEMORY)
    assert (spell.level, spell.to_ns, spell.ticks) == (Level.UNWELL, 3 * S, 3)
    assert (spell.name, spell.unit, spell.why) == ("drops", "per_s", "drops 9.0/s")


def test_each_verdict_has_a_level_of_its_own() -> None:
    tracker = SpellTracker()
    both = sick(1, Verdict.RTO, Verdict.RTT, values=(4.0, 2.5), unwell=(Verdict.RTO,))
    tracker.take(at(0), Rows(both))
    spells = {s.verdict: s for s in tracker.standing}
    assert spells[Verdict.RTO].level is Level.UNWELL
    assert spells[Verdict.RTT].level is Level.WATCH
    assert (spells[Verdict.RTT].worst, spells[Verdict.RTT].who) == (2.5, "app")


def test_a_round_trip_is_named_with_the_minimum_of_its_worst_tick() -> None:
    tracker = SpellTracker()
    for second, (ratio, least_us) in enumerate(((100.0, 20), (5000.0, 4), (10.0, 900))):
        late = sick(1, Verdict.RTT, values=(ratio, 0.0))
        tracker.take(at(second), Rows(late, row=make_row(min_rtt_us=least_us)))
    (spell,) = tracker.standing
    assert (spell.worst, spell.why) == (5000.0, "RTT 20.0ms")


def test_a_third_verdict_is_known_without_a_number() -> None:
    tracker = SpellTracker()
    three = sick(1, Verdict.LOSS, Verdict.RTT, Verdict.WINDOW)
    tracker.take(at(0), Rows(three))
    third = next(s for s in tracker.standing if s.verdict is Verdict.WINDOW)
    assert (third.worst, third.who, third.why) == (None, None, "window")
    # The two before it end, and so its number is known.
    ended = tracker.take(at(1), Rows(sick(1, Verdict.WINDOW, values=(40.0,), who=(Who.PEER, 0))))
    assert {s.verdict for s in ended} == {Verdict.LOSS, Verdict.RTT}
    assert (third.worst, third.who, third.from_ns) == (40.0, "peer", 0)


def test_a_third_verdict_has_the_number_that_its_row_holds() -> None:
    tracker = SpellTracker()
    three = sick(1, Verdict.LOSS, Verdict.RTT, Verdict.WINDOW)
    for second, pct in ((0, 30), (1, 45), (2, 20)):
        row = make_row(1, flags=int(Flag.LIMITED), lim_rwnd_pct=pct)
        tracker.take(at(second), Rows(three, row=row))
    third = next(s for s in tracker.standing if s.verdict is Verdict.WINDOW)
    assert (third.worst, third.who, third.why) == (45.0, None, "window 45%")


def test_a_word_that_is_no_alarm_is_no_spell() -> None:
    tracker = SpellTracker()
    tracker.take(at(0), Rows(sick(1, Verdict.LOSS, Verdict.CWND)))
    assert [s.verdict for s in tracker.standing] == [Verdict.LOSS]
    assert 1 << Verdict.CWND == WORDS_ALONE


def test_a_socket_is_looked_up_once_a_spell() -> None:
    tracker, rows = SpellTracker(), Rows(sick(1, Verdict.LOSS, Verdict.RTT))
    tracker.take(at(0), rows)
    tracker.take(at(1), rows)
    assert rows.found == 1


def test_one_bad_tick_does_not_make_a_spell_anothers() -> None:
    tracker, of = SpellTracker(), Verdict.DROPS
    usual = Rows(sick(1, of, values=(3.0,), who=(Who.APP, 0), because=Because.FULL))
    bad = sick(1, of, values=(9.0,), who=(Who.KERN, 0), because=Because.MEMORY, unwell=(of,))
    for n, rows in enumerate((usual, Rows(bad), usual)):
        tracker.take(at(n), rows)
    (spell,) = tracker.standing
    assert (spell.worst, spell.who, spell.because) == (9.0, "app", Because.FULL)


def test_a_spell_says_whose_it_is() -> None:
    row = make_row(7)
    row.proc = Proc(812, 3, Owner.PROC, 0, "nginx")
    row.cgroup, row.container = "/system.slice/nginx.service", "nginx.service"
    tracker = SpellTracker()
    tracker.take(at(0), Rows(sick(7, Verdict.LOSS), row=row))
    (spell,) = tracker.standing
    assert (spell.cookie, spell.pid, spell.comm, spell.owner) == (7, 812, "nginx", "nginx/812")
    assert (spell.cgroup, spell.container) == (row.cgroup, row.container)
    assert spell.local.endswith(f":{row.rec.sport}")
    assert spell.remote is not None
    assert spell.remote.endswith(f":{row.rec.dport}")


def test_a_lower_bound_is_called_one() -> None:
    tracker = SpellTracker()
    unread = Verdict.UNREAD
    tracker.take(at(0), Rows(sick(1, unread, values=(900.0,))))
    assert tracker.standing[0].why == "unread ≥900ms"
    tracker.take(at(1), Rows(sick(1, unread, values=(1900.0,), flags=Flag.UNREAD_EXACT)))
    assert tracker.standing[0].why == "unread 1.90s"


def test_a_tick_in_short() -> None:
    counts = [TypeCount()] * len(EventType)
    counts[EventType.DROP] = TypeCount(seen=12, lost=3)
    nothing = tuple([TypeCount()] * len(EventType))
    events = EventsTick(tuple(counts), nothing, (), (), 0, 0, 0, 0, 0, 1, 1.0)
    model = replace(at(5), events=events)
    tracker = SpellTracker()
    tracker.take(at(4), Rows(sick(1, Verdict.LOSS)))
    tracker.take(model, Rows(sick(2, Verdict.RTT)))
    short = tracker.summary(model)
    assert (short.seq, short.wall_ns, short.mono_ns) == (6, 5 * S, 5 * S)
    assert (short.matched, short.unwell) == (model.totals.matched, model.totals.unwell)
    assert [(c.cookie, c.verdict, c.began) for c in short.changes] == [
        (2, Verdict.RTT, True), (1, Verdict.LOSS, False),
    ]  # fmt: skip
    assert short.events == {"drop": 12}
    assert tracker.summary(replace(model, events=None)).events == {}


@pytest.mark.parametrize(
    ("name", "verdict", "who"),
    [
        ("late-reader", Verdict.READS, "app"),
        ("own-queue", Verdict.QDISC, "kern"),
        ("slow-nic", Verdict.NIC, "nic"),
    ],
)
def test_spells_of_faults_whose_answer_is_known(name: str, verdict: Verdict, who: str) -> None:
    tracker = SpellTracker()
    ended: list[Spell] = []
    with closing(Recording(RECORDINGS / f"{name}.nettop")) as recording:
        feed = ReplayFeed(recording.samples())
        frames = recording.frames()
        seen: list[list[int]] = []
        for _ in frames:
            model = feed.tick()
            ended += tracker.take(model, feed)
            rows = feed.window(0, 100)
            seen.append([r.cookie for r in rows if r.holds(verdict)])
    (spell,) = [*ended, *tracker.finish(frames[-1].wall_ns)]
    assert (spell.verdict, spell.who, spell.level) == (verdict, who, Level.WATCH)
    first = next(i for i, cookies in enumerate(seen) if cookies)
    assert spell.from_ns == frames[first].wall_ns
    assert spell.ticks == sum(map(bool, seen))
    assert spell.worst is not None
    assert spell.comm


def test_the_engine_lists_them_whatever_the_order_and_the_number() -> None:
    engine, many = FedEngine(), 700
    for second in range(4):
        n = second * 100
        numbers = {
            "unacked": 5, "bytes_sent": n * 15_000, "bytes_acked": n * 10_000,
            "bytes_retrans": n * 1000, "total_retrans": n, "data_segs_out": n * 20,
        }  # fmt: skip
        engine.feed_begin((100 + second) * S)
        ill = [connection(cookie, 280, None, **numbers) for cookie in range(1, many + 1)]
        well = [connection(cookie) for cookie in range(5000, 5100)]
        engine.feed(1, Proto.TCP, b"".join([*ill, *well]) + done())
        engine.feed_end((100 + second) * S)
    assert engine.order(None, True, 512, False) == many + 100
    rows = {r.cookie: r for r in engine.window(0, many + 100) if r.level > Level.OK}
    found = {s.cookie: s for s in engine.sick(matched=True)}
    assert len(found) == many == len(rows)
    assert found.keys() == rows.keys()
    for cookie, one in found.items():
        rec = rows[cookie].rec
        assert all(getattr(one, name) == getattr(rec, name) for name in Sick._fields)
    assert all(s.verdicts_unwell == 1 << Verdict.LOSS for s in found.values())
