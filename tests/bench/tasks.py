"""What people want to know of a host, and the keys and seconds that it takes them.

  python -m tests.bench.tasks

In the session of tests/lab: each task on a screen of 120x40 that has run for some seconds, from its
first key until the answer stands there; or the seconds of a command. Not there: the screen that was
there instead is printed, and the exit code is 1.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.slowlink import BAUD_BYTES_PER_S, Line, has, has_ended
from tests.bench.terminal import Terminal
from tests.glass import Glass
from tests.lab import links
from tests.lab.session import Session, running

NETTOP = [sys.executable, "-m", "nettop"]
WARM_S, LIMIT_S = 8.0, 30.0
SESSION_S = 230


@dataclass(frozen=True, slots=True)
class Task:
    """keys: typed one after the other, `~` waits half a second; answer: what must stand there."""

    name: str
    question: str
    keys: str
    answer: tuple[str, ...]


ENTER, ESC, DOWN = "\r", "\x1b", "j"
TASKS = (
    Task("a", "iperf3 to one host, srtt above 5 ms, as CSV",
         f"/iperf3 10.40.0.7 srtt > 5ms{ENTER}~ee~c", (".csv",)),
    Task("b", "how long has its data waited",
         f"/report{ENTER}~~{DOWN}{ENTER}", ("unread for",)),
    Task("c", "two peers beside each other", f"ttt~~{DOWN}x{DOWN}x", (" against ",)),
    Task("d", "what changed before", "{", ("L live",)),
    Task("e", "the state for somebody else", "e", ("nettop-web-1",)),
    Task("f", "why is it slow to send", f"/iperf3 10.40{ENTER}~~{DOWN}{ENTER}", ("mean ", "qdisc")),
    Task("f2", "and the next one, after that", f"{ESC}{DOWN}{ENTER}", ("mean ", "qdisc")),
    Task("g", "the cgroup that resends most", "ttttttt~>>>", ("CGROUP", "RETR")),
    Task("h", "UDP alone", "u", ("all UDP sockets",)),
)  # fmt: skip


class Screen(Terminal):
    """nettop in the session."""

    def __init__(self, argv: list[str], home: Path) -> None:
        self.glass = Glass(120, 40)
        super().__init__(argv, 120, 40, {"HOME": str(home)})

    def __enter__(self) -> Screen:
        return self

    def read(self, timeout: float) -> bytes:
        data = super().read(timeout)
        self.glass.feed(data.decode("utf-8", "ignore"))
        return data

    @property
    def text(self) -> str:
        return "\n".join(self.glass.text)

    def shows(self, wanted: tuple[str, ...], limit_s: float = LIMIT_S) -> float | None:
        """Seconds until all of it stands there; None: it never did."""
        begin = time.monotonic()
        while time.monotonic() - begin < limit_s and self.alive:
            if all(word in self.text for word in wanted):
                return time.monotonic() - begin
            self.read(0.05)
        return None

    def type(self, keys: str) -> int:
        """How many keys there were."""
        for key in keys:
            if key != "~":
                self.send(key.encode())
            self.run(0.5 if key == "~" else 0.12)
        return len(keys.replace("~", ""))


def on_the_screen(session: Session) -> int:
    missing = 0
    # Some tasks export, into the folder that the screen was started in.
    argv = session.inside([*NETTOP, "-N", "all"], links.WEB, session.scratch)
    last: Screen | None = None
    for task in TASKS:
        if not task.name.endswith("2"):
            if last is not None:
                last.close()
            last = Screen(argv, session.scratch)
            last.shows(("nettop ", "WHY"))
            last.run(WARM_S)
        assert last is not None
        begin = time.monotonic()
        keys = last.type(task.keys)
        found = last.shows(task.answer)
        spent = time.monotonic() - begin
        missing += row(task.name, task.question, f"{keys} keys", spent, found is not None)
        if found is None:
            print(last.text)
    if last is not None:
        last.close()
    return missing


def over_a_slow_line(session: Session) -> int:
    """At 9,600 baud and 80x24: a key, and the end."""
    argv = session.inside([*NETTOP, "-N", "all"], links.WEB)
    with Line(80, 24, BAUD_BYTES_PER_S, argv=argv) as screen:
        screen.shows(has("WHY"))
        screen.run(WARM_S)
        begin = time.monotonic()
        screen.send(b"?")
        found = screen.shows(has("MOVE"), LIMIT_S)
        missing = row("k", "help at 9,600 baud", "1 keys", time.monotonic() - begin,
                      found is not None)  # fmt: skip
        screen.send(ESC.encode())
        screen.shows(has("WHY"), LIMIT_S)
        screen.run(1.0)
        begin = time.monotonic()
        screen.send(b"q")
        while time.monotonic() - begin < LIMIT_S and not has_ended(screen.pid):
            screen.read(0.02)
        return missing + row("k2", "and back to the shell", "1 keys", time.monotonic() - begin,
                             has_ended(screen.pid))  # fmt: skip


def row(name: str, question: str, how: str, seconds: float, there: bool) -> int:
    print(f"{name:<3}{question:<48}{how:<12}{seconds:6.1f} s  {'' if there else 'NOT THERE'}",
          flush=True)  # fmt: skip
    return not there


def command(session: Session, name: str, question: str, words: list[str],
            holds: Callable[[subprocess.CompletedProcess[str]], bool]) -> int:  # fmt: skip
    begin = time.monotonic()
    done = subprocess.run(session.inside([*NETTOP, *words], links.WEB), capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    good = holds(done)
    missing = row(name, question, "1 command", time.monotonic() - begin, good)
    if not good:
        print(done.stdout[-1000:], done.stderr[-1000:])
    return missing


def scraped(session: Session) -> int:
    serve = subprocess.Popen(session.inside([*NETTOP, "serve", "-N", "all"], links.WEB),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    begin = time.monotonic()
    text = ""
    try:
        while "nettop_" not in text and time.monotonic() - begin < LIMIT_S:
            time.sleep(0.3)
            text = subprocess.run(
                session.inside([sys.executable, "-c", "import urllib.request as r; print(r.urlopen"
                                "('http://127.0.0.1:9478/metrics').read().decode())"], links.WEB),
                capture_output=True, text=True, timeout=20, check=False,
            ).stdout  # fmt: skip
    finally:
        serve.terminate()
        serve.wait()
    return row("l", "metrics for Prometheus", "1 command", time.monotonic() - begin,
               "nettop_" in text)  # fmt: skip


def hosts(session: Session) -> int:
    argv = session.inside([*NETTOP, "-H", f"{links.WEB},{links.DB},{links.FAR}", "--ssh",
                           "ip netns exec", "--remote", " ".join(NETTOP)], links.WEB)  # fmt: skip
    with Screen(argv, session.scratch) as screen:
        begin = time.monotonic()
        found = screen.shows(("HOST", "3 hosts"))
        missing = row("m", "three hosts in one table", "1 command", time.monotonic() - begin,
                      found is not None)  # fmt: skip
        if found is None:
            print(screen.text)
    return missing


def main() -> int:
    with running(SESSION_S) as session:
        time.sleep(3)
        missing = on_the_screen(session)
        night = str(session.scratch / "night.nettop")
        missing += command(session, "i", "recorded: ten seconds",
                           ["record", "-N", "all", "-o", night, "--for", "10s"],
                           lambda done: done.returncode == 0)  # fmt: skip
        missing += command(session, "i2", "when it got bad", ["why", night],
                           lambda done: "unwell" in done.stdout)  # fmt: skip
        missing += command(session, "j", "an alarm when it holds",
                           ["watch", "-N", "all", "level >= unwell", "--within", "20s", "-o",
                            str(session.scratch / "held.json")],
                           lambda done: done.returncode == 0)  # fmt: skip
        missing += over_a_slow_line(session)
        missing += scraped(session)
        missing += hosts(session)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
