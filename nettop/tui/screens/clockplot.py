"""Offsets over time, as a line of steps and as dots."""

from __future__ import annotations

from collections.abc import Sequence

from nettop.clocks.observer import PhcReport
from nettop.clocks.offset import SECOND_NS, Offset
from nettop.clocks.table import signed
from nettop.tui.glyphs import Glyphs
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line

_LABEL = 9
SPARK_NS = 60 * SECOND_NS


def sparkline(readings: Sequence[Offset], cells: int, g: Glyphs) -> str:
    """How the PHC moved against the system clock in the last 60 s, between its extremes."""
    if len(readings) < 2:
        return g.off
    end = readings[-1].sys_ns
    slots: list[int | None] = [None] * cells
    for o in readings:
        ago = end - o.sys_ns
        if ago < SPARK_NS:
            slots[cells - 1 - ago * cells // SPARK_NS] = -o.offset_ns
    known = [v for v in slots if v is not None]
    low = min(known)
    span = max(known) - low
    top = len(g.spark) - 1
    # Nothing but noise of the reads is a flat line.
    noise = 2 * max(o.bar_ns for o in readings)
    return "".join(
        " " if v is None else g.spark[1 + (v - low) * (top - 1) // max(span, noise)] for v in slots
    )


def plot(phc: PhcReport, width: int, height: int, g: Glyphs) -> list[Line]:
    """Dots of the PHC against the system clock since the last step, around their middle.

    It fills from the left, and both scales change in leaps, so that one more reading changes one
    line.
    """
    if len(phc.line) < 2:
        return []
    cells = width - _LABEL - 1
    rows = max(3, height - 1)
    start = phc.line[0].sys_ns
    passed = phc.line[-1].sys_ns - start
    cell_ns = SECOND_NS
    while passed >= cells * cell_ns:
        cell_ns *= 2
    values = [-o.offset_ns for o in phc.line]
    low, high = min(values), max(values)
    half = _leap(max((high - low) * 5 // 8, *(o.bar_ns for o in phc.line)))
    unit = max(1, half // 4)
    middle = (low + high + unit) // (2 * unit) * unit
    grid = [[" "] * cells for _ in range(rows)]
    for o, value in zip(phc.line, values, strict=True):
        y = (half - (value - middle)) * (rows - 1) // (2 * half)
        grid[max(0, min(rows - 1, y))][(o.sys_ns - start) // cell_ns] = "*" if g.ascii else "•"
    labels = {0: signed(half), rows // 2: "0", rows - 1: signed(-half)}
    lines = [
        line((f"{labels.get(i, ''):>{_LABEL}} ", Role.DIM), ("".join(grid[i]), Role.NORMAL))
        for i in range(rows)
    ]
    end = f"{cells * cell_ns // SECOND_NS} s"
    return [*lines, line((" " * (_LABEL + 1) + "0" + end.rjust(cells - 1), Role.DIM))]


def _leap(ns: int) -> int:
    """The next of 1 2 5 10 20 50 … from here on."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power >= ns:
                return step * power
        power *= 10
