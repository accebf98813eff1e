"""What recording costs beside polling: CPU of each part and bytes a tick, and what memory does.

python -m tests.bench.recording [SECONDS [SOCKETS ACTIVE]]

SOCKETS stand in a namespace of their own; ACTIVE connections echo ten times a second, and each
asker reads its answers 100 ms late, so that half of the busy sockets have a verdict.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from nettop.collect import PollOptions
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from nettop.store.recording import RecordingWriter
from nettop.store.retention import Limits
from nettop.store.tables import TickTables
from tests.bench.harness import load

GOAL_MS = 5.0


class Parts:
    """CPU of this thread by what it does."""

    def __init__(self) -> None:
        self.ms: dict[str, list[float]] = {}

    def of(self, name: str, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return call(*args, **named)
        finally:
            self.ms.setdefault(name, []).append((time.thread_time() - began) * 1e3)


def measure(seconds: float, sockets: int, active: int) -> None:
    parts, sizes, rss = Parts(), list[int](), list[int]()
    with (
        load(sockets, active=active),
        tempfile.TemporaryDirectory() as folder,
        closing(LiveFeed(PollOptions(planes=PlaneOptions(bpf=True)))) as feed,
        closing(RecordingWriter(Path(folder) / "a.nettop", {}, Limits(3600, 1 << 30))) as writer,
    ):
        tables = TickTables()
        feed.record(True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            model = parts.of("poll", feed.tick)
            whole = writer.wants_whole(model.mono_ns)
            sample = parts.of("sample", feed.sample, model, whole=whole)
            rows = parts.of("tables", tables.take, model, feed)
            sizes.append(parts.of("frame and write", writer.add, sample, rows))
            rss.append(model.cost.rss_bytes or 0)
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))
        file = sum(path.stat().st_size for path in Path(folder).iterdir())
        standing = len(rows.standing)
    busy, ticks = 2 * active, len(sizes)
    print(f"{model.totals.tcp} sockets, {busy} busy, {standing} spells stand, {ticks} ticks")
    for name, values in parts.ms.items():
        print(f"  {name:16} {statistics.median(values[3:]):8.2f} ms CPU a tick")
    ours = [sum(ms) for ms in zip(*(v for k, v in parts.ms.items() if k != "poll"), strict=True)]
    print(f"  {'recording':16} {statistics.median(ours[3:]):8.2f} ms, goal {GOAL_MS:g}")
    print(f"  {'frame':16} {statistics.median(sizes[3:]):8.0f} bytes a tick, key {sizes[0]}")
    print(f"  {'file':16} {file / ticks:8.0f} bytes a tick")
    quarter = max(1, ticks // 4)
    early, late = (statistics.median(part) / 2**20 for part in (rss[quarter:], rss[-quarter:]))
    print(f"  {'memory':16} {early:8.1f} MB, at the end {late:.1f} MB")


def main(seconds: float, *sizes: int) -> None:
    for sockets, active in [sizes] if sizes else [(1000, 20), (10_000, 200)]:
        measure(seconds, sockets, active)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 12, *map(int, sys.argv[2:4]))
