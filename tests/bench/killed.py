"""Recorders killed with SIGKILL at random moments: every file opens, at most one tick is missing.

python -m tests.bench.killed [TIMES [SOCKETS]]

Half of them write to a disk that is full soon. What a recorder said on standard output it had
written before: all of that must be in the file. A recorder that waits for a core has polled
nothing, and so misses more: run it on a machine that is mostly idle.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nettop.errors import NettopError
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording

DELAY_S = 0.2
AT_ONCE = 2
NETTOP = [sys.executable, "-m", "nettop"]


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the file of a recorder that was killed."""

    said: int  # ticks that it had said
    ticks: int  # that are in the file
    lost: int  # of those that it had said
    # From the last tick to the kill, and its longest interval; None: it had ended by itself.
    missing_s: float | None
    longest_s: float = DELAY_S
    error: str | None = None


class Victim:
    """A recorder that runs."""

    def __init__(self, path: Path, options: Sequence[str], environ: Mapping[str, str]) -> None:
        self.path = path
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        argv = [*NETTOP, "record", "-o", str(path), "--ndjson", "-d", str(DELAY_S), *options]
        self._child = subprocess.Popen(
            argv, stdout=self._said, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            env=dict(environ),
        )  # fmt: skip

    def begun(self, within_s: float = 30.0) -> None:
        """Waits for the first tick."""
        end = time.monotonic() + within_s
        while not os.fstat(self._said.fileno()).st_size and self._child.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError("no tick")
            time.sleep(0.01)

    def kill(self) -> Found:
        alive = self._child.poll() is None
        self._child.send_signal(signal.SIGKILL)
        at = time.time()
        self._child.wait(20)
        self._said.seek(0)
        lines = self._said.read().split(b"\n")[:-1]  # the last is empty or was cut
        self._said.close()
        return examined(self.path, [json.loads(line)["taken"] for line in lines],
                        at if alive else None)  # fmt: skip


def examined(path: Path, said: Sequence[str], killed_at: float | None) -> Found:
    """Opens, checks and replays the file."""
    try:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            seqs = [seq for (seq,) in db.execute("SELECT seq FROM frames ORDER BY seq")]
            assert seqs == list(range(1, len(seqs) + 1))
            # A tick has all of its rows or none.
            assert seqs == [seq for (seq,) in db.execute("SELECT seq FROM ticks ORDER BY seq")]
            (listed,) = db.execute("SELECT sum(events_listed) FROM ticks").fetchone()
            assert (listed or 0,) == db.execute("SELECT count(*) FROM events").fetchone()
        with closing(Recording(path)) as recording:
            frames = recording.frames()
            feed = ReplayFeed(recording.samples())
            for _ in frames:
                feed.tick()
    except (AssertionError, sqlite3.Error, NettopError) as error:
        return Found(len(said), 0, 0, None, error=f"{type(error).__name__}: {error}")
    written = {frame.wall_ns // 1000 for frame in frames}
    lost = sum(_microseconds(taken) not in written for taken in said)
    missing_s = None if killed_at is None else killed_at - frames[-1].wall_ns / 1e9
    longest = max((b.mono_ns - a.mono_ns for a, b in pairwise(frames)), default=0) / 1e9
    return Found(len(said), len(frames), lost, missing_s, max(DELAY_S, longest))


def _microseconds(taken: str) -> int:
    from datetime import datetime

    whole, _, fraction = taken.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * 10**6 + int(fraction.ljust(9, "0")[:6])


def killed(
    folder: Path, times: int, options: Sequence[str], environ: Mapping[str, str] = os.environ
) -> Iterator[Found]:
    """So many recorders, a few at once, each killed at a moment of its own."""
    left = times
    while left > 0:
        victims = [
            Victim(folder / f"{left - i}.nettop", options, environ)
            for i in range(min(AT_ONCE, left))
        ]
        left -= len(victims)
        for victim in victims:
            victim.begun()
        ends = [(time.monotonic() + random.uniform(0.05, 3), v) for v in victims]
        ends.sort(key=lambda end: end[0])
        for at, victim in ends:
            time.sleep(max(0.0, at - time.monotonic()))
            yield victim.kill()


@contextlib.contextmanager
def small_disk(kilobytes: int) -> Iterator[Path]:
    """A tmpfs of that size."""
    with tempfile.TemporaryDirectory() as folder:
        size = f"size={kilobytes}k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def report(name: str, found: Sequence[Found]) -> None:
    alive = [f for f in found if f.missing_s is not None]
    late = [int((f.missing_s or 0) / f.longest_s) for f in alive]
    print(
        f"{name}: {len(found)} recorders, {sum(f.ticks for f in found)} ticks in their files, "
        f"{sum(f.lost for f in found)} lost of {sum(f.said for f in found)} that were said; "
        f"{sum(f.error is not None for f in found)} files do not open; {len(found) - len(alive)} "
        f"had ended by themselves, of the others at most {max(late, default=0)} ticks are missing"
    )
    for error in {f.error for f in found if f.error}:
        print(f"  {error}")


def main(times: int, sockets: int) -> None:
    from tests.bench.harness import load

    with load(sockets, active=50), tempfile.TemporaryDirectory() as folder:
        report("with room", list(killed(Path(folder), times // 2, [])))
        full = []
        for _ in range((times + 1) // 2):
            with small_disk(random.randint(180, 420)) as disk:
                full += list(killed(disk, 1, []))
        report("a disk that fills", full)


if __name__ == "__main__":
    main(*map(int, (*sys.argv[1:3], *("50", "2000")[len(sys.argv) - 1 :])))
