"""Textual's driver of a terminal that may stop taking output, be stopped, or be gone."""

from __future__ import annotations

import os
import select
import signal
from asyncio import TimerHandle
from codecs import getincrementaldecoder
from collections.abc import Iterable
from contextlib import suppress
from threading import Event, Thread, get_ident
from time import monotonic
from typing import Any

from rich.style import Style
from textual import events
from textual._compositor import CompositorUpdate
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from nettop.tui.pace import ANSWER, ANSWER_BEGINS, Pace
from nettop.tui.painter import Painter, Pieces
from nettop.tui.pasting import QUIET_S, Pastes
from nettop.tui.terminal import Terminal

_LOOK_S = 0.1
_SETTLED_S = 2 * QUIET_S  # since a key or a paste: nothing of it is still waited for
_PATIENCE_S = 0.3  # for what is still to be written at the end
_BACKGROUND_S = 0.5
_ANSWER_S = 0.5  # for an answer that is on its way at the end
_KEY_S = 0.3  # what changes so soon after a key is what the key is waited for
_SYNC_START, _SYNC_END = "\x1b[?2026h", "\x1b[?2026l"


class Exit(Event):
    """One that also makes a file readable, for a thread that waits for others too."""

    def __init__(self) -> None:
        super().__init__()
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def set(self) -> None:
        super().set()
        os.eventfd_write(self.fd, 1)


class TerminalDriver(LinuxDriver):
    """Writes without waiting, reads without spinning, and comes back from a stop."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.exit_event: Exit = Exit()
        self.terminal: Terminal = app.terminal
        self.terminal.mouse = self._mouse
        self._thread_id = get_ident()
        self._flush_is_due = False
        self._is_waiting = False  # for the terminal to take more
        self.painter = Painter(app.console._color_system)
        self.pace = Pace()
        self._paint_timer: TimerHandle | None = None
        self._key_at = 0.0

    # --- modes ---

    def start_application_mode(self) -> None:
        # Signals that would stop it: it looks itself who has the terminal.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.signal(signal.SIGWINCH, lambda *_: self._resized())
        self._enter()
        self._key_thread = Thread(target=self._run_input_thread, name="textual-input", daemon=True)
        self._key_thread.start()
        self._resized()
        self._request_terminal_sync_mode_support()
        self._query_in_band_window_resize()

    def _enter(self) -> None:
        self.terminal.enter()
        self.painter.forget()
        self.terminal.write(self.pace.begin())
        self.terminal.flush()

    def disable_input(self) -> None:
        if self._key_thread is not None:
            self.exit_event.set()
            self._key_thread.join(timeout=1)
            self._key_thread = None

    def stop_application_mode(self) -> None:
        self._drop_timer()
        self.pace.settle(_ANSWER_S)
        self.disable_input()
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        self.terminal.leave(_PATIENCE_S)

    def close(self) -> None:
        self._wait_for_room(False)

    def _resized(self) -> None:
        if not self._in_band_window_resize:
            size = Size(*self._get_terminal_size())
            self.send_message(events.Resize(size, size))

    def _sigtstp_application(self, *_: Any) -> None:
        self.terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _sigcont_application(self, *_: Any) -> None:
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        """Takes the terminal back once it is ours, and draws everything."""
        if self._key_thread is None:  # not started, or about to end
            return
        if not self.terminal.is_foreground():
            self.terminal.silent = True
            self._loop.call_later(_BACKGROUND_S, self._go_on)
            return
        self._enter()
        # Leaving switched it off: the terminal is asked once more.
        self._in_band_window_resize = False
        self._query_in_band_window_resize()
        self._resized()
        self.paint()

    # --- output ---

    def show(self, update: CompositorUpdate, size: tuple[int, int]) -> None:
        """Takes a change of the picture, which is drawn when the terminal has room for it."""
        self.painter.take(update, size, urgent=self._urgent)
        self._paint_soon()

    def show_lines(
        self, x: int, width: int, lines: Iterable[tuple[int, Pieces]], rest: Style
    ) -> None:
        """As show, of pieces of lines that begin in that column."""
        urgent = self._urgent
        for y, pieces in lines:
            self.painter.put(y, x, width, pieces, rest, urgent=urgent)
        self._paint_soon()

    @property
    def _urgent(self) -> bool:
        """A key waits for what changes now."""
        return monotonic() - self._key_at < _KEY_S

    def _paint_soon(self) -> None:
        if self._paint_timer is None:
            self._paint_timer = self._loop.call_later(0, self.paint)

    def key_came(self) -> None:
        self._key_at = monotonic()

    def draw_all(self) -> None:
        """Whatever stands on the terminal, all of it is drawn anew."""
        self.painter.forget()
        self.paint()

    def _drop_timer(self) -> None:
        if self._paint_timer is not None:
            self._paint_timer.cancel()
            self._paint_timer = None

    def paint(self) -> None:
        """Draws what differs, as far as the terminal can take it now; the rest later."""
        self._drop_timer()
        if not self.painter.differs or not self.terminal.entered or self.terminal.silent:
            return
        wait_s = self.pace.wait_s(urgent=self._urgent)
        if self._is_waiting:
            return  # _flush comes back to it
        if wait_s > 0:
            self._paint_timer = self._loop.call_later(wait_s, self.paint)
            return
        text = self.painter.paint(self.pace.most_bytes)
        if not text:
            return
        if self._app._sync_available and text.count("\x1b[") > 2:
            text = _SYNC_START + text + _SYNC_END
        self.write(text + self.pace.ask(len(text.encode())))
        if self.painter.differs:
            self._paint_timer = self._loop.call_later(_LOOK_S, self.paint)

    def write(self, data: str) -> None:
        self.terminal.write(data)
        if not self._flush_is_due:
            self._flush_is_due = True
            if get_ident() == self._thread_id:
                self._loop.call_soon(self._flush)
            else:
                self._loop.call_soon_threadsafe(self._flush)

    def flush(self) -> None:
        """Each write sees to it."""

    def _flush(self) -> None:
        self._flush_is_due = False
        before = self.terminal.pending_bytes
        left = self.terminal.flush()
        if left:
            self.pace.blocked(before - self.terminal.pending_bytes)
        else:
            self.pace.drained()
        waited = self._is_waiting
        self._wait_for_room(left and self.terminal.entered)
        if not left and self.terminal.behind and self.terminal.entered:
            self.terminal.behind = False
            self.draw_all()
        elif waited and not left:
            self.paint()

    def _wait_for_room(self, wanted: bool) -> None:
        if wanted == self._is_waiting:
            return
        self._is_waiting = wanted
        if wanted:
            self._loop.add_writer(self.terminal.write_fd, self._flush)
        else:
            self._loop.remove_writer(self.terminal.write_fd)

    # --- input ---

    def _without_answers(self, text: str) -> str:
        text, answers = ANSWER.subn("", text)
        for _ in range(answers):
            self.pace.answered()
        if answers:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self.paint)
        return text

    def run_input_thread(self) -> None:
        fd = self.terminal.read_fd
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self.exit_event.fd, select.POLLIN)
        begun = ""  # of an answer
        pastes = Pastes()
        heard = monotonic()
        while not self.exit_event.is_set():
            text, begun = begun, ""
            settled = monotonic() - heard >= _SETTLED_S
            if poll.poll(None if settled else _LOOK_S * 1000):
                if self.exit_event.is_set():
                    break
                data = b""
                with suppress(OSError):  # hung up, or another process group has the terminal
                    data = os.read(fd, 4096)
                if not data:
                    self.exit_event.wait(_LOOK_S)
                    continue
                text = self._without_answers(text + decode(data))
                if self.pace.waiting and (begins := ANSWER_BEGINS.search(text)):
                    text, begun = text[: begins.start()], begins.group()
            now = monotonic()
            if text or begun:
                heard = now
            if text or pastes.is_over(now):
                text = pastes.take(text, now)
            for message in parser.feed(text) if text else ():
                self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
