"""Bucketed times: pure functions over the histograms that the planes give."""

from __future__ import annotations

from nettop.model.types import Histogram

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
