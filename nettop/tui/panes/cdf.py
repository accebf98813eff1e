"""Distributions as curves: which share took at most so long."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from nettop.model.types import Histogram
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.rx import axis, place
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, flow, line

D = Role.DIM
_STEPS = ((0.999, "99.9"), (0.99, "99%"), (0.9, "90%"), (0.5, "50%"), (0.0, "0%"))
_NINES = 3.0
_LABEL = 6
# Bits of a Braille cell by row and column of its dots.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Curve(Struct, frozen=True):
    """One distribution; of curves that cross the later one is seen."""

    name: str
    histogram: Histogram | None
    role: Role


def nines(share: float) -> float:
    """A step up is one nine more: 0 -> 0, 0.5 -> 0.3, 0.9 -> 1, 0.99 -> 2, 0.999 -> 3."""
    return min(-math.log10(max(1 - share, 10**-_NINES)), _NINES)


def cdf_lines(
    curves: Sequence[Curve], width: int, height: int, g: Glyphs, *, named: bool = True
) -> list[Line]:
    """The curves on one log axis, and their names; without samples a curve is not drawn."""
    cells, rows = max(8, width - _LABEL - 4), max(3, height - 1 - named)
    across, down = (1, 1) if g.ascii else (2, 4)
    marks = {min(rows - 1, round(nines(q) / _NINES * (rows - 1))): text for q, text in _STEPS}
    grid: list[list[Part]] = [[(" ", D)] * cells for _ in range(rows)]
    for row in marks:
        for i in range(0, cells, 4):
            grid[row][i] = ("." if g.ascii else "·", D)
    for curve in curves:
        bits: dict[tuple[int, int], int] = {}
        for x, y in _points(curve.histogram, cells * across, rows * down):
            at = rows - 1 - y // down, x // across
            # Dots are numbered from the top, y from the bottom.
            bits[at] = bits.get(at, 0) | _DOTS[down - 1 - y % down][x % across]
        for (row, column), dots in bits.items():
            grid[rows - 1 - row][column] = ("*" if g.ascii else chr(0x2800 + dots), curve.role)
    lines = [
        line((f"{marks.get(row, ''):>{_LABEL - 1}} ", D), *grid[row])
        for row in range(rows - 1, -1, -1)
    ]
    lines.append(line((" " * _LABEL + axis(cells), D)))
    if not named:
        return lines[:height]
    names = [line((" " * _LABEL, D)), *(line((curve.name, curve.role)) for curve in curves)]
    return [*lines, *flow(names, width)][:height]


def _points(histogram: Histogram | None, across: int, down: int) -> list[tuple[int, int]]:
    """Dots of a curve: up through each bucket, and level where no bucket has any."""
    if histogram is None or not histogram.dist.count:
        return []
    total, seen = histogram.dist.count, 0
    out: list[tuple[int, int]] = []
    x_before = y_before = None
    for low, high, count in histogram.buckets:
        x0, x1 = (min(across - 1, int(place(max(1, ns), across))) for ns in (low, high - 1))
        y0 = min(down - 1, round(nines(seen / total) / _NINES * (down - 1)))
        seen += count
        y1 = min(down - 1, round(nines(min(1.0, seen / total)) / _NINES * (down - 1)))
        if x_before is not None and y_before is not None:
            out += [(x, y_before) for x in range(x_before + 1, x0)]
        steps = max(x1 - x0, y1 - y0, 1)
        out += [
            (x0 + round((x1 - x0) * i / steps), y0 + round((y1 - y0) * i / steps))
            for i in range(steps + 1)
        ]
        x_before, y_before = x1, y1
    return out
