"""What waits for the reader are spent on: no CPU, other work, sleep elsewhere, a stop.

It needs the kernel's tracepoints of every switch of threads, so it is on only while there are
sockets whose verdict it decides, or that are marked or opened, and within a budget.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nettop.engine import ffi, lib
from nettop.engine.handle import Engine
from nettop.model.types import SourceStatus
from nettop.sources.wait import BUDGET_FIX, WaitPlane

NAME = "split"
METHOD = "sched_switch"
OFF_REASON = "starts when data is read late"
CHOSEN_MOST = 64
KEPT_S = 10.0  # after the verdict ended
# Of one run of a program, by the kernel's BPF statistics: 60 ns where the thread or the socket is
# none of those, 180-270 where it is one.
RUN_NS = 150
MOST_PCT = 2.0  # of one CPU
REST_S = 60.0  # after it was too dear
PID_INIT_INO = 0xEFFFFFFC  # of the namespace whose pids the programs see


class SplitPlane:
    """A part of the wait plane, with a state of its own; one thread calls all but look()."""

    def __init__(self, wait: WaitPlane, budget_pct: float) -> None:
        self._wait = wait
        self._most_pct = min(MOST_PCT, budget_pct)
        why = ffi.new("char[160]")
        self._unable: str | None = None
        if lib.nt_split_able(wait.handle, why, 160):
            self._unable = ffi.string(why).decode("ascii", "replace")
        self._pids_hold = Path("/proc/self/ns/pid").stat().st_ino == PID_INIT_INO
        self._looked_at: tuple[int, ...] = ()
        self._until: dict[int, float] = {}  # cookie → so long it stays
        self._room: Any = ffi.new("struct nt_split_choice[]", CHOSEN_MOST)
        self._before: tuple[float, int] | None = None  # monotonic, runs
        self._rests_until = 0.0
        self._why_rests = ""
        self._full = 0
        self.chosen = 0
        self.runs = 0

    def look(self, cookies: Sequence[int]) -> None:
        """These sockets are marked or opened: they are among the chosen."""
        self._looked_at = tuple(cookies[:CHOSEN_MOST])

    def choose(self, engine: Engine) -> None:
        """After a sweep: whom its verdicts, and the user, ask for."""
        if self._unable or not self._wait.handle:
            self.chosen = 0
            return
        now = time.monotonic()
        if now < self._rests_until:
            return
        kept = [cookie for cookie, until in self._until.items() if until > now]
        first = list(dict.fromkeys((*self._looked_at, *kept)))[:CHOSEN_MOST]
        for i, cookie in enumerate(first):
            self._room[i] = (cookie, 0, 0)
        n = int(lib.nt_split_wanted(engine.handle, self._room, len(first), CHOSEN_MOST))
        for choice in self._room[0:n]:
            if not self._pids_hold:
                choice.pid = 0
            if choice.decides:
                self._until[int(choice.cookie)] = now + KEPT_S
        self._until = {c: until for c, until in self._until.items() if until > now}
        error = lib.nt_split_choose(self._wait.handle, self._room, n)
        if error:
            self._rest(f"it could not be switched on: {os.strerror(-error)}")
        else:
            self.chosen = n

    def read(self, engine: Engine) -> None:
        """Ends an interval, after the wait plane did."""
        if self._unable or not self._wait.handle:
            return
        t = ffi.new("struct nt_split_totals *")
        lib.nt_split_read(self._wait.handle, engine.handle, t)
        now = time.monotonic()
        self.runs, self._full = int(t.runs), int(t.full)
        before, self._before = self._before, (now, self.runs)
        if before is None or not t.attached or now <= before[0]:
            return
        pct = (self.runs - before[1]) / (now - before[0]) * RUN_NS / 1e7
        if pct > self._most_pct:
            self._rest(f"would cost {pct:.1f} % of a CPU, more than {self._most_pct:g}")

    def _rest(self, why: str) -> None:
        lib.nt_split_choose(self._wait.handle, self._room, 0)
        self.chosen = 0
        self._why_rests = f"{why}; tried again after {REST_S:.0f} s"
        self._rests_until = time.monotonic() + REST_S

    def ability(self) -> SourceStatus:
        """Whether it can be switched on."""
        if not self._wait.handle:
            return SourceStatus(NAME, "off", reason="the RX wait has ended", fix=BUDGET_FIX)
        if self._unable and self._wait.approximate:
            reason = f"needs the exact RX wait, and --rx-method asks for {self._wait.approximate}"
            return SourceStatus(NAME, "off", reason=reason, fix="nettop without --rx-method")
        if self._unable:
            return SourceStatus(NAME, "off", reason=self._unable)
        return SourceStatus(NAME, "ok", METHOD)

    def status(self) -> SourceStatus:
        able = self.ability()
        if able.state == "off":
            return able
        if time.monotonic() < self._rests_until:
            return SourceStatus(NAME, "off", METHOD, self._why_rests)
        if not self.chosen:
            return SourceStatus(NAME, "off", METHOD, OFF_REASON)
        if self._full:
            reason = f"{self._full} reads were by threads that there was no room for"
            return SourceStatus(NAME, "partial", METHOD, reason)
        return SourceStatus(NAME, "ok", METHOD)
