"""What an engine took of the path plane, as a tick of it."""

from __future__ import annotations

from typing import Any

from nettop.engine import check, ffi, lib
from nettop.engine.edges import FINE, FINE_EDGES, filled
from nettop.engine.handle import Engine
from nettop.model.path import Hook, HookTick, PathCounts, PathTick
from nettop.model.types import Histogram


def path_tick(engine: Engine) -> PathTick | None:
    """Of the last interval; None: the plane is off."""
    hooks = lib.nt_path_hooks(engine.handle)
    ticks = {hook: _tick(engine, hook) for hook in Hook if hooks >> hook & 1}
    return ticks or None


def _tick(engine: Engine, hook: Hook) -> HookTick:
    counts = ffi.new("struct nt_path_counts *")
    now, run = (_histogram(engine, hook, run, counts) for run in (False, True))
    left_out = PathCounts(counts.unstamped, counts.foreign, counts.impossible, counts.head_of_line)
    return HookTick(now, run, left_out)


def _histogram(engine: Engine, hook: Hook, run: bool, counts: Any) -> Histogram:
    buckets, dist = ffi.new("uint64_t[]", FINE), ffi.new("struct nt_dist *")
    check(lib.nt_path_buckets(engine.handle, hook, run, buckets, dist, counts), "path plane")
    return filled(buckets, FINE_EDGES, dist)
