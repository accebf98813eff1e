"""The screen of costs and planes."""

from __future__ import annotations

from msgspec.structs import replace

from nettop.model.cost import Cost, ProgramCost
from nettop.model.types import SourceStatus
from nettop.sources import split
from nettop.tui.screens.cost import plane_lines, process_lines, program_lines
from nettop.tui.widgets.lines import Line
from tests.tui.conftest import Running

COST = Cost(1.25, 0.8, 3, 1, 50 << 20, 4100.0, 112.0, 1.0, None, {"wait": 4000.0, "stages": 100.0})

KEPT = "12m03s kept in 4.1M, at most 64M"


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in parts).rstrip() for parts in lines]


def test_own_counters_always_times_when_measured() -> None:
    lines = texts(process_lines(COST, KEPT) + program_lines(COST, 80))
    assert "CPU           1.2% of one core, the whole process" in lines
    assert "lost          3 records lost, 1 tick missed since the start" in lines
    assert f"look-back     {KEPT}" in lines
    assert "wait          4.0K runs/s" in lines
    assert lines[-1] == "ns per run: being measured"
    programs = (
        ProgramCost("wait", "wait_ready", 2000.0, 120.0),
        ProgramCost("events", "state", 0, None),
    )
    lines = texts(program_lines(replace(COST, programs=programs, programs_age_s=3.0), 80))
    assert lines[-3].endswith("3.00s ago")
    assert lines[-2].split() == ["wait", "wait_ready", "2.0K", "120", "0.02%"]
    assert lines[-1] == "1 other did not run"


def test_why_nothing_is_timed() -> None:
    lines = texts(program_lines(replace(COST, programs_reason="needs CAP_SYS_ADMIN"), 80))
    assert lines[-1].strip() == "needs CAP_SYS_ADMIN"
    lines = texts(program_lines(replace(COST, plane_runs_per_s={}), 80))
    assert lines[-1] == "none is loaded"


def test_a_plane_says_how_or_why_not() -> None:
    status = SourceStatus("wait", "off", reason="needs CAP_BPF and CAP_PERFMON", fix="sudo nettop")
    assert texts(plane_lines(status, 60)) == [
        "wait    off", "        needs CAP_BPF and CAP_PERFMON", "        → sudo nettop",
    ]  # fmt: skip


def test_what_can_be_chosen_is_said_where_it_can() -> None:
    status = SourceStatus("split", "off", "sched_switch", split.OFF_REASON)
    assert texts(plane_lines(status, 80))[1].strip() == "starts when data is read late"
    said = "starts when data is read late, and for a socket that Enter opens"
    assert texts(plane_lines(status, 80, live=True))[1].strip() == said


async def test_statistics_are_on_only_while_it_is_open(running: Running) -> None:
    async with running() as screen:
        await screen.press("P")
        assert "cost and planes" in screen.text
        assert "PLANES" in screen.text
        assert screen.feed.asked[-1] == ("measure_cost", True)
        await screen.press("escape")
        assert screen.feed.asked[-1] == ("measure_cost", False)
        assert "cost and planes" not in screen.text


def test_the_pace_is_said_once_and_in_round_numbers() -> None:
    lines = texts(process_lines(replace(COST, interval_s=1.64103), KEPT))
    assert "poll          800µs of CPU, every 1.64 s" in lines
    stretched = "a poll takes 330 ms: every 1.6 s instead of 1 s"
    lines = texts(process_lines(replace(COST, interval_s=1.64103, stretched=stretched), KEPT))
    assert f"poll          {stretched}" in lines
    programs = (ProgramCost("wait", "wait_ready", 2000.0, 120.0),)
    timed = replace(COST, programs=programs, programs_age_s=0.0397)
    assert not any("ago" in text for text in texts(program_lines(timed, 80)))
