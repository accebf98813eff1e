"""Moments of the past in words."""

from __future__ import annotations

import time

from nettop.text import units

_SECOND = 10**9


def clock_text(wall_ns: int) -> str:
    """14:02:30, local time."""
    return time.strftime("%H:%M:%S", time.localtime(wall_ns / 1e9))


def day_text(wall_ns: int) -> str:
    """11-28 14:02, local time."""
    return time.strftime("%m-%d %H:%M", time.localtime(wall_ns / 1e9))


def moment_text(wall_ns: int, beside_ns: int) -> str:
    """14:02:30, or with its date where that is another than that of the moment beside it."""
    at, beside = time.localtime(wall_ns / 1e9), time.localtime(beside_ns / 1e9)
    if (at.tm_year, at.tm_yday) == (beside.tm_year, beside.tm_yday):
        return time.strftime("%H:%M:%S", at)
    return time.strftime("%Y-%m-%d %H:%M:%S", at)


def taken_text(name: str, wall_ns: int, now_ns: int) -> str:
    """slow.json of 14:02:30, 33m12s ago"""
    ago = f", {units.time(now_ns - wall_ns)} ago" if now_ns >= wall_ns else ""
    return f"{name} of {moment_text(wall_ns, now_ns)}{ago}"


def before_text(ns: int) -> str:
    """−3m12s: so long before what it is compared with."""
    if ns < _SECOND // 2:
        return "−0s"
    return "−" + (units.time(ns) if ns >= 60 * _SECOND else f"{round(ns / _SECOND)}s")


def speed_text(speed: float) -> str:
    """2x, 0.5x"""
    return f"{speed:g}x"
