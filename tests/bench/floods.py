"""What nettop takes, and what it loses, while a host is flooded, and how soon it is itself again.

  python -m tests.bench.floods [--quick] [--json]

Three floods in a namespace of its own (flood.c) beside 200 idle sockets: 300,000 datagrams a second
into one socket, 5,000 connections a second, 20,000 SYNs a second of made-up senders. `nettop
--ndjson` looks on at 1 Hz with all that it loads by itself. Of each flood: its CPU without the
programs in the kernel, by its own figure (median of the ticks); the programs' share of one CPU, by
the kernel's statistics; seconds from the flood's end to the first tick that is again as those
before it were: its cost, its interval, no socket left out; budget 10 s. The notes say what was
sent, what the governor did, and what was counted as lost.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.harness import Result, compiled, load

NETTOP = [sys.executable, "-m", "nettop", "--ndjson", "-d", "1"]
FLOODS = {"udp": 300_000, "connect": 5000, "syn": 20_000}  # a second
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
SINK = """
ip link add sink0 type veth peer name sink1
ip addr add 198.51.100.1/32 dev sink0
ip link set sink0 up
ip link set sink1 up
ip route add 198.18.0.0/15 dev sink0
ip neigh add 198.18.0.1 lladdr 02:00:00:00:00:01 dev sink0
"""
BEFORE_S, AFTER_S = 8, 14
AGAIN_PCT = 1.5  # of a CPU over what it took before: itself again


@contextlib.contextmanager
def statistics() -> Iterator[None]:
    """The kernel measures how long programs run."""
    before = STATISTICS.read_text()
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


def run_ns(pid: int) -> int:
    """Of all programs that a process has loaded."""
    held = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            held |= {int(v.split()[1]) for v in info.read_text().splitlines() if "prog_id:" in v}
    out = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, check=True)
    return sum(p.get("run_time_ns", 0) for p in json.loads(out.stdout) if p["id"] in held)


@dataclass(frozen=True, slots=True)
class Tick:
    at: float  # time.monotonic() when it was read here
    cost: dict[str, Any]
    wait: str  # what the wait plane says of itself; "": all is traced

    @property
    def cpu_pct(self) -> float:
        return float(self.cost.get("cpu_pct") or 0)


class Onlooker:
    """A nettop that runs, and its ticks so far."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.process = subprocess.Popen(NETTOP, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            tick = json.loads(line)
            wait: dict[str, str] = next((s for s in tick["sources"] if s["name"] == "wait"), {})
            state = "" if wait.get("state") == "ok" else wait.get("state", "")
            said = f"{state}: {wait.get('reason')}" if state else ""
            self.ticks.append(Tick(time.monotonic(), tick["cost"], said))

    def between(self, begin: float, end: float) -> list[Tick]:
        return [tick for tick in self.ticks if begin <= tick.at < end]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._reader.join()


def prepare(kind: str) -> None:
    if kind == "syn":
        subprocess.run(["sh", "-ec", SINK], check=True)
    for name in ("all", "lo", "default"):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")


def lost(ticks: Sequence[Tick]) -> str:
    first, last = ticks[0].cost, ticks[-1].cost
    events = last["lost_events"] - first["lost_events"]
    return f"{events} events lost, {last['missed_ticks'] - first['missed_ticks']} ticks missed"


def recovery_s(before: Sequence[Tick], after: Sequence[Tick], end: float) -> float:
    """Until the first tick as those before the flood; the whole time if none was."""
    usual = median(t.cpu_pct for t in before) + AGAIN_PCT
    for last, tick in pairwise(after):
        if (
            tick.cpu_pct <= usual
            and tick.wait == before[-1].wait
            and tick.cost["interval_s"] == before[-1].cost["interval_s"]
            and tick.cost["lost_events"] == last.cost["lost_events"]
        ):
            return tick.at - end
    return AFTER_S


def flooded(kind: str, seconds: int) -> Iterator[Result]:
    with load(200) as _:
        prepare(kind)
        onlooker = Onlooker()
        try:
            time.sleep(BEFORE_S)
            begin, ran = time.monotonic(), run_ns(onlooker.process.pid)
            argv = [compiled("flood"), kind, str(FLOODS[kind]), str(seconds)]
            said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
            ran = run_ns(onlooker.process.pid) - ran
            end = time.monotonic()
            time.sleep(AFTER_S)
        finally:
            onlooker.close()
    before, after = onlooker.between(begin - 5, begin), onlooker.between(end, end + AFTER_S)
    ticks = onlooker.between(begin + 2, end)
    name = f"{FLOODS[kind]:,} {kind}/s"
    rate = int(said[0]) / (end - begin)
    note = f"{rate:,.0f}/s came; {median(t.cpu_pct for t in before):.1f} % before it"
    yield Result(
        "floods", f"{name}: nettop's CPU", median(t.cpu_pct for t in ticks), "%", None, note
    )
    did = [said for said, _ in groupby(t.wait for t in ticks) if said]
    note = f"wait: {did[-1]}, after {len(did)} steps" if did else ""
    share = ran / (end - begin) / 1e7
    yield Result("floods", f"{name}: its programs' share of a CPU", share, "%", None, note)
    longest = max(t.cost["interval_s"] for t in ticks)
    note = f"{lost([before[-1], *ticks, *after])}; interval at most {longest:g} s"
    what = f"{name}: as before it again after"
    yield Result("floods", what, recovery_s(before, after, end), "s", 10, note)


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    with statistics():
        for kind in FLOODS:
            yield from flooded(kind, 10 if quick else 20)


if __name__ == "__main__":
    from tests.bench.report import main

    main(bench, __doc__)
