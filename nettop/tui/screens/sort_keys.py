"""Keys that choose by what the table is sorted."""

from __future__ import annotations

from functools import partialmethod

from msgspec.structs import replace
from textual.timer import Timer

from nettop.feed import Sort
from nettop.text.fields import Field
from nettop.tui.group_lines import Column, columns_of
from nettop.tui.screens.filter_keys import FilterKeys
from nettop.tui.screens.row_keys import NOTICE_S
from nettop.tui.style import Role
from nettop.tui.widgets.group_table import GroupTable
from nettop.tui.widgets.room import Room

HOLD_S = 3.0  # after the cursor moved


class SortKeys(FilterKeys):
    """The tables are the subclass's."""

    groups: GroupTable

    def __init__(self) -> None:
        super().__init__()
        self.held = False  # until `o` again
        self._hold_timer: Timer | None = None
        self._room = Room()
        self._above: int | None = None  # lines that the table needs

    def refresh_panes(self) -> None:
        raise NotImplementedError

    def _lines_above(self) -> int | None:
        """What the table needs of the room above the panes; of two compared groups no more."""
        if self.model is None or self.trying:
            return self._above  # what a filter leaves while it is written moves nothing
        if self.grouping and self.groups.both[1:]:
            return self.groups.lines_needed
        needed = self.groups.lines_needed if self.grouping else self.feed.count()
        shown = self.grouping, self.filter_text, self.rows, self.app.size.width
        return self._room.lines(needed, shown)

    def _hold(self, held: bool) -> None:
        self.timeline.base.hold_order(held)
        self.groups.hold(held)

    def hold_awhile(self) -> None:
        """The order stands still while the user looks."""
        self._hold(True)
        if self._hold_timer is not None:
            self._hold_timer.stop()
        self._hold_timer = self.set_timer(HOLD_S, self._release)

    def _release(self) -> None:
        if not self.held:
            self._hold(False)

    def set_held(self, held: bool) -> None:
        self.held = held
        self._hold(held)

    def do_hold(self) -> None:
        self.set_held(not self.held)
        self.refresh_header()

    def do_sort(self) -> None:
        if self.grouping:
            from nettop.tui.screens.group_sort import GroupSortScreen

            groups, now = self.groups.groups, (self.groups.sort, self.groups.descending)
            self.app.push_screen(
                GroupSortScreen(self.grouping, now, groups, lambda to: self._sort_groups(*to))
            )
            return
        from nettop.tui.screens.sort import MOST_ROWS, SortScreen

        count = self.feed.count()
        rows = self.feed.window(0, count) if count <= MOST_ROWS else []
        self.app.push_screen(SortScreen(self.sort, rows, self._use_sort))

    def _use_sort(self, sort: Sort) -> None:
        self.sort = sort
        self.timeline.choose(replace(self.timeline.chosen, sort=sort))
        self.table.to_top()
        self.refresh_all()

    def do_reverse(self) -> None:
        sort = self.groups.sort if self.grouping else self.sort.field
        if sort is None:
            self.say("unwell has one direction: s chooses another key", Role.WATCH, NOTICE_S)
            return
        if self.grouping:
            self._sort_groups(self.groups.sort, not self.groups.descending)
            return
        self._use_sort(Sort(self.sort.field, not self.sort.descending))

    def _sort_groups(self, column: Column | None, descending: bool = True) -> None:
        self.groups.sort_by(column, descending=descending)
        first = "" if descending else ", the smallest first"
        said = f"groups by {column.title}{first}" if column else "groups, the worst first"
        self.say(said, seconds=NOTICE_S)
        self.refresh_panes()

    def _sort_beside(self, by: int) -> None:
        if self.grouping:
            width, groups = self.app.size.width, self.groups
            columns = [None, *columns_of(self.grouping, width, groups.sort, groups.equals)]
            at = columns.index(self.groups.sort) if self.groups.sort in columns else 0
            self._sort_groups(columns[(at + by) % len(columns)])
            return
        sortable: list[Field | None] = [
            None,
            *(f for f, _ in self.column_set.columns if f.sortable and f.id != "why"),
        ]
        at = sortable.index(self.sort.field) if self.sort.field in sortable else 0
        field = sortable[(at + by) % len(sortable)]
        self._use_sort(Sort(field, field.descending if field else True))

    do_sort_left = partialmethod(_sort_beside, -1)
    do_sort_right = partialmethod(_sort_beside, 1)
