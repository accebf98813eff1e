"""One lower pane: a rule with its title, and the lines below it."""

from __future__ import annotations

from msgspec.structs import replace
from textual import events
from textual.message import Message

from nettop.tui.panes.data import PaneData, subject
from nettop.tui.panes.lines import PANES, rule
from nettop.tui.panes.rx import is_empty
from nettop.tui.panes.views import EVENTS, HEALTH, WAITS, names_of
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, LineWidget, clip

_WHEEL = 3


class Pane(LineWidget):
    """Pane number 1-4; redraws the lines that changed."""

    class Used(Message):
        """The mouse was used on it."""

        def __init__(self, number: int, *, twice: bool = False, by: int = 0) -> None:
            """by: lines that the wheel scrolls; 0: it was clicked."""
            super().__init__()
            self.number, self.twice, self.by = number, twice, by

    def __init__(self, number: int) -> None:
        super().__init__(id=f"pane{number}", classes="pane")
        self.number = number
        self.focused_pane = False
        self.bordered = False  # another pane stands to the left
        self.data: PaneData | None = None

    def show(self, data: PaneData) -> None:
        self.data = data
        self.redraw()

    def redraw(self) -> None:
        if self.data is None or not self.size.width:
            return
        g = self.nettop.glyphs
        title, make = PANES[self.number - 1]
        left = 2 if self.bordered else 1
        width = self.size.width - left - 1
        about = subject(self.data, self.number)
        view = self.data.views.of(self.number, self.data.model)
        usual = (view,) == names_of(self.number, self.data.model)[:1]
        if len(self.data.compared) > 1 and self.number != EVENTS:
            about = *about, "A against B"
        elif usual and self.number == WAITS and self._has_waits():
            about = *(f"{text}, {view}" for text in about), *about
        elif view and not usual:
            about = *(f"{view} of {text}" for text in about), view
        if self.number == HEALTH and self.data.marked is None:
            about = *(f"{text} 60 s" for text in about), *about
        body = make(self.data, width, self.size.height - 1, g)
        lines: list[Line] = [rule(self.number, title, about, self.size.width, g, self.focused_pane)]
        edge = ((g.bar, Role.DIM), (" ", Role.NORMAL)) if self.bordered else ((" ", Role.NORMAL),)
        lines += [(*edge, *clip(text, width, g.ellipsis)) for text in body]
        while self.bordered and len(lines) < self.size.height:
            lines.append(edge)
        self.set_lines(lines)

    def _has_waits(self) -> bool:
        """Something is drawn as the view that the title names."""
        waits = self.data.waits if self.data is not None else None
        return waits is not None and not is_empty(waits)

    def lines_beyond(self) -> int:
        """How many lines there are beyond those that fit; none before it was laid out."""
        if self.data is None or not self.size.width:
            return 0
        _, make = PANES[self.number - 1]
        room, views = self.size.height - 1, replace(self.data.views, scroll=0)
        data = replace(self.data, views=views)
        return len(make(data, self.size.width - 2, 1 << 20, self.nettop.glyphs)) - room

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Used(self.number, twice=event.chain == 2))

    def on_mouse_scroll_down(self) -> None:
        self.post_message(self.Used(self.number, by=_WHEEL))

    def on_mouse_scroll_up(self) -> None:
        self.post_message(self.Used(self.number, by=-_WHEEL))

    def on_resize(self) -> None:
        self._lines = []
        self.redraw()
