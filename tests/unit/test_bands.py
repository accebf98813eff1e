"""Error bands: known answers, and that they hold as often as they say."""

from __future__ import annotations

import math
import random

import pytest

from nettop.compare.bands import (
    INDEPENDENT,
    INF,
    Band,
    Bucket,
    Effect,
    below,
    change,
    effect_of,
    mean_band,
    quantile_band,
    rate_band,
    student,
    worth,
)


@pytest.mark.parametrize(
    ("alpha", "freedom", "t"),
    [(0.025, 10, 2.228), (0.005, 1, 63.657), (0.001, 5, 5.893), (0.05, 2, 2.920),
     (0.0005, 30, 3.646), (0.025, 10_000, 1.960)],
)  # fmt: skip
def test_student_is_the_one_of_the_tables(alpha: float, freedom: int, t: float) -> None:
    assert student(alpha, freedom) == pytest.approx(t, abs=0.001)


def test_student_without_freedom_knows_nothing() -> None:
    assert student(0.01, 0) == INF


@pytest.mark.parametrize("n", [1, 4, 37, 300])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("alpha", [0.2, 0.01, 1e-4])
def test_below_is_the_binomial_distribution(n: int, p: float, alpha: float) -> None:
    total, found = 0.0, -1
    for k in range(n):
        total += math.comb(n, k) * p**k * (1 - p) ** (n - k)
        if total > alpha:
            break
        found = k
    assert below(n, p, alpha) == found


def test_a_long_sum_goes_on_where_the_exact_one_ends() -> None:
    exact, long = below(39_000, 0.5, 1e-4), below(41_000, 0.5, 1e-4)
    assert (19_500 - exact) / math.sqrt(39_000) == pytest.approx(
        (20_500 - long) / math.sqrt(41_000), rel=0.01
    )


def buckets(values: list[float]) -> list[Bucket]:
    return [(value, value, 1) for value in values]


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_the_band_of_a_percentile_misses_it_as_seldom_as_it_says(q: float) -> None:
    chance = random.Random(7)
    missed_low = missed_high = 0
    for _ in range(400):
        band = quantile_band(buckets([chance.random() for _ in range(500)]), q, INDEPENDENT, 0.05)
        missed_low += band.low > q
        missed_high += band.high < q
    assert 4 <= missed_low <= 30  # 20 of 400 at most are expected
    assert 4 <= missed_high <= 30


def test_four_values_say_nothing_of_a_tail() -> None:
    band = quantile_band(buckets([1, 2, 3, 4]), 0.99, INDEPENDENT, 0.01)
    assert (band.value, band.high, band.n) == (4, INF, 4)


def test_what_a_bucket_leaves_open_is_in_the_band() -> None:
    band = quantile_band([(64, 128, 1000)], 0.5, INDEPENDENT, 0.01)
    assert (band.low, band.est_low, band.est_high, band.high) == (64, 64, 128, 128)


def test_poisson_is_the_one_of_the_tables() -> None:
    """95 % of 10 events: 4.80 to 18.39; of none: up to 3.69."""
    band = rate_band(10, 1.0, INDEPENDENT, 0.025)
    assert [band.low, band.high] == pytest.approx([4.80, 18.39], rel=0.01)
    assert rate_band(0, 1.0, INDEPENDENT, 0.025).high == pytest.approx(3.69, rel=0.01)
    assert rate_band(10, 2.0, INDEPENDENT, 0.025).value == 5


def test_events_that_come_ten_at_a_time_are_worth_a_tenth() -> None:
    chance = random.Random(3)
    counts = [10.0 * (chance.random() < 0.3) for _ in range(400)]
    effect = effect_of(counts, [1.0] * 400, sum(counts))
    assert 5 < effect.times < 10  # 0.7 of 10: of a Bernoulli the variance is p (1 - p)
    wide, narrow = (rate_band(sum(counts), 400, e, 0.01) for e in (effect, INDEPENDENT))
    assert wide.high - wide.value > 2 * (narrow.high - narrow.value)


def test_a_burst_that_lasts_shows_in_neighbours_together() -> None:
    counts = [0.0] * 20 + [8.0] * 4 + [0.0] * 40
    assert effect_of(counts, [1.0] * 64, sum(counts)).blocks == 16


def test_an_effect_known_of_few_blocks_costs_more() -> None:
    assert worth(1000, Effect(2.0, 5), 0.001) < worth(1000, Effect(2.0, 60), 0.001) < 500
    assert worth(1000, INDEPENDENT, 0.001) == 1000


def test_a_mean_has_the_band_of_student() -> None:
    band = mean_band(500.0, 100, 25.0, INDEPENDENT, 0.025)
    assert band.value == 5
    assert band.high == pytest.approx(5 + 1.984 * 0.5, abs=0.001)


def test_a_change_joins_both_errors_in_quadrature() -> None:
    c = change(Band(97, 100, 100, 103, 1), Band(196, 200, 200, 204, 1))
    assert (c.difference_low, c.difference_high) == (95, 105)
    assert c.ratio_low < 2 < c.ratio_high
    assert c.ratio_low > 196 / 103


def test_what_buckets_leave_open_is_added() -> None:
    c = change(Band(64, 64, 128, 128, 1), Band(128, 128, 256, 256, 1))
    assert (c.ratio_low, c.ratio_high) == (1, 4)
    assert (c.difference_low, c.difference_high) == (0, 192)


def test_from_nothing_the_ratio_has_no_bound() -> None:
    none, some = Band(0, 0, 0, 1, 0), Band(4, 6, 6, 9, 6)
    assert change(none, some).ratio_low == 4
    assert change(none, some).ratio == change(none, some).ratio_high == INF
    assert change(some, none).ratio == 0
    assert change(none, none).ratio == 1
