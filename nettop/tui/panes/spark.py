"""Sparklines that step, so that a tick seldom changes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nettop.model.types import Point
from nettop.tui.glyphs import Glyphs

SPAN_S = 60


def buckets(
    points: Sequence[Point],
    pick: Callable[[Point], float | None],
    cells: int,
    span_s: float = SPAN_S,
) -> list[float | None]:
    """The largest value of each of `cells` equal steps of time; None where nothing is known.

    The steps stand on the clock, not on the newest point: a line changes only when a step ends.
    """
    if not points or cells <= 0:
        return [None] * max(0, cells)
    step_ns = span_s * 1e9 / cells
    last = int(points[-1].mono_ns // step_ns)
    out: list[float | None] = [None] * cells
    for point in points:
        i = int(point.mono_ns // step_ns) - last + cells - 1
        value = pick(point)
        if 0 <= i < cells and value is not None:
            before = out[i]
            out[i] = value if before is None or value > before else before
    return out


def spark(values: Sequence[float | None], g: Glyphs) -> str:
    """Heights from zero to the largest value; blank where nothing is known."""
    known = [v for v in values if v is not None]
    top = max(known, default=0.0)
    ramp = g.spark
    text = ""
    for value in values:
        if value is None:
            text += " "
        elif top <= 0:
            text += ramp[1]
        else:
            text += ramp[max(1, min(len(ramp) - 1, round(value / top * (len(ramp) - 1))))]
    return text
