"""The time line above the footer: what was unwell when, what happened, and where one stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Protocol

from msgspec import Struct

from nettop.spells import HOST_CAME
from nettop.text.moments import clock_text, day_text
from nettop.tui.glyphs import Glyphs
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part

# Events that are marked; the others happen all the time.
MARKED = frozenset({"drop", "reset_sent", "reset_received", "error", HOST_CAME})
GAP = 3  # times the usual interval
_DAY_NS = 86_400 * 10**9


class Spot(Protocol):
    """What the strip shows of a tick; a nettop.spells.TickSummary is one."""

    @property
    def seq(self) -> int: ...
    @property
    def wall_ns(self) -> int: ...
    @property
    def unwell(self) -> int: ...
    @property
    def watch(self) -> int: ...
    @property
    def events(self) -> Mapping[str, int]: ...


class Cell(Struct):
    """What happened in the time of one cell; unwell None: no tick is known there."""

    unwell: int | None = None
    watch: int = 0
    marked: bool = False


def cells_of(spots: Sequence[Spot], first_ns: int, last_ns: int, count: int) -> list[Cell]:
    """The largest counts of each of `count` equal steps from first to last.

    A tick says what was since the one before it, unless that is much longer than usual: a gap.
    """
    cells = [Cell() for _ in range(count)]
    apart = [b.wall_ns - a.wall_ns for a, b in pairwise(spots)]
    gap_ns = GAP * sorted(apart)[len(apart) // 2] if apart else 0
    free = 0  # the first cell that no tick has filled
    for spot, since_ns in zip(spots, chain((0,), apart), strict=False):
        if not first_ns <= spot.wall_ns <= last_ns:
            continue
        at = place_of(spot.wall_ns, first_ns, last_ns, count)
        for cell in cells[min(at, free) if 0 < since_ns <= gap_ns else at : at + 1]:
            cell.unwell = max(cell.unwell or 0, spot.unwell)
            cell.watch = max(cell.watch, spot.watch)
        cells[at].marked = cells[at].marked or not MARKED.isdisjoint(spot.events)
        free = at + 1
    return cells


def place_of(wall_ns: int, first_ns: int, last_ns: int, count: int) -> int:
    """The cell that a time is in."""
    span = last_ns - first_ns
    at = (wall_ns - first_ns) * count // (span + 1) if span > 0 else 0
    return max(0, min(count - 1, at))


def time_of(place: int, first_ns: int, last_ns: int, count: int) -> int:
    """The middle of a cell."""
    return first_ns + (last_ns - first_ns) * (2 * place + 1) // (2 * max(1, count))


def labels(first_ns: int, last_ns: int, now: bool) -> tuple[str, str]:
    """What stands at both ends."""
    text = day_text if last_ns - first_ns >= _DAY_NS else clock_text
    return f" {text(first_ns)} ", " now " if now else f" {text(last_ns)} "


_LEAST_TOP = 4  # unwell sockets that the height is of at least


def strip_line(cells: Sequence[Cell], at: int, ends: tuple[str, str], g: Glyphs) -> Line:
    """Heights are the sockets that were unwell; marks are drops, resets and errors."""
    # One that is unwell all the time is a low line, from which a second one stands out.
    top = max(_LEAST_TOP, *(c.unwell or 0 for c in cells))
    ramp = g.spark
    parts: list[Part] = [(ends[0], Role.DIM)]
    for i, cell in enumerate(cells):
        if i == at:
            parts.append((g.position, Role.FOCUS))
        elif cell.unwell:
            height = max(1, round(cell.unwell / top * (len(ramp) - 1)))
            parts.append((ramp[height], Role.UNWELL))
        elif cell.marked:
            parts.append((g.happened, Role.WATCH))
        elif cell.watch:
            parts.append((ramp[1], Role.WATCH))
        elif cell.unwell is not None:
            parts.append((g.quiet, Role.DIM))
        else:
            parts.append((g.off, Role.DIM))
    return (*parts, (ends[1], Role.DIM))
