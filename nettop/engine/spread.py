"""What is usual and what is much: median, p90 and the largest of a number's values."""

from __future__ import annotations

from typing import NamedTuple

from nettop.engine import ffi, lib


class Spread(NamedTuple):
    """Of the values of some sockets; percentiles are by nearest rank, in the base unit."""

    rows: int  # sockets that were asked
    known: int  # of which it is known
    p50: float | None  # None: it is known of none
    p90: float | None
    max: float | None


def spread(rows: int, values: bytes) -> Spread:
    """
    Args:
        values: as Engine.values() has them, of one engine or joined of several.
    """
    known = len(values) // ffi.sizeof("double")
    if not known:
        return Spread(rows, 0, None, None, None)
    room, found = ffi.new("double[]", known), ffi.new("double[3]")
    ffi.memmove(room, values, len(values))
    lib.nt_spread(room, known, found)
    return Spread(rows, known, *found)
