"""What every benchmark needs: the load, the namespace, the CPU of programs, the result's form."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nettop.collect import ALL_STATES, QUIET_STATES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CLONE_NEWNET = 0x40000000
STABLE = 0.05  # what a row may spread, see spread()
# An installed nettop is compiled once; with this set a checkout is compiled at each start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: a median of paired rounds, beside what it may be at most."""

    bench: str
    what: str
    value: float
    unit: str  # "x": a ratio of one run
    budget: float | None = None
    note: str = ""
    spread: float | None = None  # of the rounds, see spread(); None: not known

    @property
    def verdict(self) -> str:
        if self.budget is None:
            return ""
        return "ok" if self.value <= self.budget else "OVER"

    def text(self) -> str:
        budget = "" if self.budget is None else f"≤ {self.budget:g}"
        note = self.note
        if self.spread is not None and self.spread > STABLE:
            note = f"not stable to ±{STABLE:.0%}: ±{self.spread:.0%}; {note}"
        return (
            f"{self.bench:<8}{self.what:<58}{self.value:>10.4g} {self.unit:<6}"
            f"{budget:>9} {self.verdict:<5}{note}"
        )


def spread(values: Sequence[float]) -> float | None:
    """Half of what the middle half of the rounds spans, to their median; None: of too few."""
    if len(values) < 3:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / abs(middle) if middle else None


def measured(
    bench: str, what: str, rounds: Sequence[float], unit: str, budget: float | None = None,
    note: str = "",
) -> Result:  # fmt: skip
    """The median of the rounds, which says so where it is not stable."""
    return Result(bench, what, statistics.median(rounds), unit, budget, note, spread(rounds))


@cache
def _build_dir() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="nettop-bench-")


@cache
def compiled(name: str, *libraries: str) -> str:
    """Path of one of the C programs beside this file, built for this run."""
    target = str(Path(_build_dir().name) / name)
    cc = os.environ.get("CC", "cc")
    source = str(HERE / f"{name}.c")
    subprocess.run(
        [cc, "-std=gnu11", "-O2", "-pthread", "-o", target, source, *libraries], check=True
    )
    return target


def _setns(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


@contextlib.contextmanager
def load(
    sockets: int, *, processes: int = 2, idle: int = 0, active: int = 0, seconds: int = 900
) -> Iterator[int]:
    """Runs the body inside a namespace with this many TCP sockets; yields how many there are.

    active: connections of each pair of processes that echo 256 bytes ten times a second.
    """
    argv = [compiled("load"), "-c", str(sockets // 2), "-k", str(max(1, processes // 2)),
            "-P", str(idle), "-m", str(active), "-t", str(seconds)]  # fmt: skip
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        said = program.stdout.readline().split()
        if not said:
            raise RuntimeError("the load did not come up (it needs root)")
        there = os.open(f"/proc/{program.pid}/ns/net", os.O_RDONLY)
        try:
            _setns(there)
        finally:
            os.close(there)
        yield int(said[1])
    finally:
        _setns(home)
        os.close(home)
        program.communicate()


@dataclass(frozen=True, slots=True)
class Used:
    """What a program took from exec to exit."""

    cpu_ms: float
    wall_ms: float


def run(argv: Sequence[str]) -> Used:
    """Runs a program to its end, its output thrown away."""
    begin = time.perf_counter()
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert child.stderr is not None
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {errors.decode(errors='replace').strip()}")
    return Used((usage.ru_utime + usage.ru_stime) * 1e3, wall * 1e3)


def floor(dumps: int = 3) -> Used:
    """The bare dump of the TCP sockets of this namespace that nettop asks for: the median of some,
    after a warm one."""
    argv = [compiled("floor"), "-r", str(dumps), "-s", hex(ALL_STATES & ~QUIET_STATES)]
    out = subprocess.run(argv, capture_output=True, check=True)
    each = json.loads(out.stdout)
    return Used(*(statistics.median(d[k] / 1e6 for d in each) for k in ("cpu_ns", "wall_ns")))


def cpu_ms(work: Callable[[], object], times: int = 1) -> float:
    """CPU of this thread per call, the median of some calls."""
    costs = []
    for _ in range(times):
        begin = time.thread_time_ns()
        work()
        costs.append((time.thread_time_ns() - begin) / 1e6)
    return statistics.median(costs)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Of one to the other in the same round."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the rounds."""
    return statistics.median(ratios(ours, theirs))


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least the share q of all does not exceed."""
    return sorted(values)[max(0, min(len(values) - 1, -int(-len(values) * q // 1) - 1))]
