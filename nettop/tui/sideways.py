"""The table's columns further to the right: the first one, WHO and WHY stay."""

from __future__ import annotations

from nettop.text.columns import GUTTER, WHY_CELLS, cells_of
from nettop.text.fields import FIELDS, Field
from nettop.tui.columns import ColumnSet

_STAY = ("who", "why")


def sideways(
    columns: ColumnSet, chosen: tuple[Field, ...] | None, shift: int, width: int
) -> ColumnSet | None:
    """Without the first `shift` columns behind the first, and with more at the right.

    Args:
        columns: those of that width.
        chosen: the user's own; None: every column that has a title can come.
    Returns:
        None: there are none so far.
    """
    if shift <= 0 or not columns.columns:  # none: nothing was read yet
        return columns if shift == 0 else None
    head, *others = columns.columns
    tail = [(f, w) for f, w in others if f.id in _STAY]
    between = [(f, w) for f, w in others if f.id not in _STAY]
    shown = {f for f, _ in columns.columns}
    more = chosen if chosen is not None else [f for f in FIELDS.values() if f.title]
    between += [(f, cells_of(f)) for f in more if f not in shown]
    if shift >= len(between):
        return None
    room = width - GUTTER - head[1] - sum((w or WHY_CELLS) + 1 for _, w in tail)
    if tail:  # the last takes what is left: here it is counted as what it needs
        room += (tail[-1][1] or WHY_CELLS) - WHY_CELLS
    kept = []
    for field, cells in between[shift:]:
        if room < cells + 1:
            break
        room -= cells + 1
        kept.append((field, cells))
    if not kept:
        return None
    if not tail:
        return ColumnSet((head, *kept[:-1], (kept[-1][0], kept[-1][1] + room)), columns.hidden)
    return ColumnSet((head, *kept, *tail[:-1], (tail[-1][0], WHY_CELLS + room)), columns.hidden)
