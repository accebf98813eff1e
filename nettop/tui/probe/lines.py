"""What the probe's screen shows, as lines: pure functions over a tally."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from nettop.model.types import Histogram
from nettop.probe.legs import LABELS, Leg
from nettop.probe.opening import AnyProber
from nettop.probe.report import bar_text, far_text, head_text, histograms, means, notes
from nettop.probe.tally import LATE_FACTOR, Point, Tally
from nettop.text import units
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.rx import axis
from nettop.tui.panes.tx import box_of
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, Part, clip, flow, line, spread

D, B = Role.DIM, Role.BOLD
_NUMBERS = 5 * 9  # NOW P50 P90 P99 MAX
_NAME, _WAY = 9, 24
_LIST_WIDTH = 34
_MEAN_LABEL = 14
_HEAT_TITLE = "round trips over time"
_PARTS_TITLE = "longest parts over time"  # of a service that sends no answer
# Whose part of the way a leg is, and what it means when it is the longest.
BLAME = {
    Leg.SEND: ("kern", "the send call takes longest"),
    Leg.QDISC: ("kern", "the packet scheduler of this host holds the probes"),
    Leg.OUT: ("net", "the network towards the far host takes longest"),
    Leg.FAR_IN: ("peer", "the far program reads late"),
    Leg.FAR_APP: ("peer", "the far program takes longest to answer"),
    Leg.FAR_OUT: ("peer", "the far host is slow to send"),
    Leg.BACK: ("net", "the network back takes longest"),
    Leg.NET: ("net", "the network and the far host take longest"),
    Leg.WAIT: ("app", "this host is late to read the answers"),
}
_MOST_SHARE = 0.4
_LEAST_PCT, _LEAST_PCT_LOW = 0.5, 5.0  # of the mean, from which on a part is named
_LEAST_MAP = 4  # its title, two rows, its axis
_LOW = 30  # lines, below which none is blank
_SHADES_FROM = (1, 2, 4, 8)  # probes from which on each shade stands


def screen_lines(
    prober: AnyProber, width: int, height: int, g: Glyphs, now_ns: int, message: str = ""
) -> list[Line]:
    """The whole screen, exactly height lines."""
    tally = prober.tally
    head: Line = (("nettop probe  ", B), (head_text(prober), Role.NORMAL),
                  (f"  every {units.time(prober.interval_s * 1e9)}", D))  # fmt: skip
    if prober.paused:
        head = (*head, ("  ", Role.NORMAL), (" PAUSED ", Role.REVERSE))
    age = units.time(now_ns - prober.started_ns)
    lines = [spread(clip(head, width), ((age, D),), width), line((far_text(prober), D))]
    lines += leg_lines(tally, width, g)
    said = [line((text, Role.WATCH)) for text in notes(prober)]
    if prober.failure:
        said.append(line((prober.failure, Role.UNWELL)))
    # Of few lines none is blank, and parts that hardly matter stand in the table alone.
    low = height < _LOW
    gap = [] if low else [BLANK]
    if mean := mean_lines(tally, width, g, _LEAST_PCT_LOW if low else _LEAST_PCT):
        lines += [*gap, *mean]
    lines += said
    room = height - 1 - len(lines) - len(gap)
    if room >= _LEAST_MAP:
        lines += [*gap, *_lower(tally.points, width, room, g)]
    lines = [clip(text, width) for text in lines[: height - 1]]
    lines += [BLANK] * (height - 1 - len(lines))
    return [*lines, footer(width, message)]


def footer(width: int, message: str) -> Line:
    parts: list[Part] = [(" ", Role.NORMAL)]
    for key, word in (("q", "quit and print the table"), ("space", "pause"), ("+-", "interval"),
                      ("^R", "clear"), ("e", "export")):  # fmt: skip
        parts += [(key, B), (f" {word}  ", D)]
    return clip(spread(tuple(parts), ((message, D),), width), width)


def leg_lines(tally: Tally, width: int, g: Glyphs) -> list[Line]:
    """One line per leg: numbers, and a box where there is room."""
    wide = width >= 100
    cells = max(0, width - _NAME - (_WAY if wide else 0) - _NUMBERS - 8)
    way_title = f"{'FROM → TO':<{_WAY}}" if wide else ""
    titles = "".join(f"{name:>9}" for name in ("NOW", "P50", "P90", "P99", "MAX"))
    scale = axis(cells) if cells >= 12 else ""
    title = f"{'LEG':<{_NAME}}{way_title}{titles}  {scale}"
    out: list[Line] = [line((title.ljust(width), Role.TITLE))]
    for leg, histogram in histograms(tally):
        out.append(_leg_line(leg, histogram, tally, cells, wide, g))
    return out


def _leg_line(
    leg: Leg, histogram: Histogram, tally: Tally, cells: int, wide: bool, g: Glyphs
) -> Line:
    d = histogram.dist
    name, way = LABELS[leg]
    role = B if leg is Leg.ROUND else Role.NORMAL
    numbers: list[Part] = []
    for ns in (tally.legs[leg].last_ns, d.p50_ns, d.p90_ns, d.p99_ns, d.max_ns):
        few = ns == d.p99_ns and d.count < 100
        numbers.append((f"{units.time(ns):>9}", D if few and role is not B else role))
    box: Part = (f"  {box_of(d, cells, g):<{cells}}" if cells >= 12 else "", D)
    return (
        (f"{name:<{_NAME}}", B), (f"{way:<{_WAY}}" if wide else "", D), *numbers, box,
        (f" {bar_text(leg, tally)}", D),
    )  # fmt: skip


def mean_lines(tally: Tally, width: int, g: Glyphs, least_pct: float) -> list[Line]:
    """The mean as a stacked bar, and whose part is the largest; parts from least_pct % of it on are
    named."""
    shares = means(tally)
    whole = sum(mean for _, mean in shares)
    if whole <= 0:
        return []
    shades, named = g.shades[::-1], 0
    bar: list[Part] = [("mean ", B), (f"{units.time(whole):>7}  ", B)]
    legend: list[Line] = []
    used = 0.0
    cells = max(8, width - _MEAN_LABEL - 2)
    for leg, mean in shares:
        pct = mean / whole * 100
        sign = shades[named % len(shades)]  # of what stands beside each other another one
        named += pct >= _LEAST_PCT
        before = round(used / whole * cells)
        used += mean
        bar.append((sign * (round(used / whole * cells) - before), Role.NORMAL))
        if pct >= least_pct:
            legend.append(line((sign, Role.NORMAL), (f"{LABELS[leg][0]} ", D), (f"{pct:.0f}%", B)))
    pad = (" " * _MEAN_LABEL, D)
    out = [tuple(bar), *((pad, *text) for text in flow(legend, width - _MEAN_LABEL))]
    leg, most = max(shares, key=lambda pair: pair[1])
    if most >= _MOST_SHARE * whole and leg in BLAME and Leg.ROUND in tally.legs:
        who, text = BLAME[leg]
        out.append(line((f"{who}: ", B), f"{text}, {most / whole * 100:.0f}% of the mean"))
    return out


def _lower(points: Sequence[Point], width: int, height: int, g: Glyphs) -> list[Line]:
    """The round trips over time, and beside them the last ones where there is room."""
    last = list(points)
    if width < 90:
        return heat_lines(last, width, height, g)
    left = heat_lines(last, width - _LIST_WIDTH - 3, height, g)
    right = last_lines(last, height)
    pad = width - _LIST_WIDTH - 3
    out = []
    for i in range(height):
        a = clip(left[i], pad) if i < len(left) else BLANK
        b = right[i] if i < len(right) else BLANK
        gap = pad - sum(len(text) for text, _ in a)
        out.append((*a, (" " * gap, Role.NORMAL), (f" {g.bar} ", D), *b))
    return out


def last_lines(points: Sequence[Point], height: int) -> list[Line]:
    """The newest probes first."""
    late = f"  late: over {LATE_FACTOR}× p50" if _has_rounds(points) else ""
    out: list[Line] = [line(("last probes", B), (late, D))]
    for p in reversed(points[-(height - 1) :]):
        if p.round_ns is None and p.worst is None:
            out.append(line((f"#{p.seq:<9}", D), ("lost", Role.WATCH)))
            continue
        role = Role.WATCH if p.late else Role.NORMAL
        took = units.time(p.round_ns) if p.round_ns is not None else units.time(p.worst_ns)
        why = f"{LABELS[p.worst][0]} {units.time(p.worst_ns)}" if p.worst else ""
        out.append(line((f"#{p.seq:<9}", D), (f"{took:>7} ", role), (f"  {why}", D)))
    return out


def heat_lines(points: Sequence[Point], width: int, height: int, g: Glyphs) -> list[Line]:
    """Time to the right, the round trip upwards on a log axis, shade for how many."""
    known = [(p, _shown_ns(p)) for p in points]
    times = [ns for _, ns in known if ns]
    named = _HEAT_TITLE if _has_rounds(points) or not points else _PARTS_TITLE
    title: list[Part] = [(named, B), ("  ", D)]
    for sign, least in zip(g.shades, _SHADES_FROM, strict=True):
        title += [(f" {sign}", Role.NORMAL), (f"{least} ", D)]
    out: list[Line] = [(*title, (" x lost", D))]
    label = 8
    cells, rows = max(8, width - label - 1), height - 2
    if not times or rows < 2:
        return out
    low_ns, high_ns = _below(min(times)), _above(max(times))
    low, high = math.log(low_ns), math.log(high_ns)
    # In the order in which their fate was known, not in that of their sends.
    sends_ns = [p.mono_ns for p in points]
    newest, oldest = max(sends_ns), min(sends_ns)
    span = max(1, newest - oldest)
    grid = [[0] * cells for _ in range(rows)]
    lost = [False] * cells
    for point, ns in known:
        column = min(cells - 1, int((point.mono_ns - oldest) / span * (cells - 1)))
        if not ns:
            lost[column] = True
            continue
        share = (math.log(ns) - low) / (high - low)
        grid[min(rows - 1, int(share * rows))][column] += 1
    names = _names(low_ns, high_ns, rows)
    for row in range(rows - 1, -1, -1):
        parts: list[Part] = [(f"{names.get(row, ''):>{label - 1}} ", D)]
        for column, n in enumerate(grid[row]):
            if lost[column] and row == rows - 1:
                parts.append(("x", Role.WATCH))
            else:
                parts.append((_shade(n, g), Role.NORMAL))
        out.append(tuple(parts))
    age = units.time(span)
    gap = " " * max(1, cells - len(age) - 4)
    out.append(line((f"{'':{label}}-{age}{gap}now", D)))
    return out


def _rounds(low_ns: int, high_ns: int, digits: Sequence[int] = (1, 2, 5)) -> list[int]:
    """1, 2 and 5 times the powers of ten, from low up to high."""
    powers = range(len(str(max(1, low_ns))) - 1, len(str(high_ns)))
    return [ns for p in powers for d in digits if low_ns <= (ns := d * 10**p) <= high_ns]


def _below(ns: int) -> int:
    """The round time that is at most so long."""
    return _rounds(1, ns)[-1]


def _above(ns: int) -> int:
    """The round time that is longer."""
    return _rounds(ns + 1, 10 * ns)[0]


def _names(low_ns: int, high_ns: int, rows: int) -> dict[int, str]:
    """What stands beside the rows: round times in the row that holds them, as many as have a blank
    row between; where they have none, decades, or the lowest alone."""
    scale = rows / math.log(high_ns / low_ns)
    for digits in ((1, 2, 5), (1,)):
        times = _rounds(low_ns, high_ns - 1, digits)
        at = [int(math.log(ns / low_ns) * scale + 1e-9) for ns in times]
        if times and all(b - a > 1 for a, b in pairwise(at)):
            return {row: _round_text(ns) for row, ns in zip(at, times, strict=True)}
    return {0: _round_text(low_ns)}


def _round_text(ns: int) -> str:
    """2ms, not 2.00ms."""
    for step, unit in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")):
        if ns >= step:
            return f"{ns // step}{unit}"
    return f"{ns}ns"


def _has_rounds(points: Sequence[Point]) -> bool:
    return any(p.round_ns is not None for p in points)


def _shown_ns(point: Point) -> int:
    """The round trip; of a service that does not answer its longest part; 0 of a lost one."""
    return point.round_ns if point.round_ns is not None else point.worst_ns


def _shade(count: int, g: Glyphs) -> str:
    return " " if not count else g.shades[sum(count >= least for least in _SHADES_FROM) - 1]
