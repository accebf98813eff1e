"""Two sides: each number of each group worse, better, the same, or cannot tell: pure.

Many comparisons must not make a `worse` by chance. FAMILY is the chance that any of them all does:
each bound is given FAMILY / comparisons (Bonferroni), whatever depends on whatever.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from msgspec import Struct

from nettop.compare.bands import INF, Band, Change, Effect, change
from nettop.compare.numbers import NUMBERS, Number
from nettop.compare.tally import SEGMENT_BYTES, Key, Side, Tally
from nettop.text.fields import Kind

FAMILY = 0.01
_COUNTERS = {"unwell", "retr%", "retr/s", "drops/s", "resets/s", "rxwait.n", "tx", "rx"}


class Verdict(Enum):
    """What is said of a change."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    CANNOT_TELL = "cannot tell"


class Compared(Struct, frozen=True):
    """One number of one group on both sides."""

    group: str
    number: Number
    a: Band
    b: Band
    change: Change
    verdict: Verdict | None  # None: more of it is neither worse nor better

    @property
    def n(self) -> int:
        """Of the side that has fewer."""
        return min(self.a.n, self.b.n)


class Comparison(Struct, frozen=True):
    """All of it."""

    a: Side
    b: Side
    found: tuple[Compared, ...]  # worst first
    comparisons: int  # judged, of which FAMILY was shared
    same_sockets: bool

    @property
    def only_a(self) -> list[str]:
        return [g.title for key, g in self.a.groups.items() if key not in self.b.groups]

    @property
    def only_b(self) -> list[str]:
        return [g.title for key, g in self.b.groups.items() if key not in self.a.groups]

    def of(self, verdict: Verdict) -> list[Compared]:
        return [c for c in self.found if c.verdict is verdict]


def compare(a: Side, b: Side) -> Comparison:
    """Every number of every group that both sides have."""
    same = same_sockets(a, b)
    pairs = [(key, number) for key, number in _pairs(a, b) if number.worse]
    alpha = FAMILY / max(1, len(pairs))
    found = [
        compared
        for key, number in _pairs(a, b)
        if (compared := one(a.groups[key], b.groups[key], number, alpha, same)) is not None
    ]
    found.sort(key=_loudness)
    return Comparison(a, b, tuple(found), len(pairs), same)


def one(a: Tally, b: Tally, number: Number, alpha: float, same: bool) -> Compared | None:
    """None: one of the sides has nothing of it."""
    of_a, of_b = bands(a, b, number, alpha, same)
    if of_a is None or of_b is None:
        return None
    moved = change(of_a, of_b)
    verdict = None
    if number.worse:
        nothing = number.of in _COUNTERS and not of_a.n and not of_b.n
        verdict = Verdict.SAME if nothing else judged(number, moved)
    return Compared(b.title, number, of_a, of_b, moved, verdict)


def same_sockets(a: Side, b: Side) -> bool:
    """Whether the two are of one recording and mostly of the same sockets: how much sockets differ
    is then no error of the comparison."""
    if a.path != b.path:
        return False
    mine = set().union(*(g.sockets for g in a.groups.values()))
    theirs = set().union(*(g.sockets for g in b.groups.values()))
    return len(mine & theirs) >= 0.9 * max(len(mine), len(theirs), 1)


def _pairs(a: Side, b: Side) -> Iterator[tuple[Key, Number]]:
    """Groups and numbers that both have."""
    for key, mine in a.groups.items():
        theirs = b.groups.get(key)
        if theirs is None:
            continue
        for number in NUMBERS.values():
            if number.of == "unwell" and not (_any(mine) or _any(theirs)):
                continue
            if _has(mine, number) and _has(theirs, number):
                yield key, number


def _any(tally: Tally) -> bool:
    """Whether a socket was ever unwell."""
    counter = tally.counters.get("unwell")
    return counter is not None and counter.count > 0


def _has(tally: Tally, number: Number) -> bool:
    if number.of in _COUNTERS:
        counter = tally.counters.get(number.of)
        return counter is not None and counter.exposure > 0
    if number.of in tally.gauges:
        return True
    times = tally.times.get(number.of)
    return times is not None and times.count > 0


def bands(
    a: Tally, b: Tally, number: Number, alpha: float, same: bool
) -> tuple[Band | None, Band | None]:
    """The number on both sides, in its base unit."""
    if number.of in _COUNTERS:
        return _counted(a, b, number, alpha)
    return _measured(a, number, alpha, same), _measured(b, number, alpha, same)


def _measured(tally: Tally, number: Number, alpha: float, same: bool) -> Band | None:
    if number.of == "srtt":
        gauge = tally.gauges.get(number.of)
        if gauge is None:
            return None
        band = gauge.mean(alpha, same_sockets=same or tally.mixed)
        if band is not None and not same and len(gauge.sockets) < 2:
            return band._replace(low=0.0, high=INF)  # another one could be anywhere
        return band
    times = tally.times.get(number.of)
    if times is None or not times.count:
        return None
    if number.q is None:
        return times.mean(alpha, same_sockets=same or tally.mixed)
    return times.quantile(number.q, alpha, same_sockets=same or tally.mixed)


def _counted(a: Tally, b: Tally, number: Number, alpha: float) -> tuple[Band | None, Band | None]:
    both = a.counters.get(number.of), b.counters.get(number.of)
    if None in both:
        return None, None
    one, other = (c for c in both if c is not None)
    if number.of == "unwell":
        return one.level(alpha), other.level(alpha)
    # A side with few events does not show how they come in bursts: the other may.
    effect: Effect = max(one.effect, other.effect)
    scales = [1.0, 1.0]
    if number.of == "retr%":
        sizes = [c.weight / c.count if c.count else 0.0 for c in (one, other)]
        scales = [
            100 * (size or max(sizes) or SEGMENT_BYTES) * counter.genuine
            for size, counter in zip(sizes, (one, other), strict=True)
        ]
    found = []
    for counter, scale in zip((one, other), scales, strict=True):
        band = counter.rate(effect, alpha)
        band = band and _scaled(band, scale)
        if band is not None and number.kind is Kind.PERCENT:
            band = band._replace(high=min(band.high, max(100.0, band.value)))
        found.append(band)
    return found[0], found[1]


def _scaled(band: Band, by: float) -> Band:
    return Band(band.low * by, band.est_low * by, band.est_high * by, band.high * by, band.n)


def judged(number: Number, c: Change) -> Verdict:
    """What a change of a number is, by the whole of its band."""
    up = c.difference_low > number.floor and c.ratio_low > number.ratio
    down = c.difference_high < -number.floor and c.ratio_high < 1 / number.ratio
    if up or down:
        return Verdict.WORSE if up == (number.worse > 0) else Verdict.BETTER
    not_up = c.difference_high <= number.same_floor or c.ratio_high <= number.same_ratio
    not_down = c.difference_low >= -number.same_floor or c.ratio_low >= 1 / number.same_ratio
    return Verdict.SAME if not_up and not_down else Verdict.CANNOT_TELL


_ORDER = {Verdict.WORSE: 0, Verdict.BETTER: 1, Verdict.CANNOT_TELL: 2, Verdict.SAME: 3, None: 4}


def _loudness(c: Compared) -> tuple[int, float]:
    """Worst first: by what the change is at least."""
    sure = c.change.ratio_low if c.change.ratio >= 1 else 1 / max(c.change.ratio_high, 1e-12)
    return _ORDER[c.verdict], -sure
