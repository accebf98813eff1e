"""Whom a look names as the reader of sockets, when its ticks do not all know, or say different."""

from __future__ import annotations

import json

import pytest

from nettop.findings.look import Look
from nettop.findings.objects import json_text
from nettop.findings.plain import text_of
from nettop.findings.values import Report
from nettop.model.evidence import Evidence, HostTick, Process
from nettop.model.types import Verdict
from tests.unit.test_findings import Feed, model, sick

PID = 12
Tick = tuple[dict[int, int], dict[str, str]]  # reader by cookie; name by thread


def looked(*ticks: Tick, sockets: int = 2, worse: float = 0.0) -> Report:
    """Of sockets that are read late throughout; worse: by so much in each tick."""
    taken = Look()
    for number, (readers, names) in enumerate(ticks, 1):
        rows = [
            sick(i, Verdict.READS, 300.0 + worse * number, peer=i) for i in range(1, sockets + 1)
        ]
        process = Process(3, 3, {"S": 3}, names=names or None)
        evidence = HostTick(Evidence(processes={PID: process}))
        taken.take(model(number, evidence=evidence, readers=readers), Feed(rows))
    return taken.report()


def said(report: Report) -> str:
    return " ".join(text_of(report).split())


def both(tid: int) -> dict[int, int]:
    return {1: tid, 2: tid}


NAMED: Tick = (both(15), {"15": "http-3"})


def test_a_name_that_is_read_a_tick_after_its_thread_is_told() -> None:
    unnamed: tuple[Tick, ...] = ((both(15), {}), ({}, {}))
    for before in unnamed:
        for worse in (0.0, 5.0, -5.0):
            report = looked(before, NAMED, (both(15), {}), worse=worse)
            text = said(report)
            assert "thread http-3/15 of nginx/12: reads late" in text
            assert text.count("thread http-3/15 reads it") == 1
            assert "thread 15" not in text
            (found,) = json.loads(json_text(report))["findings"]
            assert (found["thread"], found["thread_name"]) == (15, "http-3")
            assert [e["says"] for e in found["evidence"]].count("thread http-3/15 reads it") == 1


def test_threads_that_read_in_turn_are_not_named() -> None:
    turns: tuple[tuple[Tick, ...], ...] = (
        (NAMED, (both(16), {})),
        (NAMED, ({}, {}), (both(16), {"16": "http-4"}), NAMED),
    )
    for worse in (0.0, 5.0, -5.0):
        for ticks in turns:
            report = looked(*ticks, worse=worse)
            (finding,) = report.findings
            assert (finding.party, finding.reader, finding.sockets) == ("nginx/12", None, 2)
            text = said(report)
            assert "one thread after another reads it" in text
            assert "http-" not in text
            assert "all read by one thread" not in text


def test_one_socket_whose_thread_changed_does_not_count_as_the_others() -> None:
    ticks: tuple[Tick, ...] = (({1: 15, 2: 15, 3: 15}, {}), ({1: 15, 2: 15, 3: 16}, {}))
    findings = looked(*ticks, sockets=3).findings
    assert [(f.party, f.sockets) for f in findings] == [
        ("thread 15 of nginx/12", 2), ("nginx/12", 1),
    ]  # fmt: skip


def test_a_thread_is_not_blamed_for_a_worse_socket_whose_reader_is_not_known() -> None:
    """One that nobody reads, beside one that a thread reads late."""
    taken = Look()
    for number in (1, 2):
        rows = [sick(1, Verdict.READS, 300.0), sick(2, Verdict.READS, 900.0)]
        taken.take(model(number, readers={1: 15}), Feed(rows))
    found = taken.report().findings
    assert {(f.party, f.sockets) for f in found} == {("nginx/12", 1), ("thread 15 of nginx/12", 1)}
    assert "all read by one thread" not in said(taken.report())


@pytest.mark.parametrize(
    ("known", "sockets", "parties"),
    [
        (3, 4, [("thread 15 of nginx/12", 4)]),
        (2, 4, [("thread 15 of nginx/12", 2), ("nginx/12", 2)]),  # no more than half
        (8, 40, [("thread 15 of nginx/12", 40)]),  # many
        (7, 40, [("nginx/12", 33), ("thread 15 of nginx/12", 7)]),
    ],
)
def test_of_how_many_sockets_the_reader_is_known(
    known: int, sockets: int, parties: list[tuple[str, int]]
) -> None:
    report = looked((dict.fromkeys(range(1, known + 1), 15), {}), sockets=sockets)
    assert [(f.party, f.sockets) for f in report.findings] == parties
    text = said(report)
    if len(parties) == 1:
        assert f"{known} of them read by one thread, of the others it is not known" in text
    else:
        assert ", all read by one thread" in text


def test_two_verdicts_of_a_socket_that_name_different_threads_name_none() -> None:
    taken = Look()
    for number, (verdict, tid) in enumerate([(Verdict.UNREAD, 15), (Verdict.READS, 16)] * 2, 1):
        rows = [sick(i, verdict, 300.0, peer=i) for i in (1, 2)]
        taken.take(model(number, readers=both(tid)), Feed(rows))
    (finding,) = taken.report().findings
    assert (finding.party, finding.reader) == ("nginx/12", None)
