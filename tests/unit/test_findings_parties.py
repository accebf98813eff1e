"""A finding is for one party."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nettop.findings.look import Look
from nettop.findings.plain import extent, socket_text
from nettop.model.causes import Cause
from nettop.model.types import Because, Owner, Proc, Row, Verdict, Who
from tests.unit.test_findings import Feed, findings_of_causes, look, model, sick


def test_what_stops_one_program_does_not_stop_another() -> None:
    def stopped(cookie: int, pid: int, *, cause: bool) -> tuple[Row, Cause | None]:
        row = sick(cookie, Verdict.UNREAD, pid=pid, who=Who.APP, because=Because.STOPPED)
        explains = 1 << Verdict.UNREAD
        known = Cause("stopped", cookie, explains, Verdict.UNREAD, Who.APP, Because.STOPPED, (),
                      shared=("stopped", pid))  # fmt: skip
        return row, known if cause else None

    found = findings_of_causes(
        stopped(1, 12, cause=True), stopped(2, 12, cause=False), stopped(3, 13, cause=False)
    )
    said = "is stopped, so it reads nothing"
    assert sorted(found) == [(f"app nginx/12: {said}", 2), (f"app nginx/13: {said}", 1)]


def test_two_programs_of_one_user_that_are_not_known_are_two_findings() -> None:
    """By the port that others call, or whom they call themselves."""

    def owned(cookie: int, sport: int, dport: int, peer: int = 2) -> Row:
        row = sick(cookie, Verdict.UNREAD, sport=sport, dport=dport, peer=peer, user="ann")
        row.proc = Proc(0, 0, Owner.HIDDEN, 0, "")
        return row

    taken = Look()
    taken.take(model(), Feed([
        owned(1, 80, 40001), owned(2, 80, 40002, 3), owned(3, 5432, 40003),  # two servers
        owned(4, 40004, 6379, 4), owned(5, 40005, 6379, 4), owned(6, 40006, 443, 4),  # two clients
    ]))  # fmt: skip
    found = taken.report().findings
    groups = sorted(sorted(c.row.cookie for c in f.cases) for f in found)
    assert groups == [[1, 2], [3], [4, 5], [6]]
    assert sorted(f.party for f in found) == [
        "(a program of ann) on 127.0.0.1:5432", "(a program of ann) on 127.0.0.1:80",
        "(a program of ann) to 10.0.0.4:443", "(a program of ann) to 10.0.0.4:6379",
    ]  # fmt: skip


@pytest.mark.parametrize(("workers", "findings"), [(8, 1), (4, 1), (3, 3)])
def test_many_workers_of_one_program_with_one_fault_are_one_finding(
    workers: int, findings: int
) -> None:
    rows = [sick(i, Verdict.READS, pid=100 + i, comm="postgres", peer=i)
            for i in range(1, workers + 1)]  # fmt: skip
    other = sick(90, Verdict.READS, pid=190, comm="postgres", cgroup="/reports")
    found = look([*rows, other]).findings
    assert len(found) == findings + 1
    if findings == 1:
        assert f"{workers} processes of postgres" in {f.party for f in found}


def test_many_workers_that_one_cause_holds_each_are_one_finding() -> None:
    def stopped(cookie: int, pid: int) -> tuple[Row, Cause | None]:
        row = sick(cookie, Verdict.UNREAD, pid=pid, who=Who.APP, because=Because.STOPPED)
        return row, Cause("stopped", cookie, 1 << Verdict.UNREAD, Verdict.UNREAD, Who.APP,
                          Because.STOPPED, (), shared=("stopped", pid))  # fmt: skip

    found = findings_of_causes(*(stopped(i, 10 + i % 4) for i in range(1, 9)))
    assert found == [("app 4 processes of nginx: is stopped, so it reads nothing", 8)]
    reads = sick(9, Verdict.UNREAD, pid=14, who=Who.APP), None
    assert len(findings_of_causes(*(stopped(i, 10 + i) for i in range(4)), reads)) == 2


def test_a_program_that_becomes_known_later_is_named() -> None:
    """Its holder is looked for after the first tick."""
    row = sick(1, Verdict.UNREAD)
    early = replace(row, proc=Proc(0, 0, Owner.UNKNOWN, 0, ""))
    hidden = replace(row, proc=Proc(0, 0, Owner.HIDDEN, 0, ""), user="root")
    for later, said in ((row, "nginx/12"), (hidden, "a program of root"),
                        (early, "a program that is not known")):  # fmt: skip
        taken = Look()
        taken.take(model(1), Feed([early]))
        taken.take(model(2), Feed([later]))
        report = taken.report()
        (finding,) = report.findings
        assert f" of {said}" in socket_text(finding.worst)
        assert "–" not in extent(finding, report)
