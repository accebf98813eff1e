"""The signs of the screen, and their stand-ins where the terminal has ASCII only."""

from __future__ import annotations

from msgspec import Struct

_ASCII = str.maketrans(
    {"–": "-", "µ": "u", "×": "x", "±": "+", "…": "~", "↑": "^", "↓": "v", "→": ">", "←": "<",
     "⇄": "<", "▲": "+", "≥": ">", "−": "-", "Δ": "d", "÷": "/", "·": ".", "│": "|", "─": "-"}
)  # fmt: skip


class Glyphs(Struct, frozen=True):
    """One set of signs."""

    ascii: bool
    unwell: str
    watch: str
    cursor: str
    mark: str
    ellipsis: str
    on: str
    partly: str
    off: str
    spark: str  # eight steps, the first is an empty column
    full: str  # the step above them, where nothing stands on top of it
    shades: str  # four, from light to full
    rule: str
    bar: str
    down: str
    up: str
    position: str  # of the time line: where one stands
    happened: str  # a drop, reset or error
    quiet: str  # a tick with nothing unwell

    def text(self, text: str) -> str:
        """A text as this terminal can show it."""
        if not self.ascii or text.isascii():
            return text
        return text.translate(_ASCII).encode("ascii", "replace").decode()


UTF8 = Glyphs(
    ascii=False, unwell="!", watch="▲", cursor="▌", mark="*", ellipsis="…", on="●", partly="◐",
    off="–", spark=" ▁▂▃▄▅▆▇", full="█", shades="░▒▓█", rule="─", bar="│", down="▼", up="▲",
    position="┃", happened="•", quiet="·",
)  # fmt: skip
ASCII = Glyphs(
    ascii=True, unwell="!", watch="+", cursor=">", mark="*", ellipsis="~", on=" ", partly="~",
    off="-", spark=" _.-=+*%", full="#", shades=":=%#", rule="-", bar="|", down="v", up="^",
    position="|", happened="o", quiet="'",
)  # fmt: skip
