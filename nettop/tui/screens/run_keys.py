"""Keys of the main screen that do not change which sockets it shows."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from textual import work
from textual.message import Message

from nettop.errors import NettopError
from nettop.feed import Feed, OfHosts
from nettop.model.types import Row
from nettop.text.ss_command import ss_command
from nettop.tui.base import KeyScreen
from nettop.tui.style import Role

if TYPE_CHECKING:
    from pathlib import Path

    from nettop.tui.app import NettopApp
    from nettop.tui.timeline import Timeline

MESSAGE_S = 6.0
INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0)


class Exported(Message):
    """A file was written, or could not be."""

    def __init__(self, text: str, role: Role) -> None:
        super().__init__()
        self.text, self.role = text, role


def written_text(path: Path, *, of_hosts: bool) -> str:
    """What is said of a file that was written."""
    only = " for programs, not nettop open" if of_hosts and path.suffix == ".json" else ""
    return f"wrote {path}{only}"


class RunKeys(KeyScreen[None]):
    """Export, interval, help and the other screens; the state that they need is the subclass's."""

    filter_text: str | None

    def __init__(self) -> None:
        super().__init__()
        self.message: tuple[str, Role, float] | None = None
        self._writing = False
        self._next_export = ""  # ending of the file that is to follow the one being written
        self._exported_text = ""  # what was said of the last one

    @property
    def nettop(self) -> NettopApp:
        return cast("NettopApp", self.app)

    @property
    def in_past(self) -> bool:
        """A tick of the past is shown, or will be once the move that was asked for has ended."""
        return self.timeline.away or self.timeline.moving

    @property
    def timeline(self) -> Timeline:
        return self.nettop.timeline

    @property
    def feed(self) -> Feed:
        """What is shown now."""
        return self.timeline.feed

    def refresh_header(self) -> None:
        raise NotImplementedError

    def set_speed(self, up: int) -> None:
        raise NotImplementedError

    def _subject(self) -> Row | None:
        raise NotImplementedError

    def say(self, text: str, role: Role = Role.BOLD, seconds: float = MESSAGE_S) -> None:
        """A message for some seconds: in the status line, or above the detail screen's keys."""
        from nettop.tui.screens.detail import DetailScreen

        self.message = (text, role, time.monotonic() + seconds)
        if isinstance(self.app.screen, DetailScreen):
            self.app.screen.redraw()
        else:
            self.refresh_header()

    @property
    def current_message(self) -> tuple[str, Role]:
        """The message while its time runs, and its role; then an empty one."""
        if self.message is None or time.monotonic() > self.message[2]:
            return "", Role.BOLD
        return self.message[:2]

    def do_export(self) -> None:
        """JSON at once; while that is written, or its name still said, the format is asked for."""
        said = self.current_message[0]
        if self._writing or (said and said == self._exported_text):
            self.do_export_as()
        else:
            self._begin_export(True)

    def do_export_as(self) -> None:
        if self.nettop.options.readonly:
            self.say("read-only: no export", Role.WATCH)
            return
        from nettop.tui.screens.format import FormatScreen

        self.app.push_screen(
            FormatScreen(
                lambda ending: self._begin_export(True, ending),
                of_hosts=isinstance(self.feed, OfHosts),
            )
        )

    def do_export_all(self) -> None:
        self._begin_export(False)

    def _begin_export(self, shown: bool, ending: str = ".json") -> None:
        if self.nettop.options.readonly:
            self.say("read-only: no export", Role.WATCH)
        elif self._writing:
            if ending != ".json":
                self._next_export = ending
        else:
            self._writing = True
            self.say(f"writing{self.nettop.glyphs.ellipsis}", seconds=math.inf)
            self._export(shown, self._filter_written(), ending)

    def _filter_written(self) -> str | None:
        """As the file says it."""
        return self.filter_text

    @work(thread=True)
    def _export(self, shown: bool, filter_text: str | None, ending: str) -> None:
        try:
            path = self.nettop.export(shown, filter_text, ending)
            done = Exported(written_text(path, of_hosts=isinstance(self.feed, OfHosts)), Role.BOLD)
        except (NettopError, OSError) as error:
            done = Exported(str(error), Role.UNWELL)
        # Not call_from_thread, which would wait for a screen that has ended meanwhile.
        with suppress(RuntimeError):
            self.post_message(done)

    def on_exported(self, message: Exported) -> None:
        self._writing = False
        self._exported_text = message.text
        self.say(message.text, message.role)
        ending, self._next_export = self._next_export, ""
        if ending:
            self._begin_export(True, ending)

    def do_copy(self) -> None:
        self.copy_command(self._subject())

    def copy_command(self, row: Row | None) -> None:
        """The ss command that shows this socket, to the clipboard and as a message."""
        if row is None:
            self.say("choose a socket first", Role.WATCH)
            return
        command = ss_command(row)
        self.app.copy_to_clipboard(command)
        self.say(command)

    def _interval(self, seconds: float) -> None:
        self.nettop.interval_s = max(0.1, min(60.0, round(seconds, 2)))
        self.timeline.base.set_interval(self.nettop.interval_s)
        self.say(f"interval {self.nettop.interval_s:g} s")

    def do_slower(self) -> None:
        if self.in_past:
            self.set_speed(1)
        else:
            self._interval(self.nettop.interval_s * 2)

    def do_faster(self) -> None:
        if self.in_past:
            self.set_speed(-1)
        else:
            self._interval(self.nettop.interval_s / 2)

    def do_delay(self) -> None:
        if self.in_past:
            self.set_speed(0)
            return
        self._interval(next((i for i in INTERVALS if i > self.nettop.interval_s), INTERVALS[0]))

    def do_redraw(self) -> None:
        self.nettop.draw_all()

    def do_clocks(self) -> None:
        if self.nettop.main.model is not None and self.nettop.main.model.hosts:
            self.say("clocks of NICs are of one host: nettop clocks there")
            return
        from nettop.tui.screens.clocks import open_clocks

        open_clocks(self.nettop.main)

    def do_cost(self) -> None:
        from nettop.tui.screens.cost import CostScreen

        self.app.push_screen(CostScreen(self.timeline.base))

    def do_help(self) -> None:
        from nettop.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    def do_quit(self) -> None:
        self.app.exit(0)
