"""What looking back takes: memory and size by the hour, and how long seeks and steps last.

python -m tests.bench.lookback [SECONDS [SOCKETS ACTIVE]]

Records SOCKETS in a namespace of their own, of which ACTIVE connections echo ten times a second;
then goes to random ticks of the file. Ticks in memory have more key frames, so that less is read.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from nettop.past import PastFeed
from nettop.store.memory import KEY_EVERY_S
from nettop.store.recording import Recording
from nettop.store.source import FrameSource
from tests.bench.harness import load

SEEKS, STEPS = 40, 20
LOOKBACK_S = 900
SEEK_GOAL_MS, STEP_GOAL_MS = 500, 50
PAUSE_S = 0.5  # between two keys: what is read ahead is read then


def record(path: Path, seconds: float) -> list[int]:
    """By the program itself; its resident bytes every few seconds."""
    argv = [sys.executable, "-m", "nettop", "record", "-o", str(path), "--for", f"{seconds:g}s"]
    rss = []
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as recorder:
        while recorder.poll() is None:
            status = Path(f"/proc/{recorder.pid}/status").read_text()
            rss += [int(v.split()[1]) << 10 for v in status.splitlines() if v.startswith("VmRSS")]
            time.sleep(5)
    if recorder.returncode:
        raise RuntimeError(f"nettop record ended with {recorder.returncode}")
    return rss


def lookback_bytes(path: Path) -> float:
    """What the live screen would keep of such ticks: as many frames, more of them key frames."""
    with closing(sqlite3.connect(path)) as db:
        sizes: dict[int, float] = dict(
            db.execute("SELECT key, avg(length(frame)) FROM frames GROUP BY key")
        )
    keys = LOOKBACK_S / KEY_EVERY_S
    return keys * sizes[1] + (LOOKBACK_S - keys) * sizes[0]


def lasted_ms(call: Callable[..., object], *args: int) -> float:
    began = time.perf_counter()
    call(*args)
    return (time.perf_counter() - began) * 1e3


def moves(source: FrameSource) -> None:
    seqs = [f.seq for f in source.frames()]
    dice = random.Random(1)
    with closing(PastFeed(source)) as feed:
        seeks = []
        for seq in dice.choices(seqs, k=SEEKS):
            seeks.append(lasted_ms(feed.seek, seq))
            feed.settle()
        feed.seek(seqs[len(seqs) // 2])
        steps: dict[str, list[float]] = {"on": [], "back": []}
        for name, by in (("on", 1), ("back", -1)):
            for _ in range(STEPS):
                time.sleep(PAUSE_S)
                steps[name].append(lasted_ms(feed.step, by))
    told("seek", seeks, SEEK_GOAL_MS)
    for name, values in steps.items():
        told(f"step {name}", values, STEP_GOAL_MS)


def told(name: str, values: list[float], goal_ms: float) -> None:
    middle, high = statistics.median(values), sorted(values)[int(len(values) * 0.9)]
    print(f"  {name:18} {middle:7.1f} ms, 90 % {high:.1f}, most {max(values):.1f}; goal {goal_ms}")


def main(seconds: float = 120, sockets: int = 10_000, active: int = 200) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nettop"
        with load(sockets, active=active, seconds=round(seconds) + 60):
            rss = record(path, seconds)
        size = path.stat().st_size
        print(f"{sockets} sockets, {2 * active} busy, {seconds:g} s")
        print(f"  {'file':18} {size / seconds * 3600 / 1e6:7.0f} MB an hour")
        early, late = rss[len(rss) // 4] / 2**20, rss[-1] / 2**20
        print(f"  {'recorder':18} {early:7.1f} MB, at the end {late:.1f} MB")
        print(f"  {'look-back':18} {lookback_bytes(path) / 2**20:7.1f} MB of {LOOKBACK_S} s")
        with closing(Recording(path)) as recording:
            moves(recording)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
