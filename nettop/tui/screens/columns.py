"""The columns picker."""

from __future__ import annotations

from collections.abc import Callable

from nettop.text.columns import title_of
from nettop.text.fields import FIELDS, Field
from nettop.tui.screens.overlay import Overlay
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line


class ColumnsScreen(Overlay[tuple[Field, ...]]):
    """Space turns a column on or off, + and - move it, Enter takes them; none is the usual set."""

    TITLE = "columns"
    WIDTH, HEIGHT = 78, 34
    FOOT = "space on/off  + - move  r usual set  Enter take  Esc"

    def __init__(
        self, shown: tuple[Field, ...], then: Callable[[tuple[Field, ...]], object]
    ) -> None:
        super().__init__(then)
        self.on: list[Field] = list(shown)
        self.fields = [*shown, *(f for f in FIELDS.values() if f.title and f not in shown)]
        self.at = 0

    def body(self, width: int) -> list[Line]:
        self.at = max(0, min(self.at, len(self.fields) - 1))
        lines = []
        for i, field in enumerate(self.fields):
            mark = "x" if field in self.on else " "
            text = f"[{mark}] {title_of(field):<10} {field.help}"[:width].ljust(width)
            role = Role.REVERSE if i == self.at else Role.NORMAL if field in self.on else Role.DIM
            lines.append(line((text, role)))
        self.top = max(min(self.top, self.at), self.at - self.inner[1] + 1)
        return lines

    def act(self, key: str, character: str | None) -> bool:
        field = self.fields[self.at]
        match key:
            case "down" | "j":
                self.at += 1
            case "up" | "k":
                self.at -= 1
            case "space" | "x":
                if field in self.on:
                    self.on.remove(field)
                else:
                    self.on.append(field)
            case "plus" | "minus":
                to = max(0, min(len(self.fields) - 1, self.at + (1 if key == "plus" else -1)))
                self.fields.insert(to, self.fields.pop(self.at))
                self.at = to
            case "r":
                self.choose(())
                return False
            case "enter":
                self.choose(tuple(f for f in self.fields if f in self.on))
                return False
            case _:
                return self.unknown(key, character)
        return True
