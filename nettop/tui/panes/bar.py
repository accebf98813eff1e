"""A stacked bar with its legend: parts of a whole."""

from __future__ import annotations

from collections.abc import Sequence

from nettop.tui.glyphs import Glyphs
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, line


def stacked(
    shares: Sequence[tuple[str, float]], cells: int, g: Glyphs
) -> tuple[list[Part], list[Line]]:
    """The bar and the entries of its legend, of parts (name, how much) whose sum is not 0."""
    whole = sum(much for _, much in shares)
    shades = g.shades[::-1] + g.shades
    bar: list[Part] = []
    legend: list[Line] = []
    used = 0.0
    for i, (name, much) in enumerate(shares):
        sign = shades[i % len(shades)]
        before = round(used / whole * cells)
        used += much
        bar.append((sign * (round(used / whole * cells) - before), Role.NORMAL))
        pct = much / whole * 100
        if pct >= 0.5:
            share = (f"{pct:.0f}%", Role.BOLD)
            legend.append(line((sign, Role.NORMAL), (f"{name} ", Role.DIM), share))
    return bar, legend
