"""What a running nettop takes: CPU share, and memory by the number of sockets.

  python -m tests.bench.cost [--quick] [--json]

CPU: share of one core of the whole process in a 120×40 terminal at 1 Hz on 1,000 sockets, idle
ones (budget 1 %), and with 100 connections that echo ten times a second (1.5 %). Memory: resident
size after some ticks without looking back, over that of the smallest Textual app (minimal.py) in
the same run; budget 20 MB and 300 bytes for each socket, which are at rest here: one that moved
something in the last 10 to 70 s takes 264 bytes more. Beside them: what one more socket
takes, and what looking back does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from tests.bench.harness import Result, load, measured
from tests.bench.terminal import Terminal

NETTOP = [sys.executable, "-m", "nettop"]
MINIMAL = [sys.executable, "-m", "tests.bench.minimal"]
MB = 1e6


def share(active: int, windows: int, seconds: float) -> Iterator[Result]:
    shares, sent = [], []
    with load(1000, active=active), Terminal(NETTOP) as nettop:
        nettop.until(b"127.")
        nettop.run(4)
        for _ in range(windows):
            cpu, size = nettop.cpu_ms(), len(nettop.output)
            nettop.run(seconds)
            shares.append((nettop.cpu_ms() - cpu) / seconds / 10)
            sent.append((len(nettop.output) - size) / seconds)
    what = f"{active} connections echo" if active else "idle"
    name = f"1,000 sockets, {what}: share of a core"
    limit = 1.5 if active else 1.0
    yield measured("cost", name, shares, "%", limit, f"{median(sent):.0f} B/s to the terminal")


LOOK_BACK_S = 40  # with two key frames, so that memory of one was used again


def settled_rss(argv: list[str], mark: bytes, seconds: float) -> int:
    with Terminal(argv) as terminal:
        terminal.until(mark)
        terminal.run(seconds)
        return terminal.rss_bytes()


def memory(sizes: tuple[int, ...]) -> Iterator[Result]:
    least = settled_rss(MINIMAL, b"READY", 2)
    sizes_seen: list[tuple[int, int]] = []
    for sockets in sizes:
        with load(sockets):
            rss = settled_rss([*NETTOP, "--lookback", "0"], b"127.", 8)
        sizes_seen.append((sockets, rss))
        limit = (20 * MB + 300 * sockets) / MB
        note = f"{rss / MB:.1f} MB; minimal app {least / MB:.1f}"
        name = f"{sockets:,} sockets: memory over a minimal app"
        yield Result("cost", name, (rss - least) / MB, "MB", limit, note)
    with load(sizes[-1]):
        kept = settled_rss(NETTOP, b"127.", LOOK_BACK_S)
    name = f"{sizes[-1]:,} sockets: looking back takes in addition"
    yield Result("cost", name, (kept - rss) / MB, "MB", None, f"after {LOOK_BACK_S} s")
    (few, rss_few), (many, rss_many) = sizes_seen[0], sizes_seen[-1]
    each = (rss_many - rss_few) / (many - few)
    yield Result("cost", "memory of one more socket", each, "B", 300)


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    windows, seconds = (3, 5.0) if quick else (5, 10.0)
    for active in (0, 100):
        yield from share(active, windows, seconds)
    yield from memory((1000, 10_000) if quick else (1000, 10_000, 100_000))


if __name__ == "__main__":
    from tests.bench.report import main

    main(bench, __doc__)
