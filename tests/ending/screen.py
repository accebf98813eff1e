"""nettop on a pseudo-terminal, to be ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from tests.ending.storm import SLOW
from tests.glass import Answers, Glass, utf8_decoder

LIMIT_S = 2.0 * SLOW
LEAVES = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1003l", b"\x1b[?2004l")
# nettop with a method that hangs from its AFTERth call on.
HANGS = """
import sys, time
from nettop.{module} import {name}
calls, before = [], {name}.{method}
def hang(*args, **options):
    calls.append(1)
    if len(calls) > {after}:
        time.sleep(60)
    return before(*args, **options)
{name}.{method} = hang
from nettop.__main__ import run
run()
"""


class Screen:
    """nettop on a terminal whose output is read only by `read`."""

    def __init__(
        self, *argv: str, size: tuple[int, int] = (40, 120), ignores_hup: bool = False,
        code: str | None = None, within: Sequence[str] = (),
        cwd: Path | None = None, answers: bool = True,
    ) -> None:  # fmt: skip
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(self.slave)

        def prepare() -> None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignores_hup else signal.SIG_DFL)
            for number in (signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        env = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "NO_COLOR"))}
        program = ["-m", "nettop"] if code is None else ["-c", code]
        self.child = subprocess.Popen(
            [*within, sys.executable, *program, *argv], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, env={**env, "TERM": "xterm-256color"}, cwd=cwd,
            start_new_session=True, preexec_fn=prepare,
        )  # fmt: skip
        self.out = b""
        self.glass, self._utf8 = Glass(size[1], size[0]), utf8_decoder()
        self._answers = Answers() if answers else None

    def read(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], min(left, 0.1))[0]:
                try:
                    some = os.read(self.master, 65536)
                except OSError:
                    return
                if self._answers is not None and (answer := self._answers.to(some)):
                    os.write(self.master, answer)
                self.out += some
                self.glass.feed(self._utf8.decode(some))

    def fill(self) -> None:
        """The terminal takes no more, as one that nobody reads: nettop itself sends less ahead."""
        fd = os.open(os.ttyname(self.slave), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with contextlib.suppress(BlockingIOError):
            while os.write(fd, b"x" * 4096):
                pass
        os.close(fd)

    def until(self, text: bytes, seconds: float = 20) -> None:
        """It was written, or stands on the screen, where cells that stay are not written again."""
        end = time.monotonic() + seconds
        while text not in self.out and text.decode() not in "\n".join(self.glass.text):
            assert time.monotonic() < end, f"{text!r} did not come: {self.out[-500:]!r}"
            assert self.child.poll() is None, self.out[-500:]
            self.read(0.05)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def status(self, name: str) -> str:
        """A line of the process's /proc/PID/status; empty once it has ended."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
                if line.startswith(f"{name}:"):
                    return line.split(":", 1)[1].strip()
        return ""

    def until_stopped(self) -> None:
        """A SIGCONT before that would be of no use to it."""
        end = time.monotonic() + 20
        while not self.status("State").startswith("T"):
            assert time.monotonic() < end, "it did not stop"
            self.read(0.02)

    def until_taken(self, number: signal.Signals) -> None:
        """The process was given it: of two that wait the kernel hands out the lower one first."""
        end = time.monotonic() + 20
        while int(self.status("ShdPnd") or "0", 16) >> (number - 1) & 1:
            assert time.monotonic() < end, "the signal was not taken"
            self.read(0.001)

    def ended(self, *, read: bool = True) -> int:
        end = time.monotonic() + LIMIT_S
        while self.child.poll() is None:
            assert time.monotonic() < end, f"not ended in {LIMIT_S} s"
            if read:
                self.read(0.02)
            else:
                time.sleep(0.01)
        if read:
            self.read(0.1)
            assert b"Traceback" not in self.out
        return int(self.child.returncode)

    def is_restored(self) -> bool:
        tail = self.out[self.out.rindex(b"\x1b[?1049h") :]
        now = termios.tcgetattr(self.slave)
        return all(text in tail for text in LEAVES) and now[:4] == self.before[:4]

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)
