"""What the mouse does on the main screen: what the key for the same thing does."""

from __future__ import annotations

from nettop.feed import Sort
from nettop.tui.columns import field_at
from nettop.tui.footer import key_at, name_of
from nettop.tui.group_lines import column_at
from nettop.tui.header import action_at, is_of_levels
from nettop.tui.panes.pane import Pane
from nettop.tui.panes.views import EVENTS
from nettop.tui.screens.sort_keys import SortKeys
from nettop.tui.widgets.group_table import GroupTable
from nettop.tui.widgets.lines import ClickLine


class MouseKeys(SortKeys):
    """The screen that it acts on is the subclass's."""

    host: ClickLine
    status: ClickLine

    def _footer_keys(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def _place(self) -> str:
        raise NotImplementedError

    def do_open(self) -> None:
        raise NotImplementedError

    def to_first(self) -> None:
        """Back to the first line; of sockets none is followed then."""
        if self.grouping:
            self.groups.move(-len(self.groups.groups))
        else:
            self.table.to_top()
        self.refresh_header()

    def title_clicked(self, x: int) -> None:
        """Sorts by that column, or reverses; by WHO and WHY in the usual order."""
        if self.app.screen is not self:
            return
        if self.grouping:
            column = column_at(
                self.grouping, self.app.size.width, x, self.groups.sort, self.groups.equals
            )
            same = column is self.groups.sort
            self._sort_groups(column, not (same and self.groups.descending))
            return
        field = field_at(self.column_set, x)
        if field is None:
            return
        if field.id in ("who", "why"):
            self._use_sort(Sort())
        elif not field.sortable:
            self.say(f"nothing is sorted by {field.id}")
        elif field is self.sort.field:
            self._use_sort(Sort(field, not self.sort.descending))
        else:
            self._use_sort(Sort(field, field.descending))

    def host_clicked(self, x: int) -> None:
        """How many are unwell: those first, in the usual order."""
        if self.app.screen is self and is_of_levels(self.host.shown(0), x):
            if self.grouping:
                self._sort_groups(None)
            else:
                self._use_sort(Sort())
            self.to_first()

    def status_clicked(self, x: int) -> None:
        """What stands there is changed, or explained: filter, grouping, sort key, planes."""
        action = action_at(self.status.shown(0), x)
        if action is not None and self.app.screen is self:
            self.act(action)

    def footer_clicked(self, x: int) -> None:
        key = key_at(self._footer_keys(), self.app.size.width, x, self._place())
        if key is None or self.app.screen is not self:
            return
        name = name_of(key)
        action = self.nettop.keymap.action_of(name, key)
        if not self.pane_key(name) and action is not None:
            self.act(action)

    def on_pane_used(self, message: Pane.Used) -> None:
        """A click chooses the pane, two show it at full size; the wheel scrolls events."""
        if self.app.screen is not self:
            return
        if message.by:
            if message.number == EVENTS:
                self.scroll_events(message.by)
            return
        if message.number != self.pane_number:
            self._pane(message.number)
        if message.twice:
            self.do_zoom()

    def on_group_table_clicked(self, message: GroupTable.Clicked) -> None:
        if self.app.screen is self:
            if message.twice:
                self.do_open()
            else:
                self.hold_awhile()
                self.refresh_panes()
