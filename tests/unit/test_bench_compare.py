"""What the comparison of two commits makes of its rounds."""

from __future__ import annotations

import pytest

from tests.bench.compare import compared, report

ROW = ("poll", "1,000 sockets: stages")


def test_ratio_of_rounds_that_a_neighbour_slowed() -> None:
    """Both of a round are slowed alike: the ratio stays what it is."""
    both = compared([2.0, 4.0, 2.0, 6.0, 2.0], [1.0, 2.0, 1.0, 3.0, 1.0])
    assert both is not None
    assert (both.ratio, both.spread, both.stable) == (2.0, 0.0, True)


def test_spread_is_half_of_the_middle_half() -> None:
    both = compared([0.8, 0.9, 1.0, 1.1, 1.2], [1.0] * 5)
    assert both is not None
    assert both.ratio == 1.0
    assert both.spread == pytest.approx(0.1)
    assert not both.stable


@pytest.mark.parametrize("here", [[1.0, 1.0], [1.0, 0.0, 1.0], []])
def test_too_few_or_nothing_measured_is_no_ratio(here: list[float]) -> None:
    assert compared(here, [1.0] * len(here)) is None


def test_table_says_what_only_one_has_and_what_wavers() -> None:
    other = ("procs", "steady")
    runs = [({ROW: (v, "ms"), other: (1.0, "ms")}, {ROW: (1.0, "ms")}) for v in (0.5, 1.0, 2.0)]
    _, first, second, last = report(runs)
    assert "1.000" in first
    assert "not stable to ±5 %" in first
    assert second.endswith("only here")
    assert last.startswith("1 of 2 rows")
