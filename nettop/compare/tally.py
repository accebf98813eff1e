"""What one side counted, by group and by block of time: pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from nettop.compare.bands import (
    INDEPENDENT,
    Band,
    Bucket,
    Effect,
    effect_of,
    joined_blocks,
    mean_band,
    percentile,
    quantile_band,
    rate_band,
    spread,
)

Key = tuple[object, ...]  # what a group's sockets have in common
MOST_BLOCKS = 64
LEAST_SOCKETS = 6  # from which on it shows how much sockets differ
SEGMENT_BYTES = 1448.0  # of one that was resent, where none was


class Times(Struct):
    """A distribution: buckets, and the sums of blocks of time and of sockets."""

    buckets: dict[tuple[float, float], int] = field(default_factory=dict)
    blocks: dict[int, dict[tuple[float, float], int]] = field(default_factory=dict)
    sums: dict[int, tuple[int, float]] = field(default_factory=dict)  # block → count, sum ns
    sockets: dict[int, tuple[int, float]] = field(default_factory=dict)  # cookie → count, sum ns
    max_ns: float = 0.0

    def add(
        self, block: int, buckets: Iterable[Bucket], count: int, sum_ns: float, max_ns: float
    ) -> None:
        """What a tick has; count and sum were read a moment apart from the buckets."""
        mine = self.blocks.setdefault(block, {})
        for low, high, n in buckets:
            key = (low, high)
            mine[key] = mine.get(key, 0) + n
            self.buckets[key] = self.buckets.get(key, 0) + n
        n, total = self.sums.get(block, (0, 0.0))
        self.sums[block] = n + count, total + sum_ns
        self.max_ns = max(self.max_ns, max_ns)

    def of_socket(self, cookie: int, count: int, sum_ns: float) -> None:
        n, total = self.sockets.get(cookie, (0, 0.0))
        self.sockets[cookie] = n + count, total + sum_ns

    @property
    def count(self) -> int:
        return sum(n for n, _ in self.sums.values())

    def clipped(self) -> list[Bucket]:
        """No edge is above the longest."""
        top = self.max_ns or float("inf")
        return [(min(low, top), min(high, top), n) for (low, high), n in self.buckets.items()]

    def variance(self) -> float:
        """Of a single one, from the buckets' middles."""
        n = sum(self.buckets.values())
        if n < 2:
            return 0.0
        middles = [((low + high) / 2, k) for low, high, k in self.clipped()]
        mean = sum(m * k for m, k in middles) / n
        return sum(k * (m - mean) ** 2 for m, k in middles) / (n - 1)

    def by_socket(self, variance: float) -> Effect:
        """How much more sockets differ than chance would have it."""
        if len(self.sockets) < LEAST_SOCKETS:
            return INDEPENDENT
        pairs = [(total, float(n)) for n, total in self.sockets.values() if n]
        if len(pairs) < LEAST_SOCKETS or variance <= 0:
            return INDEPENDENT
        plain = variance * sum(n for _, n in pairs)
        return Effect(max(1.0, spread(pairs) / plain), len(pairs))

    def quantile(self, q: float, alpha: float, *, same_sockets: bool) -> Band | None:
        """None: nothing is known by buckets."""
        buckets = self.clipped()
        n = sum(k for _, _, k in buckets)
        if not n:
            return None
        # What lies in the percentile's own bucket counts as above.
        above, counts = self._above(percentile(buckets, q) * (1 - 1e-12))
        p = sum(above) / n
        effect = effect_of(above, counts, n * p * (1 - p))
        if not same_sockets:
            effect = _larger(effect, self.by_socket(self.variance()))
        return quantile_band(buckets, q, effect, alpha)

    def _above(self, ns: float) -> tuple[list[float], list[float]]:
        """How many of each block lie above, buckets as their upper edges, and how many it has."""
        above, counts = [], []
        for block in sorted(self.blocks):
            found = self.blocks[block]
            above.append(float(sum(n for (_, high), n in found.items() if high > ns)))
            counts.append(float(sum(found.values())))
        return above, counts

    def mean(self, alpha: float, *, same_sockets: bool) -> Band | None:
        n = self.count
        if not n:
            return None
        total = sum(s for _, s in self.sums.values())
        variance = self.variance()
        ordered = [self.sums[b] for b in sorted(self.sums)]
        sums, counts = [s for _, s in ordered], [float(k) for k, _ in ordered]
        effect = effect_of(sums, counts, variance * n)
        if not same_sockets:
            effect = _larger(effect, self.by_socket(variance))
        if variance <= 0:  # no buckets: what blocks or sockets differ is all that is known
            return _mean_of_blocks(sums, counts, self.sockets, alpha)
        return mean_band(total, n, variance, effect, alpha)


def _larger(one: Effect, other: Effect) -> Effect:
    return other if other.times > one.times else one


def _mean_of_blocks(
    sums: Sequence[float], counts: Sequence[float], sockets: dict[int, tuple[int, float]],
    alpha: float,
) -> Band:  # fmt: skip
    """Where single values are not known: by the blocks, or the sockets where these vary more."""
    total, n = sum(sums), sum(counts)
    best = 0.0, 0
    for pairs in (
        [(s, k) for s, k in zip(sums, counts, strict=True) if k],
        [(s, float(k)) for k, s in sockets.values() if k],
    ):
        if len(pairs) >= 2:
            best = max(best, (spread(pairs) / n, len(pairs)))
    return mean_band(total, round(n), best[0], Effect(1.0, best[1]), alpha)


class Counter(Struct):
    """Events by block of time, beside what they are counted in."""

    events: dict[int, float] = field(default_factory=dict)
    exposures: dict[int, float] = field(default_factory=dict)
    weight: float = 0.0  # of all events, in the unit of the exposure; 0: one each
    spurious: float = 0.0  # of the events, as was found out later

    def add(self, block: int, events: float, exposure: float, weight: float = 0.0) -> None:
        self.events[block] = self.events.get(block, 0.0) + events
        self.exposures[block] = self.exposures.get(block, 0.0) + exposure
        self.weight += weight

    def in_all(self, exposures: Mapping[int, float]) -> None:
        """Of these blocks, also where there was none."""
        self.exposures = dict(exposures)
        self.events = {block: self.events.get(block, 0.0) for block in exposures}

    @property
    def count(self) -> float:
        return sum(self.events.values())

    @property
    def genuine(self) -> float:
        """Share of the events that were not spurious."""
        return 1 - min(1.0, self.spurious / self.count) if self.count else 1.0

    @property
    def exposure(self) -> float:
        return sum(self.exposures.values())

    @property
    def effect(self) -> Effect:
        """How bursts make the events worth fewer. A block alone: a burst of many ticks, an
        incident, is more than one event."""
        ordered = sorted(self.exposures)
        events = [self.events[b] for b in ordered]
        return effect_of(events, [self.exposures[b] for b in ordered], self.count, most=1)

    def level(self, alpha: float) -> Band:
        """How many there are at a time: what holds in one block may hold in the next, so that
        blocks are looked at and not events."""
        pairs = [(self.events[b], self.exposures[b]) for b in sorted(self.exposures)]
        n = self.exposure
        if len(pairs) < 2:
            return Band(0.0, self.count / n, self.count / n, float("inf"), round(self.count))
        variance = spread(pairs) / n  # of one tick, from the variance of the sum
        band = mean_band(self.count, round(n), variance, Effect(1.0, len(pairs)), alpha)
        least = -math.log(alpha) / n  # that many may be, where none was in n ticks
        return band._replace(high=max(band.high, least), n=round(self.count))

    def rate(self, effect: Effect, alpha: float) -> Band | None:
        if self.exposure <= 0:
            return None
        return rate_band(self.count, self.exposure, effect, alpha)


class Gauge(Struct):
    """A number that each socket has in each tick: one that lasts is seen again and again."""

    blocks: dict[int, tuple[int, float]] = field(default_factory=dict)
    sockets: dict[int, tuple[int, float]] = field(default_factory=dict)

    def add(self, block: int, cookie: int, value: float) -> None:
        for where, key in ((self.blocks, block), (self.sockets, cookie)):
            n, total = where.get(key, (0, 0.0))
            where[key] = n + 1, total + value

    def mean(self, alpha: float, *, same_sockets: bool) -> Band | None:
        """n counts sockets: their ticks hang together."""
        n = sum(k for k, _ in self.blocks.values())
        if not n:
            return None
        total = sum(s for _, s in self.blocks.values())
        ordered = [self.blocks[block] for block in sorted(self.blocks)]
        several = list(joined_blocks([s for _, s in ordered], [float(k) for k, _ in ordered]))
        if not same_sockets and len(self.sockets) >= 2:
            several.append([(s, float(k)) for k, s in self.sockets.values()])
        worst = max(((spread(pairs) / n, len(pairs)) for pairs in several), default=(0.0, 0))
        band = mean_band(total, n, worst[0], Effect(1.0, worst[1] or 1), alpha)
        if not worst[1]:
            band = Band(0.0, band.est_low, band.est_high, float("inf"), n)
        return band._replace(n=len(self.sockets))


class Tally(Struct):
    """One group of one side. mixed: its sockets differ by what they are."""

    title: str
    mixed: bool = False
    sockets: set[int] = field(default_factory=set)
    times: dict[str, Times] = field(default_factory=dict)
    counters: dict[str, Counter] = field(default_factory=dict)
    gauges: dict[str, Gauge] = field(default_factory=dict)

    def time(self, name: str) -> Times:
        return self.times.setdefault(name, Times())

    def counter(self, name: str) -> Counter:
        return self.counters.setdefault(name, Counter())

    def gauge(self, name: str) -> Gauge:
        return self.gauges.setdefault(name, Gauge())


class Side(Struct):
    """One side of a comparison."""

    name: str  # of the file, with its stretch as it was written
    path: str
    host: str
    from_ns: int  # wall clock
    to_ns: int
    ticks: int
    seconds: float  # in which was counted
    groups: dict[Key, Tally] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)  # what is not measured → why
    notes: list[str] = field(default_factory=list)
