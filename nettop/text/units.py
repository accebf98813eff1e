"""Numbers as the screen shows them: three significant digits, a unit, a fixed width.

Every function returns the text without padding; `None` gives the absent sign.
Widths never exceed the one named in the docstring.
"""

from __future__ import annotations

import math

ABSENT = "–"

_SECOND = 1_000_000_000
_TIME_STEPS = ((1, "ns", 1_000), (1_000, "µs", 1_000_000), (1_000_000, "ms", _SECOND),
               (_SECOND, "s", 60 * _SECOND))  # fmt: skip


def _digits(value: float, digits: int) -> str | None:
    """`value` with this many significant digits and no exponent; None from 1000 (rounded) on."""
    if digits == 3:  # at once, but where it is rounded to one digit more
        if 0 < value < 9.99:
            return f"{value:.2f}"
        if 10 <= value < 99.9:
            return f"{value:.1f}"
        if 100 <= value < 999:
            return f"{value:.0f}"
    for decimals in range(digits - 1, -1, -1):
        text = f"{value:.{decimals}f}"
        if len(text.replace(".", "")) <= digits:
            return text
    text = f"{value:.0f}"
    return text if len(text) <= 3 else None


def time(ns: float | None, *, bounded: bool = False, rough: bool = False) -> str:
    """Nanoseconds in at most 6 cells: 999ns 1.00µs 48.1ms 184ms 12.4s 1m02s 3h05m 12d03h.

    bounded marks a lower bound: ≥48ms, two digits, so that the mark always fits; rough what may be
    up to twice too high: ~48ms.
    """
    if ns is None or not math.isfinite(ns):
        return ABSENT
    if ns < 0:
        return "-" + time(-ns)[:5]
    mark = "≥" if bounded else "~" if rough else ""
    digits = 2 if mark else 3
    if ns < 1:
        return f"{mark}0"
    for step, unit, end in _TIME_STEPS:
        if ns >= end:
            continue
        if unit == "ns":
            return f"{mark}{ns:.0f}ns" if round(ns) < 1000 else f"{mark}1.0µs"
        text = _digits(ns / step, digits)
        # 999.6ms rounds into the next unit.
        if text is not None and (unit != "s" or float(text) < 60):
            return f"{mark}{text}{unit}"
    return mark + _clock(round(ns / _SECOND), short=bool(mark))


def _clock(seconds: int, *, short: bool) -> str:
    """Minutes, hours or days; short drops the smaller half, so that a mark fits."""
    if seconds < 3600:
        return f"{seconds // 60}m" if short else f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h" if short else f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    days = seconds // 86400
    if days < 100 and not short:
        return f"{days}d{seconds % 86400 // 3600:02d}h"
    return f"{days}d" if days < 10000 else ">9999d"


def _scaled(value: float, step: float, units: str) -> str:
    """At most 4 cells; two digits and a unit from 1000 on."""
    if value < 0:
        value = 0
    if round(value) < 1000:
        return f"{value:.0f}"
    for unit in units:
        value /= step
        if value < 9.95:
            return f"{value:.1f}{unit}"
        if round(value) < 1000:
            return f"{value:.0f}{unit}"
    return f">1{units[-1]}"


def count(value: float | None) -> str:
    """A count in at most 4 cells: 812 9.8K 212K 1.2G; the next unit from 1000 on."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return _scaled(value, 1000, "KMGTPE")


def size(value_bytes: float | None) -> str:
    """Bytes in at most 4 cells, IEC steps, the next unit from 1000 on: 812 9.8K 212K 1.2G."""
    if value_bytes is None or not math.isfinite(value_bytes):
        return ABSENT
    return _scaled(value_bytes, 1024, "KMGTPE")


def amount(value_bytes: float | None) -> str:
    """Bytes as a sentence has them, where no title says of what the number is: 812 B 9.8K."""
    text = size(value_bytes)
    return f"{text} B" if text.isdecimal() else text


def bits_per_s(bytes_per_s: float | None) -> str:
    """Bytes per second shown as bit/s, SI steps, at most 4 cells: 1.9M."""
    return count(bytes_per_s * 8 if bytes_per_s is not None else None)


def counted(number: int, thing: str, things: str = "") -> str:
    """1 socket, 2 sockets; things: the plural, where it has no plain -s."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def rate(per_s: float | None) -> str:
    """Events per second in at most 4 cells: 3.0; from 100 on as a count; exactly 0 is `0`."""
    if per_s is None or not math.isfinite(per_s):
        return ABSENT
    if per_s <= 0:
        return "0"
    if per_s < 0.05:
        return "<0.1"
    return f"{per_s:.1f}" if per_s < 99.95 else count(per_s)


def percent(pct: float | None) -> str:
    """At most 5 cells: 0.21% 2.1% 71% 100%; exactly 0 is `0`."""
    if pct is None or not math.isfinite(pct):
        return ABSENT
    if pct <= 0:
        return "0"
    if pct < 0.005:
        return "<.01%"
    if pct < 0.995:
        return f"{pct:.2f}%"
    return f"{pct:.1f}%" if pct < 9.95 else f"{min(pct, 9999):.0f}%"


def ratio(value: float | None) -> str:
    """At most 5 cells: 1.4× 12×."""
    if value is None or not math.isfinite(value) or value < 0:
        return ABSENT
    if value < 9.95:
        return f"{value:.1f}×"
    return f"{value:.0f}×" if value < 9999.5 else f"{count(value)}×"
