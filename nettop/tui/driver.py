"""Textual's driver of a terminal that may stop taking output, be stopped, or be gone."""

from __future__ import annotations

import os
import select
import signal
from codecs import getincrementaldecoder
from contextlib import suppress
from threading import Thread, get_ident
from typing import Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from nettop.tui.terminal import Terminal

_LOOK_S = 0.1
_PATIENCE_S = 0.3  # for what is still to be written at the end
_BACKGROUND_S = 0.5


class TerminalDriver(LinuxDriver):
    """Writes without waiting, reads without spinning, and comes back from a stop."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.terminal: Terminal = app.terminal
        self.terminal.mouse = self._mouse
        self._thread_id = get_ident()
        self._flush_is_due = False
        self._is_waiting = False  # for the terminal to take more

    # --- modes ---

    def start_application_mode(self) -> None:
        # Signals that would stop it: it looks itself who has the terminal.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        signal.signal(signal.SIGWINCH, lambda *_: self._resized())
        self.terminal.enter()
        self._key_thread = Thread(target=self._run_input_thread, name="textual-input", daemon=True)
        self._key_thread.start()
        self._resized()
        self._request_terminal_sync_mode_support()
        self._query_in_band_window_resize()

    def disable_input(self) -> None:
        if self._key_thread is not None:
            self.exit_event.set()
            self._key_thread.join(timeout=1)
            self._key_thread = None

    def stop_application_mode(self) -> None:
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
        self.terminal.enter()
        # Leaving switched it off: the terminal is asked once more.
        self._in_band_window_resize = False
        self._query_in_band_window_resize()
        self._resized()
        self._draw_all()

    # --- output ---

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
        left = self.terminal.flush()
        self._wait_for_room(left and self.terminal.entered)
        if not left and self.terminal.behind and self.terminal.entered:
            self._draw_all()

    def _wait_for_room(self, wanted: bool) -> None:
        if wanted == self._is_waiting:
            return
        self._is_waiting = wanted
        if wanted:
            self._loop.add_writer(self.terminal.write_fd, self._flush)
        else:
            self._loop.remove_writer(self.terminal.write_fd)

    def _draw_all(self) -> None:
        if not self.terminal.silent:
            self.terminal.behind = False
            self._app.refresh(repaint=True, layout=True)

    # --- input ---

    def run_input_thread(self) -> None:
        fd = self.terminal.read_fd
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while not self.exit_event.is_set():
            text = ""
            if poll.poll(_LOOK_S * 1000):
                data = b""
                with suppress(OSError):  # hung up, or another process group has the terminal
                    data = os.read(fd, 4096)
                if not data:
                    self.exit_event.wait(_LOOK_S)
                    continue
                text = decode(data)
            for message in parser.feed(text) if text else ():
                self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
