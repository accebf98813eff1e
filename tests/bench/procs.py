"""Cost of socket → process: the first map, the steady state, and what changes in between.

  python -m tests.bench.procs [--quick] [--json]

20,000 TCP sockets in 300 processes. `psutil.net_connections("tcp")` runs in turn with the first
map of a fresh table, in one process each; budget 0.25 ×. Steady state: a scan while nothing opens
or closes; budget 1 ms of CPU, for scans at once and for one scan a second (cold caches). Churn: a
process of 5,000 sockets replaces 50 between two scans, with and without word from the engine that
those sockets are gone.
"""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator
from statistics import median

import psutil

from nettop.engine import lib
from nettop.engine.handle import Procs
from tests.bench.harness import Result, cpu_ms, load, measured, ratios

SOCKETS, PROCESSES = 20_000, 300


def mapping(rounds: int) -> Iterator[Result]:
    first, peer = [], []
    with load(SOCKETS, processes=PROCESSES):
        for _ in range(rounds):
            first.append(cpu_ms(lambda: Procs().scan()))
            peer.append(cpu_ms(lambda: psutil.net_connections("tcp")))
        procs = Procs()
        stats = procs.scan()
        assert stats.sockets >= SOCKETS, f"{stats.sockets} descriptors of {SOCKETS} seen"
        hot = [cpu_ms(procs.scan, 5) for _ in range(rounds)]
        cold = []
        for _ in range(rounds):
            time.sleep(1)
            cold.append(cpu_ms(procs.scan))
    name = f"{SOCKETS:,} sockets in {stats.processes} processes"
    note = f"{median(first):.1f} ms; psutil {median(peer):.0f}"
    yield measured("procs", f"{name}: first map to psutil", ratios(first, peer), "x", 0.25, note)
    yield measured("procs", f"{name}: steady", hot, "ms", 1.0)
    yield measured("procs", f"{name}: steady, 1 Hz", cold, "ms", 1.0)


def churn(rounds: int) -> Iterator[Result]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    held = [socket.socket() for _ in range(5000)]
    procs = Procs()
    procs.scan()
    for told in (False, True):
        costs = []
        for turn in range(rounds):
            old = [os.fstat(s.fileno()).st_ino for s in held[:50]]
            for s in held[:50]:
                s.close()
            # One more or less than before, so that the number of descriptors shows the change.
            held = held[50:] + [socket.socket() for _ in range(50 + (1 if turn % 2 else -1))]
            if told:
                for inode in old:
                    lib.nt_procs_gone(procs.handle, inode)
            costs.append(cpu_ms(procs.scan))
        how = "told" if told else "not told"
        yield Result("procs", f"50 of 5,000 sockets replaced, {how}", median(costs), "ms")
    for s in held:
        s.close()


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    rounds = 5 if quick else 9
    yield from mapping(rounds)
    yield from churn(rounds)


if __name__ == "__main__":
    from tests.bench.report import main

    main(bench, __doc__)
