"""Causes that no round trip says: datagrams in the own queue, handshakes that nobody completes."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.causes.queues import LIKE_NS, QUEUED_NS
from nettop.model.causes import Candidate, Cause, QueueOf
from nettop.model.evidence import Device, Process, Qdisc
from nettop.model.types import WHO_MAYBE, Because, Proto, Verdict, Who
from nettop.sources.evidence import NO_LOOK_S, HostEvidence
from nettop.text.explain import explain
from nettop.text.words import who_text, why_text
from tests.export.make import make_model
from tests.feeding import FedEngine
from tests.netlink import diag, done
from tests.unit.test_causes import ETH0, NETNS, SECOND, UP, Host, candidate, qdisc

DATAGRAMS = candidate(
    proto=Proto.UDP, rtt_us=0, min_rtt_us=0, rttvar_us=0, queued_bytes=50_000, state=1
)


def seen(kind: str, backlog: int, ticks: int = 3, *, socket: Candidate = DATAGRAMS) -> list[Cause]:
    host = Host()
    found: dict[int, Cause] = {}
    for n in range(ticks):
        found = dict(host.tick(socket, **qdisc(kind, n * 1_000_000, backlog)))
    return [*found.values()]


def test_datagrams_wait_in_the_own_queue_its_mean_backlog_by_its_rate() -> None:
    (cause,) = seen("tbf", 80_000)  # at 1 MB a second
    assert (cause.rule, cause.verdict, cause.who) == (
        "own_queue_datagrams",
        Verdict.QDISC,
        Who.KERN,
    )
    assert cause.value == pytest.approx(80.0)
    assert cause.imposes
    assert "eth0" in cause.evidence[0].says


@pytest.mark.parametrize(
    ("kind", "backlog", "changes"),
    [
        ("tbf", 4_000, {}),  # 4 ms are no fault
        ("fq_codel", 80_000, {}),  # whose packets these are is not known
        ("tbf", 80_000, {"queued_bytes": 0}),  # others' alone
        ("tbf", 80_000, {"qdisc_count": 5}),  # its own sends are measured
    ],
)
def test_a_queue_in_which_its_datagrams_do_not_wait(
    kind: str, backlog: int, changes: dict[str, Any]
) -> None:
    assert seen(kind, backlog, socket=DATAGRAMS._replace(**changes)) == []


def test_of_a_socket_without_a_peer_the_only_queue_that_is_filled_holds_them() -> None:
    server = DATAGRAMS._replace(dport=0, dst=bytes(16))
    assert seen("tbf", 80_000, socket=server)
    host = Host()
    for n in range(3):
        given = qdisc("tbf", n * 1_000_000, 80_000)
        numbers = {"bytes": n * 1_000_000, "backlog_bytes": 9}
        given["qdiscs"][NETNS]["5 root 1:"] = Qdisc(5, "tbf", "1:", "root", numbers)
        found = host.tick(server, **given)
    assert found == {}, "it may be either"


def test_a_look_that_finds_none_of_its_datagrams_changes_nothing_for_some_seconds() -> None:
    host = Host()
    empty = DATAGRAMS._replace(queued_bytes=0)
    said, lasts = [], QUEUED_NS // SECOND
    for n in range(3 + lasts):
        socket = DATAGRAMS if n < 3 else empty
        said.append(bool(host.tick(socket, **qdisc("tbf", n * 1_000_000, 80_000))))
    assert said == [False, False, *[True] * lasts, False]


def test_queues_are_looked_at_while_datagrams_stand_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = HostEvidence()
    backlog = 0

    class Files:
        sockstat_fd = sockstat6_fd = snmp_fd = snmp6_fd = netstat_fd = conntrack_fd = wmem_fd = -1
        route_fd = 3

    def read(route_fd: int) -> tuple[dict[str, Qdisc], int]:
        return {"4 root 1:": Qdisc(ETH0, "tbf", "1:", "root", {"backlog_bytes": backlog})}, 0

    monkeypatch.setattr(made._links, "qdiscs", read)
    monkeypatch.setattr(made._links, "devices", lambda fd: ({}, 0))
    monkeypatch.setattr(made._routes, "read", lambda sick, fds: {})
    files = {NETNS: Files()}
    made.read({}, 0, files, (), [DATAGRAMS])
    assert made.look_again_s == NO_LOOK_S, "they wait for the driver alone"
    backlog = 9
    made._due.clear()
    made.read({}, 0, files, (), [DATAGRAMS])
    assert made.look_again_s < 1
    made._due.clear()
    made.read({}, 0, files, (), [DATAGRAMS._replace(queued_bytes=0)])
    assert made.look_again_s == NO_LOOK_S


@pytest.mark.parametrize(("queued", "asked"), [(4096, True), (4095, False)])
def test_the_engine_asks_about_datagrams_that_stand_in_queues(queued: int, *, asked: bool) -> None:
    engine, at = FedEngine(), 100

    def sweep() -> None:
        nonlocal at
        at += 1
        engine.feed_begin(at * SECOND)
        engine.feed(1, Proto.UDP, diag(1, sport=5353, dport=53, wqueue=queued) + done())
        engine.feed_end(at * SECOND)

    cause = Cause("own_queue_datagrams", 1, 1 << Verdict.QDISC, Verdict.QDISC, Who.KERN,
                  Because.QUEUE, (), value=80.0, imposes=True)  # fmt: skip
    sweep()
    assert [c.queued_bytes for c in engine.candidates(4)] == ([queued] if asked else [])
    engine.causes([cause], [])
    sweep()
    row = engine.find(1)
    assert row is not None
    assert (who_text(row), why_text(row)) == ("kern", "qdisc 80.0ms")
    said = explain(row, None, make_model(causes={1: cause}), None)
    assert "waits 80.0ms in this host's own queue" in said.evidence


def test_what_is_measured_of_some_holds_for_others_to_the_same_peer() -> None:
    host = Host(routes={NETNS: {"10.0.0.1 10.0.0.2": ETH0, "10.0.0.1 10.0.0.3": ETH0}})
    one = candidate(Verdict.RTT, cookie=1, qdisc_count=4, qdisc_sum_ns=4 * 80_000_000)
    like, other = candidate(Verdict.RTT, cookie=2), candidate(Verdict.RTT, cookie=3)
    other = other._replace(dst=bytes([10, 0, 0, 3]) + bytes(12))
    longer = candidate(Verdict.RTT, cookie=4, rtt_us=200_000)
    found = host.tick(one, like, other, longer)
    assert {n: c.rule for n, c in found.items()} == {1: "own_queue", 2: "own_queue"}
    assert found[2].who == Who.KERN
    assert found[2].value == pytest.approx(80.0)
    assert "another socket" in found[2].evidence[0].says
    # Another one of them is measured now; what was measured holds for some seconds.
    for _ in range(LIKE_NS // SECOND - 1):
        assert host.tick(one._replace(qdisc_count=0))[1].rule == "own_queue"
    found = host.tick(candidate(Verdict.RTT, cookie=5))
    assert found == {}


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (("tbf",), True),
        (("tbf", "bfifo"), True),
        (("tbf", "fq_codel"), False),  # each flow has a queue of its own
        (("htb",), False),  # or each class
        ((), False),  # what the device has is not known
    ],
)
def test_what_is_measured_of_some_holds_for_all_of_one_queue(
    kinds: tuple[str, ...], *, said: bool
) -> None:
    qdiscs = {NETNS: {f"{ETH0} {n}": Qdisc(ETH0, kind, f"{n}:", f"{n}:" if n else "root")
                      for n, kind in enumerate(kinds)}}  # fmt: skip
    routes = {NETNS: {"10.0.0.1 10.0.0.2": ETH0, "10.0.0.1 10.0.0.3": ETH0}}
    host = Host(routes=routes, qdiscs=qdiscs, devices={NETNS: {ETH0: Device("eth0", UP)}})
    one = candidate(Verdict.RTT, cookie=1, qdisc_count=4, qdisc_sum_ns=4 * 80_000_000)
    other = candidate(Verdict.RTT, cookie=2, dst=bytes([10, 0, 0, 3]) + bytes(12))
    host.tick(one, other)
    found = host.tick(one, other).get(2)
    assert (found is not None and found.rule == "own_queue") == said
    if found is not None and said:
        assert (found.who, found.shared) == (Who.KERN, QueueOf(NETNS, ETH0))
        assert "sends of another socket wait 80.0ms in the tbf of eth0" in found.evidence[0].says


@pytest.mark.parametrize(
    ("again", "syns", "sure"),
    [(20, 20, True), (30, 20, True), (50, 20, False), (2, 2, False)],
)
def test_whoever_does_not_complete_handshakes_is_the_peer_where_data_arrives(
    again: int, syns: int, *, sure: bool
) -> None:
    host = Host()
    listener = candidate(Verdict.DROPS, state=10, sport=80, dport=0)
    names = ("TcpExtListenDrops", "TcpExtListenOverflows", "TcpRetransSegs", "TcpExtTCPSynRetrans")
    host.tick(listener, counters={NETNS: dict.fromkeys(names, 0)})
    host.tick(listener, counters={NETNS: dict(zip(names, (100, 0, again, syns), strict=True))})
    moved = dict(zip(names, (200, 0, again, syns), strict=True))  # none again in this interval
    cause = host.tick(listener, counters={NETNS: moved})[1]
    assert (cause.rule, cause.who) == ("half_open", Who.PEER if sure else Who.PEER | WHO_MAYBE)
    assert len(cause.ruled_out) == 1 + sure


@pytest.mark.parametrize(
    ("state", "because", "rules"),
    [
        ("T", Because.FULL, ["full_stopped"]),
        ("t", Because.STOPPED, ["full_stopped"]),  # it is judged by the cause that was found
        ("S", Because.FULL, []),
        ("T", Because.CHECKSUM, []),  # whoever reads
        ("T", Because.UNKNOWN, []),
    ],
)
def test_a_queue_that_is_full_as_its_reader_is_stopped(
    state: str, because: Because, rules: list[str]
) -> None:
    full = candidate(Verdict.DROPS, proto=Proto.UDP, verdict=Verdict.DROPS, because=because)
    found = Host().tick(full, processes={12: Process(1, 1, {state: 1})})
    assert [(c.rule, c.verdict, c.because) for c in found.values()] == [
        (rule, Verdict.DROPS, Because.STOPPED) for rule in rules
    ]
