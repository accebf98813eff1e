"""What is said beside a verdict: what was ruled out by which number, what is open, what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nettop.model.evidence import Device, Evidence, HostTick, Qdisc
from nettop.model.types import (
    WHO_MAYBE,
    Because,
    Dist,
    Flag,
    Owner,
    Plane,
    Proc,
    SourceStatus,
    Stage,
    Verdict,
    Who,
)
from nettop.text.explain import Explanation, explain
from nettop.text.verdicts import VERDICTS
from tests.export.make import HOSTILE, make_model, make_row

LIMITED = int(Flag.MATCH | Flag.LIMITED | Flag.RETR_PCT)
EVENTS_ON = (SourceStatus("events", "ok"),)


def said(verdict: Verdict, sources: tuple[SourceStatus, ...] = (), **changes: Any) -> Explanation:
    row = make_row(verdicts=1 << verdict, verdict=verdict, verdict2=verdict, **changes)
    return explain(row, None, make_model(sources=sources), None)


@pytest.mark.parametrize("verdict", Verdict, ids=lambda v: v.name)
def test_every_verdict_has_a_next_step_with_its_places_filled_in(verdict: Verdict) -> None:
    for because in (Because.PLAIN, *VERDICTS[verdict].causes):
        step = said(verdict, because=because).next_step
        assert step.startswith("next: ")
        assert not re.search(r"[{}]|\b(PID|HOST|PORT)\b", step), step
    assert re.search(r"\{", VERDICTS[verdict].step()) is None


@pytest.mark.parametrize("verdict", Verdict, ids=lambda v: v.name)
def test_two_ages_are_never_said_of_one_fact(verdict: Verdict) -> None:
    """`does not read for 5s` before `127K unread for at least 22m`: which of the two is it?"""
    row = make_row(verdicts=1 << verdict, verdict=verdict, verdict2=verdict, verdict_value=9e5)
    whole = explain(row, None, make_model(), 40.0)
    ages = re.findall(r"for ≥\d", whole.held)
    in_evidence = re.search(r"unread for|closed \S+ ago", whole.evidence) is not None
    assert bool(ages) != in_evidence, (whole.held, whole.evidence)


def test_commands_hold_numbers_and_addresses_and_no_foreign_name() -> None:
    step = said(Verdict.UNREAD, netns_name=HOSTILE, user=HOSTILE, cgroup=HOSTILE).next_step
    assert "/proc/12/status" in step
    assert "netns" not in step
    assert "ip netns exec web …" in said(Verdict.LOSS, netns_name="web").next_step


def test_what_is_ruled_out_has_the_number_that_excludes_it() -> None:
    measured = Plane(
        tx=tuple(Dist(9, 0, 0, 0, 70_000, 0) if s is Stage.QDISC else Dist() for s in Stage)
    )
    whole = said(Verdict.RTT, flags=LIMITED, lim_rwnd_pct=3, retr_pct=0.2, plane=measured)
    assert whole.ruled_out == (
        "ruled out: loss (0.20% resent), the peer's window (3% of the time), "
        "this host's own queue (p99 70.0µs of 9 sends)"
    )
    assert [e.value for e in whole.excluded] == [0.2, 3, 70_000]
    assert [e.source for e in whole.excluded] == ["diag", "diag", "stages"]


@pytest.mark.parametrize(
    ("limit", "name"),
    [("lim_rwnd_pct", "the peer's window"), ("lim_sndbuf_pct", "the send buffer")],
)
def test_a_limit_that_held_it_back_for_long_is_not_ruled_out(limit: str, name: str) -> None:
    verdict = Verdict.RTT if name == "the peer's window" else Verdict.WINDOW
    for pct, excluded in ((9, True), (10, False), (100, False)):
        given: dict[str, Any] = {limit: pct}
        whole = said(verdict, flags=LIMITED, **given)
        assert (name in whole.ruled_out) == excluded, whole.ruled_out


def test_what_is_not_measured_is_not_ruled_out() -> None:
    whole = said(Verdict.RTT)
    assert whole.ruled_out == ""
    for what in ("how much is lost", "the peer's window", "own queue", "which queue on the path"):
        assert what in whole.unknown


def test_a_verdict_that_holds_too_rules_nothing_out() -> None:
    row = make_row(
        verdicts=1 << Verdict.RTT | 1 << Verdict.LOSS, verdict=Verdict.RTT, verdict2=Verdict.LOSS,
        flags=LIMITED, retr_pct=4.0,
    )  # fmt: skip
    whole = explain(row, None, make_model(), None)
    assert "loss" not in whole.ruled_out + whole.unknown
    assert "loss on the path" in whole.what


def test_this_host_is_excluded_only_where_the_events_would_have_seen_it() -> None:
    assert "whether this host dropped it (events are off)" in said(Verdict.LOSS).unknown
    whole = said(Verdict.LOSS, EVENTS_ON)
    assert "this host on the way out (the events saw it drop less than half" in whole.ruled_out
    here = said(Verdict.LOSS, EVENTS_ON, because=Because.HERE)
    assert "this host" not in here.ruled_out
    assert "on the path" not in here.unknown
    assert "nft list ruleset" in here.next_step


def test_the_proof_is_the_number_with_its_unit_and_source() -> None:
    (proof,) = said(Verdict.READS, verdict_value=62.5).proof
    assert (proof.source, proof.value, proof.unit) == ("wait", 62.5, "ms")
    (proof,) = said(Verdict.UNREAD, flags=int(Flag.UNREAD_EXACT)).proof
    assert proof.source == "wait"


def test_a_healthy_socket_needs_no_next_step() -> None:
    assert explain(make_row(), None, make_model(), None).beside == []


@pytest.mark.parametrize(
    ("changes", "ruled_out"),
    [
        ({}, True),
        ({"qdiscs": {7: {"4 root 1:": Qdisc(4, "tbf", "1:", "root", {})}}}, False),
        ({"routes": {}}, False),  # which device it sends by is not known
        ({"qdiscs": {}}, False),  # its namespace was not read
        ({"reasons": {"qdiscs": "it cannot be read"}}, False),
        ({"left_out": {"qdiscs": 3}}, False),
    ],
)
def test_a_device_without_a_queue_is_no_reason_for_a_long_round_trip(
    changes: dict[str, Any], *, ruled_out: bool
) -> None:
    ends: dict[str, Any] = {"src": bytes([10, 0, 0, 1]) + bytes(12),
                            "dst": bytes([10, 0, 0, 2]) + bytes(12)}  # fmt: skip
    row = make_row(
        verdicts=1 << Verdict.RTT, verdict=Verdict.RTT, verdict2=Verdict.RTT, netns=7, **ends
    )
    given: dict[str, Any] = {
        "qdiscs": {7: {"5 root 1:": Qdisc(5, "tbf", "1:", "root", {})}},
        "devices": {7: {4: Device("veth0", {})}},
        "routes": {7: {"10.0.0.1 10.0.0.2": 4}},
        **changes,
    }
    found = explain(row, None, make_model(evidence=HostTick(Evidence(**given))), None)
    assert ("own queue (veth0 has none)" in found.ruled_out) == ruled_out
    assert ("own queue (the qdisc stage is not measured)" in found.unknown) != ruled_out


@pytest.mark.parametrize(("pct", "excluded"), [(0.0, True), (0.4, True), (18.0, False)])
def test_loss_is_ruled_out_where_there_is_none(pct: float, excluded: bool) -> None:
    held = 1 << Verdict.RTT
    row = make_row(
        verdicts=held, verdict=Verdict.RTT, verdict2=Verdict.RTT, verdict_value=9.0, retr_pct=pct,
        flags=Flag.INFO | Flag.RETR_PCT,
    )  # fmt: skip
    said = explain(row, None, make_model(), None)
    assert any(item.says.startswith("loss (") for item in said.excluded) == excluded


def test_a_shut_window_that_is_not_read_is_not_named() -> None:
    row = make_row(
        verdicts=1 << Verdict.WINDOW, verdict=Verdict.WINDOW, verdict2=Verdict.WINDOW,
        verdict_value=101.0, wqueue=700_000,
    )  # fmt: skip
    assert explain(row, None, make_model(), None).evidence.startswith("it is shut, 684K queued")


def test_data_of_a_connection_that_was_not_taken_up_waits_for_accept() -> None:
    held = 1 << Verdict.UNREAD
    row = make_row(
        verdicts=held, verdict=Verdict.UNREAD, verdict2=Verdict.UNREAD, verdict_value=2000.0,
        rqueue=2048, sport=9082, proc=Proc(0, 0, Owner.NOT_ACCEPTED, 0, ""),
    )  # fmt: skip
    of = explain(row, None, make_model(), None)
    assert "has not taken this connection up" in of.evidence
    assert "recv()" not in of.evidence
    assert "sport = :9082" in of.next_step
    assert "PID" not in of.next_step


def test_data_that_was_taken_is_not_said_to_be_unread() -> None:
    """A verdict outlasts what it is of: `0 B unread for at least 2.94s`."""
    of = said(Verdict.UNREAD, verdict_value=2940.0, rqueue=0)
    assert of.evidence == (
        "data was unread for at least 2.94s and is taken now: the program must call recv() sooner"
    )
    peer = said(Verdict.UNREAD, verdict_value=2940.0, rqueue=0, because=Because.PASSES_ON)
    assert peer.evidence == "data was unread for at least 2.94s and is taken now"
    still = said(Verdict.UNREAD, verdict_value=2940.0, rqueue=5)
    assert still.evidence == "5 B unread for at least 2.94s: the program must call recv()"


def test_one_of_a_thing_is_no_plural() -> None:
    many = {value: said(Verdict.RTO, verdict_value=value, because=Because.SYN) for value in (1, 2)}
    assert many[1].evidence.startswith("1 SYN sent again")
    assert many[2].evidence.startswith("2 SYNs sent again")
    once = said(Verdict.RTO, verdict_value=1.0, backoff=1).evidence
    assert once.startswith("1 time-out, backoff 1")
    waiting = said(Verdict.ACCEPT, rqueue=1, wqueue=1)
    assert waiting.evidence.startswith("1 connection waits, 1 may")
    assert "net (1 connection is established and waits here)" in waiting.ruled_out


def test_where_the_process_is_not_known_it_is_said_how_to_find_it() -> None:
    held = 1 << Verdict.UNREAD
    row = make_row(
        verdicts=held, verdict=Verdict.UNREAD, verdict2=Verdict.UNREAD, verdict_value=2000.0,
        rqueue=2048, sport=9082, proc=Proc(0, 0, Owner.HIDDEN, 0, ""),
    )  # fmt: skip
    step = explain(row, None, make_model(), None).next_step
    assert step.endswith("(PID: sudo ss -anp sport = :9082)")


def test_a_second_verdict_of_the_same_words_is_not_named() -> None:
    both = {"because": Because.HERE, "because2": Because.HERE}
    row = make_row(
        verdicts=1 << Verdict.LOSS | 1 << Verdict.DROPS, verdict=Verdict.LOSS,
        verdict2=Verdict.DROPS, **both,
    )  # fmt: skip
    of = explain(row, None, make_model(), None)
    assert of.what == VERDICTS[Verdict.LOSS].says(Because.HERE)


def test_a_second_verdict_says_whose_it_is_where_that_differs() -> None:
    row = make_row(
        verdicts=1 << Verdict.LOSS | 1 << Verdict.RTT, verdict=Verdict.LOSS, verdict2=Verdict.RTT,
    )  # fmt: skip
    row.rec = row.rec._replace(who=Who.KERN, who2=Who.NET | WHO_MAYBE, because=Because.HERE)
    what = explain(row, None, make_model(), None).what
    assert what.endswith("; also the round trip is far above its minimum (net?)")
    row.rec = row.rec._replace(who=Who.NET, who2=Who.NET, because=0)
    assert explain(row, None, make_model(), None).what.endswith("far above its minimum")


def test_a_long_round_trip_within_a_host_has_no_path_to_trace() -> None:
    here = said(Verdict.RTT, src=bytes([127, 0, 0, 1]) + bytes(12),
                dst=bytes([127, 0, 0, 1]) + bytes(12))  # fmt: skip
    assert "no path" in here.unknown
    assert "mtr" not in here.next_step
    assert "mtr" in said(Verdict.RTT).next_step


@pytest.mark.parametrize("because", [Because.NO_CPU, Because.STOPPED])
@pytest.mark.parametrize("verdict", [Verdict.UNREAD, Verdict.READS, Verdict.ACCEPT, Verdict.DROPS])
def test_what_the_holder_is_found_to_do_is_said_of_every_queue(
    verdict: Verdict, because: Because
) -> None:
    """The engine names these two of whatever stands in a queue."""
    assert because in VERDICTS[verdict].causes
    of = said(verdict, EVENTS_ON, because=because)
    assert of.what == VERDICTS[verdict].says(because)
    assert "only the events" not in of.evidence


@pytest.mark.parametrize(
    ("p99_ms", "because", "bursts"),
    [(1, Because.FULL, True), (300, Because.FULL, False), (1, Because.CHECKSUM, False)],
)
def test_a_full_queue_that_is_read_at_once_is_too_small(
    p99_ms: int, because: Because, *, bursts: bool
) -> None:
    plane = Plane(wait=Dist(9, 9, 9, 9, p99_ms * 10**6, p99_ms * 10**6))
    evidence = said(Verdict.DROPS, because=because, plane=plane).evidence
    assert ("too small for what comes at once" in evidence) == bursts
    assert ("must read faster" in evidence) == (because is Because.FULL and not bursts)
    assert "must read faster" in said(Verdict.DROPS, because=Because.FULL).evidence
