"""Random keys and random signals: whatever comes, nettop ends, and leaves the terminal as it was.

    python -m tests.ending.storm [ROUNDS [SEED]]

Each round starts a screen or a command in a pseudo-terminal, types at random, may stop and continue
it, and ends it by a signal, by two, or by hanging up. The terminal is read, read slowly, or not at
all. A round is good if the process has ended LIMIT_S after the last signal, with the right exit
code, without a traceback, and where the terminal was read with its settings, main screen, cursor
and mouse as before. The limit is multiplied by NETTOP_SLOW, for machines that do other work. It is
START_S more where only a screen that has begun learns of the end: where SIGHUP is ignored, and
where a terminal that controls nothing is hung up.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 2.0
START_S = 2.0
SLOW = float(os.environ.get("NETTOP_SLOW", "1"))
SESSION = Path(__file__).resolve().parents[1] / "data" / "session.json"
KEYS = [
    *"?s/cCPvztxXnoSp 1234gGjkryedE+-",
    *"\r\t\x7f", "\x1b", "\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~", "\x1b[C", "\x12", "\x0c", "srtt",
    "\x1b[200~rtt > 1ms\x1b[201~", "\x1b[<0;10;8M\x1b[<0;10;8m", "\x1b[<64;10;8M", "\xe4",
]  # fmt: skip
ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
# What a screen switches on, and how it switches it off.
MODES = {1049: False, 25: True, 1000: False, 1003: False, 1006: False, 1004: False, 2004: False}


@dataclass
class Plan:
    """One round, all of it drawn before it starts."""

    argv: list[str]
    screen: bool
    reads: str  # fast, slow or not
    session: bool  # the terminal is the controlling one
    ignores_hup: bool
    wait_s: float
    typed: list[tuple[float, str]]
    stops: list[int]
    ends: list[int]  # -1: a hang-up
    gap_s: float

    def __str__(self) -> str:
        names = ["hang-up" if n < 0 else signal.Signals(n).name for n in self.ends]
        stops = [signal.Signals(n).name for n in self.stops]
        keys = "".join(text for _, text in self.typed)
        return (
            f"{' '.join(self.argv)} | {self.reads} {'ctty ' if self.session else ''}"
            f"{'nohup ' if self.ignores_hup else ''}{self.wait_s:.2f}s {keys!r} "
            f"{'+'.join([*stops, *names])} {self.gap_s * 1e3:.0f}ms"
        )


def plan(rng: random.Random, port: int) -> Plan:
    argv, screen = rng.choice([
        (["-d", "0.1"], True), (["-d", "0.1", "-a"], True), ([], True),
        (["--tx-sample", "1", "-d", "0.1"], True),
        (["open", str(SESSION)], True), (["open", str(SESSION)], True),
        (["probe", "udp", f"127.0.0.1:{port}", "-i", "0.01"], True),
        (["--ndjson", "-d", "0.1"], False), (["--batch", "-a", "-d", "0.2"], False),
        (["--ndjson", "-d", "0.1", "-o", "out.ndjson"], False),
        (["snapshot", "--for", "30", "-o", "out.json"], False), (["-1", "-d", "20"], False),
        (["watch", "srtt > 1h", "-d", "0.1"], False),
        (["probe", "udp", f"127.0.0.1:{port}", "--json"], False),
        (["reflect", "udp", f"127.0.0.2:{port}"], False),
    ])  # fmt: skip
    session = rng.random() < 0.7
    ends: list[int] = [rng.choice(ENDS)]
    if screen and rng.random() < 0.2:
        ends = [-1]
    elif rng.random() < 0.3:
        ends.append(rng.choice(ENDS))
    typed: list[tuple[float, str]] = []
    if screen:
        for _ in range(rng.randrange(6)):
            burst = "".join(rng.choice(KEYS) for _ in range(rng.choice((1, 2, 2, 3, 9))))
            typed.append((rng.choice((0.0, 0.02, 0.2)), burst))
    return Plan(
        argv=argv,
        screen=screen,
        reads=rng.choice(("fast", "fast", "slow", "not")),
        session=session,
        # A command under nohup does not end by SIGHUP; a screen does.
        ignores_hup=screen and rng.random() < 0.2,
        wait_s=rng.choice((rng.uniform(0, 0.4), rng.uniform(0.3, 1.5), rng.uniform(1, 3))),
        typed=typed,
        stops=[rng.choice(STOPS)] if rng.random() < 0.3 else [],
        ends=ends,
        gap_s=rng.choice((0.0, 0.001, 0.04, 0.3, 0.9)),
    )


@dataclass
class Outcome:
    """What was wrong; empty: nothing."""

    faults: list[str] = field(default_factory=list)
    took_s: float = 0.0
    began: bool = True  # the program had come to its first line when it was ended
    out: bytes = b""


class Reader(threading.Thread):
    """Takes what the program writes, as fast as the plan says."""

    def __init__(self, master: int, pace: str) -> None:
        super().__init__(daemon=True)
        self.master, self.pace, self.out, self.over = master, pace, b"", threading.Event()

    def hang_up(self) -> None:
        self.over.set()
        self.join()
        os.close(self.master)

    def run(self) -> None:
        while not self.over.is_set():
            if self.pace == "not" or not select.select([self.master], [], [], 0.02)[0]:
                self.over.wait(0.02)
                continue
            try:
                self.out += os.read(self.master, 65536 if self.pace == "fast" else 512)
            except OSError:
                return
            if self.pace == "slow":
                self.over.wait(0.01)


def _status(pid: int, name: str) -> str:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.split(":", 1)[1].strip()
    return ""


def _began(pid: int) -> bool:
    """Signals are taken: before that, Python's own start ends as Python sees fit."""
    blocked = int(_status(pid, "SigBlk") or "0", 16)
    return bool(blocked >> (signal.SIGTERM - 1) & 1)


def _ended(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def play(p: Plan, folder: str) -> Outcome:
    """Runs one round."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    before = termios.tcgetattr(slave)

    def prepare() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if p.ignores_hup else signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        if p.session:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    env = {k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "SSH_"))}
    child = subprocess.Popen(
        [sys.executable, "-m", "nettop", *p.argv], stdin=slave, stdout=slave, stderr=slave,
        cwd=folder, start_new_session=True, preexec_fn=prepare,
        env={**env, "TERM": "xterm-256color", "HOME": folder,
             "PYTHONPATH": os.pathsep.join(x for x in sys.path if x)},
    )  # fmt: skip
    got = Outcome()
    reader = Reader(master, p.reads)
    reader.start()
    try:
        _drive(p, child, reader, got)
        if p.ends != [-1]:
            _check_terminal(p, child, slave, before, reader, got)
    finally:
        if not reader.over.is_set():
            reader.hang_up()
        child.kill()
        child.wait()
        os.close(slave)
    got.out = reader.out
    if b"Traceback" in got.out and got.began:
        got.faults.append("traceback")
    return got


def _drive(p: Plan, child: subprocess.Popen[bytes], reader: Reader, got: Outcome) -> None:
    _ended(child, p.wait_s)
    for pause, text in p.typed:
        with suppress(BlockingIOError):
            os.write(reader.master, text.encode())
        _ended(child, pause)
    for number in p.stops:
        child.send_signal(number)
        time.sleep(0.05)
        child.send_signal(signal.SIGCONT)
        time.sleep(p.gap_s)
    if child.poll() is not None:
        return  # a key ended it
    # A part of the start may be over by the time of the signal, never the other way round.
    got.began = _began(child.pid)
    at = time.monotonic()
    for i, number in enumerate(p.ends):
        if i:
            _ended(child, p.gap_s)
        if number < 0:
            reader.hang_up()
        elif child.poll() is None:
            child.send_signal(number)
        if _status(child.pid, "State").startswith("T"):
            child.send_signal(signal.SIGCONT)
    limit_s = (LIMIT_S + (START_S if p.ignores_hup or not p.session else 0)) * SLOW
    if not _ended(child, limit_s):
        got.faults.append(f"not ended in {limit_s:g} s")
        child.kill()
        child.wait()
        return
    got.took_s = time.monotonic() - at
    _check_code(p, int(child.returncode), got)


def _check_code(p: Plan, code: int, got: Outcome) -> None:
    """Of the first signal; the second may come first where both do before the start."""
    numbers = [signal.SIGHUP if n < 0 else n for n in p.ends]
    allowed = {130 if n == signal.SIGINT else 128 + n if p.screen else -n for n in numbers}
    if not got.began:
        allowed |= {-n for n in numbers} | {1, 130}
    elif p.screen:
        # Until there is a screen it ends as any program.
        allowed |= {-n for n in numbers if n != signal.SIGINT}
        if -1 in p.ends:
            allowed.add(1)  # its terminal was gone before it was looked at
    if code not in allowed:
        got.faults.append(f"exit code {code}, not {sorted(allowed)}")


def _check_terminal(
    p: Plan, child: subprocess.Popen[bytes], slave: int, before: Sequence[object], reader: Reader,
    got: Outcome,
) -> None:  # fmt: skip
    if child.poll() is None:
        return
    now = termios.tcgetattr(slave)
    if now[:4] != before[:4]:
        got.faults.append("the terminal is raw")
    if p.reads == "not":
        return
    reader.pace = "fast"
    deadline = time.monotonic() + 2
    while select.select([reader.master], [], [], 0.05)[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    modes = dict(MODES)
    text = reader.out.decode("utf-8", "replace")
    for number in modes:
        on, off = text.rfind(f"\x1b[?{number}h"), text.rfind(f"\x1b[?{number}l")
        if on != off:
            modes[number] = on > off
    wrong = [number for number in modes if modes[number] != MODES[number]]
    if wrong:
        got.faults.append(f"modes {wrong} are left")


def run(rounds: int, seed: int, *, seconds: float = float("inf")) -> list[str]:
    """The rounds that were bad, each told so that it can be played again."""
    bad: list[str] = []
    ends_at = time.monotonic() + seconds
    slowest = played = early = 0.0
    with tempfile.TemporaryDirectory() as folder, echo() as port:
        for number in range(rounds):
            if time.monotonic() > ends_at:
                break
            p = plan(random.Random(f"{seed}.{number}"), port)
            got = play(p, folder)
            played += 1
            early += not got.began
            slowest = max(slowest, got.took_s)
            left = [x.name for x in Path(folder).iterdir() if x.name.startswith(".out")]
            for name in left:
                Path(folder, name).unlink()
            if left:
                got.faults.append(f"files are left: {left}")
            if got.faults:
                bad.append(f"seed {seed} round {number}: {', '.join(got.faults)}: {p}")
                print(bad[-1], json.dumps(got.out[-1500:].decode(errors="replace")), flush=True)
    print(f"seed {seed}: {played:g} rounds, {early:g} before the program's first line, "
          f"slowest end {slowest:.2f} s, {len(bad)} bad", flush=True)  # fmt: skip
    return bad


@contextmanager
def echo() -> Iterator[int]:
    """The port of a peer that answers probes."""

    def answer() -> None:
        with suppress(OSError):
            while True:
                data, address = peer.recvfrom(65536)
                peer.sendto(data, address)

    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        threading.Thread(target=answer, daemon=True).start()
        yield peer.getsockname()[1]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", flush=True)
    sys.exit(bool(run(rounds, seed)))


if __name__ == "__main__":
    main()
