"""The terminal: as it was before, and a way to write to it that never waits."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from textual import constants

_TIOCGDEV = 0x80045432
# So much may wait for a terminal that takes output slowly; what comes then is left out, and the
# whole picture drawn once it has taken the rest.
PENDING_MOST = 1 << 16
MOUSE_ON = "\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h"
MOUSE_OFF = "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
# Alternate screen, no cursor, focus events, pasted text in brackets, no wrapping.
ENTER = "\x1b[?1049h\x1b[?25l\x1b[?1004h\x1b[?2004h\x1b[?7l"
# The same backwards, no style, the end of a picture that was cut short, no resize reports.
LEAVE = "\x1b[m\x1b[?2026l\x1b[?2048l\x1b[?7h\x1b[?2004l\x1b[?1004l"
MAIN_SCREEN = "\x1b[?1049l\x1b[?25h"
# https://sw.kovidgoyal.net/kitty/keyboard-protocol/: disambiguate, all keys, associated text
KITTY_ON, KITTY_OFF = "\x1b[>25u", "\x1b[<u"
_LOCK_S = 0.4  # longer than any patience
_CANCEL = b"\x18"  # ends an escape sequence of which only a part was taken


class Terminal:
    """Standard input and output of a screen. `leave` may be called by any thread."""

    def __init__(self) -> None:
        self.read_fd = 0
        self.write_fd = _private(1)
        self.mouse = True
        self.entered = False
        self.behind = False  # something was left out
        self.silent = False  # another process group has the terminal
        self._saved: list[Any] | None = None
        self._pending: deque[bytes] = deque()
        self._bytes = 0
        self._lock = threading.RLock()

    # --- modes ---

    def enter(self) -> None:
        """Raw, with the alternate screen; again after a stop, whatever was done meanwhile."""
        with self._lock:
            try:
                now = termios.tcgetattr(self.read_fd)
                if not self.entered:
                    self._saved = now
                termios.tcsetattr(self.read_fd, termios.TCSANOW, _raw(now))
            except termios.error:
                pass  # a terminal that is gone needs none of it
            kitty = "" if constants.DISABLE_KITTY_KEY or self.entered else KITTY_ON
            self.entered = True
            self.silent = self.behind = False
            self.write(ENTER + (MOUSE_ON if self.mouse else "") + kitty)
            self.flush()

    def leave(self, patience_s: float = 0.0) -> None:
        """As it was before. What the terminal does not take in that time is thrown away."""
        locked = self._lock.acquire(timeout=_LOCK_S)  # another thread may hang in a write
        try:
            self._leave(patience_s)
        finally:
            if locked:
                self._lock.release()

    def _leave(self, patience_s: float) -> None:
        if not self.entered:
            return
        self.entered = False
        out = self._rest(patience_s) + (LEAVE + (MOUSE_OFF if self.mouse else "")).encode()
        out += ("" if constants.DISABLE_KITTY_KEY else KITTY_OFF).encode() + MAIN_SCREEN.encode()
        with suppress(OSError):  # a terminal that is gone needs none of it
            if not os.get_blocking(self.write_fd) or self._has_room(0):
                os.write(self.write_fd, out)
        with suppress(termios.error):  # a terminal that is gone needs none of it
            if self._saved is not None and self.is_foreground():
                termios.tcflush(self.read_fd, termios.TCIFLUSH)
                termios.tcsetattr(self.read_fd, termios.TCSANOW, self._saved)

    def _rest(self, patience_s: float) -> bytes:
        """Waits until everything is taken; else throws it away, and says how to go on."""
        end = time.monotonic() + patience_s
        left = patience_s
        while self._has_room(left):
            if not self.flush():
                return b""
            if not left:
                break
            left = max(0.0, end - time.monotonic())
        self._pending.clear()
        self._bytes = 0
        with suppress(termios.error):  # a terminal that is gone needs none of it
            termios.tcflush(self.write_fd, termios.TCOFLUSH)
        return _CANCEL

    def _has_room(self, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(self.write_fd, select.POLLOUT)
        return bool(poll.poll(wait_s * 1000))

    def is_foreground(self) -> bool:
        """Whether the terminal is ours to use; without job control it is."""
        try:
            return os.tcgetpgrp(self.read_fd) == os.getpgrp()
        except OSError:
            return True

    def hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self.read_fd, 0)
        return any(what & (select.POLLHUP | select.POLLERR) for _, what in poll.poll(0))

    # --- output ---

    @property
    def pending_bytes(self) -> int:
        """What was not taken yet."""
        return self._bytes

    def write(self, text: str) -> None:
        """Kept until flush; left out where the terminal is too far behind."""
        with self._lock:
            if not self.entered:
                return
            if self.silent or self.behind:
                self.behind = True
                return
            if self._bytes > PENDING_MOST:
                # The first may be taken in part: it stays whole.
                while len(self._pending) > 1:
                    self._bytes -= len(self._pending.pop())
                self.behind = True
                return
            data = text.encode("utf-8", "replace")
            self._pending.append(data)
            self._bytes += len(data)

    def flush(self) -> bool:
        """Writes as much as is taken at once; True: something is left."""
        with self._lock:
            while self._pending:
                data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
                try:
                    n = os.write(self.write_fd, data)
                except BlockingIOError:
                    return True
                except OSError:  # hung up
                    self._pending.clear()
                    self._bytes = 0
                    return False
                self._bytes -= n
                while n and self._pending:
                    first = self._pending.popleft()
                    if n < len(first):
                        self._pending.appendleft(first[n:])
                    n = max(0, n - len(first))
            return False


def has_shell() -> bool:
    """Whether a shell would notice that this job stops: one of its session is above it."""
    group, session, pid = os.getpgrp(), os.getsid(0), os.getppid()
    try:
        while pid > 1 and os.getpgid(pid) == group:
            stat = Path(f"/proc/{pid}/stat").read_text()
            pid = int(stat.rpartition(")")[2].split()[1])
        return pid > 0 and os.getsid(pid) == session
    except (OSError, ValueError, IndexError):
        return False


def _private(fd: int) -> int:
    """The terminal opened anew, so that not to wait holds for us alone; else as it is."""
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    for path in (f"/proc/self/fd/{fd}", "/dev/tty"):
        try:
            own = os.open(path, flags)
        except OSError:
            continue  # a terminal that is gone needs none of it
        if (device := _device(own)) is not None and device == _device(fd):
            return own
        os.close(own)
    return fd


def _device(fd: int) -> int | None:
    try:
        (number,) = struct.unpack("I", fcntl.ioctl(fd, _TIOCGDEV, b"\0\0\0\0"))
    except OSError:
        return None
    return int(number)


def _raw(now: list[Any]) -> list[Any]:
    """No echo, no lines, no signals by keys, no flow control, CR as it comes."""
    new = [*now[:6], list(now[6])]
    new[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    new[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    new[6][termios.VMIN], new[6][termios.VTIME] = 1, 0
    return new
