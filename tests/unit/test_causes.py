"""What explains verdicts: each rule by evidence that settles it, and beside it what does not."""

from __future__ import annotations

import errno
import socket as sockets
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.causes.finder import STAYS_NS, Finder
from nettop.causes.rules import RULES
from nettop.engine import ffi, lib, wire
from nettop.model.causes import Candidate, Cause, LateProcess
from nettop.model.evidence import NO_TICK, Device, Evidence, Mover, Process, Qdisc
from nettop.model.types import WHO_MAYBE, Because, Proto, Row, Verdict, Who
from nettop.sources.evidence import NO_LOOK_S, HostEvidence
from nettop.text.evidence import RECEIVER, SYSCTL
from nettop.text.explain import explain
from nettop.text.words import who_text, why_text
from tests.export.make import make_model
from tests.feeding import FedEngine
from tests.netlink import connection, done, skmeminfo

SECOND = 10**9
NETNS, ETH0 = 7, 4
HERE, THERE = bytes([10, 0, 0, 1]) + bytes(12), bytes([10, 0, 0, 2]) + bytes(12)
ROUTE = {NETNS: {"10.0.0.1 10.0.0.2": ETH0}}
UP = {"flags": 1 | 1 << 16}


def candidate(*held: Verdict, **changes: Any) -> Candidate:
    changes.setdefault("dropped_segs", changes.get("dropped_here", 0))
    none = Candidate._make(wire.CANDIDATE.unpack(bytes(wire.CANDIDATE.size)))
    made = none._replace(
        cookie=1, src=HERE, dst=THERE, netns=NETNS, sport=40000, dport=80, family=2,
        proto=Proto.TCP, pid=12, rtt_us=100_000, min_rtt_us=1000, rttvar_us=50_000,
        held=sum(1 << v for v in held),
    )  # fmt: skip
    return made._replace(**changes)


class Host:
    """Its evidence, a read a second."""

    def __init__(self, **kept: Any) -> None:
        self.finder, self.mover, self.at, self.kept = Finder(), Mover(), 100, kept
        self.read_at = self.at
        self.late: dict[int, LateProcess] = {}
        self.staged: tuple[int, ...] = ()

    def tick(
        self, *candidates: Candidate, late: Sequence[LateProcess] = (), events: bool = True,
        stale: bool = False, **changes: Any,
    ) -> Mapping[int, Cause]:  # fmt: skip
        self.at += 1
        self.read_at = self.read_at if stale else self.at
        given = {**self.kept, **changes}
        sources = (
            "counters", "devices", "qdiscs", "processes", "receivers", "conntrack", "neighbours",
        )  # fmt: skip
        now = Evidence(read_ns=dict.fromkeys(sources, self.read_at * SECOND), **given)
        tick = self.mover.tick(now)
        found = self.finder.tick(tick, candidates, late, mono_ns=self.at * SECOND, events=events)
        self.late, self.staged = found.late, found.staged
        return found.found


def qdisc(kind: str, sent: int, backlog: int, drops: int = 0) -> dict[str, Any]:
    numbers = {"bytes": sent, "backlog_bytes": backlog, "drops": drops}
    return {"qdiscs": {NETNS: {"4 root 1:": Qdisc(ETH0, kind, "1:", "root", numbers)}},
            "devices": {NETNS: {ETH0: Device("eth0", UP)}}, "routes": ROUTE}  # fmt: skip


def wait_in(kind: str, backlogs: Sequence[int], per_s: int = 1_000_000) -> Cause | None:
    """Of a socket whose srtt is 99 ms over its minimum."""
    host = Host()
    found: Mapping[int, Cause] = {}
    for n, backlog in enumerate(backlogs):
        found = host.tick(candidate(Verdict.RTT), **qdisc(kind, n * per_s, backlog))
    return found.get(1)


def test_before_its_route_is_read_the_queue_is_not_ruled_out() -> None:
    """Routes are read of sockets that had a verdict in the tick before."""
    (cause,) = Host().tick(candidate(Verdict.RTT)).values()
    assert (cause.rule, cause.who) == ("own_queue_undecided", Who.NET | WHO_MAYBE)


def test_the_wait_in_the_own_queue_is_its_mean_backlog_by_its_rate() -> None:
    cause = wait_in("tbf", [0, 60_000, 100_000])  # 80 KB at 1 MB a second: 80 ms
    assert cause is not None
    assert (cause.rule, cause.verdict, cause.who) == ("own_queue", Verdict.QDISC, Who.KERN)
    assert cause.value == pytest.approx(80.0)
    assert "eth0" in cause.evidence[0].says
    assert cause.ruled_out


@pytest.mark.parametrize(
    ("kind", "backlogs"),
    [
        ("tbf", [0, 40_000, 40_000]),  # less than half of it
        ("tbf", [0, 0, 900_000]),  # seen once: a burst
        ("fq_codel", [0, 60_000, 100_000]),  # each flow has a queue of its own
        ("netem", [0, 60_000, 100_000]),
    ],
)
def test_a_queue_that_does_not_explain_it(kind: str, backlogs: list[int]) -> None:
    cause = wait_in(kind, backlogs)
    assert cause is None or cause.rule == "own_queue_undecided"


def test_the_path_has_no_fault_before_the_own_queue_was_looked_at() -> None:
    host, socket = Host(), candidate(Verdict.RTT)
    said = []
    for n in range(8):
        seen = host.tick(socket, **qdisc("tbf", n * 1_000_000, 0)).get(1)
        said.append(seen and (seen.rule, seen.who, seen.verdict))
    undecided = "own_queue_undecided", Who.NET | WHO_MAYBE, Verdict.RTT
    assert said == [*[undecided] * 2, *[None] * 6]  # two looks find it empty
    assert Host().tick(socket, **qdisc("noqueue", 0, 0)) == {}
    assert Host().tick(socket, **qdisc("fq", 0, 0)) == {}


def test_a_queue_that_cannot_be_read_is_not_waited_for() -> None:
    host = Host()
    found = [host.tick(candidate(Verdict.RTT), **qdisc("tbf", 0, 0))]
    found += [host.tick(candidate(Verdict.RTT), stale=True, **qdisc("tbf", 0, 0)) for _ in range(6)]
    assert [bool(f) for f in found] == [True] * 5 + [False] * 2


def test_the_wait_in_the_own_queue_follows_what_is_seen_of_it() -> None:
    host, values = Host(), []
    for n in range(4):
        looks = {NETNS: {ETH0: {"looks": 5, "filled": 4, "mean_bytes": 50_000 + n * 10_000}}}
        found = host.tick(candidate(Verdict.QDISC if n > 1 else Verdict.RTT), queues=looks,
                          **qdisc("tbf", n * 1_000_000, 0))  # fmt: skip
        values.append(found[1].value)
    assert values[1:] == sorted(set(values[1:]))


def test_a_queue_that_holds_more_than_the_round_trip_leaves_the_path_its_minimum() -> None:
    cause = wait_in("tbf", [0, 300_000, 300_000])  # 300 ms, and srtt is 99 over its minimum of 1
    assert cause is not None
    assert "(without this queue the round trip takes some 1.00ms)" in cause.ruled_out[0].says
    assert " of the " not in cause.evidence[0].says


@pytest.mark.parametrize(("dropped", "refused", "here"), [(3, 90, True), (3, 40, False),
                                                          (0, 90, False)])  # fmt: skip
def test_what_was_sent_again_and_refused_here(dropped: int, refused: int, here: bool) -> None:
    """Segments are sent again, and packets of many are dropped."""
    host, lossy = Host(), candidate(Verdict.LOSS, dropped_here=dropped)
    counters = {NETNS: {"TcpExtTCPRetransFail": 0, "TcpRetransSegs": 0}}
    host.tick(lossy, counters=counters)
    counters = {NETNS: {"TcpExtTCPRetransFail": refused, "TcpRetransSegs": 100}}
    cause = host.tick(lossy, counters=counters).get(1)
    found = cause is not None and (cause.rule, cause.who) == ("resends_refused", Who.KERN)
    assert found == here


def test_many_looks_at_a_queue_see_what_one_a_second_does_not() -> None:
    host = Host()
    for n in range(3):
        looks = {NETNS: {ETH0: {"looks": 5, "filled": 4, "mean_bytes": 80_000}}}
        found = host.tick(candidate(Verdict.RTT), queues=looks, **qdisc("tbf", n * 1_000_000, 0))
    assert found[1].value == pytest.approx(80.0)


def test_queues_are_looked_at_while_a_round_trip_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    made = HostEvidence()
    backlogs = iter([0, 600, 0, 300, 0])

    def read(route_fd: int) -> tuple[dict[str, Qdisc], int]:
        numbers = {"backlog_bytes": next(backlogs)}
        return {"4 root 1:": Qdisc(ETH0, "tbf", "1:", "root", numbers)}, 0

    class Files:
        sockstat_fd = sockstat6_fd = snmp_fd = snmp6_fd = netstat_fd = conntrack_fd = wmem_fd = -1
        route_fd = 3

    monkeypatch.setattr(made._links, "qdiscs", read)
    monkeypatch.setattr(made._links, "devices", lambda fd: ({}, 0))
    monkeypatch.setattr(made._routes, "read", lambda sick, fds: {})
    files = {NETNS: Files()}
    assert made.look_again_s == NO_LOOK_S
    made.read({}, 1, files, (), [candidate(Verdict.RTT)])
    assert len({made.look_again_s for _ in range(9)}) > 1
    for _ in range(3):
        made.look(files)
    made._due.clear()
    now = made.read({}, 2, files, (), [candidate(Verdict.LOSS)])
    assert now.queues == {NETNS: {ETH0: {"looks": 4, "filled": 2, "mean_bytes": 225}}}
    assert made.look_again_s == NO_LOOK_S


def test_the_wait_of_its_own_sends_is_followed_where_it_explains_a_long_round_trip() -> None:
    host, said = Host(), []
    for held, ms in ((Verdict.RTT, 60), (Verdict.QDISC, 70), (Verdict.QDISC, 80)):
        one = candidate(held, qdisc_count=4, qdisc_sum_ns=4 * ms * 10**6)
        said.append(host.tick(one)[1].value)
    assert said == [60, 70, 80]
    brief = candidate(Verdict.QDISC, rtt_us=9000, qdisc_count=4, qdisc_sum_ns=32 * 10**6)
    assert Host().tick(brief) == {}, "QDISC holds by itself, of its slowest sends"


def test_of_queues_that_flows_have_each_the_backlog_of_all_decides_nothing() -> None:
    host = Host()
    for n in range(9):
        found = host.tick(candidate(Verdict.RTT), **qdisc("fq_codel", n * 1_000_000, 80_000))
    assert (found[1].rule, found[1].who) == ("own_queue_undecided", Who.NET | WHO_MAYBE)
    measured = candidate(Verdict.RTT, qdisc_count=9, qdisc_sum_ns=9_000_000)  # 1 ms each
    found = host.tick(measured, **qdisc("fq_codel", 9_000_000, 80_000))
    assert found == {}, "then it is the path's"


@pytest.mark.parametrize(
    ("changes", "decides"),
    [
        ({}, True),
        ({"verdicts": 1 << Verdict.SNDBUF}, True),
        ({"verdicts": 1 << Verdict.LOSS}, False),  # what this host drops is seen as it happens
        ({"level": 0}, False),
        ({"matched": 0}, False),
        ({"proto": Proto.UDP}, False),
    ],
)
def test_whose_sends_decide_its_verdict(changes: dict[str, Any], decides: bool) -> None:
    sick = candidate(verdicts=1 << Verdict.RTT, level=1, matched=1)._replace(**changes)
    causes = Finder().tick(NO_TICK, [sick], (), mono_ns=SECOND, events=True)
    assert causes.staged == ((1,) if decides else ())


def test_nothing_is_left_to_decide_where_the_cause_is_known() -> None:
    host = Host()
    down = {NETNS: {ETH0: Device("eth0", {"flags": 1})}}
    sick = candidate(Verdict.RTT, verdicts=1 << Verdict.RTT, level=1, matched=1)
    assert host.tick(sick, devices=down, routes=ROUTE)[1].rule == "link"
    assert host.staged == ()


@pytest.mark.parametrize(("ms", "explains"), [(60, True), (49, False)])
def test_its_own_sends_say_more_than_the_backlog_of_all(ms: int, explains: bool) -> None:
    one = candidate(Verdict.RTT, qdisc_count=4, qdisc_sum_ns=4 * ms * 10**6)
    host = Host()
    for n in range(3):
        found = host.tick(one, **qdisc("tbf", n * 1_000_000, 90_000))
    assert (1 in found) == explains


@pytest.mark.parametrize(
    ("routes", "flags", "who", "said"),
    [
        (ROUTE, 0, Who.KERN, "switched off"),
        (ROUTE, 1, Who.NIC, "no link"),
        ({NETNS: {"10.0.0.1 10.0.0.2": 0}}, 1, Who.KERN, "no route"),
        (ROUTE, 1 | 1 << 16, None, ""),
        ({}, 1, None, ""),  # which device it uses is not known
    ],
)
def test_the_link_of_the_device_that_it_sends_by(
    routes: Any, flags: int, who: Who | None, said: str
) -> None:
    devices = {NETNS: {ETH0: Device("eth0", {"flags": flags})}}
    found = Host(devices=devices, routes=routes).tick(candidate(Verdict.RTO))
    if who is None:
        assert found == {}
        return
    assert (found[1].who, found[1].verdict) == (who, Verdict.RTO)
    assert said in found[1].evidence[0].says


def test_a_link_that_came_back_is_the_cause_of_what_it_left_behind() -> None:
    host = Host(routes=ROUTE)
    for changes, expected in ((1, None), (3, "link"), *[(3, "link")] * 10, (3, None)):
        devices = {NETNS: {ETH0: Device("eth0", {**UP, "carrier_changes": changes})}}
        found = host.tick(candidate(Verdict.RTO), devices=devices)
        if host.at == 112:
            break  # 10 s after
        assert (found[1].rule if found else None) == expected


def test_what_was_refused_before_it_was_sent() -> None:
    host = Host()
    assert host.tick(candidate(dropped_here=1, total_retrans=5)) == {}
    cause = host.tick(candidate(dropped_here=3, total_retrans=5))[1]
    assert (cause.verdict, cause.because, cause.imposes) == (Verdict.DROPS, Because.HERE, True)
    assert cause.value == pytest.approx(2.0), "four in two seconds"
    # What TCP sent again counts as loss, and is said by that.
    assert host.tick(candidate(dropped_here=1, total_retrans=12)) == {}
    assert host.tick(candidate(Verdict.LOSS, dropped_here=5, total_retrans=12)) == {}


@pytest.mark.parametrize(
    ("entries", "drops", "dropped_here", "rules"),
    [
        (100, 4, 1, ["connections_full"]),
        (90, 4, 1, ["connections_full"]),
        (89, 4, 1, []),  # there is room: another reason
        (100, 0, 1, []),  # full, and nothing is dropped for it
        (100, 4, 0, []),  # those were others' packets
    ],
)
def test_the_table_of_connections_is_full(
    entries: int, drops: int, dropped_here: int, rules: list[str]
) -> None:
    host = Host()
    for n in range(2):
        table = {"entries": entries, "entries_most": 100, "drop": n * drops}
        lost = candidate(Verdict.RTO, dropped_here=n * dropped_here)
        found = host.tick(lost, conntrack={NETNS: table})
    assert [c.rule for c in found.values()] == rules
    assert {c.who for c in found.values()} <= {Who.KERN}


@pytest.mark.parametrize(
    ("table", "fulls", "dropped_here", "rules"),
    [
        ("arp", 4, 1, ["neighbours_full"]),
        ("ndisc", 4, 1, []),  # of the other family
        ("arp", 0, 1, []),
        ("arp", 4, 0, []),
    ],
)
def test_the_table_of_neighbours_is_full(
    table: str, fulls: int, dropped_here: int, rules: list[str]
) -> None:
    host = Host()
    for n in range(2):
        lost = candidate(Verdict.RTO, dropped_here=n * dropped_here)
        found = host.tick(lost, neighbours={table: {"entries": 9, "table_fulls": n * fulls}})
    assert [c.rule for c in found.values()] == rules


@pytest.mark.parametrize(
    ("drops", "again", "events", "who"),
    [
        (10, 8, False, Who.KERN),
        (10, 15, False, Who.KERN | WHO_MAYBE),
        (10, 25, False, None),
        (10, 8, True, None),  # then it is known of each packet
    ],
)
def test_as_many_were_dropped_here_as_were_sent_again(
    drops: int, again: int, events: bool, who: int | None
) -> None:
    host = Host()
    for n in range(2):
        found = host.tick(
            candidate(Verdict.LOSS), events=events, **qdisc("pfifo", n, 0, n * drops),
            counters={NETNS: {"TcpRetransSegs": n * again}},
        )  # fmt: skip
    assert (found[1].who if found else None) == who


def starved(
    name: str, wait_ms: int, runs: int, reads: int = 5, rttvar_us: int = 50_000
) -> Mapping[int, Cause]:
    """So many reads say that a thread waited so long each time; srtt is 99 ms over its minimum."""
    host = Host(devices={NETNS: {ETH0: Device("eth0", UP)}}, routes=ROUTE)
    for n in range(reads + 1):
        numbers = dict(zip(RECEIVER, (n, n * wait_ms * runs * 10**6, n * runs), strict=True))
        one = candidate(Verdict.RTT, rttvar_us=rttvar_us)
        found = host.tick(one, receivers={name: numbers})
    return found


@pytest.mark.parametrize(
    ("name", "wait_ms", "runs", "reads", "explains"),
    [
        ("ksoftirqd/1", 60, 9, 3, True),
        ("ksoftirqd/1", 60, 9, 2, False),  # not yet
        ("ksoftirqd/1", 60, 8, 5, False),  # less than half of the time: it does more than that
        ("ksoftirqd/1", 40, 20, 5, False),  # each time too short
        ("napi/eth0-17", 60, 5, 1, True),
        ("napi/eth0-17", 60, 1, 1, False),  # once in a second
        ("napi/eth1-17", 60, 5, 1, False),
    ],
)
def test_packets_are_taken_in_late(
    name: str, wait_ms: int, runs: int, reads: int, explains: bool
) -> None:
    found = starved(name, wait_ms, runs, reads)
    assert [c.rule for c in found.values()] == ["receive"] * explains


def test_a_round_trip_that_is_always_as_long_has_another_cause() -> None:
    assert starved("napi/eth0-17", 60, 5, rttvar_us=24_000) == {}


@pytest.mark.parametrize(
    ("states", "more", "rules"),
    [
        (["T"], 0, ["stopped"]),
        (["t"], 0, ["stopped"]),
        (["T"], 1, []),  # another process may read it
        (["S"], 0, []),
        (["D"], 0, []),  # one look
        (["D", "S", "D"], 0, ["disk"]),
        (["S", "frozen"], 0, ["frozen"]),
        (["frozen", "S"], 0, ["frozen"]),  # it is kept for some seconds
    ],
)
def test_what_the_holder_stands_in(states: list[str], more: int, rules: list[str]) -> None:
    host = Host()
    for state in states:
        frozen = "/docker/a" if state == "frozen" else None
        processes = {12: Process(2, 2, {"S" if frozen else state: 2}, frozen=frozen)}
        found = host.tick(candidate(Verdict.UNREAD, more=more), processes=processes)
    assert [c.rule for c in found.values()] == rules


@pytest.mark.parametrize(("sndbuf", "rules"), [(8192, ["sysctl"]), (8191, []), (0, [])])
def test_a_send_buffer_at_the_limit_of_the_host(sndbuf: int, rules: list[str]) -> None:
    sysctls = {NETNS: dict.fromkeys(SYSCTL, 8192)}
    found = Host(sysctls=sysctls).tick(candidate(Verdict.SNDBUF, sndbuf=sndbuf))
    assert [c.rule for c in found.values()] == rules


def test_the_other_end_says_it() -> None:
    peer = candidate(Verdict.UNREAD, cookie=2, src=THERE, dst=HERE, sport=80, dport=40000,
                     netns=8, pid=34, unread_ms=3000)  # fmt: skip
    found = Host().tick(candidate(Verdict.WINDOW), peer)
    assert [c.rule for c in found.values()] == ["other_end"]
    assert "process 34" in found[1].evidence[0].says
    well = peer._replace(held=0)
    assert Host().tick(candidate(Verdict.WINDOW), well) == {}


SILENT = candidate(Verdict.RTO, cookie=9, sport=40009, state=1, acked_bytes=1, who=Who.PEER,
                   verdicts=1 << Verdict.RTO)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "explained"),
    [
        ({"state": 2}, True),  # its SYN is not answered
        ({"acked_bytes": 101}, True),
        ({"acked_bytes": 5000}, False),  # it was taken up long ago
        ({"dport": 81}, False),
        ({"dst": HERE}, False),
        ({"netns": 8}, False),
        ({"proto": Proto.UDP}, False),
    ],
)
def test_what_one_port_does_not_take_up(changes: dict[str, Any], *, explained: bool) -> None:
    one = candidate(Verdict.LOSS)._replace(**changes)
    host = Host()
    found = host.tick(SILENT, one)
    assert (found[9].rule, found[9].who) == ("not_accepted", Who.PEER)
    assert (1 in found) == explained
    if explained:
        assert found[1].shared == found[9].shared
        for _ in range(9):  # it was taken up by now; the next ones still wait
            assert 1 in host.tick(one)
        for _ in range(STAYS_NS // SECOND):
            host.tick(one)
        assert host.tick(one) == {}


def test_where_some_come_up_and_others_wait_this_end_cannot_know() -> None:
    waiting = [candidate(Verdict.RTO, cookie=n, state=2, sport=n) for n in (1, 2, 3)]
    late = candidate(Verdict.RTO, cookie=9, state=1, acked_bytes=101)
    found = Host().tick(*waiting, late)
    assert {c.rule for c in found.values()} == {"open_some"}
    assert {c.who for c in found.values()} == {Who.NET | WHO_MAYBE}
    assert Host().tick(*waiting) == {}, "none comes up: the path, or the host"
    assert Host().tick(*waiting[1:], late) == {}
    assert Host().tick(*waiting, late._replace(dport=81)) == {}


@pytest.mark.parametrize(
    ("drops", "overflows", "state", "said"),
    [(100, 0, 10, True), (100, 60, 10, False), (2, 0, 10, False), (100, 0, 7, False)],
)
def test_a_listener_that_drops_with_room_in_its_queue(
    drops: int, overflows: int, state: int, *, said: bool
) -> None:
    host = Host()
    listener = candidate(Verdict.DROPS, state=state, sport=80, dport=0)
    zero = dict.fromkeys(("TcpExtListenDrops", "TcpExtListenOverflows"), 0)
    host.tick(listener, counters={NETNS: zero})
    moved = {"TcpExtListenDrops": drops, "TcpExtListenOverflows": overflows}
    found = host.tick(listener, counters={NETNS: moved})
    assert [(c.rule, c.who) for c in found.values()] == (
        [("half_open", Who.PEER | WHO_MAYBE)] if said else []
    )


def test_its_peer_is_a_listener_of_this_host() -> None:
    full = candidate(
        Verdict.ACCEPT, cookie=2, state=10, sport=80, src=THERE, dst=bytes(16), dport=0
    )
    one = candidate(Verdict.RTO, state=2)
    assert Host().tick(one, full)[1].who == Who.PEER
    assert Host().tick(one, full._replace(sport=81)) == {}
    assert Host().tick(one, full._replace(held=0)) == {}
    on_all = full._replace(src=bytes(16))
    assert Host().tick(one, on_all) == {}, "the peer may be another host"
    by_loopback = {NETNS: {"10.0.0.1 10.0.0.2": 1}}
    assert Host().tick(one, on_all, routes=by_loopback)[1].who == Who.PEER


def test_a_cause_stays_while_what_it_explains_holds() -> None:
    host = Host(routes=ROUTE, devices={NETNS: {ETH0: Device("eth0", {"flags": 1})}})
    assert host.tick(candidate(Verdict.RTO))
    up = {NETNS: {ETH0: Device("eth0", UP)}}
    for _ in range(STAYS_NS // SECOND - 1):
        assert host.tick(candidate(Verdict.RTO), devices=up)
    assert host.tick(candidate(Verdict.RTO), devices=up) == {}
    assert host.tick(candidate(Verdict.RTO))
    assert host.tick() == {}


def test_a_process_that_reads_many_sockets_late() -> None:
    host = Host()
    host.tick(late=[LateProcess(12, 6, 100, 10**9, 10**8), LateProcess(13, 6, 200, 1, 1)])
    assert list(host.late) == [12]  # one in twenty
    for _ in range(STAYS_NS // SECOND):
        host.tick()
    assert host.late == {}


def test_each_rule_has_a_name_and_says_what_it_needs() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.needs and rule.explains for rule in RULES)


# --- in the engine ---


class Sender:
    """A full pipe whose srtt is five times its minimum, a tick a second."""

    def __init__(self) -> None:
        self.engine, self.at = FedEngine(), 100

    def tick(self, *causes: Cause, **changes: Any) -> Row:
        given = {"rtt": 100_000, "min_rtt": 20_000, "unacked": 40, "snd_cwnd": 80, **changes}
        raw = connection(1, 280, skmeminfo(), bytes_acked=self.at * 100_000, **given) + done()
        self.engine.feed_begin(self.at * SECOND)
        self.engine.feed(1, Proto.TCP, raw)
        self.engine.feed_end(self.at * SECOND)
        self.engine.causes(causes, [])
        self.at += 1
        row = self.engine.find(1)
        assert row is not None
        return row


OWN_QUEUE = Cause("own_queue", 1, 1 << Verdict.RTT, Verdict.QDISC, Who.KERN, Because.QUEUE, (),
                  value=70.0)  # fmt: skip


def test_the_engine_judges_by_the_cause_from_the_first_tick_that_holds() -> None:
    sender = Sender()
    sender.tick()
    sender.tick()
    (asked,) = (c for c in [*sender.engine.candidates(4)] if c.holds(Verdict.RTT))
    assert (asked.cookie, asked.rtt_us, asked.min_rtt_us) == (1, 100_000, 20_000)
    sender.engine.causes([OWN_QUEUE], [])
    row = sender.tick(OWN_QUEUE)
    assert (who_text(row), why_text(row), row.verdicts) == ("kern", "qdisc 70.0ms", [Verdict.QDISC])
    said = explain(row, None, make_model(causes={1: OWN_QUEUE}), None)
    assert "(70.0ms) is half or more of what srtt is over its minimum" in said.evidence
    row = sender.tick()  # it was judged by the cause that was found before
    assert who_text(row) == "kern"
    assert [who_text(sender.tick()) for _ in range(3)][-1] == "net"


def test_no_cause_without_a_condition_unless_it_is_one_itself() -> None:
    sender = Sender()
    for _ in range(3):
        row = sender.tick(OWN_QUEUE, rtt=21_000)
    assert row.verdicts == []
    drops = Cause("refused_here", 1, 1 << Verdict.DROPS, Verdict.DROPS, Who.KERN, Because.HERE, (),
                  value=3.0, imposes=True)  # fmt: skip
    sender.tick(drops, rtt=21_000)
    row = sender.tick(drops, rtt=21_000)
    assert (who_text(row), why_text(row)) == ("kern", "drops 3.0/s")
    assert "dropped on this host" in explain(row, None, make_model(), None).evidence


def test_the_engine_refuses_what_it_cannot_hold() -> None:
    engine = FedEngine()
    wrong = ffi.new("struct nt_cause[]", [{"cookie": 1, "verdict": len(Verdict)}])
    assert lib.nt_causes(engine.handle, wrong, 1, [], 0) == -errno.EINVAL
    assert lib.nt_causes(engine.handle, wrong, 257, [], 0) == -errno.EINVAL
    assert lib.nt_causes(engine.handle, ffi.NULL, 0, [], 33) == -errno.EINVAL


def test_the_route_to_this_host_is_its_loopback_device() -> None:
    with sockets.socket(sockets.AF_NETLINK, sockets.SOCK_RAW, 0) as route:
        found = ffi.new("struct nt_route *")
        ends = bytes([127, 0, 0, 1]) + bytes(12)
        assert lib.nt_route_read(route.fileno(), 9, 2, ends, ends, found) == 0
    assert (found.ifindex, found.via_family) == (sockets.if_nametoindex("lo"), 0)
