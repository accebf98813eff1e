"""Lists from which one entry is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nettop.tui.screens.overlay import Overlay
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line

ChosenT = TypeVar("ChosenT")


class Picker(Overlay[ChosenT]):
    """↑↓ choose, letters find, Enter takes what the cursor stands on."""

    SPACES = False  # typed ones part words

    def __init__(self, then: Callable[[ChosenT], object]) -> None:
        super().__init__(then)
        self.typed = ""
        self.at = 0

    def choose_at_cursor(self) -> None:
        """Takes what Enter stands for; where nothing is found nothing."""
        raise NotImplementedError

    def below(self, what: str) -> list[Line]:
        """What stands below the entries, each a key, a column …; keeps the cursor in sight."""
        self.top = max(min(self.top, self.at), self.at - self.inner[1] + 2)
        lines = [line((f"find {self.typed}_" if self.typed else "", Role.FOCUS))]
        if not self.entries:
            lines.insert(0, line((f"no {what} with '{self.typed}'", Role.WATCH)))
        return lines

    def act(self, key: str, character: str | None) -> bool:
        match key:
            case "down":
                self.at += 1
            case "up":
                self.at -= 1
            case "pagedown":
                self.at += 10
            case "pageup":
                self.at -= 10
            case "home":
                self.at = 0
            case "end":
                self.at = self.entries
            case "enter":
                self.choose_at_cursor()
                return False
            case "backspace":
                self.typed = self.typed[:-1]
            case "ctrl+u":
                self.typed = ""
            case _ if character and (character != " " or self.SPACES):
                self.typed += character.lower()
                self.at = 0
            case _:
                return self.unknown(key, character)
        return True
