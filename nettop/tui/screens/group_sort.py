"""The picker of the column that groups are sorted by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nettop.feed import Grouping
from nettop.model.types import Group
from nettop.tui.group_lines import Column, all_columns, factors
from nettop.tui.screens.sort import SortPicker
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line

_WHAT = {
    "": "level, then what flows (default)",
    "SOCKS": "sockets",
    "UNW": "unwell sockets",
    "TX": "payload sent, bit/s",
    "RX": "payload received, bit/s",
    "RETR/s": "segments resent per second",
    "RETR%": "bytes resent of bytes sent",
    "SRTT50": "median of the smoothed round-trip times",
    "SRTTMAX": "longest smoothed round-trip time",
    "×MED": "SRTT50 by the median of the others",
    "RXW99": "RX queue wait, p99",
    "ACK50": "send to ACK, median",
    "ACK99": "send to ACK, p99",
    "SNDQ": "bytes not acknowledged",
    "RCVQ": "bytes not read",
}
_TOP_CELLS = 10
Chosen = tuple[Column | None, bool]


def top_of(column: Column, groups: Sequence[Group], grouping: Grouping, *, down: bool) -> str:
    """What it would bring to the top; "": nothing that is known."""
    by = factors(groups, grouping)
    known = [(value, at) for at, value in enumerate(column.values(groups, by)) if value is not None]
    if not known:
        return ""
    _, at = (max if down else min)(known)
    return column.text(groups[at], by[at])


class GroupSortScreen(SortPicker[Chosen]):
    """Every column of groups, also those that have no room."""

    def __init__(
        self,
        grouping: Grouping,
        now: Chosen,
        groups: Sequence[Group],
        then: Callable[[Chosen], object],
    ) -> None:
        """now: what they are sorted by, and whether its largest is first."""
        super().__init__(then)
        self.now = now
        self.keys: list[Column | None] = [None, *all_columns(grouping)]
        self.at = self.keys.index(now[0])
        self.tops = {
            c: top_of(c, groups, grouping, down=self._down(c)) for c in self.keys if c is not None
        }

    def _down(self, column: Column | None) -> bool:
        return column is None or column is not self.now[0] or not self.now[1]

    def _shown(self) -> list[Column | None]:
        return [c for c in self.keys if self.typed in (c.title.lower() if c else "unwell")]

    @property
    def entries(self) -> int:
        return len(self._shown())

    def body(self, width: int) -> list[Line]:
        what_cells = max(4, width - 14 - _TOP_CELLS)
        lines: list[Line] = [
            line((f"{'COLUMN':<9}{'DIR':<4} {'WHAT':<{what_cells}}TOP NOW", Role.DIM))
        ]
        g, shown = self.nettop.glyphs, self._shown()
        self.at = max(0, min(self.at, len(shown) - 1))
        for i, column in enumerate(shown):
            title = column.title if column else ""
            top = self.tops[column] if column else ""
            what = _WHAT[title][: what_cells - 1]
            arrow = g.down if self._down(column) else g.up
            text = g.text(
                f"{title or 'unwell':<9}{arrow:<4} {what:<{what_cells}}{top:>{_TOP_CELLS - 3}}"
            ).ljust(width)
            chosen = Role.BOLD if column is self.now[0] else Role.NORMAL
            lines.append(line((text, Role.REVERSE if i == self.at else chosen)))
        return lines + self.below("column")

    def choose_at_cursor(self) -> None:
        shown = self._shown()
        if shown:
            column = shown[self.at]
            self.choose((column, self._down(column)))
