"""What is said of the host as a whole, and of nettop: counters that go on growing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from nettop import __version__
from nettop.metrics import names
from nettop.metrics.families import (
    WAIT_BOUNDS,
    WAIT_OCTAVES,
    Buckets,
    Family,
    Sample,
    labelled,
    octave_buckets,
    single,
)
from nettop.metrics.series import Frozen, Octaves
from nettop.model.events import EVENT_NAMES
from nettop.model.path import PathTick
from nettop.model.types import Histogram, HostCounters, Model, Stage

PAGE_BYTES = 4096  # of /proc/net/sockstat, on the architectures that nettop runs on
# As ebpf_exporter makes them of exp2 buckets 0 to 34 of ns.
PATH_BOUNDS = tuple(2.0**k * 0.000000001 for k in range(34))
_STATES = {"ok": 1.0, "partial": 0.5, "off": 0.0}


class HostFeed(Protocol):
    """The part of a live feed that is about the host."""

    @property
    def host_counters(self) -> HostCounters: ...

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None: ...


class HostTick(Struct, frozen=True):
    """The host at a tick."""

    model: Model
    counters: dict[str, int]
    gauges: dict[str, int]
    stages: dict[str, Frozen] | None  # None: no sends are stamped
    ticks: int
    closed_unknown: int


class Host:
    """Keeps what has grown so far. One thread."""

    def __init__(self) -> None:
        self._before: HostCounters | None = None
        self._counters: dict[str, int] = {}
        self._stages: dict[str, Octaves] = {}
        self._ticks = 0

    def take(self, model: Model, feed: HostFeed, closed_unknown: int) -> HostTick:
        """The tick that was polled last."""
        self._ticks += 1
        now, before = feed.host_counters, self._before
        for name in names.COUNTERS:
            value, was = getattr(now, name), getattr(before, name, None)
            if value is None:
                continue
            # They begin with what the kernel has. A namespace that ended takes its part with it.
            grown = value if name not in self._counters else max(0, value - (was or 0))
            if was is not None or name not in self._counters:
                self._counters[name] = self._counters.get(name, 0) + grown
        self._before = now
        gauges = {n: v for n in names.GAUGES if (v := getattr(now, n)) is not None}
        self._add_stages(model, feed)
        stages = {name: o.frozen() for name, o in self._stages.items()}
        return HostTick(
            model, dict(self._counters), gauges, stages or None, self._ticks, closed_unknown
        )

    def _add_stages(self, model: Model, feed: HostFeed) -> None:
        if model.tx is None or not any(dist.count for dist in model.tx):
            return
        for stage, sends in zip(Stage, feed.tx(None, run=False) or (), strict=False):
            if sends.dist.count:
                of = self._stages.setdefault(stage.name.lower(), Octaves())
                of.add_buckets(sends.buckets, sends.dist.sum_ns)


def families_of(tick: HostTick) -> list[Family]:
    """All but those of groups and of the exposition itself."""
    model = tick.model
    families = [
        Family(metric, [Sample((), tick.counters[name])])
        for name, metric in names.COUNTERS.items()
        if name in tick.counters
    ]
    pages, orphans = tick.gauges.get("tcp_mem_pages"), tick.gauges.get("tcp_orphan")
    families += [
        single(names.GAUGES["tcp_mem_pages"], None if pages is None else pages * PAGE_BYTES),
        single(names.GAUGES["tcp_orphan"], orphans),
        labelled(names.TCP_STATE, "state", model.totals.by_state),
    ]
    if tick.stages is not None:
        some = [
            Sample((("stage", name),), 0, None, octave_buckets(of, WAIT_OCTAVES))
            for name, of in tick.stages.items()
        ]
        families.append(Family(names.TX_STAGE, some, WAIT_BOUNDS))
    if model.events is not None:
        totals = model.events.totals
        families += [
            labelled(names.DROPS, "reason", {r.name: r.packets for r in model.events.reasons}),
            labelled(names.EVENTS, "type", {n: totals[k].seen for k, n in EVENT_NAMES.items()}),
            single(names.EVENTS_UNLISTED, sum(t.left_out for t in totals)),
            single(names.CLOSED_UNKNOWN, tick.closed_unknown),
        ]
    if model.path is not None:
        families.append(path_family(model.path))
    return families + _own(tick)


def path_family(path: PathTick) -> Family:
    """As ebpf_exporter's configuration of netstacklat has it."""
    some = []
    for hook, tick in path.items():
        counts = [0] * len(PATH_BOUNDS)
        for low, _high, n in tick.run.buckets:
            # From one power of two up to the next.
            at = max(0, low.bit_length())
            if at < len(counts):
                counts[at] += n
        below, at = [], 0
        for n in counts:
            at += n
            below.append(at)
        dist = tick.run.dist
        buckets = Buckets(tuple(below), dist.count, dist.sum_ns / 1e9)
        some.append(Sample((("hook", names.HOOK_LABELS[hook]),), 0, None, buckets))
    return Family(names.PATH, some, PATH_BOUNDS)


def _own(tick: HostTick) -> list[Family]:
    model, cost = tick.model, tick.model.cost
    sources = {s.name: _STATES.get(s.state, 0.0) for s in model.sources}
    return [
        Family(names.BUILD, [Sample((("version", __version__),), 1)]),
        labelled(names.SOURCE, "source", sources),
        single(names.TICKS, tick.ticks),
        single(names.MISSED, cost.missed_ticks),
        single(names.LAST_TICK, model.wall_ns / 1e9),
        single(names.POLL_CPU, None if cost.poll_ms is None else cost.poll_ms / 1e3),
        single(names.LOST, cost.lost_events),
        single(names.CPU, time.process_time()),
        single(names.RSS, cost.rss_bytes),
    ]
