"""Times that accumulate into fine buckets, as the planes keep theirs."""

from __future__ import annotations

from bisect import bisect_right

from nettop.engine import check, ffi, lib
from nettop.engine.edges import FINE, FINE_EDGES, filled
from nettop.model.types import Histogram


class Times:
    """Counts by bucket (nt_hist.h), with exact sum and max."""

    def __init__(self) -> None:
        self._buckets = ffi.new("uint64_t[]", FINE)
        self.count = self.sum_ns = self.max_ns = 0
        self.last_ns: int | None = None
        self.negative = 0  # an end before its start: two clocks that disagree

    def add(self, ns: int) -> None:
        if ns < 0:
            self.negative += 1
            return
        self._buckets[min(bisect_right(FINE_EDGES, ns) - 1, FINE - 1)] += 1
        self.count += 1
        self.sum_ns += ns
        self.max_ns = max(self.max_ns, ns)
        self.last_ns = ns

    def median_ns(self) -> int:
        """Upper edge of the median's bucket; 0 while there is none."""
        return int(lib.nt_quantile(self._buckets, FINE, 1, 0.5))

    def histogram(self) -> Histogram:
        dist = ffi.new("struct nt_dist *", {"sum_ns": self.sum_ns, "max_ns": self.max_ns})
        check(lib.nt_dist_of(self._buckets, FINE, 1, dist), "percentiles")
        if not self.max_ns:
            # The helper takes a max of 0 for one that is not known, and gives the bucket's edge.
            dist.sum_ns = dist.p50_ns = dist.p90_ns = dist.p99_ns = dist.max_ns = 0
        return filled(self._buckets, FINE_EDGES, dist)
