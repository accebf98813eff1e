"""Bucketed times: pure functions over the histograms that the planes give."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nettop.model.types import Dist, Histogram

OCTAVES = 32  # below 64 ns, then one for each doubling


def octaves_of(histogram: Histogram) -> tuple[int, ...] | None:
    """Counts by octave of the wait; None if nothing was measured."""
    if not histogram.dist.count:
        return None
    out = [0] * OCTAVES
    for low, _high, count in histogram.buckets:
        out[max(0, min(OCTAVES - 1, low.bit_length() - 6))] += count
    return tuple(out)


def octave_edges(octave: int) -> tuple[int, int]:
    """From and up to which wait an octave counts, ns."""
    return (32 << octave if octave else 0), 64 << octave


def dist_of(octaves: Sequence[int], sum_ns: int, max_ns: int) -> Dist:
    """Percentiles are upper edges of octaves, clipped to the largest: at most twice too high."""
    total = sum(octaves)
    if not total:
        return Dist(0, sum_ns, 0, 0, 0, max_ns)

    def quantile(share: float) -> int:
        seen = 0
        for octave, count in enumerate(octaves):
            seen += count
            if count and seen >= math.ceil(share * total):
                return min(octave_edges(octave)[1], max_ns)
        return 0

    return Dist(total, sum_ns, quantile(0.5), quantile(0.9), quantile(0.99), max_ns)
