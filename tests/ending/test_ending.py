"""Each screen and command ends by each signal, whatever its terminal and its threads do."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.ending.screen import HANGS, LIMIT_S, Screen
from tests.ending.storm import SESSION, SLOW, echo


@pytest.fixture
def start(peer: int) -> Iterator[Callable[..., Screen]]:
    screens: list[Screen] = []

    def make(*argv: str, **more: object) -> Screen:
        words = [word.replace("PORT", str(peer)) for word in argv]
        screens.append(Screen(*words, **more))  # type: ignore[arg-type]
        return screens[-1]

    yield make
    for screen in screens:
        screen.close()


LIVE, FILE = ["-d", "0.1"], ["open", str(SESSION)]
RECORDING = Path(__file__).parents[1] / "data" / "recordings" / "late-reader.nettop"
REPLAY = ["replay", str(RECORDING)]
PROBE = ["probe", "udp", "127.0.0.1:PORT", "-i", "0.01"]


@pytest.fixture(autouse=True)
def peer() -> Iterator[int]:
    with echo() as port:
        yield port


@pytest.mark.parametrize(
    ("argv", "number"),
    [(LIVE, signal.SIGINT), (REPLAY, signal.SIGHUP), (PROBE, signal.SIGTERM)],
)
def test_a_terminal_that_takes_no_output(
    start: Callable[..., Screen], argv: list[str], number: signal.Signals
) -> None:
    screen = start(*argv, size=(90, 300))
    screen.until(b"nettop")
    screen.fill()
    for _ in range(15):  # whole pictures, which find no room
        screen.press("\x0c\x0cjk")
        time.sleep(0.05)
    screen.fill()  # the kernel takes what was written on in its own time
    assert not select.select([], [screen.slave], [], 0)[1], "the terminal is full"
    screen.child.send_signal(number)
    assert screen.ended(read=False) == 128 + number
    assert termios.tcgetattr(screen.slave)[:4] == screen.before[:4]
    # Whoever looks at the terminal again has the main screen before them.
    screen.read(0.2)
    assert screen.out.rindex(b"\x1b[?1049l") > screen.out.rindex(b"\x1b[?1049h")


def test_what_the_thread_is_to_call_is_called_at_once() -> None:
    code = (
        "from nettop import ending as e\n"
        "of, calls = e.ending, []\n"
        "of.begin()\n"
        "of.call(lambda: calls.append(1))  # from here on the thread waits for signals\n"
        "e._CALL_AGAIN_S = 60\n"
        "of.call(lambda: calls.append(2))\n"
        "print(calls)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout == "[1, 2]\n"


def test_a_terminal_that_cannot_be_opened_anew(start: Callable[..., Screen]) -> None:
    """As after su: each write waits for the terminal, and the event loop with it."""
    code = (
        "import nettop.tui.terminal as t\n"
        "t._private = lambda fd: fd\n"
        "from nettop.__main__ import run\nrun()"
    )
    screen = start(*FILE, size=(90, 300), code=code)
    screen.until(b"TCP health")
    for _ in range(15):
        screen.press("\x0c\x0cjk")
        time.sleep(0.05)
    screen.child.send_signal(signal.SIGTERM)
    assert screen.ended(read=False) == 128 + signal.SIGTERM
    assert termios.tcgetattr(screen.slave)[:4] == screen.before[:4]


def test_a_terminal_that_goes_on_shows_the_present(start: Callable[..., Screen]) -> None:
    screen = start(*FILE, size=(90, 300))
    screen.until(b"TCP health")
    for _ in range(40):
        screen.press("\x0cj")
        time.sleep(0.02)
    screen.press("?")
    time.sleep(0.5)
    screen.until(b"Esc closes")
    screen.press("qq")
    assert screen.ended() == 0
    assert screen.is_restored()


@pytest.mark.parametrize("argv", [LIVE, FILE, PROBE])
def test_a_hang_up_where_sighup_is_ignored(start: Callable[..., Screen], argv: list[str]) -> None:
    screen = start(*argv, ignores_hup=True)
    screen.until(b"\x1b[?1049h")
    screen.read(0.5)
    screen.hang_up()
    assert screen.ended(read=False) == 129


@pytest.mark.parametrize(
    ("stop", "number"),
    [
        (signal.SIGSTOP, signal.SIGTERM),
        (signal.SIGTSTP, signal.SIGTERM),
        (signal.SIGTTIN, signal.SIGINT),
        (signal.SIGTTOU, signal.SIGQUIT),
    ],
)
def test_stopped_continued_and_ended(
    start: Callable[..., Screen], stop: signal.Signals, number: signal.Signals
) -> None:
    screen = start(*FILE)
    screen.until(b"TCP health")
    for one in (stop, signal.SIGCONT, stop, signal.SIGCONT):
        screen.child.send_signal(one)
        screen.read(0.02)
    screen.child.send_signal(number)
    assert screen.ended() == 128 + number
    assert screen.is_restored()


def test_stopped_and_continued_it_is_there_again(start: Callable[..., Screen]) -> None:
    screen = start(*FILE)
    screen.until(b"TCP health")
    screen.child.send_signal(signal.SIGTSTP)
    screen.until_stopped()
    screen.read(0.3)
    assert screen.is_restored()
    screen.out = b""
    screen.child.send_signal(signal.SIGCONT)
    screen.until(b"TCP health")
    screen.press("?")
    screen.until(b"Esc closes")
    screen.press("qq")
    assert screen.ended() == 0
    assert screen.is_restored()


@pytest.mark.parametrize(
    ("first", "second", "gap_s"),
    [
        (signal.SIGINT, signal.SIGINT, 0),
        (signal.SIGINT, signal.SIGINT, 0.04),
        (signal.SIGTERM, signal.SIGHUP, 0.04),
        (signal.SIGTERM, signal.SIGHUP, 0.3),
    ],
)
def test_the_first_of_two_signals_counts(
    start: Callable[..., Screen], first: signal.Signals, second: signal.Signals, gap_s: float
) -> None:
    screen = start(*LIVE)
    screen.until(b"TCP health")
    screen.child.send_signal(first)
    if gap_s:
        screen.until_taken(first)
    screen.read(gap_s)
    with suppress(ProcessLookupError):
        screen.child.send_signal(second)
    code = screen.ended()
    # At the same instant the kernel hands out the lower number first.
    assert code in ({128 + first} if gap_s else {128 + first, 128 + second})
    assert screen.is_restored()


@pytest.mark.parametrize(
    "keys", ["?qq", "s\r\rq", "?\x03\x03", "ccsss?\x03q", "Pq/\x03q", "t\r\rq"], ids=repr
)
def test_keys_typed_in_one_write_end_it(start: Callable[..., Screen], keys: str) -> None:
    screen = start(*FILE)
    screen.until(b"TCP health")
    screen.press(keys)
    assert screen.ended() == 0
    assert screen.is_restored()


@pytest.mark.parametrize(
    ("module", "name", "method", "number"),
    [
        ("poller", "LiveFeed", "_reorder", signal.SIGINT),  # the first sweep, in the main thread
        ("collect", "Collector", "scan_procs", signal.SIGTERM),  # the poller's thread
        ("tui.screens.main", "MainScreen", "refresh_header", signal.SIGINT),  # the event loop
        ("tui.app", "NettopApp", "on_unmount", signal.SIGTERM),  # the end itself
    ],
)
def test_whatever_hangs(
    start: Callable[..., Screen], module: str, name: str, method: str, number: signal.Signals
) -> None:
    code = HANGS.format(module=module, name=name, method=method, after=0)
    screen = start("-d", "0.1", code=code)
    if method == "_reorder":
        screen.read(2 * SLOW)
    else:
        screen.until(b"\x1b[?1049h")
        screen.read(0.5)
    screen.child.send_signal(number)
    assert screen.ended() in (128 + number, -number)
    if method != "_reorder":
        assert screen.is_restored()


@pytest.mark.parametrize("argv", [LIVE, REPLAY])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_seek_that_hangs(
    start: Callable[..., Screen], argv: list[str], number: signal.Signals
) -> None:
    code = HANGS.format(
        module="past", name="PastFeed", method="seek", after=0 if argv is LIVE else 1
    )
    screen = start(*argv, code=code)
    screen.until(b"TCP health")
    screen.read(0.5 * SLOW)
    screen.press("[")
    screen.read(0.2)
    screen.press("?")
    screen.until(b"Esc closes")
    screen.child.send_signal(number)
    assert screen.ended() == 128 + number
    assert screen.is_restored()


def test_an_export_that_hangs_leaves_no_file(start: Callable[..., Screen], tmp_path: Path) -> None:
    code = HANGS.format(module="export.atomic", name="AtomicFile", method="write", after=0)
    screen = start("--no-bpf", code=code, cwd=tmp_path)
    screen.until(b"TCP health")
    screen.press("e")
    deadline = time.monotonic() + 5
    while not list(tmp_path.iterdir()):
        assert time.monotonic() < deadline
        screen.read(0.02)
    screen.child.send_signal(signal.SIGTERM)
    assert screen.ended() == 128 + signal.SIGTERM
    assert screen.is_restored()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["--ndjson", "-d", "0.1", "-a"],
        ["snapshot", "--for", "30", "-o", "x.json"],
        ["-1", "-d", "30"],
        ["watch", "srtt > 1h", "-d", "0.1"],
        ["watch", "srtt > 1h", "-d", "0.1", "-o", "x.nettop"],
        ["probe", "udp", "127.0.0.1:PORT", "--json"],
        ["reflect", "udp", "127.0.0.2:PORT"],
        ["clocks"],
        ["doctor"],
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_commands(tmp_path: Path, argv: list[str], number: signal.Signals, peer: int) -> None:
    """With standard output that is not read."""
    argv = [word.replace("PORT", str(peer)) for word in argv]
    process = subprocess.Popen(
        [sys.executable, "-m", "nettop", *argv], stdin=subprocess.DEVNULL, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (1, 2, 3)],
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        blocked = 0
        while not blocked >> (signal.SIGTERM - 1) & 1:
            status = Path(f"/proc/{process.pid}/status").read_text()
            blocked = int(status.split("SigBlk:")[1].split()[0], 16)
        time.sleep(0 if argv[0] in ("doctor", "clocks") else 0.6)
        process.send_signal(number)
        try:
            code = process.wait(LIMIT_S)
        finally:
            process.kill()
        assert code == (130 if number == signal.SIGINT else -number)
        assert process.stderr.read() == b""
    assert list(tmp_path.iterdir()) == []


LEADER = """
import os, signal, subprocess, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
own = termios.tcgetattr(0)
child = subprocess.Popen([sys.executable, "-m", "nettop", *sys.argv[1:]], process_group=0)
os.tcsetpgrp(0, child.pid)
print("pid", child.pid, flush=True)
os.waitpid(child.pid, os.WUNTRACED)  # as a shell does: stopped
os.tcsetpgrp(0, os.getpgrp())
own[3] &= ~termios.ECHO  # as a shell that edits a line
termios.tcsetattr(0, termios.TCSANOW, own)
print("stopped", flush=True)
print("code", child.wait(), flush=True)
"""


def test_in_the_background_it_ends_and_leaves_the_terminal_to_the_shell(
    start: Callable[..., Screen],
) -> None:
    screen = start(*FILE, code=LEADER)
    screen.until(b"TCP health")
    pid = int(screen.out.split(b"pid ")[1].split()[0])
    os.kill(pid, signal.SIGSTOP)
    screen.until(b"stopped")
    set_by_shell = termios.tcgetattr(screen.slave)
    os.kill(pid, signal.SIGCONT)  # bg
    screen.read(0.7)
    screen.press("typed at the shell")
    screen.read(0.3)
    os.kill(pid, signal.SIGTERM)  # kill %1
    os.kill(pid, signal.SIGCONT)
    screen.until(b"code 143", LIMIT_S)
    assert screen.out.rindex(b"\x1b[?1049l") > screen.out.rindex(b"stopped")
    assert termios.tcgetattr(screen.slave)[:4] == set_by_shell[:4]


def test_a_name_server_that_does_not_answer(tmp_path: Path) -> None:
    """getaddrinfo comes back by no signal."""
    hangs = "import socket, time\nsocket.getaddrinfo = lambda *_: time.sleep(60)\n"
    run = "import sys\nsys.argv[1:] = ['probe', 'tcp', 'nowhere:1']\n"
    code = f"{hangs}{run}from nettop.__main__ import run\nrun()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(LIMIT_S) == 130
    finally:
        process.kill()


def test_no_thread_spins_at_the_end_of_input() -> None:
    """The input thread alone, on a terminal that was hung up."""
    from nettop.tui.driver import Exit, TerminalDriver

    class Still(TerminalDriver):
        def __init__(self) -> None:
            self._debug = False
            self.exit_event = Exit()
            self.terminal = type("Terminal", (), {"read_fd": slave})  # type: ignore[assignment]

    master, slave = pty.openpty()
    os.close(master)
    driver = Still()
    thread = threading.Thread(target=driver.run_input_thread)
    before = time.process_time()
    thread.start()
    time.sleep(1)
    used = time.process_time() - before
    driver.exit_event.set()
    thread.join(1)
    os.close(slave)
    assert not thread.is_alive()
    assert used < 0.2
