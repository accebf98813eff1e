"""What all apps and screens share: keys one after the other, and an end that comes for sure."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ClassVar, TypeVar, cast

from rich.style import Style
from textual import events
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget

from nettop.ending import ending
from nettop.tui.driver import TerminalDriver
from nettop.tui.painter import Pieces
from nettop.tui.terminal import Terminal, has_shell

T = TypeVar("T")
_STOP_S = 0.1


class KeyScreen(Screen[T]):
    """A screen that is given keys while it is on top and ready, each when the last one is done.

    What a key changes is in force when `press` returns; only what is drawn may follow later.
    """

    ready = False

    def on_screen_resume(self) -> None:
        self.ready = True
        self.app.call_next(cast("ScreenApp", self.app).take_typed)

    def press(self, event: events.Key) -> None:
        raise NotImplementedError

    def paste(self, text: str) -> None:
        """A text pasted into the terminal; most screens have no use for it."""

    def leave(self) -> None:
        """Back to the screen below, unless this one is not on top any more."""
        if self.app.screen is self:
            self.app.pop_screen()


def as_typed(event: events.Key | events.Paste) -> events.Key | events.Paste:
    """Enter, also where it came as a line feed: a terminal that is not raw yet makes that of it."""
    if isinstance(event, events.Key) and event.key == "ctrl+j":
        return events.Key("enter", "\r")
    return event


class ScreenApp(App[int]):
    """An app on a terminal of its own.

    Textual hands a key to the screen that is on top when it comes, which may be another one once
    the keys before it have done their work. Here a key waits for those before it.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []
    theme = Reactive("ansi-dark")  # from the first: all CSS is read anew for another one

    def __init__(self) -> None:
        super().__init__(driver_class=TerminalDriver, ansi_color=True)
        self.terminal = Terminal()
        self._typed: deque[events.Key | events.Paste] = deque()

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """The driver draws what differs, when the terminal has room for it; Textual would write
        each change at once, and a slow terminal be behind by all of them."""
        driver = self._driver
        drawn = isinstance(driver, TerminalDriver) and isinstance(renderable, CompositorUpdate)
        if not drawn or self._batch_count or not self._running or self._closed:
            super()._display(screen, renderable)
            return
        cast("TerminalDriver", driver).show(renderable, (screen.size.width, screen.size.height))
        self.post_display_hook()

    def draw_lines(self, widget: Widget, lines: Iterable[tuple[int, Pieces]], rest: Style) -> bool:
        """Lines of a widget that nothing covers and that has no edge, without Textual's composing
        of a picture. False: it may be covered, or not be laid out as it will be."""
        driver, stack = self._driver, self._screen_stack
        if not isinstance(driver, TerminalDriver) or not stack or widget.screen is not stack[-1]:
            return False
        if self._batch_count or not self._running or self._closed:
            return False
        screen = stack[-1]
        if screen._layout_required or not widget.display:
            return False
        place = screen._compositor.visible_widgets.get(widget)
        if place is None or driver.painter.size != screen.size:
            return False
        region, clip = place
        if not clip.contains_region(region) or widget.outer_size != region.size:
            return False
        shown = ((region.y + y, pieces) for y, pieces in lines)
        driver.show_lines(region.x, region.width, shown, rest)
        return True

    def draw_all(self) -> None:
        """Whatever stands on the terminal, all of it is drawn anew."""
        if isinstance(self._driver, TerminalDriver):
            self._driver.draw_all()
        else:
            self.refresh(repaint=True, layout=True)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key | events.Paste):
            if isinstance(self._driver, TerminalDriver):
                self._driver.key_came()
            self._typed.append(as_typed(event))
            self.take_typed()
            return
        await super().on_event(event)

    def take_typed(self) -> None:
        """Hands out the keys that can be; the next screen to be ready asks for the rest."""
        while self._typed and not self._exit and self._screen_stack:
            screen = self.screen
            if not isinstance(screen, KeyScreen) or not screen.ready:
                return
            event = self._typed.popleft()
            if isinstance(event, events.Key) and event.key == "ctrl+z":
                self.to_shell()
            elif isinstance(event, events.Paste):
                screen.paste(event.text)
            else:
                screen.press(event)

    def to_shell(self) -> None:
        """Stops, with whatever else belongs to this job, until the shell continues it."""
        if has_shell():
            os.kill(0, signal.SIGTSTP)
        else:
            self.no_shell()

    def no_shell(self) -> None:
        """Called where no shell could continue it."""

    def send_message(self, message: Message) -> None:
        """Posts a message from another thread; one that comes after the end is lost."""
        with suppress(RuntimeError):  # the loop has ended
            self.post_message(message)

    def end(self, number: int) -> None:
        """A signal came: ends by the ordinary way. Called by another thread, more than once."""
        loop = self._loop
        if loop is not None and not self._exit:
            loop.call_soon_threadsafe(self._end, 128 + number)

    def _end(self, code: int) -> None:
        if not self._exit:
            self.exit(code)


def run_screen(app: ScreenApp, *, mouse: bool, undo: Callable[[], object]) -> Any:
    """Runs the app until it ends; undo is called where it does not end in time."""
    terminal = app.terminal
    with ending.screen(app.end, terminal.leave, undo, terminal.hung_up):
        while not terminal.is_foreground() and ending.number is None:
            os.kill(os.getpid(), signal.SIGTTOU)  # stops, as any program that draws would
            time.sleep(_STOP_S)
        return app.run(mouse=mouse)
