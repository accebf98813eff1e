"""How long until nettop shows something.

  python -m tests.bench.start [--quick] [--json]

First paint: from exec to the frame of a 120×40 screen, beside the smallest Textual app's first word
(minimal.py), in turn; budget 1.4 ×, whatever the number of sockets. First rows: until the first
socket stands in it. One-shot:
wall time of `nettop --once --json` beside the bare dump of the same sockets (floor.c) and a Python
that does nothing; budget 150 ms + the dump, where few sockets are there. At more sockets the rest
is the writing of JSON, told as time per socket.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from tests.bench.harness import Result, floor, load, ratio, run
from tests.bench.terminal import Terminal

PYTHON = [sys.executable, "-m"]


def first_paint(module: str, *marks: bytes) -> list[float]:
    """Milliseconds until each of them was written."""
    with Terminal([*PYTHON, module]) as terminal:
        return [terminal.until(mark) * 1e3 for mark in marks]


def screen(sockets: int, rounds: int) -> Iterator[Result]:
    frames: list[float] = []
    rows: list[float] = []
    least: list[float] = []
    with load(sockets):
        for _ in range(rounds):
            for times, took in zip(
                (frames, rows), first_paint("nettop", b"nettop", b"127."), strict=True
            ):
                times.append(took)
            least += first_paint("tests.bench.minimal", b"READY")
    for what, times, limit in (("paint", frames, 1.4), ("rows", rows, None)):
        note = f"{median(times):.0f} ms; minimal app {median(least):.0f}"
        name = f"first {what}, {sockets:,} sockets: to a minimal app"
        yield Result("start", name, ratio(times, least), "x", limit, note)


def once(sockets: int, rounds: int) -> Iterator[Result]:
    ours, dumps, nothing = [], [], []
    with load(sockets):
        for _ in range(rounds):
            ours.append(run([*PYTHON, "nettop", "--once", "--json"]).wall_ms)
            dumps.append(floor(1).wall_ms)
            nothing.append(run([sys.executable, "-c", "pass"]).wall_ms)
    over = [a - b for a, b in zip(ours, dumps, strict=True)]
    note = f"dump {median(dumps):.1f} ms, python {median(nothing):.0f} ms"
    limit = 150.0 if sockets <= 1000 else None
    name = f"--once --json, {sockets:,} sockets, over the dump"
    yield Result("start", name, median(over), "ms", limit, note)


SS = ["ss", "-tinmOeH"]
FEW, MANY = 1000, 10_000


def per_socket(rounds: int) -> Iterator[Result]:
    """Of writing: what a start costs is left out, for both."""
    took: dict[str, dict[int, list[float]]] = {}
    programs = {"json": [*PYTHON, "nettop", "--once", "--json"], "ss": SS}
    for sockets in (FEW, MANY):
        with load(sockets):
            for _ in range(rounds):
                for name, argv in programs.items():
                    took.setdefault(name, {}).setdefault(sockets, []).append(run(argv).cpu_ms)
    each = {
        name: (median(of[MANY]) - median(of[FEW])) * 1e3 / (MANY - FEW) for name, of in took.items()
    }
    note = f"{each['json']:.1f} µs; ss {each['ss']:.1f}"
    yield Result("start", "--once --json, CPU per socket: to ss -tinmOeH",
                 each["json"] / each["ss"], "x", 1.5, note)  # fmt: skip


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    rounds = 5 if quick else 9
    for sockets in (1000, 10_000) if quick else (1000, 10_000, 100_000):
        yield from screen(sockets, rounds)
    for sockets in (100, 1000, 10_000):
        yield from once(sockets, rounds)
    yield from per_socket(rounds)


if __name__ == "__main__":
    from tests.bench.report import main

    main(bench, __doc__)
