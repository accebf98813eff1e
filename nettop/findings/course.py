"""How a look went over time: bins that grow wider as it lasts, and distributions added up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nettop.findings.values import Bin
from nettop.model.buckets import octaves_of
from nettop.model.types import Dist, Histogram, Model

MOST_BINS = 480


class Course:
    """At most MOST_BINS bins of equally many ticks."""

    def __init__(self) -> None:
        self._bins: list[Bin] = []
        self._open: list[Bin] = []
        self._ticks = 1  # of a bin

    def take(self, model: Model, from_ns: int, unwell: int, watch: int) -> None:
        """from_ns: of the tick before; unwell, watch: sockets that have a verdict now."""
        waits = octaves_of(model.rx_wait) if model.rx_wait is not None else None
        self._open.append(Bin(from_ns, model.wall_ns, unwell, watch, waits or ()))
        if len(self._open) < self._ticks:
            return
        self._bins.append(_joined(self._open))
        self._open = []
        if len(self._bins) >= MOST_BINS:
            pairs = range(0, len(self._bins) - 1, 2)
            self._bins = [_joined(self._bins[i : i + 2]) for i in pairs]
            self._ticks *= 2

    @property
    def bins(self) -> tuple[Bin, ...]:
        rest = (_joined(self._open),) if self._open else ()
        return (*self._bins, *rest)


def _joined(bins: Sequence[Bin]) -> Bin:
    waits = [each.waits for each in bins if each.waits]
    return Bin(
        bins[0].from_ns,
        bins[-1].to_ns,
        max(each.unwell for each in bins),
        max(each.watch for each in bins),
        tuple(map(sum, zip(*waits, strict=True))),
    )


class HistogramSum:
    """Histograms of intervals added up, bucket by bucket."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[int, int], int] = {}
        self._sum_ns = self._max_ns = 0

    def add(self, more: Histogram) -> None:
        for low, high, count in more.buckets:
            self._buckets[low, high] = self._buckets.get((low, high), 0) + count
        self._sum_ns += more.dist.sum_ns
        self._max_ns = max(self._max_ns, more.dist.max_ns)

    @property
    def total(self) -> Histogram:
        buckets = tuple((low, high, n) for (low, high), n in sorted(self._buckets.items()))
        count = sum(n for _, _, n in buckets)
        if not count:
            return Histogram(Dist(), ())
        p50, p90, p99 = (_quantile(buckets, count, pct, self._max_ns) for pct in (50, 90, 99))
        return Histogram(Dist(count, self._sum_ns, p50, p90, p99, self._max_ns), buckets)


def _quantile(buckets: Iterable[tuple[int, int, int]], count: int, pct: int, most_ns: int) -> int:
    """The upper edge of the bucket that holds it, and no more than the longest."""
    rank, seen = -(-count * pct // 100), 0
    for _, high, n in buckets:
        seen += n
        if seen >= rank:
            return min(high, most_ns) if most_ns else high
    return most_ns
