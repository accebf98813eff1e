"""The columns picker."""

from __future__ import annotations

from collections.abc import Callable

from nettop.text.columns import title_of
from nettop.text.fields import FIELDS, Field
from nettop.tui.screens.picker import Picker
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, line, rows_of


class ColumnsScreen(Picker[tuple[Field, ...]]):
    """Space turns a column on or off, + and - move it, Enter takes them; letters find among all
    fields, ^R is the usual set."""

    TITLE = "columns"
    TALL = True
    WIDTH, HEIGHT = 104, 34
    FIRST = 2
    FOOT = "type to find  space on/off  + - move  ^R usual set  Enter take  Esc"
    CLICKED = "space"

    def __init__(
        self, shown: tuple[Field, ...], then: Callable[[tuple[Field, ...]], object]
    ) -> None:
        super().__init__(then)
        self.on: list[Field] = list(shown)
        self.fields = [*shown, *(f for f in FIELDS.values() if f.title and f not in shown)]

    @property
    def entries(self) -> int:
        return len(self._shown())

    def _shown(self) -> list[Field]:
        """Those with what was typed in their title or name first, then those that explain it so."""
        word = self.typed
        if not word:
            return self.fields
        all_ = [*self.fields, *(f for f in FIELDS.values() if f not in self.fields)]
        named = [f for f in all_ if word in title_of(f).lower() or word in f.id]
        return named + [f for f in all_ if f not in named and word in f.help.lower()]

    def body(self, width: int) -> list[Line]:
        shown = self._shown()
        self.at = max(0, min(self.at, len(shown) - 1))
        lines: list[Line] = [
            line(("find ", Role.FOCUS), (self.typed, Role.BOLD), (" ", Role.REVERSE)),
            BLANK,
        ]
        if shown:  # what its line has no room for
            head = f"{'':<4}{title_of(shown[self.at]):<10} "
            rest = rows_of(shown[self.at].help, width - len(head) - 1)[1:]
            lines[1] = line((f"… {' '.join(rest)}" if rest else "", Role.DIM))
        for i, field in enumerate(shown):
            mark = "x" if field in self.on else " "
            head = f"[{mark}] {title_of(field):<10} "
            first, *more = rows_of(field.help, width - len(head) - 1)
            text = f"{head}{first}{'…' if more else ''}".ljust(width)
            role = Role.REVERSE if i == self.at else Role.NORMAL if field in self.on else Role.DIM
            lines.append(line((text, role)))
        if not shown:
            lines.append(line((f"no column with '{self.typed}'", Role.WATCH)))
        self.top = max(min(self.top, self.at), self.at - self.inner[1] + 3)
        return lines

    def choose_at_cursor(self) -> None:
        self.choose(tuple(f for f in self.fields if f in self.on))

    def act(self, key: str, character: str | None) -> bool:
        shown = self._shown()
        field = shown[self.at] if shown else None
        match key:
            case "space":
                if field is not None:
                    self._switch(field)
            case "plus" | "minus" if field in self.fields:
                self._move(field, 1 if key == "plus" else -1)
            case "plus":
                return self.unknown(key, character)
            case "ctrl+r":
                self.choose(())
                return False
            case _:
                return super().act(key, character)
        return True

    def _switch(self, field: Field) -> None:
        if field in self.on:
            self.on.remove(field)
            return
        self.on.append(field)
        if field not in self.fields:
            self.fields.append(field)

    def _move(self, field: Field | None, by: int) -> None:
        """To another place of the table; where some are found, the cursor stays on the field."""
        assert field is not None
        place = self.fields.index(field)
        to = max(0, min(len(self.fields) - 1, place + by))
        self.fields.insert(to, self.fields.pop(place))
        self.at = self._shown().index(field)
