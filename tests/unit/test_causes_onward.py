"""A program that reads no more than it can pass on, and one that is late for itself."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.causes import Cause
from nettop.model.types import WHO_MAYBE, Because, Proto, Verdict, Who
from nettop.text.explain import explain
from tests.export.make import make_model, make_row
from tests.unit.test_causes import Host, candidate

CLIENT = bytes([10, 0, 0, 9]) + bytes(12)
FRONT = candidate(Verdict.READS, flow_bytes_per_s=300_000.0)
ONWARD = candidate(cookie=2, dst=CLIENT, sport=443, dport=50001, flow_bytes_per_s=280_000.0,
                   verdicts=1 << Verdict.WINDOW, who=Who.PEER, verdict=Verdict.WINDOW)  # fmt: skip


def rules(*sockets: Any) -> dict[int, Cause]:
    return {c: f for c, f in Host().tick(*sockets).items() if f.rule == "passes_on"}


def test_a_program_that_waits_for_a_slow_client_is_not_late_itself() -> None:
    (cause,) = rules(FRONT, ONWARD).values()
    assert (cause.cookie, cause.verdict, cause.who) == (1, Verdict.READS, Who.PEER)
    assert cause.party == "10.0.0.9:50001"
    assert "280KB/s" in cause.evidence[0].says
    assert "10.0.0.9:50001" in cause.next_step


@pytest.mark.parametrize(("here", "there"), [(0.0, 0.0), (300_000.0, 150_000.0)])
def test_neither_moves_or_about_as_much(here: float, there: float) -> None:
    front, onward = FRONT._replace(flow_bytes_per_s=here), ONWARD._replace(flow_bytes_per_s=there)
    (cause,) = rules(front, onward).values()
    assert cause.who == Who.PEER | WHO_MAYBE
    sure = front._replace(verdicts=1 << Verdict.READS, who=Who.PEER, because=Because.PASSES_ON)
    (cause,) = rules(sure, onward).values()
    assert cause.who == Who.PEER


@pytest.mark.parametrize(
    ("front", "onward"),
    [
        ({}, {"pid": 13}),  # another program's
        ({"pid": 0}, {"pid": 0}),
        ({"more": 1}, {}),  # which of its holders reads it is not known
        ({}, {"verdicts": 0}),  # its peer takes all
        ({}, {"flow_bytes_per_s": 20_000.0}),  # that is not what comes here
        ({"flow_bytes_per_s": 0.0}, {}),
        ({"verdicts": 1 << Verdict.READS, "who": Who.CPU}, {}),  # it is given no CPU
        ({}, {"proto": Proto.UDP}),
    ],
)
def test_a_program_that_is_late_for_itself(front: dict[str, Any], onward: dict[str, Any]) -> None:
    assert rules(FRONT._replace(**front), ONWARD._replace(**onward)) == {}


def test_one_slow_client_is_no_reason_to_read_many_late() -> None:
    others = [FRONT._replace(cookie=n, dport=n) for n in (3, 4)]
    assert rules(FRONT, ONWARD, *others) == {}
    clients = [ONWARD._replace(cookie=n, dport=n) for n in (5, 6)]
    assert sorted(rules(FRONT, ONWARD, *others, *clients)) == [1, 3, 4]


def test_it_stays_found_once_it_is_the_verdict() -> None:
    known = FRONT._replace(
        verdicts=1 << Verdict.READS, who=Who.PEER | WHO_MAYBE, because=Because.PASSES_ON
    )
    assert rules(known, ONWARD)


def test_it_says_who_takes_it_late() -> None:
    (cause,) = rules(FRONT, ONWARD).values()
    row = make_row(cookie=1, verdicts=1 << Verdict.READS, verdict=Verdict.READS, who=cause.who,
                   verdict2=Verdict.READS, because=cause.because)  # fmt: skip
    said = explain(row, None, make_model(causes={1: cause}), None)
    assert said.who == "peer"
    assert said.party == "10.0.0.9:50001"
    assert "passes on" in said.what
    assert "10.0.0.9:50001" in said.evidence
