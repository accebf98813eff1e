"""A time of the past being written."""

from __future__ import annotations

from collections.abc import Callable

from textual import events

from nettop.times import Moment, moment
from nettop.tui.screens.overlay import Overlay
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, line

_LONGEST = 40


class MomentScreen(Overlay[Moment]):
    """All letters are text; Enter goes there."""

    TITLE = "go to a time"
    WIDTH, HEIGHT = 60, 8
    FOOT = "Enter goes there  Esc cancel"

    def __init__(self, kept: str, then: Callable[[Moment], object]) -> None:
        """kept: the span that there are ticks of."""
        super().__init__(then)
        self._kept = kept
        self._text = ""
        self._mistake = ""

    def body(self, width: int) -> list[Line]:
        return [
            line(("time  ", Role.FOCUS), (self._text, Role.BOLD), (" ", Role.REVERSE)),
            line((self._mistake, Role.UNWELL)) if self._mistake else BLANK,
            line(("14:02   14:02:30   -10m   2026-11-28T14:02:30", Role.DIM)),
            BLANK,
            line(("kept  ", Role.DIM), self._kept),
        ]

    def press(self, event: events.Key) -> None:
        character = event.character if event.is_printable else None
        match event.key:
            case "escape" | "ctrl+c":
                self.leave()
                return
            case "enter":
                self._go()
                return
            case "backspace":
                self._text = self._text[:-1]
            case "ctrl+u":
                self._text = ""
            case _ if character:
                self._text = (self._text + character)[:_LONGEST]
            case _:
                self.unknown(event.key, character)
                self.redraw()
                return
        self.notice = ""
        self._mistake = ""
        self.redraw()

    def paste(self, text: str) -> None:
        """A time pasted into it."""
        self._text = "".join(c for c in self._text + text.strip() if c.isprintable())[:_LONGEST]
        self._mistake = ""
        self.redraw()

    def _go(self) -> None:
        if not self._text.strip():
            self.leave()
            return
        try:
            at = moment(self._text.strip())
        except ValueError as error:
            self._mistake = str(error)
            self.redraw()
            return
        self.choose(at)
