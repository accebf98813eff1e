"""What the BPF programs cost by the kernel's own statistics.

Those are host-wide and slow every BPF program of the machine while they are on, so they are held
for about a second, and only while its screen is open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from nettop.engine import ffi, lib
from nettop.model.cost import ProgramCost
from nettop.text.clean import clean

EVERY_S = 10.0
_LEAST_S = 0.9
_MOST_PROGRAMS = 32
NO_PRIVILEGE = "ns per run: switching the kernel's statistics on needs CAP_SYS_ADMIN (kept with -N)"

Programs = Callable[[Any, int], int]  # as nt_wait_programs, for one plane


class Meter:
    """Bursts of BPF statistics; ticked by the poller."""

    def __init__(self) -> None:
        self.wanted = False
        self.last: tuple[ProgramCost, ...] = ()
        self.measured_s: float | None = None  # CLOCK_MONOTONIC of last
        self.reason: str | None = None  # why nothing is measured
        self._fd = -1
        self._began_s: float | None = None
        self._before: dict[tuple[str, str], tuple[int, int]] = {}

    def tick(self, planes: Iterable[tuple[str, Programs]]) -> None:
        """Begins a burst, or ends one that is old enough."""
        now = time.monotonic()
        if self._began_s is not None:
            if now - self._began_s >= _LEAST_S:
                self._end(dict(_read(planes)), now - self._began_s)
        elif self.wanted and (self.measured_s is None or now - self.measured_s >= EVERY_S):
            fd = int(lib.nt_bpf_stats_open())
            self._fd = max(fd, -1)
            self._began_s = now
            self._before = dict(_read(planes))

    def _end(self, after: dict[tuple[str, str], tuple[int, int]], seconds: float) -> None:
        allowed = self._fd >= 0
        self.close()
        self.measured_s = time.monotonic()
        costs = []
        for (plane, name), (runs, ns) in after.items():
            before = self._before.get((plane, name), (0, 0))
            ran, took = runs - before[0], ns - before[1]
            costs.append(ProgramCost(plane, name, ran / seconds, took / ran if ran else None))
        if not allowed and not any(c.runs_per_s for c in costs):
            # They may be on already, by sysctl kernel.bpf_stats_enabled.
            self.reason = NO_PRIVILEGE
            return
        self.reason = None
        self.last = tuple(sorted(costs, key=lambda c: -(c.runs_per_s * (c.ns_per_run or 0))))

    @property
    def ns_per_run(self) -> float | None:
        """Over all programs."""
        runs = sum(c.runs_per_s for c in self.last)
        return sum(c.runs_per_s * (c.ns_per_run or 0) for c in self.last) / runs if runs else None

    def close(self) -> None:
        """The statistics are off again."""
        self._began_s = None
        if self._fd >= 0:
            with suppress(OSError):  # it is closed whatever close() says
                os.close(self._fd)
        self._fd = -1


def _read(
    planes: Iterable[tuple[str, Programs]],
) -> Iterable[tuple[tuple[str, str], tuple[int, int]]]:
    room = ffi.new("struct nt_prog[]", _MOST_PROGRAMS)
    for plane, programs in planes:
        for i in range(max(0, min(programs(room, _MOST_PROGRAMS), _MOST_PROGRAMS))):
            name = clean(ffi.string(room[i].name))
            yield (plane, name), (room[i].runs, room[i].time_ns)
