"""Keys that choose by what the table is sorted."""

from __future__ import annotations

from dataclasses import replace
from functools import partialmethod

from nettop.feed import Sort
from nettop.text.fields import Field
from nettop.tui.screens.filter_keys import FilterKeys
from nettop.tui.screens.row_keys import NOTICE_S
from nettop.tui.style import Role


class SortKeys(FilterKeys):
    """The table is the subclass's."""

    def _groups_stand(self) -> bool:
        """Says so where groups are shown, which are not sorted."""
        if self.grouping:
            self.say("groups stand worst first; Enter opens one", Role.WATCH, NOTICE_S)
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

    def _sort_beside(self, by: int) -> None:
        if self._groups_stand():
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
