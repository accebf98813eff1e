"""Numbers as the screen shows them: three significant digits, a unit, a fixed width.

Every function returns the text without padding; `None` gives the absent sign.
Widths never exceed the one named in the docstring.
"""

from __future__ import annotations

ABSENT = "–"


def time(ns: float | None, *, bounded: bool = False) -> str:
    """Nanoseconds in at most 6 cells: 999ns 1.00µs 48.1ms 184ms 12.4s 1m02s 3h05m 12d03h.

    bounded marks a lower bound: ~48ms, two digits, so that the mark always fits.
    """
    raise NotImplementedError


def count(value: float | None) -> str:
    """A count in at most 4 cells: 812 9.8K 212K 1.2G; the next unit from 1000 on."""
    raise NotImplementedError


def size(value_bytes: float | None) -> str:
    """Bytes in at most 4 cells, IEC steps, the next unit from 1000 on: 812 9.8K 212K 1.2G."""
    raise NotImplementedError


def bits_per_s(bytes_per_s: float | None) -> str:
    """Bytes per second shown as bit/s, SI steps, at most 4 cells: 1.9M."""
    raise NotImplementedError


def rate(per_s: float | None) -> str:
    """Events per second in at most 4 cells: 3.0; from 100 on as a count; exactly 0 is `0`."""
    raise NotImplementedError


def percent(pct: float | None) -> str:
    """At most 5 cells: 0.21% 2.1% 71% 100%; exactly 0 is `0`."""
    raise NotImplementedError


def ratio(value: float | None) -> str:
    """At most 5 cells: 1.4× 12×."""
    raise NotImplementedError
