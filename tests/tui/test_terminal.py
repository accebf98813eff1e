"""The real program in a pseudo-terminal: what it leaves behind, and what it sends."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.glass import Answers, Glass, utf8_decoder

LEAVES = (b"\x1b[?1049l", b"\x1b[?25h")  # the alternate screen, the hidden cursor
COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7]|4[0-7]|38;[0-9;]+)m")


class Program:
    """nettop in a pty of its own."""

    def __init__(self, *args: str, **environ: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "SSH_CONNECTION")}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "nettop", *args], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, env={**env, "TERM": "xterm-256color", **environ},
            start_new_session=True,
        )  # fmt: skip
        self.out = b""
        self.glass, self._utf8, self._answers = Glass(120, 40), utf8_decoder(), Answers()

    def read(self, seconds: float = 0.2) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                return
            with suppress(OSError):
                some = os.read(self.master, 65536)
                if answer := self._answers.to(some):
                    os.write(self.master, answer)
                self.out += some
                self.glass.feed(self._utf8.decode(some))

    def until(self, text: bytes, seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while text not in self.out and text.decode() not in "\n".join(self.glass.text):
            assert time.monotonic() < end, f"{text!r} did not come"
            assert self.child.poll() is None, self.out[-500:]
            self.read(0.1)

    def ended(self) -> int:
        end = time.monotonic() + 10
        while self.child.poll() is None:
            assert time.monotonic() < end, "it did not end"
            self.read(0.1)
        self.read(0.3)
        return int(self.child.returncode)

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def make(*args: str, **environ: str) -> Program:
        programs.append(Program(*args, **environ))
        return programs[-1]

    yield make
    for program in programs:
        program.close()


def _restored(program: Program) -> None:
    for sequence in LEAVES:
        assert sequence in program.out
    tail = program.out[program.out.rindex(LEAVES[0]) :]
    assert b"Traceback" not in tail
    assert termios.tcgetattr(program.slave)[:4] == program.before[:4]


@pytest.mark.parametrize(
    ("end", "code"),
    [(b"q", 0), (b"\x03", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_the_terminal_is_as_before(
    start: Callable[..., Program], end: bytes | signal.Signals, code: int
) -> None:
    program = start()
    program.until(b"TCP health")
    if isinstance(end, bytes):
        os.write(program.master, end)
    else:
        program.child.send_signal(end)
    assert program.ended() == code
    _restored(program)


def test_iterations_end_it(start: Callable[..., Program]) -> None:
    program = start("-n", "2", "-d", "0.1")
    assert program.ended() == 0
    _restored(program)


@pytest.mark.parametrize(("value", "coloured"), [(None, True), ("", True), ("1", False)])
def test_no_color(start: Callable[..., Program], value: str | None, coloured: bool) -> None:
    program = start("-a", **({} if value is None else {"NO_COLOR": value}))
    program.until(b"TCP health")
    program.read(1.0)
    assert bool(COLOUR.search(program.out)) == coloured


def test_ascii_sends_ascii(start: Callable[..., Program]) -> None:
    program = start("-a", "--ascii")
    program.until(b"TCP health")
    program.read(1.0)
    assert program.out.isascii()


def test_a_storm_of_resizes(start: Callable[..., Program]) -> None:
    program = start("-a")
    program.until(b"TCP health")
    for lines, columns in ((1, 1), (24, 80), (3, 200), (60, 20), (40, 120)):
        fcntl.ioctl(program.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        program.child.send_signal(signal.SIGWINCH)
        program.read(0.2)
    assert program.child.poll() is None
    os.write(program.master, b"q")
    assert program.ended() == 0
    _restored(program)


@pytest.mark.parametrize("begun", [b"\x1b[200~", b"\x1b[200~nginx", b"\x1b[2|00~"])
def test_a_paste_without_an_end_does_not_take_the_keys(
    start: Callable[..., Program], begun: bytes
) -> None:
    program = start()
    program.until(b"TCP health")
    for part in begun.split(b"|"):
        os.write(program.master, part)
        program.read(0.02)
    program.read(1.5)
    os.write(program.master, b"\x1b")  # leaves the line that took what was pasted
    program.read(0.5)
    os.write(program.master, b"q")
    assert program.ended() == 0
    _restored(program)
