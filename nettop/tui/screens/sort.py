"""The sort picker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nettop.feed import Sort
from nettop.model.types import Row
from nettop.text.fields import FIELDS, Field
from nettop.tui.screens.overlay import Overlay
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, line


class SortScreen(Overlay[Sort]):
    """↑↓ choose, Enter sorts, Enter on the key in force reverses, letters find."""

    TITLE = "sort by"
    WIDTH, HEIGHT = 74, 30
    FOOT = "↑↓ choose  Enter sort, again: reverse  type to find  Esc"

    def __init__(self, sort: Sort, rows: Sequence[Row], then: Callable[[Sort], object]) -> None:
        super().__init__(then)
        self.sort = sort
        self.typed = ""
        self.keys: list[Field | None] = [
            None,
            *(f for f in FIELDS.values() if f.title and f.sortable),
        ]
        self.at = self.keys.index(sort.field) if sort.field in self.keys else 0
        if self.at + 1 < len(self.keys) and sort.field is None:
            self.at = self.keys.index(FIELDS["retr/s"])

    def _shown(self) -> list[Field | None]:
        if not self.typed:
            return self.keys
        everything = [None, *(f for f in FIELDS.values() if f.sortable)]
        return [f for f in everything if self.typed in (f.id if f else "unwell")]

    def body(self, width: int) -> list[Line]:
        lines: list[Line] = [line((f"{'KEY':<16}{'DIR':<4} WHAT", Role.DIM))]
        shown = self._shown()
        self.at = max(0, min(self.at, len(shown) - 1))
        for i, field in enumerate(shown):
            same = field is self.sort.field
            down = (not self.sort.descending if same else field.descending) if field else True
            arrow = self.nettop.glyphs.down if down else self.nettop.glyphs.up
            what = field.help if field else "level, strength; steady (default)"
            name = field.id if field else "unwell"
            text = f"{name:<16}{arrow:<4} {what}"[:width].ljust(width)
            lines.append(
                line((text, Role.REVERSE if i == self.at else Role.BOLD if same else Role.NORMAL))
            )
        if not shown:
            lines.append(line((f"no key with '{self.typed}'", Role.WATCH)))
        lines += [BLANK, line((f"find {self.typed}_" if self.typed else "", Role.FOCUS))]
        self.top = max(min(self.top, self.at), self.at - self.inner[1] + 3)
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
            case "enter":
                shown = self._shown()
                if shown:
                    field = shown[self.at]
                    same = field is self.sort.field
                    down = (
                        (not self.sort.descending if same else field.descending) if field else True
                    )
                    self.choose(Sort(field, down))
                return False
            case "backspace":
                self.typed = self.typed[:-1]
            case _ if character and character != " ":
                self.typed += character.lower()
                self.at = 0
            case _:
                return self.unknown(key, character)
        return True
