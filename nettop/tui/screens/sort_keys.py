"""Keys that choose by what the table is sorted."""

from __future__ import annotations

from functools import partialmethod

from msgspec.structs import replace

from nettop.feed import Sort
from nettop.text.fields import Field
from nettop.tui.group_lines import Column, columns_of
from nettop.tui.screens.filter_keys import FilterKeys
from nettop.tui.screens.row_keys import NOTICE_S
from nettop.tui.style import Role
from nettop.tui.widgets.group_table import GroupTable


class SortKeys(FilterKeys):
    """The tables are the subclass's."""

    groups: GroupTable

    def refresh_panes(self) -> None:
        raise NotImplementedError

    def _groups_stand(self) -> bool:
        """Says how groups are sorted, where they are shown."""
        if self.grouping:
            self.say("< and > sort groups by a column; Enter opens one", Role.WATCH, NOTICE_S)
        return bool(self.grouping)

    def do_sort(self) -> None:
        if self._groups_stand():
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
        if self._groups_stand():
            return
        if self.sort.field is None:
            self.say("unwell has one direction: s chooses another key", Role.WATCH, NOTICE_S)
            return
        self._use_sort(Sort(self.sort.field, not self.sort.descending))

    def _sort_groups(self, column: Column | None) -> None:
        self.groups.sort_by(column)
        said = f"groups by {column.title}" if column else "groups, the worst first"
        self.say(said, seconds=NOTICE_S)
        self.refresh_panes()

    def _sort_beside(self, by: int) -> None:
        if self.grouping:
            columns = [None, *columns_of(self.grouping, self.app.size.width)]
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
