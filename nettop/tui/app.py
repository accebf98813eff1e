"""The application: the feed's life, the terminal's state, and what all screens share."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace
from textual.message import Message

from nettop.errors import NettopError
from nettop.feed import Feed, Grouping, Sort
from nettop.query import narrowed
from nettop.text.clean import clean
from nettop.text.fields import Field
from nettop.text.keys import Keymap
from nettop.tui import NO_COLOR
from nettop.tui.base import ScreenApp, run_screen
from nettop.tui.glyphs import ASCII, UTF8
from nettop.tui.screens.main import MainScreen
from nettop.tui.style import background, styles
from nettop.tui.timeline import Arrival, Chosen, Kept, Timeline

if TYPE_CHECKING:
    from nettop.export.snapshot import RowFeed


class ScreenOptions(Struct, frozen=True):
    """What the command line says about the screen."""

    delay_s: float = 1.0
    iterations: int | None = None
    filter_text: str | None = None
    fixed_filter: str | None = None  # -p and -U: in force whatever is typed
    sort_field: Field | None = None
    sort_descending: bool = True
    columns: tuple[Field, ...] | None = None
    # What is otherwise without being asked for: a width's columns, the grouping to begin with.
    columns_at: Callable[[int], tuple[Field, ...] | None] = field(default=lambda width: None)
    grouping: Grouping = Grouping.NONE
    ascii: bool = False
    color: bool = True
    mouse: bool | None = None  # None: where it is not over SSH
    theme: str | None = None
    readonly: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)  # a key, and the action it is to have

    def columns_for(self, width: int) -> tuple[Field, ...] | None:
        """Those that were chosen; None: the usual ones."""
        return self.columns or self.columns_at(width)

    @property
    def whole_filter(self) -> str | None:
        """The filter with what is in force whatever is typed."""
        return both(self.filter_text, self.fixed_filter)


def both(text: str | None, extra: str | None) -> str | None:
    """Two filters, either of which may be none."""
    return f"({text}) and ({extra})" if text and extra else text or extra


class ModelReady(Message):
    """The poller has a newer model than the one on the screen."""


class Arrived(Message):
    """A move through the ticks that are kept has ended."""

    def __init__(self, arrival: Arrival) -> None:
        super().__init__()
        self.arrival = arrival


class Filled(Message):
    """There is more to show of a tick of the past."""


class NettopApp(ScreenApp):
    """One main screen, on what its timeline shows."""

    def __init__(self, feed: Feed, options: ScreenOptions, kept: Kept | None = None) -> None:
        """kept: the ticks of a recording; a live feed has its own."""
        back = background(options.color and not NO_COLOR, options.theme)
        self.CSS = f"Screen, Overlay #box {{ background: {back}; }}"  # type: ignore[misc]
        super().__init__()
        self.timeline = Timeline(
            feed,
            self._on_arrival,
            chosen=Chosen(options.whole_filter, Sort(options.sort_field, options.sort_descending)),
            kept=kept,
            filled=lambda: self.send_message(Filled()),
        )
        self.options = options
        self.keymap = Keymap(options.keys)
        self.glyphs = ASCII if options.ascii else UTF8
        self.styles_of = styles(options.color and not NO_COLOR, options.theme)
        self.interval_s = options.delay_s
        self.numeric = False
        self.failure: BaseException | None = None
        # Panes are most of what is sent when nothing happens in the table.
        self.pane_pace_s = 1.9 if "SSH_CONNECTION" in os.environ else 0.0
        self._ticks = 0
        # Hosts tick each at its own time: what is not gathered would keep the screen from keys.
        self._gather_s: float = getattr(feed, "gather_s", 0.0)
        self._rest_until = 0.0
        self._gathering = False

    @property
    def history_file(self) -> Path | None:
        home = os.environ.get("XDG_STATE_HOME") or os.environ.get("HOME", "") + "/.local/state"
        if not home.startswith("/") or not self.timeline.base.live:
            return None
        return Path(home) / "nettop" / "filters"

    @property
    def feed(self) -> Feed:
        """What is shown now."""
        return self.timeline.feed

    def on_mount(self) -> None:
        self.main = MainScreen()
        self.push_screen(self.main)
        self.timeline.base.start(self._on_model)

    def _on_model(self) -> None:
        """Called from the poller thread."""
        self.send_message(ModelReady())

    def _on_arrival(self, arrival: Arrival) -> None:
        """Called from the timeline's thread."""
        self.send_message(Arrived(arrival))

    def on_unmount(self) -> None:
        self.timeline.close()
        self.timeline.base.stop()

    def on_arrived(self, message: Arrived) -> None:
        if self._exit:
            return
        if message.arrival.error is not None:
            self.failure = message.arrival.error
            self.exit(1)
            return
        self.main.arrived(message.arrival)

    def on_filled(self) -> None:
        if not self._exit and self.timeline.away:
            self.main.show_tick()

    def on_model_ready(self) -> None:
        if self._exit or self._gathering:
            return
        begin = time.monotonic()
        if begin < self._rest_until:
            self._gathering = True
            self.set_timer(self._rest_until - begin, self._gathered)
            return
        self._take_model()
        if self._gather_s:
            end = time.monotonic()
            self._rest_until = max(begin + self._gather_s, end + (end - begin))

    def _gathered(self) -> None:
        self._gathering, self._rest_until = False, 0.0
        self.on_model_ready()

    def _take_model(self) -> None:
        try:
            model = self.timeline.base.latest()
        except BaseException as error:
            self.failure = error
            self.exit(1)
            return
        if model is None:
            return
        self.main.hear(model)
        if self.timeline.feed is self.timeline.base:
            self.main.show_model(model)
        else:  # the past stands still; how far it is away does not
            self.main.refresh_header()
        if not self._ticks:
            gc.freeze()
            # A tick of 30,000 groups makes three objects of each: none of them is garbage yet.
            gc.set_threshold(20_000, 20, 20)
            gc.enable()
        self._ticks += 1
        if self.options.iterations is not None and self._ticks >= self.options.iterations:
            self.exit(0)

    def no_shell(self) -> None:
        self.main.say("no shell started this: q quits")

    def empty_text(self) -> str:
        """What an empty table says."""
        hosts = self.main.model.hosts if self.main.model is not None else ()
        if hosts and not any(host.live for host in hosts):
            no = "no host answers" if self.feed.live else "no host had a tick then"
            return f"{no}: P says why"
        if self.main.filter_text or self.main.trying:
            if self.main.grouping:
                return "no socket passes the filter: Esc leaves the groups, again clears it"
            return "no socket passes the filter: Esc clears it"
        if among := self.feed.file_filter:
            return f"no socket here: what is kept of this tick is of {clean(among)}"
        return self.main.rows.none

    def set_columns(self, chosen: tuple[Field, ...] | None) -> None:
        self.options = replace(self.options, columns=chosen)

    def export(self, shown: bool, filter_text: str | None, ending: str = ".json") -> Path:
        """Writes a snapshot file; NettopError says why not."""
        from nettop.export.snapshot import default_path, write_snapshot

        with self.timeline.exporting() as shown_feed:
            feed: RowFeed = shown_feed  # type: ignore[assignment]
            model = feed.latest()
            if model is None:
                raise NettopError("nothing is written: the first sweep is under way, try again")
            # What was not sent then is not there: the file says of what it is.
            if sent := getattr(feed, "sent_filter", None):
                filter_text = narrowed(filter_text, sent)
            path = default_path(model, ending=ending)
            return write_snapshot(path, feed, model, shown, filter_text=filter_text)


def exit_code(result: int | None, return_code: int | None) -> int:
    """What a screen ends with: its own result, or Textual's code, which is 1 after a crash."""
    return result or return_code or 0


def run_app(feed: Feed, options: ScreenOptions, kept: Kept | None = None) -> int:
    """Runs the screen until it ends; returns the exit code.

    Raises:
        the poller's error, after the terminal is restored.
    """
    mouse = options.mouse
    if mouse is None:
        mouse = "SSH_CONNECTION" not in os.environ
    app = NettopApp(feed, options, kept)
    code = run_screen(app, mouse=mouse, undo=feed.undo)
    if app.failure is not None:
        raise app.failure
    sys.stdout.flush()
    return exit_code(code, app.return_code)
