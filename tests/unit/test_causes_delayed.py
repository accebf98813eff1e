"""A round trip that its own host's queue and the peer's delayed ACK make long together."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.causes import Cause
from nettop.model.evidence import Device, Evidence, Qdisc
from nettop.model.types import WHO_MAYBE, Because, Proto, Verdict, Who
from nettop.text.words import who_text, why_text
from tests.feeding import FedEngine
from tests.netlink import connection, done
from tests.unit.test_causes import ETH0, NETNS, ROUTE, SECOND, UP, Host, candidate, qdisc


@pytest.mark.parametrize(
    ("few", "srtt_ms", "queue_ms", "explains"),
    [
        (1, 61, 20, True),  # 60 over its minimum, of which 40 may be the peer's delayed ACK
        (0, 61, 20, False),  # many at a time are acknowledged at once
        (0, 61, 31, True),
        (1, 101, 26, False),  # less than half of the 60 that no delayed ACK explains
        (1, 101, 32, True),
        (1, 41, 8, False),  # and never less than a quarter of all
    ],
)
def test_the_delayed_ack_of_few_segments_is_not_for_the_queue_to_explain(
    few: int, srtt_ms: int, queue_ms: int, explains: bool
) -> None:
    one = candidate(Verdict.RTT, Verdict.QDISC, rtt_us=srtt_ms * 1000, few=few, qdisc_count=5,
                    qdisc_sum_ns=5 * queue_ms * 10**6)  # fmt: skip
    found = Host(routes=ROUTE).tick(one).get(1)
    assert (found is not None and found.rule == "own_queue") == explains
    if found is not None and explains and queue_ms * 2 < srtt_ms - 1:
        assert "of which the peer's delayed ACK may be 40.0ms" in found.evidence[0].says


def test_who_sends_few_segments() -> None:
    """By the last message of a socket: those on their way, or that the program had no more."""
    for unacked, app_limited, few in ((2, 0, 1), (3, 0, 0), (30, 1, 1)):
        engine = FedEngine()
        for at in range(100, 103):
            info = {"rtt": 90_000, "min_rtt": 1000, "bytes_acked": at * 1000, "unacked": unacked}
            info["delivery_rate_app_limited"] = app_limited
            raw = connection(1, 280, None, state=1, **info) + done()
            engine.feed_begin(at * SECOND)
            engine.feed(1, Proto.TCP, raw)
            engine.feed_end(at * SECOND)
        (one,) = engine.candidates(4)
        assert one.few == few, (unacked, app_limited)


@pytest.mark.parametrize(
    ("kind", "backlog", "changes", "rule"),
    [
        ("tbf", 24_000, {}, "own_queue_few"),  # at 1 MB a second 24 ms, of 22 over its minimum
        ("tbf", 10_000, {}, None),  # 10 of them: the rest may be the peer's delayed ACK
        ("fq_codel", 24_000, {}, None),  # in which its own packets pass by
        ("tbf", 24_000, {"late_ack": 0}, None),
        ("tbf", 24_000, {"qdisc_count": 5, "qdisc_sum_ns": 50_000}, None),  # its own sends say it
    ],
)
def test_the_queue_that_stands_makes_the_round_trips_of_few_segments_long(
    kind: str, backlog: int, changes: dict[str, Any], rule: str | None
) -> None:
    one = candidate(rtt_us=23_000, min_rtt_us=1000, few=1)._replace(late_ack=1)._replace(**changes)
    host, found = Host(), {}
    for n in range(3):
        found = dict(host.tick(one, **qdisc(kind, n * 1_000_000, backlog)))
    cause = found.get(1)
    assert (cause.rule if cause else None) == rule
    if cause is not None:
        assert (cause.who, cause.verdict, cause.imposes) == (Who.KERN, Verdict.QDISC, True)
        assert cause.value == pytest.approx(22.0), "no more than it is over its minimum"


def bulk_and_few(engine: FedEngine, at: int, *, few_us: int, bulk_us: int) -> None:
    """Of the first a few segments, of the second many; a minimum of 1 ms."""
    engine.feed_begin(at * SECOND)
    for cookie, rtt, unacked in ((1, few_us, 1), (2, bulk_us, 30)):
        info = {"rtt": rtt, "min_rtt": 1000, "bytes_acked": at * 1000, "unacked": unacked}
        engine.feed(1, Proto.TCP, connection(cookie, 280, None, state=1, **info))
    engine.feed(1, Proto.TCP, done())
    engine.feed_end(at * SECOND)


def test_late_acks_are_asked_about_where_a_queue_stands() -> None:
    engine = FedEngine()
    for at in range(100, 103):
        bulk_and_few(engine, at, few_us=24_000, bulk_us=90_000)
    for late, asked in ((True, {(2, 0), (1, 1)}), (False, {(2, 0)})):
        assert {(c.cookie, c.late_ack) for c in engine.candidates(4, late=late)} == asked
    assert [c.cookie for c in engine.candidates(1, late=True)] == [2], "the worst come first"


@pytest.mark.parametrize(
    ("kind", "parent", "backlog", "stands"),
    [("tbf", "root", 9, True), ("tbf", "root", 0, False), ("tbf", "1:2", 9, False),
     ("fq_codel", "root", 9, False)],
)  # fmt: skip
def test_a_queue_for_all_stands(kind: str, parent: str, backlog: int, *, stands: bool) -> None:
    numbers = {"backlog_bytes": backlog}
    given = {NETNS: {"4": Qdisc(ETH0, kind, "1:", parent, numbers)}}
    assert Evidence(qdiscs=given).queue_stands == stands


def test_a_late_ack_that_the_queue_explains_is_a_verdict_as_long_as_it_does() -> None:
    engine = FedEngine()
    cause = Cause("own_queue_few", 1, 1 << Verdict.QDISC, Verdict.QDISC, Who.KERN, Because.QUEUE,
                  (), value=22.0, imposes=True)  # fmt: skip
    said = []
    for at in range(100, 112):
        bulk_and_few(engine, at, few_us=24_000, bulk_us=90_000)
        found = {c.cookie: c for c in engine.candidates(4, late=True)}
        assert at == 100 or found[1].late_ack
        engine.causes([cause] if at < 107 else [], [])
        row = engine.find(1)
        assert row is not None
        said.append((who_text(row), why_text(row)))
    held = ("kern", "qdisc 22.0ms")
    assert held in said[:4]
    assert set(said[4:8]) == {held}
    assert said[-1][0] is None


@pytest.mark.parametrize(
    ("name", "backlog", "who"),
    [
        ("ifb0", 60_000, Who.KERN | WHO_MAYBE),  # 60 ms at 1 MB a second, of 99
        ("ifb0", 40_000, None),
        ("eth1", 60_000, None),  # it does not send by that, and nothing comes in by its queue
    ],
)
def test_what_comes_in_may_wait_in_a_queue_of_this_host(
    name: str, backlog: int, who: int | None
) -> None:
    host, found, ifb = Host(), {}, 9
    for n in range(3):
        given = qdisc("noqueue", 0, 0)
        numbers = {"bytes": n * 1_000_000, "backlog_bytes": backlog}
        given["qdiscs"][NETNS]["9 root 1:"] = Qdisc(ifb, "tbf", "1:", "root", numbers)
        given["devices"][NETNS][ifb] = Device(name, UP)
        held, few = candidate(Verdict.RTT), candidate(cookie=2, few=1, late_ack=1)
        found = dict(host.tick(held, few, **given))
    cause = found.get(1)
    assert (cause.who if cause else None) == who
    late = found.get(2)
    assert (late.rule if late else None) == ("way_in_few" if who else None)
    if cause is not None:
        assert (cause.rule, cause.verdict, cause.party) == ("way_in", Verdict.QDISC, name)
        assert "tbf of ifb0" in cause.evidence[0].says
