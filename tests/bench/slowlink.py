"""What the screen sends, and when keys are answered, over a line that takes little.

  python -m tests.bench.slowlink [--quick] [--json] [--root DIR] [--part 120x40]

57 TCP sockets of a network namespace of its own are busy at random; nettop polls them once a
second. First the bytes that each screen sends to a terminal that takes everything, then a line of
9,600 baud (960 bytes a second) at 80x24: how long until the first picture is whole, a key is
answered and q has ended nettop; also of a terminal that answers no question (silent). --root: the
tree whose nettop is run, to compare two; --part: one size of the screen alone, or `slow`.

Budgets: 2.5 KB/s at 120x40, 1 KB/s behind an overlay, 3 s for a key, 1 s for q.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from tests.bench.harness import ROOT, Result
from tests.bench.terminal import Terminal
from tests.glass import Glass

BAUD_BYTES_PER_S = 960
SOCKETS = 57
CLONE_NEWNET = 0x40000000
_STEP_S = 0.02
SIZES = ((120, 40), (80, 24), (200, 55))
root = str(ROOT)
part: str | None = None


class Line(Terminal):
    """Takes so many bytes a second; answers of the terminal come when it has shown the question."""

    def __init__(
        self, columns: int, lines: int, bytes_per_s: int | None, *, silent: bool = False,
        argv: list[str] | None = None,
    ) -> None:  # fmt: skip
        self.glass = Glass(columns, lines)
        self._rate, self._silent = bytes_per_s, silent
        self._credit, self._at = 0.0, time.monotonic()
        self._whole = b""
        usual = [sys.executable, "-c", _RUN, root, "-a", "state established"]
        super().__init__(argv or usual, columns, lines)

    def __enter__(self) -> Line:
        return self

    def _answer(self) -> None:
        if not self._silent:
            super()._answer()

    def read(self, timeout: float) -> bytes:
        if self._rate is None:
            data = super().read(timeout)
        else:
            time.sleep(min(timeout, _STEP_S))
            now = time.monotonic()
            self._credit = min(self._credit + (now - self._at) * self._rate, 64.0)
            self._at = now
            data = self._take(int(self._credit))
            self._credit -= len(data)
        self.glass.feed((self._whole + data).decode("utf-8", "ignore"))
        self._whole = b""
        return data

    def _take(self, most: int) -> bytes:
        import select

        if most < 1 or not select.select([self.fd], [], [], 0)[0]:
            return b""
        try:
            data = os.read(self.fd, most)
        except OSError:
            self.alive = False
            return b""
        # A character is not cut in two.
        while data and most < 64 and data[-1] >= 0xC0:
            data += os.read(self.fd, 1)
        self.output += data
        self._answer()
        return data

    def shows(self, wanted: Callable[[list[str]], bool], limit_s: float = 60.0) -> float | None:
        """Seconds until the picture is like this; None: it never was."""
        begin = time.monotonic()
        while time.monotonic() - begin < limit_s and self.alive:
            if wanted(self.glass.text):
                return time.monotonic() - begin
            self.read(0.05)
        return None


# Another tree has no helper of its own: it takes the one that is installed.
_RUN = """
import sys
from nettop import _native
root = sys.argv.pop(1)
sys.argv[0] = "nettop"
for name in [name for name in sys.modules if name.partition(".")[0] == "nettop"]:
    if "_native" not in name:
        del sys.modules[name]
sys.meta_path[:] = [f for f in sys.meta_path if "scikit" not in type(f).__name__.lower()]
sys.path.insert(0, root)
from nettop.__main__ import run
run()
"""


def has(text: str) -> Callable[[list[str]], bool]:
    return lambda lines: any(text in line for line in lines)


def _own_network() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """TCP connections of which some send at any time, seldom or often, little or much."""
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    pairs = [(socket.create_connection(server.getsockname()), server.accept()[0])
             for _ in range(count // 2 + 1)]  # fmt: skip
    over = threading.Event()
    chance = random.Random(3)
    for a, b in pairs:
        a.setblocking(False)
        b.setblocking(False)

    def work() -> None:
        while not over.wait(0.05):
            for i, (a, b) in enumerate(pairs):
                if chance.random() < 0.02 + i / len(pairs) / 2:
                    with contextlib.suppress(OSError):
                        a.send(b"x" * chance.randrange(1, 60_000))
                with contextlib.suppress(OSError):
                    b.recv(1 << 20)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for pair in (*pairs, (server,)):
            for each in pair:
                each.close()


STATES = (
    ("main, nothing chosen", b"", b""),
    ("main, a socket chosen", b"jj", b"\x1b"),
    ("detail", b"\r", b"\x1b"),
    ("help", b"?", b"\x1b"),
    ("groups", b"tt", b"\x1b"),
    ("a pane at full size", b"z", b"z"),
    ("paused", b" ", b" "),
)
LIMITS = {"help": 1000.0, "paused": 1000.0}


def sent(seconds: float) -> Iterator[Result]:
    for columns, lines in SIZES:
        size = f"{columns}x{lines}"
        if part not in (None, size):
            continue
        with Line(columns, lines, None) as line:
            line.until(b"127.0.0.1")
            line.run(6.0)
            yield Result("slowlink", f"{size}: first 6 s", len(line.output), "B")
            for name, keys, back in STATES:
                for key in keys:
                    line.send(bytes([key]))
                    line.run(0.4)
                line.run(2.0)
                before = len(line.output)
                line.run(seconds)
                rate = (len(line.output) - before) / seconds
                limit = LIMITS.get(name, 2500.0) if columns == 120 else None
                yield Result("slowlink", f"{size}: {name}", rate, "B/s", limit)
                for key in back:
                    line.send(bytes([key]))
                    line.run(0.7)


def slow(repeats: int, *, silent: bool) -> Iterator[Result]:
    whole: list[float] = []
    first: list[float] = []
    help_: list[float] = []
    moved: list[float] = []
    ended: list[float] = []
    for _ in range(repeats):
        with Line(80, 24, BAUD_BYTES_PER_S, silent=silent) as line:
            took = line.shows(lambda text: has("127.0.0.1")(text) and "quit" in text[-1])
            whole.append(60.0 if took is None else took)
            first.append(float(len(line.output)))
            line.run(8.0)
            for key, mark, gone, times in (
                (b"?", "MOVE", b"\x1b", help_), (b"/", "filter ", b"\x1b", moved),
            ):  # fmt: skip
                for _ in range(3):
                    line.run(random.uniform(2.0, 4.0))
                    line.send(key)
                    begin = _shown_by(key, mark)
                    took = line.shows(begin)
                    times.append(60.0 if took is None else took)
                    line.run(1.0)
                    line.send(gone)
                    line.run(2.0)
            line.send(b"q")
            begin_at = time.monotonic()
            while time.monotonic() - begin_at < 90 and not has_ended(line.pid):
                line.read(0.02)
            ended.append(time.monotonic() - begin_at)
    who = "9,600 baud, silent" if silent else "9,600 baud"
    yield Result("slowlink", f"{who}: first whole picture", median(whole), "s")
    yield Result("slowlink", f"{who}: its bytes", median(first), "B")
    yield Result("slowlink", f"{who}: help, slowest", max(help_), "s", 3.0)
    yield Result("slowlink", f"{who}: help", median(help_), "s", 3.0)
    yield Result("slowlink", f"{who}: filter line, slowest", max(moved), "s", 3.0)
    yield Result("slowlink", f"{who}: q, slowest", max(ended), "s", 1.0)


def _shown_by(key: bytes, mark: str) -> Callable[[list[str]], bool]:
    if key == b"/":
        return lambda text: text[1].startswith(mark) and "sort" not in text[1]
    return has(mark)


def has_ended(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    _own_network()
    with busy(SOCKETS):
        yield from sent(5.0 if quick else 20.0)
        for silent in (False, True) if part in (None, "slow") else ():
            yield from slow(1 if quick else 3, silent=silent)


if __name__ == "__main__":
    from tests.bench.report import main

    if "--root" in sys.argv:
        at = sys.argv.index("--root")
        root = str(Path(sys.argv[at + 1]).resolve())
        del sys.argv[at : at + 2]
    if "--part" in sys.argv:
        at = sys.argv.index("--part")
        part = sys.argv[at + 1]
        del sys.argv[at : at + 2]
    main(bench, __doc__)
