"""Bucket arrays of the helper as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, count
from typing import Any

from nettop.engine import check, ffi, lib
from nettop.engine.wire import DIST, dist_of
from nettop.model.types import Histogram

FINE = int(lib.NT_FINE_BUCKETS)
OCTAVES = int(lib.NT_OCTAVE_BUCKETS)
FINE_EDGES = tuple(lib.nt_bucket_ns(i, 1) for i in range(FINE + 1))
OCTAVE_EDGES = tuple(lib.nt_bucket_ns(i, 0) for i in range(OCTAVES + 1))


def filled(buckets: Any, edges: tuple[int, ...], dist: Any) -> Histogram:
    """Those buckets that hold any, between their edges, with struct nt_dist *dist."""
    values = memoryview(ffi.buffer(buckets)).cast("B").cast("Q").tolist()
    # Few of a thousand hold any, and this is done several times a tick.
    known = tuple((edges[i], edges[i + 1], values[i]) for i in compress(count(), values))
    return Histogram(dist_of(bytes(ffi.buffer(dist, DIST.size))), known)


class OctaveSum:
    """Histograms by octaves added up."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._counts = [0] * OCTAVES
        self._sum_ns = self._max_ns = 0

    def add(self, more: Histogram) -> None:
        for low, _, n in more.buckets:
            self._counts[OCTAVE_EDGES.index(low)] += n
        self._sum_ns += more.dist.sum_ns
        self._max_ns = max(self._max_ns, more.dist.max_ns)

    def copy(self) -> OctaveSum:
        made = OctaveSum()
        made._counts = self._counts.copy()
        made._sum_ns, made._max_ns = self._sum_ns, self._max_ns
        return made

    @property
    def total(self) -> Histogram:
        return octaves_histogram(self._counts, self._sum_ns, self._max_ns)


def octaves_histogram(counts: Sequence[int], sum_ns: int, max_ns: int = 0) -> Histogram:
    """Counts by octave; percentiles are upper edges, at most twice too high; max too where it is
    not known."""
    buckets = ffi.new("uint64_t[]", list(counts))
    dist = ffi.new("struct nt_dist *", {"sum_ns": sum_ns, "max_ns": max_ns})
    check(lib.nt_dist_of(buckets, OCTAVES, 0, dist), "percentiles")
    return filled(buckets, OCTAVE_EDGES, dist)
