"""Looks: what is one finding of one socket, and whose fault it is, where ticks differ."""

from __future__ import annotations

from msgspec.structs import replace

from nettop.model.types import WHO_MAYBE, Because, Level, Verdict, Who
from tests.unit.test_findings import look, sick


def test_the_party_is_the_one_of_most_ticks_not_of_the_one_that_was_worst() -> None:
    """In the interval with the longest wait it was not known yet that no CPU was given."""
    first = sick(1, Verdict.READS, 300.0, who=int(Who.APP))
    then = sick(1, Verdict.READS, 200.0, who=int(Who.CPU), because=int(Because.NO_CPU))
    (finding,) = look([first], [then], [then]).findings
    assert (finding.who, finding.held_s, finding.sockets) == ("cpu", 3.0, 1)
    assert finding.worst.value == 200.0


def test_a_party_that_is_known_counts_before_one_that_is_likely() -> None:
    likely = sick(1, Verdict.RTT, 9.0, who=Who.NET | WHO_MAYBE)
    known = sick(1, Verdict.RTT, 5.0, who=int(Who.NET))
    (finding,) = look([likely], [likely], [known], [likely]).findings
    assert finding.who == "net"


def test_verdicts_of_a_socket_that_hold_at_once_are_one_finding_whichever_is_worst() -> None:
    both = 1 << Verdict.UNREAD | 1 << Verdict.DROPS
    first, then = (
        replace(row, rec=row.rec._replace(verdicts=both))
        for row in (sick(1, Verdict.DROPS, 50.0, Level.WATCH), sick(1, Verdict.UNREAD, 9000.0))
    )
    (finding,) = look([first], [then], [then]).findings
    assert finding.worst.verdict == Verdict.UNREAD
    assert (finding.held_s, finding.unwell_s) == (3.0, 2.0)


def test_verdicts_of_a_socket_one_after_the_other_or_of_two_parties_are_two_findings() -> None:
    drops, unread = sick(1, Verdict.DROPS), sick(1, Verdict.UNREAD, 9000.0)
    assert len(look([drops], [unread]).findings) == 2
    both = 1 << Verdict.WINDOW | 1 << Verdict.LOSS
    rows = [
        replace(row, rec=row.rec._replace(verdicts=both))
        for row in (
            sick(1, Verdict.WINDOW, who=int(Who.PEER)), sick(1, Verdict.LOSS, who=int(Who.NET))
        )
    ]  # fmt: skip
    assert len(look(*([row] for row in rows)).findings) == 2
