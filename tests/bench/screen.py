"""What painting costs at 120×40 with 10,000 sockets: CPU and bytes per refresh, a key's answer.

  python -m tests.bench.screen [--quick] [--json]

nettop's real screen on a feed that changes none, a tenth, or all of the visible lines at every
tick (dosed.py) runs beside a plain Line-API table that changes all (lineapp.py); both are measured
over the same windows of time, and a ratio is the median over the windows. Bytes are what reaches
the terminal. Budgets: with all lines changed CPU 1.2 × and bytes 1.1 × the plain table's; 2.5 KB
with a tenth; 0 with nothing changed.

The key's answer is the time from j or k to the last byte of the repaint, at random moments of a
live nettop that polls 10,000 real sockets once a second (budget for p95: 10 ms, and twice the
plain table's).
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from statistics import median

from tests.bench.harness import Result, load, quantile, ratio
from tests.bench.terminal import Terminal, together

PYTHON = [sys.executable, "-m"]
ROWS = 10_000
HZ = 1.0


def paint(share: float, windows: int, refreshes: int) -> Iterator[Result]:
    arguments = ["--rows", str(ROWS), "--hz", str(HZ)]
    with (
        Terminal([*PYTHON, "tests.bench.dosed", "--share", str(share), *arguments]) as nettop,
        Terminal([*PYTHON, "tests.bench.lineapp", *arguments]) as plain,
    ):
        nettop.until(b"10.1.0.")
        plain.until(b"READY")
        both = (nettop, plain)
        together(both, 3.0)
        cpu: tuple[list[float], list[float]] = ([], [])
        sent: tuple[list[float], list[float]] = ([], [])
        for _ in range(windows):
            before = [(t.cpu_ms(), len(t.output)) for t in both]
            together(both, refreshes / HZ)
            for i, terminal in enumerate(both):
                cpu[i].append((terminal.cpu_ms() - before[i][0]) / refreshes)
                sent[i].append((len(terminal.output) - before[i][1]) / refreshes)
    name = f"{share:.0%} of lines changed"
    note = f"plain table {median(cpu[1]):.1f} ms, {median(sent[1]):.0f} B"
    yield Result("screen", f"{name}: CPU per refresh", median(cpu[0]), "ms", None, note)
    limit = {0.0: 0.0, 0.1: 2500.0}.get(share)
    yield Result("screen", f"{name}: bytes per refresh", median(sent[0]), "B", limit)
    if share == 1.0:
        yield Result("screen", f"{name}: CPU to the plain table", ratio(*cpu), "x", 1.2)
        yield Result("screen", f"{name}: bytes to the plain table", ratio(*sent), "x", 1.1)


def keys(presses: int) -> Iterator[Result]:
    took: tuple[list[float], list[float]] = ([], [])
    argv = [[*PYTHON, "nettop"], [*PYTHON, "tests.bench.lineapp", "--rows", str(ROWS)]]
    chance = random.Random(1)
    with load(ROWS) as _, Terminal(argv[0]) as nettop, Terminal(argv[1]) as plain:
        nettop.until(b"127.")
        plain.until(b"READY")
        together((nettop, plain), 3.0)
        nettop.press(b"j")  # the first one chooses the first line, where another k changes nothing
        for i in range(presses):
            for terminal, times in zip((nettop, plain), took, strict=True):
                together((nettop, plain), chance.uniform(0.05, 0.3))
                terminal.settle()
                answer = terminal.press(b"j" if i // 10 % 2 == 0 else b"k")
                assert answer is not None, "a key was not answered"
                times.append(answer)
    for name, q in (("p50", 0.5), ("p95", 0.95)):
        note = f"plain table {quantile(took[1], q):.1f} ms"
        limit = 10.0 if name == "p95" else None
        yield Result("screen", f"key to repaint, {name}", quantile(took[0], q), "ms", limit, note)


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    began = time.monotonic()
    for share in (0.0, 0.1, 1.0):
        yield from paint(share, *((3, 4) if quick else (7, 6)))
    yield from keys(40 if quick else 150)
    assert time.monotonic() - began < 900


if __name__ == "__main__":
    from tests.bench.report import main

    main(bench, __doc__)
