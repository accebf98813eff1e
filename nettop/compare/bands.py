"""How far a number may be from what was counted: pure functions.

A band has a chance of at most `alpha` on each side that the truth lies outside. What is counted in
one block of time, or of one socket, hangs together, so that n counts are worth fewer: `effect` says
how many times fewer (the design effect), estimated from how much the blocks differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

INF = math.inf
_NORMAL_FROM = 200  # degrees of freedom
_LONG_SUM = 100.0  # standard deviation of a binomial, from which on it is taken as normal
LEAST_BLOCKS = 12  # of which larger ones may be made

Bucket = tuple[float, float, int]  # above this, up to that, so many


class Band(NamedTuple):
    """A number between low and high; what is known of it lies between est_low and est_high, which
    differ where it is known by buckets alone. n: what it is made of, counted."""

    low: float
    est_low: float
    est_high: float
    high: float
    n: int

    @property
    def value(self) -> float:
        return self.est_high


class Change(NamedTuple):
    """B against A, with the bounds of both."""

    difference: float
    difference_low: float
    difference_high: float
    ratio: float
    ratio_low: float
    ratio_high: float


class Effect(NamedTuple):
    """How many times fewer counts are worth, and of how many blocks that is known."""

    times: float
    blocks: int


INDEPENDENT = Effect(1.0, 0)


# --- quantiles of the normal, Student and binomial distributions ---


@lru_cache(1024)
def normal(alpha: float) -> float:
    """z with a chance of alpha above it."""
    return -NormalDist().inv_cdf(alpha)


def student_tail(t: float, freedom: int) -> float:
    """The chance above t >= 0; Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    if freedom % 2:
        term = math.cos(angle) if freedom > 1 else 0.0
        inner, k = term, 3
        while k <= freedom - 2:
            term *= square * (k - 1) / k
            inner += term
            k += 2
        within = 2 / math.pi * (angle + sine * inner)
    else:
        term, inner, k = 1.0, 1.0, 2
        while k <= freedom - 2:
            term *= square * (k - 1) / k
            inner += term
            k += 2
        within = sine * inner
    return max(0.0, (1 - within) / 2)


@lru_cache(4096)
def student(alpha: float, freedom: int) -> float:
    """t with a chance of alpha above it; without a degree of freedom infinite."""
    if freedom < 1:
        return INF
    if freedom >= _NORMAL_FROM:
        return normal(alpha)
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > alpha:
        high *= 2
        if high > 1e9:
            return INF
    for _ in range(80):
        middle = (low + high) / 2
        if student_tail(middle, freedom) > alpha:
            low = middle
        else:
            high = middle
    return high


def below(n: int, p: float, alpha: float) -> int:
    """The largest k with P(Binomial(n, p) <= k) <= alpha; -1: there is none."""
    mean, deviation = n * p, math.sqrt(n * p * (1 - p))
    if deviation > _LONG_SUM:
        z = normal(alpha)
        skew = (z * z - 1) * (1 - 2 * p) / 6
        return max(-1, min(n - 1, math.floor(mean - z * deviation + skew) - 1))
    k = max(0, math.floor(mean - 12 * deviation - 5))
    chance = math.exp(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        + k * math.log(p) + (n - k) * math.log1p(-p)
    )  # fmt: skip
    total, found = 0.0, -1
    while k < n:
        total += chance
        if total > alpha:
            break
        found = k
        chance *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
    return found


# --- what hangs together ---


def effect_of(
    counts: Sequence[float], exposures: Sequence[float], plain: float, *, most: int = 4
) -> Effect:
    """From blocks: how much more sum(counts) varies than `plain`, its variance if nothing hung
    together. most: neighbours that may be looked at as one."""
    best = INDEPENDENT
    for pairs in joined_blocks(counts, exposures, most):
        found = Effect(max(1.0, spread(pairs) / plain) if plain > 0 else 1.0, len(pairs))
        if not best.blocks or found.times > best.times:
            best = found
    return best


def joined_blocks(
    counts: Sequence[float], exposures: Sequence[float], most: int = 4
) -> Iterator[list[tuple[float, float]]]:
    """The blocks, and where these are many also two and four neighbours as one: what hangs together
    for longer than a block shows in them."""
    for size in (1, 2, 4):
        if size > most or (size > 1 and len(counts) // size < LEAST_BLOCKS):
            return
        pairs = [
            (sum(counts[i : i + size]), sum(exposures[i : i + size]))
            for i in range(0, len(counts) - size + 1, size)
        ]
        pairs = [(k, x) for k, x in pairs if x > 0]
        if len(pairs) >= 2:
            yield pairs


def spread(pairs: Sequence[tuple[float, float]]) -> float:
    """The variance of the sum of counts, each block beside what it was counted in."""
    total, exposure = sum(k for k, _ in pairs), sum(x for _, x in pairs)
    level, blocks = total / exposure, len(pairs)
    return blocks / (blocks - 1) * sum((k - level * x) ** 2 for k, x in pairs)


def worth(n: float, effect: Effect, alpha: float) -> float:
    """So many independent counts n are worth; an effect known of few blocks costs more."""
    if effect.blocks < 2:
        return n / effect.times
    wider = student(alpha, effect.blocks - 1) / normal(alpha)
    return n / (effect.times * wider * wider)


# --- bands ---


def percentile(buckets: Sequence[Bucket], q: float) -> float:
    """The upper edge of the bucket of the ceil(q n)-th."""
    n = sum(b[2] for b in buckets)
    by_high = sorted(buckets, key=lambda b: b[1])
    return _at(by_high, max(1, math.ceil(q * n - 1e-9)), 1)


def quantile_band(buckets: Sequence[Bucket], q: float, effect: Effect, alpha: float) -> Band:
    """By order statistics: between the ranks that Binomial(n, q) leaves, of buckets as they are."""
    by_low = sorted(buckets)
    by_high = sorted(buckets, key=lambda b: b[1])
    n = sum(b[2] for b in buckets)
    each = max(1, math.floor(worth(n, effect, alpha)))
    first = below(each, q, alpha) + 1
    last = each - below(each, 1 - q, alpha)
    rank = max(1, math.ceil(q * n - 1e-9))
    low = _at(by_low, math.ceil(first / each * n), 0) if first > 0 else 0.0
    high = _at(by_high, math.ceil(last / each * n), 1) if last <= each else INF
    return Band(low, _at(by_low, rank, 0), _at(by_high, rank, 1), high, n)


def _at(ordered: Sequence[Bucket], rank: int, edge: int) -> float:
    seen = 0
    for bucket in ordered:
        seen += bucket[2]
        if seen >= rank:
            return bucket[edge]
    return ordered[-1][edge]


def mean_band(
    total: float, n: int, variance: float, effect: Effect, alpha: float, *, least: float = 0.0
) -> Band:
    """total / n with Student's band; variance: of a single one; not below least."""
    mean = total / n
    each = max(1.0, n / effect.times)
    freedom = effect.blocks - 1 if effect.blocks >= 2 else n - 1
    reach = student(alpha, freedom) * math.sqrt(variance / each) if variance > 0 else 0.0
    if freedom < 1:
        return Band(least, mean, mean, INF, n)
    return Band(max(least, mean - reach), mean, mean, mean + reach, n)


def rate_band(count: float, exposure: float, effect: Effect, alpha: float) -> Band:
    """count / exposure with Poisson's band (Byar's approximation)."""
    z = normal(alpha)
    k = worth(count, effect, alpha)
    scale = count / k / exposure if k > 0 else _widened(effect, alpha) / exposure
    if k > 0:
        inner = 1 - 1 / (9 * k) - z / (3 * math.sqrt(k))
        low = k * max(0.0, inner) ** 3
        high = (k + 1) * (1 - 1 / (9 * (k + 1)) + z / (3 * math.sqrt(k + 1))) ** 3
    else:
        low, high = 0.0, -math.log(alpha)
    rate = count / exposure
    return Band(low * scale, rate, rate, high * scale, round(count))


def _widened(effect: Effect, alpha: float) -> float:
    """Exposure that one independent event takes, in events."""
    return 1 / worth(1.0, effect, alpha)


# --- two of them ---


def change(a: Band, b: Band) -> Change:
    """B against A. The bounds of the two are joined in quadrature (MOVER, Zou and Donner 2008);
    what buckets leave open is added."""
    difference_low = (b.est_low - a.est_high) - _apart(b.est_low - b.low, a.high - a.est_high)
    difference_high = (b.est_high - a.est_low) + _apart(b.high - b.est_high, a.est_low - a.low)
    return Change(
        b.value - a.value, difference_low, difference_high,
        _ratio(b.value, a.value),
        _joined(b.est_low, b.low, a.est_high, a.high, -1),
        _joined(b.est_high, b.high, a.est_low, a.low, 1),
    )  # fmt: skip


def _apart(one: float, other: float) -> float:
    return math.hypot(one, other)


def _ratio(b: float, a: float) -> float:
    if a > 0:
        return b / a
    return INF if b > 0 else 1.0


def _joined(b: float, b_bound: float, a: float, a_bound: float, sign: int) -> float:
    """A bound of b / a: the estimates, and how far each may reach, as logarithms."""
    outermost = _bounded_ratio(b_bound, a_bound, sign)
    if min(a, b, a_bound, b_bound) <= 0 or INF in (a, b, a_bound, b_bound):
        return outermost
    reach = math.hypot(math.log(b_bound / b), math.log(a_bound / a))
    return (b / a) * math.exp(sign * reach)


def _bounded_ratio(b: float, a: float, sign: int) -> float:
    """The ratio of the outermost bounds, where a logarithm has none."""
    if sign < 0:
        return 0.0 if a in (0.0, INF) or b <= 0 else b / a
    return INF if a <= 0 or b == INF else b / a
