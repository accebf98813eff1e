"""A program in a pseudo terminal of a given size: its bytes, its CPU, its answer to a key."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.harness import ROOT

# What a terminal of today says when asked: synchronized output, attributes, keyboard, cursor.
ANSWERS = (
    (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
    (b"\x1b[c", b"\x1b[?62;22c"),
    (b"\x1b[?u", b"\x1b[?0u"),
    (b"\x1b[6n", b"\x1b[1;1R"),
)
# A paint is over when nothing followed for this long.
QUIET_S = 0.025


def environment() -> dict[str, str]:
    """This environment as in a local terminal of 24-bit colour."""
    ours = {"SSH_CONNECTION", "NO_COLOR", "COLUMNS", "LINES", "TMUX"}
    kept = {k: v for k, v in os.environ.items() if k not in ours}
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}


class Terminal:
    """Starts a program; everything it writes is kept."""

    def __init__(
        self,
        argv: Sequence[str],
        columns: int = 120,
        lines: int = 40,
        env: dict[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """prepare: called in the new process before the program."""
        self.output = bytearray()
        self.alive = True
        self._asked = 0
        size = struct.pack("HHHH", lines, columns, 0, 0)
        variables = environment() | (env or {})
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, size)
                os.chdir(ROOT)
                if prepare is not None:
                    prepare()
                os.execvpe(argv[0], list(argv), variables)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, size)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, timeout: float) -> bytes:
        """What came within the time; b"" if nothing did, or the program ended."""
        if not self.alive or not select.select([self.fd], [], [], max(0.0, timeout))[0]:
            return b""
        try:
            data = os.read(self.fd, 1 << 20)
        except OSError:
            data = b""
        if not data:
            self.alive = False
            return b""
        self.output += data
        self._answer()
        return data

    def _answer(self) -> None:
        fresh = bytes(self.output[max(0, self._asked - 12) :])
        overlap = min(12, self._asked)
        self._asked = len(self.output)
        for question, answer in ANSWERS:
            at = fresh.rfind(question)
            if at >= 0 and at + len(question) > overlap:
                os.write(self.fd, answer)

    def run(self, seconds: float) -> None:
        """Reads for so long."""
        end = time.perf_counter() + seconds
        while self.alive and (left := end - time.perf_counter()) > 0:
            self.read(left)

    def until(self, mark: bytes, limit_s: float = 30.0) -> float:
        """Seconds from the start until these bytes were written.

        Raises:
            RuntimeError: they never were.
        """
        end = time.perf_counter() + limit_s
        seen = 0
        while self.alive and (left := end - time.perf_counter()) > 0:
            self.read(left)
            if self.output.find(mark, max(0, seen - len(mark))) >= 0:
                return time.perf_counter() - self.began
            seen = len(self.output)
        tail = bytes(self.output[-300:])
        raise RuntimeError(f"the program never wrote {mark!r}; it ended with {tail!r}")

    def send(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def settle(self, limit_s: float = 1.0) -> None:
        """Reads until nothing comes for a moment."""
        end = time.perf_counter() + limit_s
        while time.perf_counter() < end and self.read(QUIET_S):
            pass

    def press(self, key: bytes, limit_s: float = 2.0) -> float | None:
        """Milliseconds from a key to the last byte of the paint that it caused; None: none came."""
        begin = time.perf_counter()
        self.send(key)
        last = None
        if self.read(limit_s):
            last = time.perf_counter()
            while self.read(QUIET_S):
                last = time.perf_counter()
        return None if last is None else (last - begin) * 1e3

    def cpu_ms(self) -> float:
        """CPU of all its threads so far."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e6

    def rss_bytes(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the program has ended")

    def close(self) -> None:
        for number, grace_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            end = time.perf_counter() + grace_s
            while time.perf_counter() < end:
                if self.alive:
                    self.read(0.02)
                else:
                    time.sleep(0.005)
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    os.close(self.fd)
                    return


def together(terminals: Sequence[Terminal], seconds: float) -> None:
    """Reads from several for so long."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        ready = select.select([t.fd for t in terminals if t.alive], [], [], left)[0]
        for terminal in terminals:
            if terminal.fd in ready:
                terminal.read(0)
