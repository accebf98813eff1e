"""Every action by its words."""

from __future__ import annotations

from collections.abc import Callable

from nettop.text.keys import Key, Keymap
from nettop.tui.screens.picker import Picker
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, line

_LEFT_OUT = ("palette", "down", "up", "page_down", "page_up", "first", "last")


class PaletteScreen(Picker[str]):
    """Letters find, Enter does what the cursor stands on."""

    TITLE = "actions"
    WIDTH, HEIGHT = 104, 30
    TALL = True
    FIRST = 2
    SPACES = True
    FOOT = "type to find  ↑↓ choose  Enter does it  Esc"

    def __init__(
        self,
        keymap: Keymap,
        then: Callable[[str], object],
        only: Callable[[str], bool] | None = None,
    ) -> None:
        """only: which actions mean something here."""
        super().__init__(then)
        self.keys = [
            key
            for key in keymap.keys
            if key.action not in _LEFT_OUT and (only is None or only(key.action))
        ]

    def _shown(self) -> list[Key]:
        """Those whose own name has the words before those whose help has."""
        words = self.typed.split()

        def has(text: str) -> bool:
            return all(word in text.replace("_", " ").lower() for word in words)

        found = [key for key in self.keys if has(f"{key.action} {key.help}")]
        return sorted(found, key=lambda key: not has(key.action))

    @property
    def entries(self) -> int:
        return len(self._shown())

    def body(self, width: int) -> list[Line]:
        shown = self._shown()
        self.at = max(0, min(self.at, len(shown) - 1))
        lines: list[Line] = [
            line(("find ", Role.FOCUS), (self.typed, Role.BOLD), (" ", Role.REVERSE)),
            BLANK,
        ]
        for i, key in enumerate(shown):
            text = f"{key.shown:<12} {key.action.replace('_', ' '):<20} {key.help}"
            role = Role.REVERSE if i == self.at else Role.NORMAL
            lines.append(line((text.ljust(width), role)))
        if not shown:
            lines.append(line((f"no action with '{self.typed}'", Role.WATCH)))
        self.top = max(min(self.top, self.at), self.at - self.inner[1] + 3)
        return lines

    def choose_at_cursor(self) -> None:
        shown = self._shown()
        if shown:
            self.choose(shown[self.at].action)
