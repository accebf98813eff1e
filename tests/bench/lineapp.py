"""A table and nothing else by Textual's Line API, to which nettop's painting is compared.

  python -m tests.bench.lineapp --rows 10000 --hz 1

Twelve columns of numbers in three styles; each tick changes every visible cell and repaints the
widget. The cursor moves by j and k, which repaints two lines.
"""

from __future__ import annotations

import argparse
import random

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

COLUMNS, CELL = 12, 10
WIDTH = COLUMNS * CELL


def number() -> str:
    return f"{random.randrange(10**6, 10**8):>9} "


class Lines(ScrollView, can_focus=True):
    """Rows exist as text; only the visible ones are drawn."""

    DEFAULT_CSS = "Lines { height: 1fr; scrollbar-size: 0 0; }"

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = [[number() for _ in range(COLUMNS)] for _ in range(rows)]
        self.cursor = 0
        self.looks = [Style.parse(s) for s in ("default", "green", "cyan")]
        self.reverse = Style.parse("reverse")

    def on_mount(self) -> None:
        self.virtual_size = Size(WIDTH, len(self.rows))

    def render_line(self, y: int) -> Strip:
        at = y + self.scroll_offset.y
        if at >= len(self.rows):
            return Strip.blank(self.size.width)
        cells = self.rows[at]
        if at == self.cursor:
            return Strip([Segment("".join(cells), self.reverse)], WIDTH)
        return Strip([Segment(c, self.looks[i % 3]) for i, c in enumerate(cells)], WIDTH)

    def on_key(self, event: events.Key) -> None:
        step = {"j": 1, "k": -1}.get(event.key)
        if step is not None:
            old, self.cursor = self.cursor, max(0, min(self.size.height - 1, self.cursor + step))
            self.refresh(Region(0, old, WIDTH, 1), Region(0, self.cursor, WIDTH, 1))

    def tick(self) -> None:
        top = self.scroll_offset.y
        for at in range(top, min(top + self.size.height, len(self.rows))):
            self.rows[at] = [number() for _ in range(COLUMNS)]
        self.refresh()


class LineApp(App[None]):
    """Titles and the table."""

    CSS = "Screen { overflow: hidden; } Static { height: 1; }"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, rows: int, hz: float) -> None:
        super().__init__()
        self.lines = Lines(rows)
        self.hz = hz

    def compose(self) -> ComposeResult:
        yield Static("READY".ljust(WIDTH, "-"))
        yield self.lines

    def on_mount(self) -> None:
        self.lines.focus()
        if self.hz:
            self.set_interval(1 / self.hz, self.lines.tick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--hz", type=float, default=1.0)
    args = parser.parse_args()
    LineApp(args.rows, args.hz).run()
