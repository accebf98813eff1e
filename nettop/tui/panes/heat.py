"""RX queue wait over time: time to the right, wait upwards, shade for how many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from nettop.model.buckets import OCTAVES, octave_edges
from nettop.model.types import Point
from nettop.text import units
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.rx import LATE_NS
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, beside, line, width_of, wrapped

D, B = Role.DIM, Role.BOLD
SPANS_S = (60, 120, 300, 600, 1500)  # what + and - go through; a history has 300 ticks
SPAN_S = 300
STEPS = (1, 5, 25, 125)  # from how many deliveries on each shade stands
_LABEL = 7  # cells
_SIDE = 26
_LEAST_DECADES = 3
_GAP = 3  # times the usual interval: no tick is known in between


class HeatView(Struct, frozen=True):
    """What the user set: the span, and how many columns the cursor stands before now (None: there
    is none)."""

    span_s: int = SPAN_S
    cursor: int | None = None

    def wider(self, by: int) -> HeatView:
        at = SPANS_S.index(self.span_s) if self.span_s in SPANS_S else 0
        return HeatView(SPANS_S[max(0, min(len(SPANS_S) - 1, at + by))], self.cursor)

    def moved(self, by: int) -> HeatView:
        """by: columns towards now."""
        return HeatView(self.span_s, max(0, (-1 if self.cursor is None else self.cursor) - by))


NO_CURSOR = HeatView()


class Heat(Struct, frozen=True):
    """Deliveries by column of time (the last is now) and octave; None: no tick is known there."""

    shown: tuple[tuple[int, ...] | None, ...]  # a tick that is longer than a column fills several
    ended: tuple[tuple[int, ...] | None, ...]  # each tick once, where it ended
    step_s: float


def heat_of(history: Sequence[Point], cells: int, span_s: float) -> Heat:
    """A tick says what was since the one before it, unless that is much longer than usual ago."""
    step_ns = span_s * 1e9 / cells
    shown: list[list[int] | None] = [None] * cells
    ended: list[list[int] | None] = [None] * cells
    newest = history[-1].mono_ns if history else 0
    apart = sorted(b.mono_ns - a.mono_ns for a, b in pairwise(history))
    gap_ns = _GAP * apart[len(apart) // 2] if apart else 0
    before_ns: int | None = None
    for point in history:
        last = cells - 1 - int((newest - point.mono_ns) // step_ns)
        first = last
        if before_ns is not None and point.mono_ns - before_ns <= gap_ns:
            first = min(last, cells - int((newest - before_ns) // step_ns))
        before_ns = point.mono_ns
        for at in range(max(0, first), last + 1):
            for columns in (shown, ended) if at == last else (shown,):
                column = columns[at] = columns[at] or [0] * OCTAVES
                for octave, count in enumerate(point.wait_octaves or ()):
                    column[octave] += count
    return Heat(_frozen(shown), _frozen(ended), step_ns / 1e9)


def _frozen(columns: Sequence[Sequence[int] | None]) -> tuple[tuple[int, ...] | None, ...]:
    return tuple(None if column is None else tuple(column) for column in columns)


def decades_of(heat: Heat, rows: int) -> tuple[int, int]:
    """The powers of ten ns between which all that was measured lies, at most as many as rows."""
    seen = [o for o in range(OCTAVES) if any(c is not None and c[o] for c in heat.shown)]
    if not seen:
        return 3, 9
    first = math.floor(math.log10(max(1, octave_edges(seen[0])[0])))
    last = math.ceil(math.log10(octave_edges(seen[-1])[1]))
    first, last = max(1, first), max(last, first + 1)
    while last - first < _LEAST_DECADES:
        first, last = (first - 1, last) if first > 3 else (first, last + 1)
    return max(first, last - rows), last


def rows_of(column: Sequence[int], low: int, high: int, rows: int) -> list[float]:
    """Counts by row from 10**low to 10**high ns, each octave spread over the rows that it covers;
    what lies outside is in the row at that end."""
    out = [0.0] * rows
    per_decade = rows / (high - low)
    for octave, count in enumerate(column):
        if not count:
            continue
        edges = octave_edges(octave)
        a, b = ((math.log10(max(1, ns)) - low) * per_decade for ns in edges)
        a, b = min(max(a, 0.0), rows - 1e-9), min(max(b, 1e-9), float(rows))
        for row in range(int(a), min(rows, math.ceil(b))):
            covered = (min(b, row + 1) - max(a, row)) / (b - a) if b > a else 1.0
            out[row] += count * covered
    return out


def shade(count: float, g: Glyphs) -> str:
    if count <= 0:
        return " "
    return g.shades[max(0, sum(count >= step for step in STEPS) - 1)]


def heatmap_lines(
    history: Sequence[Point], width: int, height: int, g: Glyphs, view: HeatView = NO_CURSOR
) -> list[Line]:
    """The map; where the pane is large, beside it what was at the cursor."""
    side = _SIDE if width >= 90 and height >= 16 else 0
    cells = max(8, width - _LABEL - 1 - (side + 3 if side else 0))
    heat = heat_of(history, cells, view.span_s)
    most = max(2, height - 3)
    low, high = decades_of(heat, most)
    rows = (high - low) * max(1, most // (high - low))
    grid = [None if c is None else rows_of(c, low, high, rows) for c in heat.shown]
    per = rows // (high - low)
    lines: list[Line] = []
    for row in range(rows - 1, -1, -1):
        name = _decade(low + row // per) if row % per == 0 else ""
        text = "".join(" " if column is None else shade(column[row], g) for column in grid)
        middle_ns = 10 ** (low + (row + 0.5) / per)
        role = Role.WATCH if middle_ns >= LATE_NS else Role.NORMAL
        lines.append(line((f"{name:>{_LABEL - 1}} ", D), (text, role)))
    lines += _foot(heat, cells, view, g)
    lines = lines[:height]
    if not side:
        return lines
    return beside(lines, _side(heat, view, side), _LABEL + cells + 1, f"{g.bar} ")


def ago_text(seconds: float) -> str:
    """30s, 1m, 2m30."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest or ''}" if minutes else f"{rest}s"


def _decade(power: int) -> str:
    return f"{10 ** (power % 3)}{('ns', 'µs', 'ms', 's', 'ks')[power // 3]}"


def _foot(heat: Heat, cells: int, view: HeatView, g: Glyphs) -> list[Line]:
    """The time axis with the cursor, and what the shades mean."""
    middle = ago_text(view.span_s / 2)
    text = [" "] * cells
    labels = ((0, f"-{ago_text(view.span_s)}"), (cells // 2 - 2, f"-{middle}"), (cells - 3, "now"))
    for at, label in labels:
        room = text[at : at + len(label)] if at >= 0 else []
        if len(room) == len(label) and not "".join(room).strip():
            text[at : at + len(label)] = label
    shown = "".join(text)
    axis = line((" " * _LABEL, D), (shown, D))
    if view.cursor is not None:
        at = max(0, cells - 1 - view.cursor)
        cursor = (g.position, Role.FOCUS)
        axis = line((" " * _LABEL, D), (shown[:at], D), cursor, (shown[at + 1 :], D))
    shades: Line = ()
    for n in STEPS:
        shades = (*shades, (f"  {shade(n, g)}", Role.NORMAL), (f"{n}", D))
    pad, step = " " * _LABEL, f"a column {units.time(heat.step_s * 1e9)}"
    whole = line((f"{pad}{step}", D), *shades)
    return [axis, whole if width_of(whole) <= cells + _LABEL else shades]


def percentile(octaves: Sequence[int], share: float) -> float | None:
    """The upper edge of the octave that holds it: at most twice too high. None: nothing counted."""
    total, seen = sum(octaves), 0
    for octave, count in enumerate(octaves):
        seen += count
        if count and seen >= math.ceil(share * total):
            return float(octave_edges(octave)[1])
    return None


def _side(heat: Heat, view: HeatView, width: int) -> list[Line]:
    """What was at the cursor, and in all of the span before it."""
    at = len(heat.shown) - 1 - min(view.cursor or 0, len(heat.shown) - 1)
    ago = units.time((view.cursor or 0) * heat.step_s * 1e9) if view.cursor else "now"
    lines = [line(("at the cursor ", B), (f"-{ago}" if view.cursor else ago, Role.FOCUS))]
    column = heat.shown[at]
    if column is None:
        lines += wrapped(line(("no tick is kept of it", D)), width)
    else:
        lines += _numbers(column)
    before = [c for c in heat.ended[:at] if c is not None]
    if before:
        lines += [BLANK, line(("all before it", B))]
        lines += _numbers(tuple(map(sum, zip(*before, strict=True))))
    lines += [BLANK, *wrapped(line(("~ at most twice too high", D)), width)]
    return lines


def _numbers(octaves: Sequence[int]) -> list[Line]:
    lines = [line((f"{'n':<8}", D), f"{units.count(sum(octaves)):>8}")]
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)):
        ns = percentile(octaves, share)
        role = Role.WATCH if ns is not None and ns >= 2 * LATE_NS else Role.NORMAL
        lines.append(line((f"{name:<8}", D), (f"{units.time(ns, rough=True):>8}", role)))
    return lines
