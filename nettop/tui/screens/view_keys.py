"""Keys that choose what of the sockets is shown: panes, columns, names."""

from __future__ import annotations

from functools import partialmethod
from typing import Any

from nettop.model.types import Model
from nettop.text.fields import Field
from nettop.tui.columns import ColumnSet
from nettop.tui.panes.rx import VIEWS
from nettop.tui.screens.time_keys import TimeKeys
from nettop.tui.style import Role

LEAST_PANES = 16  # lines of a terminal that has room for panes


class ViewKeys(TimeKeys):
    """The state that they change is shown by the subclass."""

    model: Model | None
    pane_number: int
    view: int
    zoomed: bool
    column_set: ColumnSet
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
        paths = self.model is not None and self.model.path is not None
        self.view = (self.view + 1) % (len(VIEWS) + paths)
        self.refresh_panes()

    def do_zoom(self) -> None:
        if not self.zoomed and self.app.size.height < LEAST_PANES:
            self.say(f"panes need {LEAST_PANES} lines", Role.WATCH)
            return
        self.zoomed = not self.zoomed
        self._arrange()
        self.call_after_refresh(self.refresh_all)

    def do_columns(self) -> None:
        from nettop.tui.screens.columns import ColumnsScreen

        shown = tuple(f for f, _ in self.column_set.columns)
        self.app.push_screen(ColumnsScreen(shown, self._use_columns))

    def _use_columns(self, chosen: tuple[Field, ...]) -> None:
        self.nettop.set_columns(chosen or None)
        self._columns_for = None
        self.refresh_all()

    def do_names(self) -> None:
        self.nettop.numeric = not self.nettop.numeric
        self.say(f"users and namespaces by {'number' if self.nettop.numeric else 'name'}")
        self.refresh_all()
