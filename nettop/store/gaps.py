"""What happened to time between two ticks: restarts, sleep, clocks that were set. Pure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from nettop.text import units
from nettop.times import CLOCK_STEP_LEAST_NS

LATE_TIMES = 3
LATE_LEAST_NS = 2_000_000_000


class Clocks(NamedTuple):
    """The clocks of a host at a tick."""

    wall_ns: int  # CLOCK_REALTIME: it can be set
    mono_ns: int  # CLOCK_MONOTONIC: it stands still while the host sleeps
    slept_ns: int = 0  # CLOCK_BOOTTIME less CLOCK_MONOTONIC
    boot: str = ""  # of /proc/sys/kernel/random/boot_id; "": not known, nor whether it slept


class Passed(NamedTuple):
    """What lies between two ticks."""

    elapsed_ns: int  # never negative
    mark: str | None  # why the time line has a gap or a step, in words; None: it has none


def slept_ns() -> int:
    """How long this host slept since it started."""
    awake = time.monotonic_ns()
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - awake)


def boot_id() -> str:
    """Which start of this host it is; "": not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def passed(before: Clocks, now: Clocks, *, interval_ns: int, resumed: bool = False) -> Passed:
    """
    Args:
        interval_ns: what was to lie between the two.
        resumed: a recorder wrote `before`, another one writes `now`.
    """
    wall = now.wall_ns - before.wall_ns
    if resumed and before.boot != now.boot:
        return Passed(max(0, wall), f"host restarted, recording goes on after {_time(wall)}")
    if resumed and not now.boot:  # its monotonic clock may be of another start
        return Passed(max(0, wall), f"recording goes on after {_time(wall)}")
    mono, slept = now.mono_ns - before.mono_ns, now.slept_ns - before.slept_ns
    if mono < 0:  # another boot, of which nothing was said
        return Passed(max(0, wall), f"recording goes on after {_time(wall)}")
    marks = []
    if resumed:
        marks.append(f"recording goes on after {_time(mono + slept)}")
    elif mono >= LATE_TIMES * interval_ns + LATE_LEAST_NS:
        marks.append(f"no tick for {_time(mono)}")
    if slept >= CLOCK_STEP_LEAST_NS:
        marks.append(f"the host slept for {_time(slept)}")
    step = wall - mono - slept
    if step >= CLOCK_STEP_LEAST_NS and not now.boot:
        marks.append(f"clock set forward, or the host slept, by {_time(step)}")
    elif abs(step) >= CLOCK_STEP_LEAST_NS:
        marks.append(f"clock set {'forward' if step > 0 else 'back'} by {_time(step)}")
    return Passed(mono + max(0, slept), "; ".join(marks) or None)


def _time(ns: int) -> str:
    return units.time(abs(ns))
