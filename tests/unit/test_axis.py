"""The log axis of times: what its labels say, and where they stand."""

from __future__ import annotations

import re

import pytest

from nettop.feed import Grouping
from nettop.tui.group_lines import box_cells, titles
from nettop.tui.panes.rx import axis, place

UNITS = {"µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def read(text: str) -> list[tuple[int, int]]:
    """What each label says, as people read it, and the cell of its middle."""
    out, unit = [], ""
    for found in re.finditer(r"(\d+)(µs|ms|s)?", text):
        unit = found[2] or unit
        out.append((int(found[1]) * UNITS[unit], (found.start() + found.end()) // 2))
    return out


@pytest.mark.parametrize("beyond", [0, 3])
@pytest.mark.parametrize("cells", range(8, 121))
def test_a_label_says_the_time_where_it_stands(cells: int, beyond: int) -> None:
    text = axis(cells, beyond)
    labels = read(text)
    assert (labels[0][0], labels[-1][0]) == (1_000, 1_000_000_000), text
    assert len(text) <= cells + beyond
    for ns, at in labels:
        assert abs(at - place(ns, cells)) <= 2, text


@pytest.mark.parametrize("width", [110, 120, 130, 180, 200])
def test_the_axis_above_groups_is_whole(width: int) -> None:
    text = "".join(part for part, _ in titles(Grouping.REMOTE, width))
    start = width - len(" WHO  WHY".ljust(21)) - box_cells(width)
    shown = text[start : start + box_cells(width)]
    assert [ns for ns, _ in read(shown)][-1] == 1_000_000_000, shown
