"""A next hop that does not answer: what waits for it is dropped here, later than it was resent."""

from __future__ import annotations

import socket as sockets
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.causes.finder import Causes, Finder
from nettop.model.events import Event
from nettop.model.evidence import NO_TICK, Device, NextHop
from nettop.model.types import Because, Row, Verdict, Who
from nettop.text.explain import explain
from tests.export.make import make_model, make_row
from tests.unit.test_causes import (
    ETH0,
    HERE,
    NETNS,
    ROUTE,
    SECOND,
    THERE,
    Host,
    candidate,
)
from tests.unit.test_causes_shared import dropped
from tests.unit.test_explain import EVENTS_ON


def out(reason: str = "NEIGH_FAILED", **changes: Any) -> Event:
    """Of a packet of candidate() on its way out."""
    ends = {"src": HERE, "sport": 40000, "dst": THERE, "dport": 80, "cookie": 1}
    return dropped(reason, NETNS, **{**ends, **changes})


def looked(*ticks: tuple[int, Sequence[Event]], held: Verdict = Verdict.RTO) -> Causes:
    """ticks: segments resent so far, and the drops of the interval."""
    finder, second = Finder(), 100
    for again, drops in ticks:
        second += 1
        found = finder.tick(NO_TICK, [candidate(held, total_retrans=again)], (), drops=drops,
                            mono_ns=second * SECOND, events=True)  # fmt: skip
    return found


def rto(**changes: Any) -> Row:
    held = 1 << Verdict.RTO
    return make_row(verdicts=held, verdict=Verdict.RTO, verdict2=Verdict.RTO, **changes)


# As a kernel does it: resent after 0.2, 0.6, 1.4 and 3.0 s, and all dropped when the third question
# of who it is remains without an answer.
SILENT = ((1, ()), (3, ()), (3, ()), (4, [out()] * 4), (4, ()), (4, ()), (5, [out()]))


@pytest.mark.parametrize("held", [Verdict.RTO, Verdict.LOSS])
def test_a_next_hop_that_does_not_answer_is_named(held: Verdict) -> None:
    cause = looked(*SILENT, held=held).found[1]
    assert (cause.rule, cause.verdict, cause.because) == ("next_hop", held, Because.NEXT_HOP)
    assert cause.who == Who.NET
    assert "does not answer ARP: 5 packets of it dropped here" in cause.evidence[0].says
    assert "ip neigh show" in cause.next_step


ENDS = "10.0.0.1 10.0.0.2"
ONE = bytes.fromhex("fd00" + "00" * 13 + "01")
OTHER = bytes.fromhex("fd00" + "00" * 13 + "02")


def neighbour(state: str, gateway: str | None = None, ends: str = ENDS) -> Host:
    devices = {NETNS: {ETH0: Device("eth0", {"flags": 1 | 1 << 16})}}
    routes = {NETNS: {ends: ETH0}}
    return Host(devices=devices, routes=routes,
                next_hops={NETNS: {ends: NextHop(state, gateway)}})  # fmt: skip


@pytest.mark.parametrize("state", ["INCOMPLETE", "FAILED"])
def test_a_neighbour_that_does_not_answer_is_named_before_anything_is_dropped(state: str) -> None:
    cause = neighbour(state, "10.0.0.9").tick(candidate(Verdict.RTO))[1]
    assert (cause.rule, cause.who, cause.party) == (
        "next_hop",
        Who.NET,
        "gateway 10.0.0.9 on eth0",
    )
    (said,) = cause.evidence
    assert said.says == (
        f"the gateway 10.0.0.9 on eth0 does not answer ARP (its neighbour entry is {state})"
    )
    on_link = neighbour(state).tick(candidate(Verdict.RTO))[1]
    assert on_link.party == "eth0"
    assert on_link.evidence[0].says.startswith("the next hop on eth0 does not answer ARP")


def test_of_ipv6_the_neighbour_alone_says_it() -> None:
    socket = candidate(Verdict.RTO, family=sockets.AF_INET6, src=ONE, dst=OTHER)
    host = neighbour("FAILED", "fe80::9", "fd00::1 fd00::2")
    cause = host.tick(socket)[1]
    assert cause.party == "gateway fe80::9 on eth0"
    assert "the gateway fe80::9 on eth0 does not answer neighbour disc" in cause.evidence[0].says


def test_a_gateway_of_the_other_family_is_asked_in_its_own() -> None:
    cause = neighbour("FAILED", "fe80::9").tick(candidate(Verdict.RTO))[1]
    assert "does not answer neighbour discovery" in cause.evidence[0].says


@pytest.mark.parametrize("state", ["REACHABLE", "STALE", "DELAY", "PROBE", "NOARP", "PERMANENT"])
def test_what_is_sent_to_a_neighbour_that_is_known_leaves_this_host(state: str) -> None:
    assert neighbour(state, "10.0.0.9").tick(candidate(Verdict.RTO)) == {}


def test_losses_among_answers_are_not_of_the_next_hop() -> None:
    assert neighbour("FAILED").tick(candidate(Verdict.LOSS)) == {}


def test_before_the_first_is_dropped_nothing_is_known() -> None:
    assert looked(*SILENT[:3]).found == {}
    row, model = rto(), make_model(sources=EVENTS_ON)
    early = explain(row, None, model, 2.0)
    assert "this host" not in early.ruled_out
    assert "whether this host drops it (what waits for its next hop" in early.unknown
    assert "this host on the way out" in explain(row, None, model, 5.0).ruled_out


@pytest.mark.parametrize(
    "drop",
    [
        out("NETFILTER_DROP"),  # the engine judges by it
        out(src=THERE, sport=80, dst=HERE, dport=40000),  # on its way in
        out(cookie=2),
    ],
)
def test_other_drops_say_nothing_of_the_next_hop(drop: Event) -> None:
    assert looked((1, ()), (4, [drop] * 4)).found == {}


def test_a_few_that_found_no_next_hop_do_not_explain_what_the_path_loses() -> None:
    found = looked((1, ()), (2, [out()]), (30, ()))
    assert [c.rule for c in found.found.values()] == ["next_hop"], "it was, and stays a while"
    found = looked((1, ()), (30, [out()]))
    assert found.found == {}
    assert found.out == {1: 1}, "nor is this host ruled out"


def test_what_this_host_dropped_on_the_way_out_is_never_ruled_out() -> None:
    row = rto()
    model = make_model(sources=EVENTS_ON, dropped_out={row.cookie: 3})
    said = explain(row, None, model, 60.0)
    assert said.ruled_out == ""
    assert "saw it drop 3 packets of this connection on the way out" in said.unknown


def test_it_is_said_with_nothing_ruled_out() -> None:
    row = rto(because=Because.NEXT_HOP, verdict_value=4.0, who=Who.NET)
    cause = looked(*SILENT).found[1]
    model = make_model(causes={row.cookie: cause}, dropped_out={row.cookie: 5}, sources=EVENTS_ON)
    said = explain(row, None, model, 60.0)
    assert said.what == "the next hop does not answer, so nothing leaves this host"
    assert "none of them left" in said.evidence
    assert (said.ruled_out, said.unknown) == ("", "")
    assert "mtr" not in said.next_step


@pytest.mark.parametrize(
    ("name", "in_step"), [("eth0", "eth0"), ("eth0;reboot", "DEVICE"), ("{0}", "DEVICE")]
)
def test_a_name_that_a_shell_obeys_is_in_no_command(name: str, in_step: str) -> None:
    devices = {NETNS: {ETH0: Device(name, {"flags": 1})}}
    cause = Host(devices=devices, routes=ROUTE).tick(candidate(Verdict.RTO))[1]
    row = rto(because=Because.CARRIER)
    said = explain(row, None, make_model(causes={row.cookie: cause}), None)
    assert f"ip -s link show dev {in_step}; ethtool {in_step}; " in said.next_step
