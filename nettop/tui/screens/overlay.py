"""A box over the main screen: lines that scroll, keys that act."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from nettop.text.keys import written
from nettop.tui.base import KeyScreen
from nettop.tui.footer import name_of
from nettop.tui.widgets.box import boxed
from nettop.tui.widgets.lines import Line, LineWidget

if TYPE_CHECKING:
    from nettop.tui.app import NettopApp

T = TypeVar("T")
# Of a hint, the pieces that a click can mean.
_PIECES = re.compile(r"(Esc|Enter|space|\^[A-Z]|↓(?= mo))(?: [\w/:,]+)*")
_BELOW_ABOVE = 6  # lines of the screen that stay seen around a tall box


class Overlay(KeyScreen[T], ModalScreen[T]):
    """Subclasses give body(width) and act on keys; Esc closes."""

    DEFAULT_CSS = """
    Overlay { align: center middle; }
    Overlay #box { width: 100%; height: 100%; background: ansi_default; }
    """
    TITLE = ""
    WIDTH, HEIGHT = 104, 36
    TALL = False  # a long list: of a tall screen it takes more than HEIGHT
    FOOT = "Esc closes"
    FIRST: int | None = None  # line of the body where a list begins; None: it has none
    CLICKED = "enter"  # the key that a click on the chosen entry of the list stands for
    at = 0  # the chosen entry

    def __init__(self, then: Callable[[T], object] | None = None) -> None:
        """then: called with the result once the screen below is back; not after Esc."""
        super().__init__()
        self.top = 0
        self.notice = ""  # of a key that means nothing here; until the next one
        self._then = then

    @property
    def nettop(self) -> NettopApp:
        return cast("NettopApp", self.app)

    def compose(self) -> ComposeResult:
        self.box = LineWidget(id="box")
        yield self.box

    def on_mount(self) -> None:
        # The table stays visible around the box.
        self.styles.background = "transparent"
        self._fit()

    def _fit(self) -> None:
        width, height = self.app.size
        most = max(self.HEIGHT, height - _BELOW_ABOVE) if self.TALL else self.HEIGHT
        self.inner = (min(self.WIDTH, width) - 4, min(most, height) - 2)
        self.box.styles.width = self.inner[0] + 4
        self.box.styles.height = self.inner[1] + 2
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        if hasattr(self, "box"):
            self.box._lines = []
            self._fit()

    def body(self, width: int) -> list[Line]:
        raise NotImplementedError

    def redraw(self) -> None:
        """The box: as much of the body as fits, from `top` on."""
        width, height = self.inner
        body = self.body(width)
        self.top = max(0, min(self.top, len(body) - height))
        foot = self.FOOT if len(body) <= height else f"{self.FOOT}, ↓ more"
        foot = f"{self.notice}: {self.FOOT}" if self.notice else foot
        self.box.set_lines(
            boxed(self.TITLE, body[self.top :], foot, width + 4, height + 2, self.nettop.glyphs)
        )

    def press(self, event: events.Key) -> None:
        self.notice, before = "", self.notice
        if event.key in ("escape", "ctrl+c"):
            self.leave()
            return
        drawn = self.act(event.key, event.character if event.is_printable else None)
        if drawn or (before and self.app.screen is self):
            self.redraw()

    def on_click(self, event: events.Click) -> None:
        """A click on an entry of a list chooses it, on the chosen one acts; beside the box it
        closes; on the lower edge it presses the key that is named there."""
        x, y = event.screen_offset
        box = self.box.region
        if not box.contains(x, y):
            self.leave()
            return
        line = y - box.y - 1
        if line == self.inner[1]:
            self._foot_clicked(x - box.x)
            return
        if self.FIRST is None or not 0 <= line < self.inner[1]:
            return
        entry = self.top + line - self.FIRST
        if not 0 <= entry < self.entries:
            return
        if entry != self.at:
            self.at = entry
            self.redraw()
        elif self.act(self.CLICKED, None):
            self.redraw()

    def _foot_clicked(self, x: int) -> None:
        """Each piece of the hint begins with its key: `Enter sort, again: reverse  Esc`."""
        shown = "".join(text for text, _ in self.box.shown(self.inner[1] + 1))
        for piece in _PIECES.finditer(shown):
            if piece.start() <= x < piece.end():
                key = piece[1]
                if key == "Esc":
                    self.leave()
                elif self.act("pagedown" if key == "↓" else name_of(key), None):
                    self.redraw()

    @property
    def entries(self) -> int:
        """How many there are in the list."""
        return 0

    def on_mouse_scroll_down(self) -> None:
        if self.act("down", None):
            self.redraw()

    def on_mouse_scroll_up(self) -> None:
        if self.act("up", None):
            self.redraw()

    def unknown(self, key: str, character: str | None) -> bool:
        """Says so; True, as the box must be drawn again."""
        self.notice = f"no key {written(key, character)} here"
        return True

    def choose(self, result: T) -> None:
        """Closes with a result."""
        self.leave()
        if self._then is not None:
            self._then(result)

    def act(self, key: str, character: str | None) -> bool:
        """True if the box must be drawn again."""
        match key:
            case "down" | "j":
                self.top += 1
            case "up" | "k":
                self.top -= 1
            case "pagedown" | "space":
                self.top += self.inner[1]
            case "pageup":
                self.top -= self.inner[1]
            case "home" | "g":
                self.top = 0
            case "end" | "G":
                self.top = 1 << 20
            case "q" | "question_mark" | "enter" | "f1" | "f10" | "h":
                self.leave()
                return False
            case _:
                return self.unknown(key, character)
        self.top = max(0, self.top)
        return True
