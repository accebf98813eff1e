"""Connections that no program has accepted: whose listener they wait at, and what holds that up."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine import lib
from nettop.model.causes import Candidate
from nettop.model.evidence import Process
from nettop.model.types import Because, Owner, Proc, Proto, Verdict, Who
from nettop.text.explain import explain
from tests.export.make import make_model, make_row
from tests.feeding import FedEngine
from tests.netlink import connection, diag, done, skmeminfo
from tests.unit.test_causes import Host, candidate
from tests.unit.test_cpu_wait import holder
from tests.unit.test_findings import findings_of_causes, sick

SECOND, LISTENER, MS = 10**9, 77, 10**6


def waiting(*ports: int) -> Candidate:
    """A connection to port 443 with 100 bytes unread, beside listeners at these ports."""
    engine = FedEngine()
    raw = connection(1, 280, skmeminfo(), inode=0, rqueue=100, bytes_received=100,
                     last_data_recv=9000)  # fmt: skip
    for n, port in enumerate(ports):
        raw += diag(10 + n, state="LISTEN", sport=port, dst="0.0.0.0", dport=0, inode=LISTENER + n)
    for at in (100, 101):
        engine.feed_begin(at * SECOND)
        record = holder(LISTENER, 4711, 0)
        engine._section(lib.NT_S_OWNERS, 0, len(record), record)
        engine.feed(1, Proto.TCP, raw + done())
        engine.feed_end(at * SECOND)
    (found,) = engine.candidates(8)
    assert (4711 in engine.sick_pids(8)) == (found.pid == 4711)
    return found


@pytest.mark.parametrize(
    ("ports", "pid"), [((443,), 4711), ((80,), 0), ((), 0), ((443, 443), 0), ((443, 80), 4711)]
)
def test_whose_listener_it_waits_at(ports: tuple[int, ...], pid: int) -> None:
    found = waiting(*ports)
    assert (found.waits, found.pid) == (1, pid)


NOBODYS = candidate(Verdict.UNREAD, waits=1)


def process(state: str = "S", **numbers: int) -> dict[int, Process]:
    of: dict[str, Any] = {"over_ns": 1000 * MS, "cpu_ns": 0, "run_delay_ns": 0, **numbers}
    return {12: Process(1, 1, {state: 1}, **of)}


def test_it_waits_at_a_listener_and_what_its_program_did_is_said() -> None:
    (cause,) = Host().tick(NOBODYS, processes=process()).values()
    assert (cause.rule, cause.who) == ("not_taken_up", Who.APP)
    assert [e.source for e in cause.evidence] == ["diag", "host"]
    proc = Proc(0, 0, Owner.NOT_ACCEPTED, 0, "")
    row = make_row(1, verdicts=1, verdict=Verdict.UNREAD, verdict2=Verdict.UNREAD, who=Who.APP,
                   because=Because.NOT_TAKEN, proc=proc)  # fmt: skip
    said = explain(row, None, make_model(causes={1: cause}), None)
    assert "accept queue of process 12" in said.evidence
    assert "-p 12" in said.next_step
    assert said.unknown == ""


def test_a_program_that_is_stopped_accepts_nothing() -> None:
    (cause,) = Host().tick(NOBODYS, processes=process("T")).values()
    assert (cause.rule, cause.party) == ("stopped", "process 12")
    assert "kill -CONT 12" in cause.next_step


def test_a_program_without_a_cpu_is_not_blamed() -> None:
    starved = process(cpu_ns=100 * MS, run_delay_ns=800 * MS)
    assert Host().tick(NOBODYS, processes=starved) == {}


@pytest.mark.parametrize("changes", [{"waits": 0}, {"pid": 0}])
def test_what_is_accepted_or_waits_at_a_listener_that_is_not_known(changes: Any) -> None:
    assert Host().tick(NOBODYS._replace(**changes)) == {}


def test_a_stopped_program_is_one_finding_with_what_it_has_not_taken_up() -> None:
    def stopped(cookie: int, proc: Proc) -> Any:
        row = sick(cookie, Verdict.UNREAD, who=Who.APP, because=Because.STOPPED)
        row.proc = proc
        asked = candidate(Verdict.UNREAD, cookie=cookie, waits=int(not proc.pid))
        (cause,) = Host().tick(asked, processes=process("T")).values()
        return row, cause

    nobody, program = Proc(0, 0, Owner.NOT_ACCEPTED, 0, ""), Proc(12, 7, Owner.PROC, 0, "nginx")
    said = "is stopped, so it reads nothing"
    found = findings_of_causes(stopped(1, nobody), stopped(2, program), stopped(3, nobody))
    assert found == [(f"app nginx/12: {said}", 3)]
    found = findings_of_causes(stopped(1, nobody), stopped(3, nobody))
    assert found == [(f"app process 12: {said}", 2)]
