"""Bucket arrays of the helper as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nettop.ffi import check, ffi, lib
from nettop.ffi.wire import DIST, dist_of
from nettop.model.types import Histogram

FINE = int(lib.NT_FINE_BUCKETS)
OCTAVES = int(lib.NT_OCTAVE_BUCKETS)
FINE_EDGES = tuple(lib.nt_bucket_ns(i, 1) for i in range(FINE + 1))
OCTAVE_EDGES = tuple(lib.nt_bucket_ns(i, 0) for i in range(OCTAVES + 1))


def filled(buckets: Any, edges: tuple[int, ...], dist: Any) -> Histogram:
    """Those buckets that hold any, between their edges, with struct nt_dist *dist."""
    values = list(buckets)
    known = tuple((edges[i], edges[i + 1], n) for i, n in enumerate(values) if n)
    return Histogram(dist_of(bytes(ffi.buffer(dist, DIST.size))), known)


def octaves_histogram(counts: Sequence[int], sum_ns: int) -> Histogram:
    """Counts by octave; percentiles and max are upper edges, at most twice too high."""
    buckets = ffi.new("uint64_t[]", list(counts))
    dist = ffi.new("struct nt_dist *", {"sum_ns": sum_ns})
    check(lib.nt_dist_of(buckets, OCTAVES, 0, dist), "percentiles")
    return filled(buckets, OCTAVE_EDGES, dist)
