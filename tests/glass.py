"""What a terminal shows of what nettop writes to it: the few sequences that it uses."""

from __future__ import annotations

import codecs
import re

from rich.cells import cell_len

_TOKEN = re.compile(
    r"\x1b\[(?P<args>[?<>\d;]*)(?P<kind>[A-Za-z])|\x1b\][^\a\x1b]*(?:\a|\x1b\\)|\x1b\[[?\d;]*\$[a-z]"
    r"|[\x00-\x1f]|(?P<text>[^\x1b\x00-\x1f]+)"
)
_SEEN = re.compile(r";(4\d?|7|9|21|48|53|10\d);")  # styles that a blank shows
_BEGUN = re.compile(r"\x1b(?:\[[?<>\d;$]*|\][^\a\x1b]*\x1b?)?$")


_QUESTION, _ANSWER = b"\x1b[c", b"\x1b[?62;22c"


class Answers:
    """What a terminal answers to the question what it is: nettop asks with each picture, and waits
    for one that never answers."""

    def __init__(self) -> None:
        self._rest = b""

    def to(self, some: bytes) -> bytes:
        """For what was just read."""
        text = self._rest + some
        self._rest = text[1 - len(_QUESTION) :]
        return _ANSWER * text.count(_QUESTION)


class Glass:
    """A screen of characters and SGR codes; what does not fit is cut, nothing wraps."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._rest = ""
        self._pen = ""
        self._clear()

    def _clear(self) -> None:
        self.cells = [[(" ", "")] * self.columns for _ in range(self.lines)]
        self.x = self.y = 0

    @property
    def text(self) -> list[str]:
        return ["".join(c for c, _ in line).rstrip() for line in self.cells]

    def feed(self, text: str) -> None:
        text = self._rest + text
        begun = _BEGUN.search(text)
        self._rest = begun.group() if begun else ""
        for token in _TOKEN.finditer(text[: begun.start()] if begun else text):
            if token["text"]:
                self._write(token["text"])
            elif token["kind"]:
                self._control(token["kind"], token["args"])

    def _write(self, text: str) -> None:
        for c in text:
            width = cell_len(c)
            if not width:
                continue
            for i, part in enumerate([c, *[""] * (width - 1)]):
                if self.x + i < self.columns and self.y < self.lines:
                    # Bold or red, a blank is a blank.
                    seen = c != " " or _SEEN.search(f";{self._pen};")
                    self.cells[self.y][self.x + i] = (part, self._pen if seen else "")
            self.x += width

    def _control(self, kind: str, args: str) -> None:
        if args.startswith("?"):
            if args == "?1049" and kind in "hl":
                self._clear()
            return
        numbers = [int(n) for n in args.split(";") if n.isdecimal()]
        match kind:
            case "H":
                self.y = (numbers[0] if numbers else 1) - 1
                self.x = (numbers[1] if len(numbers) > 1 else 1) - 1
            case "C":
                self.x += numbers[0] if numbers else 1
            case "K" if self.y < self.lines:
                self.cells[self.y][self.x :] = [(" ", "")] * (self.columns - self.x)
            case "J":
                x, y = self.x, self.y
                self._clear()
                self.x, self.y = x, y
            case "m":
                self._style(args)

    def _style(self, args: str) -> None:
        if args in ("", "0"):
            self._pen = ""
        elif args.startswith("0;"):
            self._pen = args[2:]
        else:
            self._pen = f"{self._pen};{args}".strip(";")


def utf8_decoder() -> codecs.IncrementalDecoder:
    """Of what comes in pieces; what is no UTF-8 is replaced."""
    return codecs.getincrementaldecoder("utf-8")("replace")
