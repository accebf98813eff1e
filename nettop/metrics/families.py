"""A tick as families of samples, whatever format they are written in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from nettop.metrics import names
from nettop.metrics.labels import Labels
from nettop.metrics.names import Metric
from nettop.metrics.series import UPPER_NS, Frozen, SeriesTick

# Octaves whose edges are buckets: what is below the first is in it, what is above the last in +Inf.
WAIT_OCTAVES = range(4, 28)  # up to 1 µs … 8.6 s
RTT_OCTAVES = range(8, 28)  # up to 16 µs … 8.6 s


class Buckets(NamedTuple):
    """A histogram of a sample: how many are at most as long as each bound, and in all."""

    below: tuple[int, ...]  # cumulative, by the family's bounds
    all: int
    total: float  # the sum
    native: tuple[tuple[int, int], ...] | None = None  # as nettop.metrics.series.Frozen has it


class Sample(NamedTuple):
    """A value with its labels."""

    labels: Labels
    value: float
    created_s: float | None = None  # None: as old as the exporter
    buckets: Buckets | None = None  # of a histogram, whose value is nothing


class Family(Struct):
    """Samples of one metric."""

    metric: Metric
    samples: list[Sample] = field(default_factory=list)
    bounds: tuple[float, ...] = ()  # of a histogram, without +Inf

    @property
    def series(self) -> int:
        """How many series a scraper keeps of it."""
        each = len(self.bounds) + 3 if self.metric.kind == names.HISTOGRAM else 1
        created = sum(s.created_s is not None for s in self.samples)
        return each * len(self.samples) + created * (self.metric.kind != names.GAUGE)


def octave_bounds(octaves: range) -> tuple[float, ...]:
    """In seconds."""
    return tuple(UPPER_NS[k] / 1e9 for k in octaves)


def octave_buckets(of: Frozen, octaves: range) -> Buckets:
    below, at = [], sum(of.counts[: octaves.start])
    for k in octaves:
        at += of.counts[k]
        below.append(at)
    return Buckets(tuple(below), sum(of.counts), of.sum_ns / 1e9, of.native)


WAIT_BOUNDS, RTT_BOUNDS = octave_bounds(WAIT_OCTAVES), octave_bounds(RTT_OCTAVES)


def of_groups(ticks: Sequence[SeriesTick], *, waits: bool) -> list[Family]:
    """waits: the RX queue wait is measured."""
    families = [
        Family(names.SOCKETS, [Sample(t.labels, t.sockets) for t in ticks]),
        Family(
            names.UNWELL,
            [
                Sample((*t.labels, ("who", who), ("why", why)), n)
                for t in ticks
                for (who, why), n in t.unwell.items()
            ],
        ),
        Family(names.UNREAD, [Sample(t.labels, t.unread_ns / 1e9) for t in ticks]),
        Family(
            names.ACCEPT,
            [Sample(t.labels, t.accept_share) for t in ticks if t.accept_share is not None],
        ),
        Family(names.RTT, [_histogram(t, t.rtt, RTT_OCTAVES) for t in ticks], RTT_BOUNDS),
    ]
    if waits:
        some = [_histogram(t, t.waits, WAIT_OCTAVES) for t in ticks]
        families.append(Family(names.RX_WAIT, some, WAIT_BOUNDS))
    families += _counters(ticks)
    return families


def _histogram(tick: SeriesTick, of: Frozen, octaves: range) -> Sample:
    return Sample(tick.labels, 0, tick.created_s, octave_buckets(of, octaves))


def _counters(ticks: Iterable[SeriesTick]) -> list[Family]:
    ticks = list(ticks)
    limited = [
        Sample((*t.labels, ("by", by)), t.counts[which] / 1e3, t.created_s)
        for t in ticks
        for by, which in names.LIMITS.items()
    ]
    families = [Family(names.LIMITED, limited)]
    for which, metric in names.COUNTS.items():
        by = 1e3 if which in names.IN_MS else 1
        some = [Sample(t.labels, t.counts[which] / by, t.created_s) for t in ticks]
        families.append(Family(metric, some))
    return families


def series_of(families: Iterable[Family]) -> int:
    """How many series a scraper keeps of them."""
    return sum(family.series for family in families)


def tick_series(tick: SeriesTick, *, waits: bool) -> int:
    """series_of() what of_groups() makes of one group."""
    histograms = len(RTT_BOUNDS) + 3 + (len(WAIT_BOUNDS) + 3 if waits else 0)
    growing = len(names.LIMITS) + len(names.COUNTS)
    gauges = 2 + len(tick.unwell) + (tick.accept_share is not None)
    created = growing + 1 + waits if tick.created_s is not None else 0
    return gauges + histograms + growing + created


def labelled(metric: Metric, label: str, values: Mapping[str, float]) -> Family:
    """One sample for each value of a label."""
    return Family(metric, [Sample(((label, name),), n) for name, n in values.items()])


def single(metric: Metric, value: float | None) -> Family:
    """Without labels; none where it is not known."""
    return Family(metric, [] if value is None else [Sample((), value)])
