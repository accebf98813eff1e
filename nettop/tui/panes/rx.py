"""The RX queue wait pane in its three views: histogram, heatmap of the last minutes, CDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nettop.model.types import Dist, Histogram, Point
from nettop.text import units
from nettop.tui.glyphs import Glyphs
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, line

D, B = Role.DIM, Role.BOLD
LOW_NS, HIGH_NS = 1_000, 1_000_000_000
# To add a view of this pane: its name here, and a branch of lines._wait_lines that draws it.
VIEWS = ("histogram", "heatmap", "CDF")
LATE_NS = 20_000_000  # from here on a wait is unusual
HEAT_SPAN_S = 300
_TICKS = ((1_000, "1µs"), (10_000, "10"), (100_000, "100"), (1_000_000, "1ms"),
          (10_000_000, "10"), (100_000_000, "100"), (1_000_000_000, "1s"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Waits:
    """What the pane shows: of the last interval and of the whole run."""

    now: Histogram | None = None
    run: Histogram | None = None
    rough: bool = False  # percentiles are upper edges of octaves


def place(ns: float, cells: int) -> float:
    """Where a time stands on the log axis of so many cells; clipped to its ends."""
    share = math.log(max(ns, LOW_NS) / LOW_NS) / math.log(HIGH_NS / LOW_NS)
    return min(max(share, 0.0), 1.0) * cells


def columns_of(histogram: Histogram, cells: int) -> list[float]:
    """Counts by cell of the axis; a bucket wider than a cell is spread over its cells."""
    out = [0.0] * cells
    for low, high, count in histogram.buckets:
        a, b = place(max(low, 1), cells), place(high, cells)
        first, last = min(int(a), cells - 1), min(math.ceil(b) - 1, cells - 1)
        span = max(1, last - first + 1)
        for i in range(first, first + span):
            out[i] += count / span
    return out


def axis(cells: int) -> str:
    """Labels of the log axis, those that fit."""
    text = [" "] * (cells + 3)
    free = 0
    for ns, label in _TICKS:
        at = max(0, min(round(place(ns, cells)) - len(label) // 2, cells + 3 - len(label)))
        if at >= free:
            text[at : at + len(label)] = label
            free = at + len(label) + 1
    return "".join(text).rstrip()


def _table(label: str, dist: Dist | None, role: Role, rough: bool) -> Line:
    if dist is None or not dist.count:
        return line((f"{label:<4}{0 if dist is not None else '–':>6}", D), (f"{'–':>7}" * 4, D))
    cells: list[Part] = [(f"{label:<4}", role), (f"{units.count(dist.count):>6}", Role.NORMAL)]
    for value in (dist.p50_ns, dist.p90_ns, dist.p99_ns, dist.max_ns):
        loud = Role.WATCH if value >= LATE_NS else Role.NORMAL
        few = value == dist.p99_ns and dist.count < 100
        text = units.time(value, rough=rough and value != dist.max_ns)
        cells.append((f"{text:>7}", D if few and loud is Role.NORMAL else loud))
    return tuple(cells)


def table_lines(waits: Waits) -> list[Line]:
    """n and percentiles of the interval and of the run."""
    return [
        line((f"{'':<4}{'n':>6}{'p50':>7}{'p90':>7}{'p99':>7}{'max':>7}", D)),
        _table("now", waits.now.dist if waits.now else None, B, waits.rough),
        _table("run", waits.run.dist if waits.run else None, D, waits.rough),
    ]


def _bars(values: Sequence[float], rows: int, g: Glyphs, late: int) -> list[Line]:
    """Columns of eighths; from column `late` on in the colour of what is unusual."""
    top = max(values, default=0.0)
    ramp = g.spark
    steps = len(ramp) - 1
    lines = []
    for row in range(rows - 1, -1, -1):
        text = ""
        for value in values:
            filled = value / top * rows * steps if top else 0.0
            if value and filled < 1:
                filled = 1.0  # what happened is seen
            level = round(min(max(filled - row * steps, 0), steps))
            text += ramp[level] if level else " "
        lines.append(line((text[:late], D), (text[late:], Role.WATCH)))
    return lines


def _strip(values: Sequence[float], g: Glyphs) -> str:
    top = max(values, default=0.0)
    out = ""
    for value in values:
        if not value:
            out += " "
            continue
        share = math.log1p(value) / math.log1p(top)
        out += g.shades[min(len(g.shades) - 1, int(share * len(g.shades)))]
    return out


def histogram_lines(waits: Waits, width: int, height: int, g: Glyphs) -> list[Line]:
    """Bars of the interval on a log axis, the run as a shaded strip below."""
    cells = max(10, min(width - 4, 60))
    late = round(place(LATE_NS, cells))
    lines = table_lines(waits)
    rows = height - len(lines) - 2
    if rows >= 1:
        values = columns_of(waits.now, cells) if waits.now else [0.0] * cells
        lines += _bars(values, rows, g, late)
    lines.append(line((axis(cells), D)))
    if waits.run is not None:
        strip = _strip(columns_of(waits.run, cells), g)
        lines.append(line((strip[:late], D), (strip[late:], Role.WATCH), (" run", D)))
    return lines[:height]


def heatmap_lines(
    history: Sequence[Point], width: int, height: int, g: Glyphs, span_s: float = HEAT_SPAN_S
) -> list[Line]:
    """Time to the right, wait upwards, shade for how many; a cell holds whole ticks."""
    label = 7
    cells, rows = max(8, width - label - 1), max(2, height - 2)
    first, last = 4, 24  # octaves 1 µs … 1 s
    step_ns = span_s * 1e9 / cells
    grid = [[0] * cells for _ in range(rows)]
    newest = history[-1].mono_ns if history else 0
    for point in history:
        column = cells - 1 - int((newest - point.mono_ns) // step_ns)
        if column < 0 or point.wait_octaves is None:
            continue
        for octave, count in enumerate(point.wait_octaves):
            if count:
                share = (min(max(octave, first), last) - first) / (last - first + 1)
                grid[int(share * rows)][column] += count
    late_row = int((19 - first) / (last - first + 1) * rows)  # octave of 16.8 ms
    lines = []
    for row in range(rows - 1, -1, -1):
        edge = first + row * (last - first + 1) / rows
        name = units.time(64.0 * 2 ** (edge - 1)) if row % 2 == 0 or rows < 6 else ""
        text = "".join(_shade(n, g) for n in grid[row])
        role = Role.WATCH if row >= late_row else Role.NORMAL
        lines.append(line((f"{name:>{label - 1}} ", D), (text, role)))
    gap = " " * max(1, cells - 3 - len(units.time(span_s * 1e9)) - 1)
    lines.append(line((" " * label, D), (f"-{units.time(span_s * 1e9)}{gap}now", D)))
    shades = "  ".join(f"{s}{n}" for s, n in zip(g.shades, (1, 5, 25, 125), strict=False))
    lines.append(
        line((" " * label, D), (f"a column is {units.time(step_ns)}   {shades} deliveries", D))
    )
    return lines[:height]


def _shade(count: int, g: Glyphs) -> str:
    if not count:
        return " "
    return g.shades[0 if count < 5 else 1 if count < 25 else 2 if count < 125 else 3]


_CDF_STEPS = ((0.999, "99.9"), (0.99, "99%"), (0.9, "90%"), (0.5, "50%"), (0.0, "0%"))


def _nines(share: float) -> float:
    """A step up is one nine more: 0 → 0, 0.5 → 0.3, 0.9 → 1, 0.99 → 2, 0.999 → 3."""
    return min(-math.log10(max(1 - share, 1e-3)), 3.0)


def cdf_lines(waits: Waits, width: int, height: int, g: Glyphs) -> list[Line]:
    """Share of deliveries that waited at most so long; the run dim, the interval bright."""
    label = 6
    cells, rows = max(8, width - label - 4), max(3, height - 2)
    marks = {min(rows - 1, round(_nines(q) / 3.0 * (rows - 1))): text for q, text in _CDF_STEPS}
    dots = [[(" ", D)] * cells for _ in range(rows)]
    for row in marks:
        for i in range(0, cells, 4):
            dots[row][i] = ("." if g.ascii else "·", D)
    for histogram, sign, role in (
        (waits.run, "." if g.ascii else "░", D),
        (waits.now, "#" if g.ascii else "█", Role.NORMAL),
    ):
        if histogram is None or not histogram.dist.count:
            continue
        seen = 0
        for _low, high, count in histogram.buckets:
            before = round(_nines(seen / histogram.dist.count) / 3.0 * (rows - 1))
            seen += count
            after = round(_nines(min(1.0, seen / histogram.dist.count)) / 3.0 * (rows - 1))
            column = min(cells - 1, int(place(high, cells)))
            for row in range(min(before, rows - 1), min(after, rows - 1) + 1):
                dots[row][column] = (sign, role)
    lines = [
        line((f"{marks.get(row, ''):>{label - 1}} ", D), *dots[row])
        for row in range(rows - 1, -1, -1)
    ]
    lines.append(line((" " * label + axis(cells), D)))
    run_sign, now_sign = (".", "#") if g.ascii else ("░", "█")
    lines.append(line((" " * label, D), (f"{now_sign} now  ", Role.NORMAL), (f"{run_sign} run", D)))
    return lines[:height]
