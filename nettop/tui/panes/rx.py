"""The RX queue wait pane: percentiles, and its histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from nettop.model.types import Dist, Histogram
from nettop.text import units
from nettop.tui.glyphs import Glyphs
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, line

D, B = Role.DIM, Role.BOLD
LOW_NS, HIGH_NS = 1_000, 1_000_000_000
LATE_NS = 20_000_000  # from here on a wait is unusual
_TICKS = ((1_000, "1", "µs"), (10_000, "10", "µs"), (100_000, "100", "µs"),
          (1_000_000, "1", "ms"), (10_000_000, "10", "ms"), (100_000_000, "100", "ms"),
          (1_000_000_000, "1", "s"))  # fmt: skip
_EVERY = (1, 2, 3, 6)  # decades from one label to the next
_BEYOND = 3  # cells that a pane has beside its axis


class Waits(Struct, frozen=True):
    """What the pane shows: of the last interval and of the whole run."""

    now: Histogram | None = None
    run: Histogram | None = None
    rough: bool = False  # percentiles are upper edges of octaves
    no_run: str = ""  # why the run is not known


def place(ns: float, cells: int) -> float:
    """Where a time stands on the log axis of so many cells; clipped to its ends."""
    share = math.log(max(ns, LOW_NS) / LOW_NS) / math.log(HIGH_NS / LOW_NS)
    return min(max(share, 0.0), 1.0) * cells


@lru_cache(maxsize=8192)  # a few thousand buckets there are, of an axis or two
def _cells_of(low_ns: int, high_ns: int, cells: int) -> tuple[int, int]:
    """Of a bucket: its first cell of the axis, and how many it is spread over."""
    a, b = place(max(low_ns, 1), cells), place(high_ns, cells)
    first, last = min(int(a), cells - 1), min(math.ceil(b) - 1, cells - 1)
    return first, max(1, last - first + 1)


def columns_of(histogram: Histogram, cells: int) -> list[float]:
    """Counts by cell of the axis; a bucket wider than a cell is spread over its cells."""
    out = [0.0] * cells
    for low, high, count in histogram.buckets:
        first, span = _cells_of(low, high, cells)
        if span == 1:
            out[first] += count
            continue
        for i in range(first, first + span):
            out[i] += count / span
    return out


@lru_cache(maxsize=64)
def axis(cells: int, beyond: int = _BEYOND) -> str:
    """Labels of the log axis: of each decade, or of every second or third, so that the first and
    the last have room; one without a unit has that of the label before it. They may stand in so
    many cells beyond the axis."""
    for step in _EVERY:
        text = [" "] * (cells + beyond)
        free, said = 0, ""
        for ns, number, unit in _TICKS[::step]:
            label = number if unit == said else number + unit
            at = max(0, min(round(place(ns, cells)) - len(label) // 2, len(text) - len(label)))
            if at < free:
                break
            text[at : at + len(label)] = label
            free, said = at + len(label) + 1, unit
        else:
            break
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
    ramp = g.spark + g.full
    steps = len(ramp) - 1
    # What happened is seen.
    eighths = [max(value / top * rows * steps, 1.0) if value else 0.0 for value in values]
    ramp = " " + ramp[1:]
    lines = []
    for row in range(rows - 1, -1, -1):
        below = row * steps
        text = "".join(
            ramp[round(min(filled - below, steps))] if filled > below else " " for filled in eighths
        )
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


def is_empty(waits: Waits) -> bool:
    """Whether no delivery was counted, neither in the interval nor in the run."""
    return not any(h is not None and h.dist.count for h in (waits.now, waits.run))


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
