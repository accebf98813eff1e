"""From when on what a program reads is late: by the waits of an interval and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.types import Flag, Proto, Verdict
from nettop.text.explain import explain
from tests.export.make import make_model
from tests.feeding import after_waits


def verdicts_after(intervals: Sequence[Sequence[float]]) -> list[Verdict]:
    """Of a socket whose deliveries waited so many milliseconds, a list an interval."""
    row = after_waits(intervals)
    assert row.plane.wait.count == len(intervals[-1])
    return row.verdicts


@pytest.mark.parametrize(
    ("waits_ms", "late"),
    [
        ([0.1] * 19 + [90], False),  # one in twenty: 4.6 ms in the mean
        ([0.1] * 18 + [90, 30], True),
        ([0.1] * 3 + [90], False),  # four say nothing
        ([0.1] * 4 + [90], True),
        ([21.0] * 5, True),
        ([0.1] * 95 + [30] * 5, True),  # of a hundred the p99 is more than the longest
        ([0.1] * 105 + [5.0] * 15, False),
    ],
)
def test_of_few_deliveries_a_single_late_one_is_no_verdict(
    waits_ms: list[float], *, late: bool
) -> None:
    said = verdicts_after([[0.1] * 20, waits_ms, waits_ms, waits_ms])
    assert said == ([Verdict.READS] if late else [])


@pytest.mark.parametrize(("proto", "state"), [(Proto.TCP, "LISTEN"), (Proto.UDP, "CLOSE")])
def test_what_a_finding_is_held_for_is_a_row(proto: Proto, state: str) -> None:
    """Though nothing stands in its queue when one looks, and nothing was dropped."""
    late, well = [30.0] * 5, [0.1] * 5
    row = after_waits([well] * 3, proto=proto, state=state)
    assert not row.flags & Flag.MATCH
    row = after_waits([well, *[late] * 3], proto=proto, state=state)
    assert row.verdicts == [Verdict.READS]
    assert row.flags & Flag.MATCH
    row = after_waits([well, *[late] * 3, *[well] * 5], proto=proto, state=state)
    assert not row.verdicts
    assert row.flags & Flag.MATCH, "it is shown until its level has sunk"
    row = after_waits([well, *[late] * 3, *[well] * 15], proto=proto, state=state)
    assert not row.flags & Flag.MATCH


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ([[550.0] * 2, [900.0, 1400.0, 1900.0]], [Verdict.ACCEPT]),
        ([[1500.0], [2300.0]], [Verdict.ACCEPT]),  # few, as the program is slow
        ([[250.0] * 20] * 2, [Verdict.ACCEPT]),  # and not reads beside it
        ([[550.0] * 2], []),  # once
        ([[190.0] * 3] * 2, []),
        ([[0.1, 0.1, 500.0]] * 2, []),  # one of three
        ([[150.0] * 20] * 2, [Verdict.READS]),
    ],
)
def test_a_listener_that_takes_few_up_late_does_not_wait_until_its_queue_is_full(
    intervals: list[list[float]], said: list[Verdict]
) -> None:
    row = after_waits([[0.1] * 8, *intervals], state="LISTEN")
    assert row.verdicts == said
    assert after_waits([[0.1] * 8, [1500.0], [2300.0]]).verdicts == [], "data may come late"
    if said == [Verdict.ACCEPT]:
        text = explain(row, None, make_model(), None)
        assert "taken up in this interval the longest waited" in text.evidence
        assert text.what == "accepts too slowly"


@pytest.mark.parametrize(
    ("late", "at_once"),
    [
        ([250] * 20, True),
        ([0.01] * 11 + [250], False),  # one of a few
        ([0.01] * 150 + [250] * 60, False),  # a head of line
        ([150] * 20, False),  # past the first threshold only
    ],
)
def test_reads_that_are_mostly_late_need_no_second_interval(
    late: list[float], at_once: bool
) -> None:
    well = [0.01] * len(late)
    assert (after_waits([well, well, late]).verdicts == [Verdict.READS]) is at_once
    assert after_waits([well, late, late]).verdicts == [Verdict.READS]
