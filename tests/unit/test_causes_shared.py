"""Causes that are shared: of a queue, of a path, in another namespace of this host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.causes.dropped import Dropped
from nettop.causes.finder import STAYS_NS, Finder
from nettop.model.causes import Cause, Evidence, QueueOf
from nettop.model.events import Event, EventFlag, EventType
from nettop.model.evidence import NO_TICK
from nettop.model.types import WHO_MAYBE, Because, Verdict, Who
from nettop.text.explain import explain
from tests.export.make import make_model, make_row
from tests.unit.test_causes import (
    ETH0,
    HERE,
    NETNS,
    OWN_QUEUE,
    ROUTE,
    SECOND,
    THERE,
    Host,
    Sender,
    candidate,
    qdisc,
    wait_in,
)


def dropped(reason: str, netns: int, **changes: Any) -> Event:
    """Of a packet of candidate() on its way in, as another namespace sees it: to THERE."""
    none = Event(
        0, 0, 0, netns, EventType.DROP, 2, 6, 0, 0, 0, 0, 0, 0, EventFlag.FROM_PACKET, 80, 40000,
        THERE, HERE, 0, "", reason, 0, 0, 100, 1, 0, 0,
    )  # fmt: skip
    return none._replace(**changes)


def found_with(drops: Sequence[Event], *held: Verdict) -> Cause | None:
    finder = Finder()
    found = finder.tick(
        NO_TICK, [candidate(*held)], (), drops=drops, mono_ns=100 * SECOND, events=True
    )
    return found.found.get(1)


def test_what_another_namespace_of_this_host_dropped_is_no_fault_of_the_path() -> None:
    cause = found_with([dropped("NETFILTER_DROP", 9)] * 3, Verdict.LOSS)
    assert cause is not None
    assert (cause.rule, cause.who, cause.because) == ("elsewhere_here", Who.KERN, Because.HERE)
    assert "3 packets of this connection dropped in another namespace" in cause.evidence[0].says
    assert "netns 9, NETFILTER_DROP" in cause.evidence[0].says
    row = make_row(1, verdicts=1 << Verdict.LOSS, verdict=Verdict.LOSS, netns_name="web",
                   who=Who.KERN, because=Because.HERE)  # fmt: skip
    step = explain(row, None, make_model(causes={1: cause}), None).next_step
    assert "lsns -t net: 9" in step
    assert "web" not in step, "that of the socket"
    back = dropped("NETFILTER_DROP", 9, src=HERE, sport=40000, dst=THERE, dport=80)
    assert found_with([back], Verdict.RTO) is not None, "its answers"


@pytest.mark.parametrize(
    "drop",
    [
        dropped("NETFILTER_DROP", NETNS, cookie=1),  # its own: the engine has judged by it
        dropped("NETFILTER_DROP", 9, dport=40001),  # another connection
        dropped("SOCKET_FILTER", 9),  # not wanted
        dropped("NETFILTER_DROP", 9, proto=17),
    ],
)
def test_drops_of_others_explain_nothing(drop: Event) -> None:
    assert found_with([drop], Verdict.LOSS) is None


@pytest.mark.parametrize(
    ("reason", "by", "step"),
    [
        ("NETFILTER_DROP", "by the firewall", "nft list ruleset"),
        ("TC_INGRESS", "by a filter of tc", "tc -s filter"),
        ("XDP", "by an XDP program", "ip link"),
        ("IP_RPFILTER", "by the reverse path filter", "rp_filter"),
    ],
)
def test_what_this_host_drops_before_it_knows_the_socket(reason: str, by: str, step: str) -> None:
    drop = dropped(reason, NETNS)
    for held in (Verdict.LOSS, Verdict.RTO, Verdict.RTT):
        cause = found_with([drop] * 3, held)
        assert cause is not None
        assert (cause.rule, cause.verdict, cause.who) == ("elsewhere_here", held, Who.KERN)
        assert by in cause.evidence[0].says
        assert step in cause.next_step
    assert found_with([drop] * 2, Verdict.RTT) is None, "two round trips of many"


def test_what_was_sent_again_far_more_often_is_not_explained_by_drops_elsewhere() -> None:
    for resent, explained in ((70, True), (150, False)):
        finder = Finder()
        for second in range(2 + STAYS_NS // SECOND):
            found = finder.tick(
                NO_TICK, [candidate(Verdict.LOSS, total_retrans=resent * min(second, 1))], (),
                drops=[dropped("NETFILTER_DROP", 9, segs=40)] if second == 0 else (),
                mono_ns=(100 + second) * SECOND, events=True,
            ).found  # fmt: skip
        assert (1 in found) == explained, resent


def test_what_its_own_host_dropped_is_not_asked_of_drops_elsewhere() -> None:
    for own, explained in ((35, True), (20, False)):
        finder = Finder()
        for second in range(2 + STAYS_NS // SECOND):
            loses = candidate(
                Verdict.LOSS, total_retrans=110 * min(second, 1),
                dropped_here=second == 0, dropped_segs=own * (second == 0),
            )  # fmt: skip
            found = finder.tick(
                NO_TICK, [loses], (),
                drops=[dropped("NETFILTER_DROP", 9, segs=40)] if second == 0 else (),
                mono_ns=(100 + second) * SECOND, events=True,
            ).found  # fmt: skip
        assert (1 in found) == explained, own


@pytest.mark.parametrize(("own", "explained"), [(30, True), (60, False)])
def test_where_its_own_host_dropped_more_that_is_what_is_said(own: int, explained: bool) -> None:
    found = Finder().tick(
        NO_TICK, [candidate(Verdict.LOSS, dropped_here=1, dropped_segs=own)], (),
        drops=[dropped("NETFILTER_DROP", 9, segs=40)], mono_ns=100 * SECOND, events=True,
    ).found  # fmt: skip
    assert (1 in found and found[1].rule == "elsewhere_here") == explained


def test_drops_elsewhere_are_of_the_connection_that_the_socket_has_now() -> None:
    """A socket that connects once more begins to count what it sends again."""
    seen = Dropped()
    for second, resent in enumerate((500, 0, 150)):
        socket = candidate(Verdict.LOSS, total_retrans=resent)
        there = [dropped("NETFILTER_DROP", 9, segs=20)] if second < 2 else []
        seen.enter(there, [socket], (100 + second) * SECOND)
        assert (seen.elsewhere(socket) is not None) == (second < 2), second


def test_drops_elsewhere_count_for_ten_seconds() -> None:
    finder = Finder()
    held = [candidate(Verdict.LOSS)]
    finder.tick(
        NO_TICK, held, (), drops=[dropped("NETFILTER_DROP", 9)], mono_ns=100 * SECOND, events=True
    )
    for second, rule in ((109, True), (111 + STAYS_NS // SECOND, False)):
        found = finder.tick(NO_TICK, held, (), mono_ns=second * SECOND, events=True).found
        assert (1 in found) == rule, second


def test_a_queue_that_drops_and_one_that_delays_are_one_cause() -> None:
    host = Host()
    for n, drops in enumerate((0, 10, 20)):
        waits = candidate(Verdict.RTT)
        loses = candidate(Verdict.LOSS, cookie=2, dropped_here=8)
        found = host.tick(waits, loses, **qdisc("tbf", n * 1_000_000, 80_000, drops))
    assert {found[1].rule, found[2].rule} == {"own_queue", "queue_drops"}
    assert found[1].shared == found[2].shared == QueueOf(NETNS, ETH0)


def test_a_long_round_trip_is_the_own_queue_though_it_refused_sends_too() -> None:
    host = Host()
    for n, drops in enumerate((0, 2, 4)):
        small = candidate(Verdict.RTT, dropped_here=2, total_retrans=1)
        found = host.tick(small, **qdisc("tbf", n * 1_000_000, 80_000, drops))
    assert (found[1].rule, found[1].verdict, found[1].who) == ("own_queue", Verdict.QDISC, Who.KERN)


def test_drops_of_this_host_that_its_queue_did_not_count_are_not_its() -> None:
    host = Host()
    for n, drops in enumerate((0, 3, 6)):
        found = host.tick(
            candidate(Verdict.LOSS, dropped_here=8), **qdisc("tbf", n * 1_000_000, 80_000, drops)
        )
    assert 1 not in found


def test_another_connection_to_the_host_shows_that_it_is_the_path() -> None:
    long = candidate(
        Verdict.RTT, verdicts=1 << Verdict.RTT, verdict=Verdict.RTT, because=Because.UNUSUAL,
        who=Who.UNKNOWN, rtt_us=9000, min_rtt_us=200,
    )  # fmt: skip
    stream = long._replace(cookie=2, dport=81, who=Who.NET | WHO_MAYBE)
    found = Host(routes=ROUTE).tick(long, stream)
    assert (found[1].rule, found[1].who) == ("path_of_others", Who.NET)
    assert "8.80ms longer than its minimum" in found[1].evidence[0].says
    for other in (
        stream._replace(rtt_us=1000),  # it takes no such time
        stream._replace(dst=HERE),  # to another host
        stream._replace(who=Who.UNKNOWN),  # its ACKs may be late too
        stream._replace(verdicts=0),
    ):
        assert 1 not in Host(routes=ROUTE).tick(long, other)


def test_the_numbers_of_one_sentence_are_of_one_tick() -> None:
    """The row is judged by the cause of this tick, as srtt is of it."""
    sender = Sender()
    for _ in range(3):
        sender.tick(OWN_QUEUE, rtt=141_000)
    evidence = (Evidence("stages", "its sends wait 23.0ms; srtt is 24.0ms over its minimum"),)
    now = replace(OWN_QUEUE, value=23.0, evidence=evidence)
    row = sender.tick(now, rtt=141_000)
    said = explain(row, None, make_model(causes={1: now}), None)
    assert row.rec.verdict_value == pytest.approx(23.0)
    assert said.evidence.startswith("the wait in this host's own queue (23.0ms) is half or more")
    assert not re.search("121|70.0ms|most of", said.evidence), said.evidence
    assert said.proof[0].value == pytest.approx(23.0)


def test_an_empty_queue_is_none_that_makes_every_round_trip_as_long() -> None:
    steady = candidate(Verdict.RTT, rttvar_us=500)
    host, late = Host(), Host()
    for each in (host, late):
        each.tick(**qdisc("tbf", 0, 0))
        each.tick(**qdisc("tbf", 9, 0))
    assert host.tick(steady, **qdisc("tbf", 18, 0)) == {}, "read in the same moment"
    assert late.tick(steady, stale=True, **qdisc("tbf", 0, 0))[1].rule == "own_queue_undecided"
    assert wait_in("tbf", [0, 60_000, 100_000]), "nor is one ruled out that stands"


@pytest.mark.parametrize(
    ("reason", "by", "step"),
    [
        ("NETFILTER_DROP", "the firewall (NETFILTER_DROP)", "nft"),
        ("QDISC_OVERLIMIT", "a queue (QDISC_OVERLIMIT)", "tc -s qdisc"),
        ("FULL_RING", "a device (FULL_RING)", "ip -s link"),
    ],
)
def test_what_this_host_drops_of_a_socket_it_names(reason: str, by: str, step: str) -> None:
    own = dropped(reason, NETNS, src=HERE, sport=40000, dst=THERE, dport=80, cookie=1, flags=0)
    host = candidate(dropped_here=4, total_retrans=5)
    found = Finder().tick(NO_TICK, [host], (), drops=[own], mono_ns=100 * SECOND, events=True)
    cause = found.found[1]
    assert cause.rule == "refused_here"
    assert by in cause.evidence[0].says
    assert step in cause.next_step
    # Without an event that says it, no reason is made up.
    cause = Finder().tick(NO_TICK, [host], (), mono_ns=100 * SECOND, events=True).found[1]
    assert " by " not in cause.evidence[0].says
    assert cause.next_step == ""


@pytest.mark.parametrize(("reason", "packets"), [("TCP_OLD_DATA", 0), ("NETFILTER_DROP", 1)])
def test_a_copy_that_came_again_is_nothing_that_was_dropped_on_its_way_out(
    reason: str, packets: int
) -> None:
    """The event of what came has the ends of the socket, as that of what it sends has."""
    own = dropped(reason, NETNS, src=HERE, sport=40000, dst=THERE, dport=80, cookie=1, flags=0)
    loses = candidate(Verdict.LOSS)
    found = Finder().tick(NO_TICK, [loses], (), drops=[own], mono_ns=100 * SECOND, events=True)
    assert found.out.get(1, 0) == packets


def test_long_round_trips_are_of_what_this_host_drops() -> None:
    """An answer that is dropped here comes when the peer sends it again."""
    host = Host()
    late = candidate(Verdict.RTT, dropped_here=4, total_retrans=5)
    cause = host.tick(late)[1]
    assert (cause.rule, cause.verdict, cause.who) == ("refused_late", Verdict.DROPS, Who.KERN)
    assert cause.explains >> Verdict.RTT & 1
    # Its own verdict stands for the round trip from now on; our resends are a part of it.
    again = candidate(Verdict.DROPS, dropped_here=4, total_retrans=25)
    assert host.tick(again)[1].rule == "refused_late"
    few = candidate(Verdict.RTT, dropped_here=2, total_retrans=5)
    assert {c.rule for c in Host().tick(few).values()} <= {"refused_here"}
