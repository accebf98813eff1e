"""Verdicts of two sides: what is said of the same load, and of one that is slower."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from nettop.compare.tally import Side, Tally
from nettop.compare.verdict import Comparison, Verdict, compare
from nettop.engine.edges import FINE_EDGES

TICKS = 60
MS = 1e6


def bucket(ns: float) -> tuple[float, float]:
    from bisect import bisect_right

    at = bisect_right(FINE_EDGES, ns) - 1
    return float(FINE_EDGES[at]), float(FINE_EDGES[at + 1])


def side(
    chance: random.Random, *, slower: float = 1.0, a_tick: int = 60, drift: float = 0.0,
    groups: int = 1, path: str = "a",
) -> Side:  # fmt: skip
    """Deliveries that waited for a reader with a heavy tail; drift: how ticks differ."""
    out = Side("a.nettop", path, "web-1", 0, TICKS * 10**9, TICKS, float(TICKS))
    for group in range(groups):
        tally = out.groups.setdefault((group,), Tally(f"app :{group}"))
        times = tally.time("rxwait")
        for tick in range(TICKS):
            level = MS * slower * chance.lognormvariate(0, drift)
            waits = [level * chance.lognormvariate(0, 1.0) for _ in range(a_tick)]
            found = Counter(map(bucket, waits))
            times.add(
                tick, [(low, high, n) for (low, high), n in found.items()],
                a_tick, sum(waits), max(waits),
            )  # fmt: skip
            counter = tally.counter("drops/s")
            counter.add(tick, 3 * (chance.random() < 0.1), 1.0)
    return out


def said(found: Comparison) -> set[str]:
    return {c.verdict.value for c in found.found if c.verdict is not None}


def test_the_same_load_is_not_worse_and_a_slower_one_is() -> None:
    """Ticks differ by 10 %, which percentiles of deliveries alone would call a change."""
    chance = random.Random(11)
    sides = [side(chance, drift=0.1) for _ in range(10)]
    slow = [side(chance, drift=0.1, slower=1.3, path="b") for _ in range(4)]
    pairs = [(a, b) for i, a in enumerate(sides) for b in sides[:i]]
    false = sum("worse" in said(compare(a, b)) for a, b in pairs)
    assert false <= 1, f"{false} of {len(pairs)}"
    true = sum("worse" in said(compare(a, b)) for a in sides[:3] for b in slow)
    assert true >= 11, f"{true} of 12"
    fixed = sum(
        any(c.verdict and c.change.ratio > 1.05 for c in compare(a, b).found) for a, b in pairs[:20]
    )
    assert fixed > 6  # what a fixed percentage says of the same pairs


def test_better_is_the_other_way() -> None:
    chance = random.Random(5)
    found = compare(side(chance, slower=2.0), side(chance))
    assert {c.number.id for c in found.of(Verdict.BETTER)} >= {"rxwait.p50", "rxwait.p90"}
    assert not found.of(Verdict.WORSE)


def test_hundreds_of_groups_do_not_make_a_worse() -> None:
    chance = random.Random(2)
    found = compare(side(chance, a_tick=8, groups=40), side(chance, a_tick=8, groups=40))
    assert found.comparisons == 200
    assert found.of(Verdict.WORSE) == []


def test_few_deliveries_cannot_tell() -> None:
    chance = random.Random(1)
    a, b = side(chance, a_tick=1), side(chance, a_tick=1)
    for one in (a, b):
        times = one.groups[(0,)].times["rxwait"]
        for tick in range(4, TICKS):
            del times.blocks[tick], times.sums[tick]
        times.buckets = Counter(key for block in times.blocks.values() for key in block)
    found = compare(a, b)
    assert {c.verdict for c in found.found if c.number.of == "rxwait"} == {Verdict.CANNOT_TELL}
    assert {c.n for c in found.found if c.number.of == "rxwait"} == {4}


def test_nothing_counted_on_both_sides_is_the_same() -> None:
    sides = []
    for _ in "ab":
        one = Side("a", "a", "", 0, 0, 2, 2.0)
        counter = one.groups.setdefault(("x",), Tally("x")).counter("drops/s")
        counter.add(0, 0, 1.0)
        counter.add(1, 0, 1.0)
        sides.append(one)
    assert [c.verdict for c in compare(*sides).found] == [Verdict.SAME]


def counted(*events: float) -> Side:
    out = Side("a", "a", "", 0, 0, len(events), float(len(events)))
    counter = out.groups.setdefault(("x",), Tally("x")).counter("retr%")
    for tick, n in enumerate(events):
        counter.add(tick, n, 100_000, n * 1000)
    return out


def test_a_burst_of_retransmissions_is_worse_than_none() -> None:
    steady, burst = counted(*[0.0] * 30), counted(*[0.0] * 10, *[20.0, 25.0, 18.0] * 5, *[0.0] * 5)
    (found,) = compare(steady, burst).found
    assert found.verdict is Verdict.WORSE
    assert found.a.value == 0
    assert found.b.value == pytest.approx(10.5)  # 315 of 1000 bytes each in 3 MB


def test_one_moment_of_loss_is_not_known_to_come_again() -> None:
    steady, once = counted(*[0.0] * 30), counted(*[0.0] * 29, 20.0)
    (found,) = compare(steady, once).found
    assert found.verdict is Verdict.CANNOT_TELL


def test_round_trip_times_of_one_socket_are_not_one_measurement_a_tick() -> None:
    """A socket that stays keeps its round-trip time: 60 ticks of 8 sockets are 8."""
    chance = random.Random(4)
    sides = []
    for path in "ab":
        one = Side("a", path, "", 0, 0, TICKS, float(TICKS))
        gauge = one.groups.setdefault(("x",), Tally("x")).gauge("srtt")
        for cookie in range(8):
            level = 20 * MS * chance.lognormvariate(0, 0.5)
            for tick in range(TICKS):
                gauge.add(tick, cookie, level * chance.uniform(0.99, 1.01))
        sides.append(one)
    (found,) = compare(*sides).found
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.n == 8
    ratio = found.b.value / found.a.value
    assert ratio == pytest.approx(found.change.ratio)
    assert abs(ratio - 1) > 0.05  # which 480 measurements would call a change


def test_groups_of_one_side_are_named_and_not_judged() -> None:
    chance = random.Random(1)
    a, b = side(chance, groups=2), side(chance)
    found = compare(a, b)
    assert (found.only_a, found.only_b) == (["app :1"], [])
    assert {c.group for c in found.found} == {"app :0"}
