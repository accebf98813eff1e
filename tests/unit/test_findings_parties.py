"""A finding is for one party."""

from __future__ import annotations

from nettop.findings.look import Look
from nettop.model.causes import Cause
from nettop.model.types import Because, Owner, Proc, Row, Verdict, Who
from tests.unit.test_findings import Feed, findings_of_causes, model, sick


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
