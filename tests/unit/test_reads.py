"""From when on what a program reads is late: by the waits of an interval and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.types import Flag, Proto, Verdict
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
