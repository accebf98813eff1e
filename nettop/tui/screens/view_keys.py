"""Keys that choose what of the sockets is shown: panes, columns, names."""

from __future__ import annotations

from functools import partialmethod
from typing import Any

from msgspec.structs import replace

from nettop.errors import NettopError
from nettop.feed import Grouping, Sort
from nettop.model.types import Model
from nettop.tui.columns import ColumnSet
from nettop.tui.panes.pane import Pane
from nettop.tui.panes.views import EVENTS, HEALTH, HEATMAP, WAITS, Views, names_of
from nettop.tui.screens.time_keys import TimeKeys
from nettop.tui.style import Role

LEAST_PANES = 16  # lines of a terminal that has room for panes
ABOVE_PANES = 3  # lines beside a pane at full size: two at the top, and the keys


def pane_lines(height: int, above: int | None = None) -> int:
    """Lines of the panes below the table, with their rule; above: lines of the table, of which the
    panes take what it does not need (None: they do not)."""
    least = 12 if height >= 34 else 10 if height >= 22 else 7
    usual = min(least + max(0, (height - 44) // 4), 18)
    return usual if above is None else max(usual, height - ABOVE_PANES - 1 - above)


def shown_panes(width: int, number: int, *, zoomed: bool) -> set[int]:
    """The panes that stand beside each other where `number` is the chosen one: as many as have room
    for their numbers, and health, which says what is wrong, before others."""
    if zoomed or width < 100:
        return {number}
    if width >= 160:
        return {1, 2, 3, 4}
    if width >= 120:
        return {1, 2, 4} if number == EVENTS else {1, 2, 3}
    return {WAITS, HEALTH} if number == HEALTH else {number, HEALTH}


class ViewKeys(TimeKeys):
    """The state that they change is shown by the subclass."""

    model: Model | None
    pane_number: int
    sort: Sort
    grouping: Grouping
    filter_text: str | None
    views: Views
    panes: list[Pane]
    zoomed: bool
    column_set: ColumnSet
    usual_set: ColumnSet  # of this width
    _columns_for: Any  # what they were chosen for; None: to be chosen anew

    def _arrange(self) -> None:
        raise NotImplementedError

    def refresh_all(self, *, panes: bool = True) -> None:
        raise NotImplementedError

    def refresh_panes(self) -> None:
        raise NotImplementedError

    def _pane(self, number: int) -> None:
        self.pane_number = number
        self._arrange()
        self.call_after_refresh(self.refresh_panes)

    do_pane_1 = partialmethod(_pane, 1)
    do_pane_2 = partialmethod(_pane, 2)
    do_pane_3 = partialmethod(_pane, 3)
    do_pane_4 = partialmethod(_pane, 4)

    def do_next_pane(self) -> None:
        self._pane(self.pane_number % 4 + 1)

    def do_pane_before(self) -> None:
        self._pane((self.pane_number - 2) % 4 + 1)

    def do_view(self) -> None:
        if not names_of(self.pane_number, self.model):
            self.say("this pane has one view; 1 2 4 choose one with more", Role.WATCH)
            return
        self.views = self.views.next(self.pane_number, self.model)
        self.refresh_panes()

    def pane_key(self, key: str) -> bool:
        """What a key means to a pane at full size; True: it was such a key."""
        if not self.zoomed:
            return False
        if self.pane_number == EVENTS:
            page = self.app.size.height - 8
            by = {"down": 1, "j": 1, "up": -1, "k": -1, "pagedown": page, "pageup": -page,
                  "home": -1 << 20, "end": 1 << 20}.get(key)  # fmt: skip
            if by is not None:
                self.scroll_events(by)
            return by is not None
        if self.pane_number != WAITS or self.views.of(WAITS, self.model) != HEATMAP:
            return False
        heat = self.views.heat
        match key:
            case "left" | "right":
                heat = heat.moved(1 if key == "right" else -1)
            case "plus" | "minus":
                heat = heat.wider(1 if key == "plus" else -1)
            case _:
                return False
        self.views = replace(self.views, heat=heat)
        self.refresh_panes()
        return True

    @property
    def full_size(self) -> str:
        """What is at full size: the view of the pane, or events; "": nothing."""
        if not self.zoomed:
            return ""
        if self.pane_number == EVENTS:
            return "events"
        return self.views.of(self.pane_number, self.model) or "pane"

    def scroll_events(self, by: int) -> None:
        """Lines of the events' pane, as far as there are any."""
        pane = self.panes[EVENTS - 1]
        room = max(0, pane.lines_beyond())
        self.views = replace(self.views, scroll=max(0, min(room, self.views.scroll + by)))
        self.refresh_panes()

    def do_zoom(self) -> None:
        if not self.zoomed and self.app.size.height < LEAST_PANES:
            self.say(f"panes need {LEAST_PANES} lines", Role.WATCH)
            return
        self.zoomed = not self.zoomed
        self._arrange()
        self.call_after_refresh(self.refresh_all)

    def do_save_view(self) -> None:
        """Filter, sort, grouping, interval, and the columns for this width."""
        options = self.nettop.options
        if options.readonly:
            self.say("read-only: no view is saved", Role.WATCH)
            return
        from nettop.config.view import View, save_view

        columns = {self.app.size.width: options.columns} if options.columns else {}
        group = self.grouping.name.lower()
        view = View(self.sort, group, self.filter_text, self.nettop.interval_s, columns)
        try:
            self.say(f"saved: {save_view(view)}")
        except NettopError as error:
            self.say(str(error), Role.UNWELL)

    def do_names(self) -> None:
        self.nettop.numeric = not self.nettop.numeric
        self.say(f"users and namespaces by {'number' if self.nettop.numeric else 'name'}")
        self.refresh_all()
