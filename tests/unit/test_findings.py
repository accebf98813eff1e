"""Looks: which cases are one finding, in what order, what the host adds, what is not known."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from nettop.findings.course import MOST_BINS, Course, HistogramSum
from nettop.findings.group import cost_of
from nettop.findings.host import _MEANINGS, _TROUBLE, NOT_SAID
from nettop.findings.look import MOST_STAMPED, Look
from nettop.findings.objects import json_text
from nettop.findings.page import page
from nettop.findings.plain import headline, nothing, text_of
from nettop.findings.values import Report
from nettop.model.causes import Cause, QueueOf
from nettop.model.causes import Evidence as Said
from nettop.model.cost import Cost
from nettop.model.events import Event, EventType
from nettop.model.evidence import Device, Evidence, HostTick, Mover, Process
from nettop.model.types import (
    WHO_MAYBE,
    Because,
    Detail,
    Dist,
    Histogram,
    Level,
    Model,
    Owner,
    Plane,
    Proc,
    Row,
    Sick,
    SourceStatus,
    Stage,
    Verdict,
    Who,
)
from nettop.text.explain import explain
from nettop.text.verdicts import VERDICTS
from tests.export.make import HOSTILE, make_model, make_row

S = 10**9
ALL_ON = tuple(SourceStatus(name, "ok") for name in NOT_SAID)


class Feed:
    """Rows of a tick, as a look asks for them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {row.cookie: row for row in rows}

    def sick(self, *, matched: bool = True) -> list[Sick]:
        return [
            Sick(r.rec.cookie, r.rec.flags, r.rec.verdicts, (r.rec.level == 2) << r.rec.verdict,
                 r.rec.verdict, r.rec.verdict2, r.rec.who, r.rec.who2, r.rec.because,
                 r.rec.because2, r.rec.verdict_value, r.rec.verdict2_value)
            for r in self.rows.values() if r.rec.verdicts
        ]  # fmt: skip

    def find(self, cookie: int) -> Row | None:
        return self.rows.get(cookie)

    def listed_events(self, most: int, types: Collection[EventType]) -> tuple[Sequence[Event], int]:
        return (), 0

    def detail(self, cookie: int) -> Detail | None:
        return None

    def seconds_since(self, engine_s: int) -> float | None:
        return None

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        return tuple(
            Histogram(Dist(2, 10, 5, 5, 5, 5), ((4, 8, 2),)) if s is Stage.ACK
            else Histogram(Dist(), ()) for s in Stage
        )  # fmt: skip


def sick(
    cookie: int, verdict: Verdict, value: float = 50.0, level: Level = Level.UNWELL,
    pid: int = 12, comm: str = "nginx", peer: int = 2, **more: Any,
) -> Row:  # fmt: skip
    return make_row(
        cookie, verdicts=1 << verdict, verdict=verdict, verdict2=verdict, verdict_value=value,
        level=int(level), proc=Proc(pid, 7, Owner.PROC, 0, comm),
        dst=bytes((10, 0, 0, peer)) + bytes(12), **more,
    )  # fmt: skip


def model(tick: int = 1, **changes: Any) -> Model:
    times = {"seq": tick, "mono_ns": tick * S, "wall_ns": (1_795_201_200 + tick) * S}
    return make_model(**{"sources": ALL_ON, **times, **changes})


def look(*ticks: Sequence[Row], **more: Any) -> Report:
    taken = Look(**more)
    for number, rows in enumerate(ticks, 1):
        taken.take(model(number), Feed(rows))
    return taken.report()


def test_sockets_of_one_process_and_verdict_are_one_finding() -> None:
    rows = [sick(i, Verdict.UNREAD, 300.0 + i, peer=i) for i in range(1, 6)]
    (finding,) = look(rows).findings
    assert headline(finding) == "app nginx/12: does not read"
    assert finding.sockets == 5
    assert finding.worst.row.cookie == 5


def late_readers(
    readers: dict[int, int],
    *,
    sockets: int,
    threads: int = 40,
    who: Who = Who.APP,
    names: dict[str, str] | None = None,
    pid: int = 12,
) -> list[tuple[str, int, int | None]]:
    """Sockets of a process that are read late, some of them by threads that are known: headline,
    sockets and thread of each finding."""
    rows = [sick(i, Verdict.READS, 300.0, peer=i, who=int(who), pid=pid)
            for i in range(1, sockets + 1)]  # fmt: skip
    process = Process(threads, min(threads, 32), {"S": min(threads, 32)}, names=names)
    evidence = HostTick(Evidence(processes={pid: process}))
    taken = Look()
    # Who reads is known some ticks after that it is late.
    taken.take(model(1), Feed(rows))
    taken.take(model(2, evidence=evidence, readers=readers), Feed(rows))
    return [
        (headline(f), f.sockets, f.reader.tid if f.reader else None)
        for f in taken.report().findings
    ]


def test_sockets_that_wait_for_one_thread_are_one_finding_that_names_it() -> None:
    said = "reads late"
    # The only thread of its process.
    assert late_readers({}, sockets=5, threads=1) == [(f"app nginx/12: {said}", 5, 12)]
    # Of some it is known, and the others are of the same process.
    one = late_readers(dict.fromkeys((1, 2, 3), 15), sockets=5, names={"15": "http-3"})
    assert one == [(f"app thread http-3/15 of nginx/12: {said}", 5, 15)]
    unnamed = late_readers(dict.fromkeys((1, 2, 3), 15), sockets=3)
    assert unnamed == [(f"app thread 15 of nginx/12: {said}", 3, 15)]
    main = late_readers(dict.fromkeys((1, 2, 3), 12), sockets=3)
    assert main == [(f"app the main thread of nginx/12: {said}", 3, 12)]


def test_sockets_of_threads_that_are_all_late_are_the_process() -> None:
    said = "reads late"
    each = late_readers({i: 20 + i for i in range(1, 5)}, sockets=6)
    assert each == [(f"app nginx/12: {said}", 6, None)]
    most = late_readers({1: 15, 2: 15, 3: 15, 4: 16}, sockets=6)
    assert most == [
        (f"app thread 15 of nginx/12: {said}", 3, 15), (f"app nginx/12: {said}", 3, None),
    ]  # fmt: skip
    assert late_readers({}, sockets=3) == [(f"app nginx/12: {said}", 3, None)]


def test_a_thread_that_gets_no_cpu_is_named_and_two_processes_are_not() -> None:
    (one,) = late_readers(dict.fromkeys((1, 2), 15), sockets=2, who=Who.CPU)
    assert one[0].startswith("cpu thread 15 of nginx/12: ")
    rows = [sick(i, Verdict.READS, 300.0, who=int(Who.CPU), pid=i) for i in (1, 2)]
    taken = Look()
    taken.take(model(1, readers={1: 15, 2: 16}), Feed(rows))
    (both,) = taken.report().findings
    assert (both.party, both.reader) == ("2 processes of nginx", None)


def test_a_thread_is_told_in_text_and_json() -> None:
    rows = [sick(i, Verdict.READS, 300.0, peer=i) for i in (1, 2)]
    process = Process(3, 3, {"S": 3}, names={"15": "http-3"})
    taken = Look()
    evidence = HostTick(Evidence(processes={12: process}))
    taken.take(model(1, evidence=evidence, readers={1: 15, 2: 15}), Feed(rows))
    report = taken.report()
    text = " ".join(text_of(report).split())
    assert "2 sockets with 2 peers, all read by one thread" in text
    assert "thread http-3/15 reads it" in text
    (found,) = json.loads(json_text(report))["findings"]
    assert (found["thread"], found["thread_name"]) == (15, "http-3")


def test_reads_late_and_unread_data_are_one_finding_of_the_process() -> None:
    rows = [sick(1, Verdict.UNREAD), sick(2, Verdict.READS, level=Level.WATCH)]
    (finding,) = look(rows).findings
    assert finding.worst.verdict is Verdict.UNREAD
    assert finding.sockets == 2


@pytest.mark.parametrize(("who", "findings"), [(Who.NET | WHO_MAYBE, 1), (Who.NET, 2)])
def test_what_was_not_known_before_its_queue_was_measured_is_no_finding_beside_it(
    who: int, findings: int
) -> None:
    before = sick(1, Verdict.RTT, who=who)
    after = sick(1, Verdict.QDISC, who=int(Who.KERN))
    assert len(look([before], [after]).findings) == findings
    assert len(look([before]).findings) == 1


def caused(cookie: int, device: str, because: Because = Because.QUEUE) -> tuple[Row, Cause]:
    row = sick(cookie, Verdict.QDISC, 40.0, pid=cookie, because=because, rtt_us=50_000)
    return row, Cause("own_queue", cookie, 0, Verdict.QDISC, Who.KERN, because, (),
                      shared=QueueOf(7, len(device) and int(device[-1])), party=device)  # fmt: skip


def findings_of_causes(*given: tuple[Row, Cause | None]) -> list[tuple[str, int]]:
    taken = Look()
    causes = {row.cookie: cause for row, cause in given if cause is not None}
    taken.take(model(causes=causes), Feed([row for row, _ in given]))
    return [(headline(f), f.sockets) for f in taken.report().findings]


def test_sockets_that_share_a_cause_are_one_finding_whoever_holds_them() -> None:
    said = "packets wait in the device's queue"
    found = findings_of_causes(caused(1, "eth0"), caused(2, "eth0"), caused(3, "eth1"))
    assert found == [(f"kern eth0: {said}", 2), (f"kern eth1: {said}", 1)]
    # Whose cause is not known yet has the only one there is; what is judged by another has not.
    late, other = caused(2, "")[0], caused(3, "", Because.PLAIN)[0]
    found = findings_of_causes(caused(1, "eth0"), (late, None), (other, None))
    assert found == [(f"kern eth0: {said}", 2), (f"kern: {said}", 1)]


def test_two_processes_are_two_findings() -> None:
    rows = [sick(1, Verdict.UNREAD, pid=1, comm="a"), sick(2, Verdict.UNREAD, pid=2, comm="b")]
    assert len(look(rows).findings) == 2


def test_of_the_path_sockets_are_joined_by_the_peer_or_by_the_process_whichever_has_more() -> None:
    to_one = [sick(i, Verdict.LOSS, pid=i, comm=f"p{i}") for i in range(1, 4)]
    (finding,) = look(to_one).findings
    assert headline(finding).startswith("net to 10.0.0.2:41000: loss on the path")
    of_one = [sick(i, Verdict.LOSS, peer=i) for i in range(1, 4)]
    (finding,) = look(of_one).findings
    assert headline(finding).startswith("net for nginx/12: loss")
    both = look([*to_one, *(sick(i, Verdict.LOSS, peer=i) for i in range(10, 15))])
    assert [f.sockets for f in both.findings] == [5, 3]


def test_connects_to_several_ports_of_a_host_are_as_many_findings() -> None:
    rows = [sick(i, Verdict.RTO, 5.0, pid=i, because=Because.SYN, sport=40000, dport=i)
            for i in (80, 80, 443, 50051)]  # fmt: skip
    for number, row in enumerate(rows):
        row.rec = row.rec._replace(cookie=number)
    found = look(rows).findings
    assert [(f.party, f.sockets) for f in found] == [
        ("to 10.0.0.2:80", 2),
        ("to 10.0.0.2:443", 1),
        ("to 10.0.0.2:50051", 1),
    ]


def test_a_window_is_of_the_program_that_was_called_and_of_clients_together() -> None:
    called = [sick(i, Verdict.WINDOW, sport=40000 + i, dport=port)
              for i, port in enumerate((80, 80, 443))]  # fmt: skip
    assert [f.party for f in look(called).findings] == ["10.0.0.2:80", "10.0.0.2:443"]
    clients = [sick(i, Verdict.WINDOW, sport=443, dport=40000 + i) for i in range(3)]
    assert [f.party for f in look(clients).findings] == ["10.0.0.2"]


def test_workers_of_one_listening_port_are_one_finding() -> None:
    rows = [sick(i, Verdict.ACCEPT, 100.0, pid=i, state=10, dport=0, sport=443)
            for i in (1, 2)]  # fmt: skip
    for row in rows:
        row.rec = row.rec._replace(dst=bytes(16))
    (finding,) = look(rows).findings
    assert finding.sockets == 2
    assert finding.party == "nginx/1 on 127.0.0.1:443"


def test_the_kernel_is_blamed_once_for_a_namespace() -> None:
    rows = [sick(i, Verdict.QDISC, pid=i, peer=i) for i in range(1, 9)]
    (finding,) = look(rows).findings
    assert headline(finding) == "kern: packets wait in the device's queue"
    assert finding.sockets == 8


def test_loudest_first_then_what_costs_most_then_how_many() -> None:
    watch = sick(1, Verdict.UNREAD, pid=1, level=Level.WATCH)
    loss = [sick(i, Verdict.LOSS, 3.0, peer=9) for i in (2, 3)]
    window = sick(4, Verdict.WINDOW, 70.0, peer=8)
    more = [sick(i, Verdict.WINDOW, 70.0, peer=7) for i in (5, 6)]
    drops = sick(7, Verdict.DROPS, 900.0, pid=3)  # of which the number says no cost
    found = [f.worst.row.cookie for f in look([watch, *loss, window, *more, drops]).findings]
    assert found == [5, 4, 2, 7, 1]


@pytest.mark.parametrize("verdict", Verdict, ids=lambda v: v.name)
def test_a_cost_is_a_share(verdict: Verdict) -> None:
    for value in (1.0, 60.0, 101.0, 9e9):
        cost = cost_of(sick(1, verdict, value), 1.0)
        assert cost is None or 0 <= cost <= 1


def test_the_cost_of_late_reads_is_the_time_that_data_waited() -> None:
    row = sick(1, Verdict.READS, 62.0, plane=Plane(wait=Dist(10, 620_000_000, 1, 1, 1, 1)))
    assert cost_of(row, 1.0) == pytest.approx(0.62)
    assert cost_of(row, None) is None


def test_the_words_are_those_of_the_detail_screen() -> None:
    row = sick(1, Verdict.LOSS, 4.0)
    said = explain(row, None, model(), None)
    report = look([row])
    flat = " ".join(text_of(report).split())
    for text in (said.what, said.evidence, *said.beside):
        assert text in flat
    assert report.findings[0].worst.said == said


def test_workers_of_one_program_without_a_cpu_are_one_finding() -> None:
    workers = [sick(i, Verdict.READS, pid=100 + i, comm="postgres", peer=i) for i in range(1, 9)]
    others = [sick(9, Verdict.READS, pid=109, comm="pgbouncer"),
              sick(10, Verdict.READS, pid=110, comm="postgres", cgroup="/reports")]  # fmt: skip
    for row in (*workers, *others):
        row.rec = row.rec._replace(who=Who.CPU, because=Because.NO_CPU)
    report = look([*workers, *others])
    assert sorted((f.party, f.sockets) for f in report.findings) == [
        ("8 processes of postgres", 8), ("pgbouncer/109", 1), ("postgres/110", 1),
    ]  # fmt: skip
    text = " ".join(text_of(report).split())
    assert "cpu 8 processes of postgres: " in text
    assert "8 sockets with 8 peers" in text


def test_the_worst_tick_is_shown_and_the_time_is_summed() -> None:
    ticks = [[], [sick(1, Verdict.LOSS, 3.0)], [sick(1, Verdict.LOSS, 9.0)],
             [sick(1, Verdict.LOSS, 4.0)], []]  # fmt: skip
    (finding,) = look(*ticks).findings
    assert finding.worst.value == 9.0
    assert finding.worst.ticks == 3
    assert finding.held_s == 3.0
    assert (finding.to_ns - finding.from_ns) == 2 * S


@pytest.mark.parametrize(
    ("unwell", "said"),
    [
        (0, "to watch, for 10.0s of 11.0s, 1"),
        (1, "to watch, for 10.0s of 11.0s (unwell 1.00s of it), 1"),
        (6, "unwell, for 10.0s of 11.0s (unwell 6.00s of it), 1"),
        (10, "unwell, for 10.0s of 11.0s, 1"),
    ],
)
def test_the_level_is_the_one_that_held_longer(unwell: int, said: str) -> None:
    loud = [[sick(1, Verdict.LOSS, 9.0, level=Level.UNWELL)]] * unwell
    low = [[sick(1, Verdict.LOSS, 1.0, level=Level.WATCH)]] * (10 - unwell)
    report = look([], *loud, *low, [])
    (finding,) = report.findings
    assert (finding.held_s, finding.unwell_s) == (10.0, unwell)
    assert said in " ".join(text_of(report).split())


def test_of_many_sockets_that_grow_worse_the_worst_is_as_in_the_last_tick() -> None:
    """They are not all read again in each tick; WHO may have become certain meanwhile."""
    taken = Look()
    for tick in range(1, 8):
        rows = [sick(i, Verdict.UNREAD, 1000.0 * tick + i) for i in range(1, 60)]
        if tick == 1:
            for row in rows:
                row.rec = row.rec._replace(who=row.rec.who | WHO_MAYBE)
        taken.take(model(tick), Feed(rows))
    (finding,) = taken.report().findings
    assert finding.who == "app"
    assert finding.sockets == 59
    assert finding.worst.value == finding.worst.said.proof[0].value == 7059.0
    assert min(case.value for case in finding.cases) == 7001.0


def test_nothing_unwell_is_one_line_that_says_what_could_not_be_seen() -> None:
    off = SourceStatus("events", "off", reason="needs root", fix="sudo nettop why")
    taken = Look()
    for tick in (1, 2):
        taken.take(model(tick, sources=(*ALL_ON[:-1], off)), Feed([make_row()]))
    report = taken.report()
    text = text_of(report)
    assert text.count("\n") == 1
    assert text == nothing(report) + "\n"
    assert text.startswith("nothing unwell: web-1 (Linux 6.18.44), ")
    assert "8414 sockets" in text
    assert NOT_SAID["events"] in text
    assert "(events off: needs root; sudo nettop why)" in text
    assert NOT_SAID["wait"] not in text


def test_a_plane_that_was_off_for_a_while_is_named_with_how_long() -> None:
    off = tuple(replace(s, state="off", reason="budget") for s in ALL_ON if s.name == "wait")
    taken = Look()
    for tick in range(1, 5):
        sources = ALL_ON if tick != 2 else (*(s for s in ALL_ON if s.name != "wait"), *off)
        taken.take(model(tick, sources=sources), Feed([sick(1, Verdict.LOSS)]))
    assert "wait off in 1 of 4 ticks: budget" in " ".join(text_of(taken.report()).split())


def host(mover: Mover, read: int, **of: Any) -> HostTick:
    """The evidence of a tick in which each source was read as often as that."""
    return mover.tick(Evidence(read_ns=dict.fromkeys(of, read * S), **of))


def test_numbers_of_the_host_that_moved_with_what_that_means() -> None:
    taken, mover = Look(), Mover()
    for tick, (read, drops) in enumerate(((1, 5), (2, 5), (3, 8), (3, 8), (4, 12)), 1):
        counters = {1: {"TcpExtListenDrops": drops, "TcpRetransSegs": 7 * read}}
        devices = {1: {2: Device("eth0", {"rx_packets": read, "tx_dropped": drops})}}
        evidence = host(mover, read, counters=counters, devices=devices)
        taken.take(model(tick, evidence=evidence), Feed([sick(1, Verdict.LOSS)]))
    report = taken.report()
    assert report.counters_known
    # The third read is of two ticks, and counts once; traffic is no finding.
    assert [(m.name, m.place, m.by, m.trouble) for m in report.moved] == [
        ("TcpExtListenDrops", "", 7, True), ("tx_dropped", "eth0", 7, True),
        ("TcpRetransSegs", "", 21, False),
    ]  # fmt: skip
    text = " ".join(text_of(report).split())
    assert "! TcpExtListenDrops +7 SYNs and handshakes that listeners dropped" in text
    assert "! eth0 tx_dropped +7 packets dropped on their way out" in text
    assert "also, as on healthy hosts: TcpRetransSegs +21 segments" in text


def test_what_is_trouble_has_a_meaning() -> None:
    for source, names in _TROUBLE.items():
        assert names <= set(_MEANINGS[source]), source


def test_time_that_tasks_waited_is_shown_as_a_share_where_it_is_much() -> None:
    for waited_us, shown in ((300_000, True), (1_000, False)):
        taken, mover = Look(), Mover()
        for tick in (1, 2, 3):
            pressure = {"cpu": {"some_us": tick * waited_us}}
            evidence = host(mover, tick, pressure=pressure)
            taken.take(model(tick, evidence=evidence), Feed([sick(1, Verdict.LOSS)]))
        assert ("cpu some_us +600ms (30% of the time)" in text_of(taken.report())) is shown


def test_a_stretch_counts_what_its_first_tick_brought_over_the_time_that_it_took() -> None:
    taken, mover = Look(), Mover()
    for tick in (1, 2, 3):
        evidence = host(mover, tick, pressure={"cpu": {"some_us": tick * 10**6}})
        if tick > 1:  # the tick before is outside the stretch
            taken.take(model(tick, evidence=evidence), Feed([sick(1, Verdict.LOSS)]))
    assert taken.report().seconds == 1.0
    assert "cpu some_us +2.00s (100% of the time)" in text_of(taken.report())


def test_what_the_threads_of_the_holder_did_settles_what_is_else_not_known() -> None:
    row = sick(1, Verdict.UNREAD)
    stopped = HostTick(Evidence(processes={12: Process(1, 1, {"T": 1})}))
    said = explain(row, None, model(evidence=stopped), None)
    assert said.evidence.endswith("; its thread is stopped by a signal")
    assert said.unknown == ""
    assert [e.source for e in said.proof] == ["diag", "host"]
    assert said.next_step.startswith("next: kill -CONT 12 ")
    starved = Process(4, 4, {"R": 4}, over_ns=S, cpu_ns=10**7, run_delay_ns=3 * S)
    now = Evidence(processes={12: starved}, read_ns={"processes": 2 * S})
    said = explain(row, None, model(evidence=HostTick(now)), None)
    assert "in 1.00s its 4 threads ran 10.0ms and waited 3.00s for a CPU together" in said.evidence
    assert said.proof[1].value == 3 * S
    asleep = Process(1, 1, {"S": 1}, over_ns=S, cpu_ns=0, run_delay_ns=0)
    said = explain(row, None, model(evidence=HostTick(Evidence(processes={12: asleep}))), None)
    assert said.evidence.endswith("; in 1.00s its thread neither ran nor waited for a CPU")
    assert "not given a CPU" in explain(row, None, model(), None).unknown


@pytest.mark.parametrize(
    ("steps_s", "said"),
    [
        ((3600, 0, 0), "the clock was set, or the host slept"),
        ((-3600, 0, 0), "the clock was set back"),
        ((0, 60, -7200), "the clock was set"),
    ],
)
def test_a_clock_that_was_set_leaves_no_gap(steps_s: tuple[int, ...], said: str) -> None:
    """Ticks a second apart by CLOCK_MONOTONIC: all is known of the time between."""
    taken, ahead_s = Look(file="x.nettop"), 0
    for number, step_s in enumerate((0, *steps_s), 1):
        ahead_s += step_s
        wall_ns = model(number).wall_ns + ahead_s * S
        taken.take(model(number, wall_ns=wall_ns), Feed([sick(1, Verdict.UNREAD)]))
    report = taken.report()
    assert report.own.gaps == ()
    assert [(s.to_ns - s.from_ns - s.passed_ns) // S for s in report.own.clock_steps] == [
        step_s for step_s in steps_s if step_s
    ]
    assert said in text_of(report)
    assert "nothing is known from " not in text_of(report)
    assert said in page(report)


def test_a_recorder_that_was_restarted_leaves_a_gap_and_its_losses_are_added_up() -> None:
    taken = Look(file="x.nettop")
    wall = 1_795_201_200 * S
    for seq, at_s, lost in ((1, 0, 4), (2, 1, 6), (1, 100, 0), (2, 101, 5)):
        cost = Cost(lost_events=lost)
        taken.take(
            model(seq, wall_ns=wall + at_s * S, cost=cost),
            Feed([sick(1, Verdict.UNREAD)]),
        )
    report = taken.report()
    assert report.own.gaps == ((wall + S, wall + 100 * S),)
    assert report.own.lost_events == 2 + 5
    assert [(s.from_ns - wall) // S for s in report.spells] == [0, 100]
    assert "nothing is known from " in text_of(report)


def test_sockets_whose_own_queue_would_decide_are_chosen_for_the_stages() -> None:
    taken = Look()
    rows = [sick(i, Verdict.LOSS, float(i)) for i in range(1, 40)]
    taken.take(model(), Feed([*rows, sick(99, Verdict.UNREAD)]))
    chosen = taken.to_stamp()
    assert len(chosen) == MOST_STAMPED
    assert chosen[0] == 39
    assert 99 not in chosen


def test_the_course_keeps_its_counts_as_its_bins_grow_wider() -> None:
    course = Course()
    wait = Histogram(Dist(3, 300, 100, 100, 100, 100), ((64, 128, 3),))
    for tick in range(1, 2001):
        course.take(model(tick, rx_wait=wait), (1_795_201_199 + tick) * S, tick % 7, 1)
    bins = course.bins
    assert len(bins) <= MOST_BINS
    assert sum(sum(b.waits) for b in bins) == 3 * 2000
    assert max(b.unwell for b in bins) == 6
    assert bins[0].from_ns == 1_795_201_200 * S
    assert bins[-1].to_ns == (1_795_201_200 + 2000) * S
    assert all(a.to_ns == b.from_ns for a, b in pairwise(bins))


def test_distributions_are_added_up_bucket_by_bucket() -> None:
    total = HistogramSum()
    total.add(Histogram(Dist(99, 9900, 100, 100, 100, 100), ((64, 128, 99),)))
    total.add(Histogram(Dist(1, 5000, 5000, 5000, 5000, 5000), ((4096, 8192, 1),)))
    whole = total.total
    assert (whole.dist.count, whole.dist.sum_ns, whole.dist.max_ns) == (100, 14_900, 5000)
    assert (whole.dist.p50_ns, whole.dist.p99_ns) == (128, 128)
    assert HistogramSum().total.dist.count == 0


def test_text_fits_its_width_and_is_clean_and_ascii_where_asked() -> None:
    rows = [sick(i, Verdict.LOSS, 4.0, comm=HOSTILE, peer=i) for i in range(1, 4)]
    report = look(rows, rows, rows, file="x\x1b[31m.nettop")
    for width in (60, 80, 110):
        lines = text_of(report, width=width).splitlines()
        assert all(len(line) <= width for line in lines)
        assert all(line.isprintable() for line in lines)
    assert text_of(report, ascii_only=True).isascii()


@pytest.mark.parametrize("verdict", Verdict, ids=lambda v: v.name)
def test_each_verdict_can_be_a_finding(verdict: Verdict) -> None:
    (finding,) = look([sick(1, verdict)]).findings
    assert VERDICTS[verdict].sentence in headline(finding)


def test_what_one_queue_does_is_one_finding_whatever_its_sockets_are_held_for() -> None:
    rows = [sick(1, Verdict.QDISC), sick(2, Verdict.LOSS), sick(3, Verdict.SNDBUF)]
    causes = {}
    for row, because in zip(rows, (Because.QUEUE, Because.HERE, Because.HERE), strict=True):
        row.rec = row.rec._replace(who=Who.KERN, because=because)
        causes[row.cookie] = Cause(
            "own_queue", row.cookie, 1 << row.rec.verdict, Verdict(row.rec.verdict), Who.KERN,
            because, (Said("host", "it is full"),), shared=QueueOf(7, 4), party="eth0",
        )  # fmt: skip
    taken = Look()
    taken.take(model(causes=causes), Feed(rows))
    (finding,) = taken.report().findings
    assert (finding.who, finding.party, finding.sockets) == ("kern", "eth0", 3)


def test_sockets_that_a_process_likely_reads_late_are_of_what_it_surely_does() -> None:
    sure, likely = sick(1, Verdict.READS), sick(2, Verdict.READS)
    likely.rec = likely.rec._replace(who=Who.APP | WHO_MAYBE)
    other = sick(3, Verdict.READS, pid=99)
    other.rec = other.rec._replace(who=Who.APP | WHO_MAYBE)
    found = look([sure, likely, other]).findings
    assert sorted((f.who, f.sockets) for f in found) == [("app", 2), ("app?", 1)]


def test_what_is_unusual_comes_behind_what_is_wrong() -> None:
    unusual, wrong = sick(1, Verdict.RTT, 40.0), sick(2, Verdict.LOSS, 0.6)
    unusual.rec = unusual.rec._replace(who=Who.UNKNOWN, because=Because.UNUSUAL)
    assert [f.worst.verdict for f in look([unusual, wrong]).findings] == [Verdict.LOSS, Verdict.RTT]
