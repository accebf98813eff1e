"""In which format to export."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from nettop.tui.screens.overlay import Overlay
from nettop.tui.style import Role
from nettop.tui.widgets.lines import BLANK, Line, line

FORMATS = (
    (".json", "j", "nettop.snapshot/1: everything, for nettop open and jq"),
    (".csv", "c", "a row per socket, in base units"),
    (".txt", "t", "the table as text"),
    (".svg", "v", "the table as a picture"),
    (".parquet", "p", "a row per socket, with types"),
)
OF_HOSTS = "nettop.snapshot/1: everything, for programs, not nettop open"


class FormatScreen(Overlay[str]):
    """↑↓ and Enter, or a format's letter."""

    TITLE = "export as"
    WIDTH, HEIGHT = 68, 10
    FIRST = 1
    FOOT = "↑↓ choose  Enter writes  Esc"

    def __init__(self, then: Callable[[str], object], *, of_hosts: bool = False) -> None:
        """
        Args:
            then: is given the file's ending.
            of_hosts: of many, which nettop open does not take.
        """
        super().__init__(then)
        self.at, self.of_hosts = 0, of_hosts
        none = find_spec("pyarrow") is None
        self.formats = [f for f in FORMATS if f[0] != ".parquet" or not none]

    @property
    def entries(self) -> int:
        return len(self.formats)

    def body(self, width: int) -> list[Line]:
        self.at %= len(self.formats)
        rows = [
            f"{letter}  {ending:<9} {OF_HOSTS if self.of_hosts and ending == '.json' else what}"
            for ending, letter, what in self.formats
        ]
        return [
            BLANK,
            *(
                line((text.ljust(width), Role.REVERSE if i == self.at else Role.NORMAL))
                for i, text in enumerate(rows)
            ),
        ]

    def act(self, key: str, character: str | None) -> bool:
        match key:
            case "down" | "tab":
                self.at += 1
            case "up" | "shift+tab":
                self.at -= 1
            case "enter":
                self.choose(self.formats[self.at][0])
                return False
            case _:
                for ending, letter, _ in self.formats:
                    if character == letter:
                        self.choose(ending)
                        return False
                return self.unknown(key, character)
        return True
