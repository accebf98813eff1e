"""The offset of a simulated PHC, and stamps converted with it: the truth is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from nettop.clocks.offset import (
    SECOND_NS,
    Method,
    Offset,
    Reading,
    Sample,
    Step,
    Stepped,
    Tracker,
    estimate,
)

START_NS = 1_800_000_000 * SECOND_NS
TAI_NS = 37 * SECOND_NS
Latency = Callable[[random.Random], tuple[int, int]]  # ns before and after the PHC is read


def symmetric(rng: random.Random) -> tuple[int, int]:
    half = rng.randint(200, 900)
    return half, half


def asymmetric(rng: random.Random) -> tuple[int, int]:
    """Anything within the window, its very edges too."""
    width = rng.randint(500, 6000)
    before = rng.choice((0, width, rng.randint(0, width)))
    return before, width - before


def always_late(rng: random.Random) -> tuple[int, int]:
    """The whole window lies before the read: the error is the whole bar."""
    return rng.randint(500, 6000), 0


@dataclass
class World:
    """True time goes on; both clocks are functions of it, in exact integers."""

    seed: int
    latency: Latency = symmetric
    ppb: float = 0.0
    wander_ppb: float = 0.0  # random walk: one change a second, at any time
    true_ns: int = 0
    phc_ns: float = 0.0
    realtime_step_ns: int = 0
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.phc_base = START_NS + TAI_NS

    def run(self, ns: int) -> None:
        self.true_ns += ns
        self.phc_ns += ns * (1 + self.ppb / SECOND_NS)

    @property
    def phc(self) -> int:
        return self.phc_base + round(self.phc_ns)

    @property
    def realtime(self) -> int:
        return START_NS + self.true_ns + self.realtime_step_ns

    def read(self, samples: int = 10, method: Method = Method.EXTENDED) -> Reading:
        taken = []
        for _ in range(samples):
            before, after = self.latency(self.rng)
            if method is Method.PRECISE:
                before = after = 0
            start = self.realtime
            self.run(before)
            phc = self.phc
            self.run(after)
            taken.append(Sample(start, phc, self.realtime - start))
            self.run(50)
        bar = self.rng.randint(10, 60)
        error = self.rng.randint(-bar, bar)
        return Reading(method, taken, START_NS + self.realtime_step_ns + error, bar)


def stamps(world: World, count: int, over_ns: int = SECOND_NS) -> Iterator[tuple[int, int]]:
    """Hardware stamps while the clocks run on, each with the system time that is true then."""
    bends = world.rng.randrange(count)
    for i in range(count):
        if i == bends:
            world.ppb += world.rng.gauss(0, world.wander_ppb)
        world.run(over_ns // count)
        yield world.phc, world.realtime


WORLDS = {
    "still": {},
    "drifts 50 ppm": {"ppb": 50_000},
    "drifts -50 ppm, asymmetric": {"ppb": -50_000, "latency": asymmetric},
    "always late": {"ppb": 20_000, "latency": always_late},
    "wanders": {"ppb": 11_000, "wander_ppb": 30, "latency": asymmetric},
    "is steered hard": {"ppb": 0, "wander_ppb": 5_000, "latency": asymmetric},
}


def converted(
    world: World, tracker: Tracker, periods: int, each: int, late: bool
) -> tuple[int, int, int]:
    """(conversions, beyond their bar, not converted); late: after the reading that follows."""
    good = bad = none = 0
    waiting: list[tuple[int, int]] = []
    for period in range(periods):
        found = estimate(world.read())
        assert found is not None
        assert abs(world_offset(world, found) - found.offset_ns) <= found.bar_ns + 1
        tracker.add(found)
        if late:
            results = [(truth, tracker.to_system(hw)) for hw, truth in waiting]
            waiting = list(stamps(world, each))
        else:
            results = [(truth, tracker.to_system(hw)) for hw, truth in stamps(world, each)]
        for truth, result in results:
            if result is None:
                none += 1
                assert period <= 3, "a line of three readings converts"
                continue
            good += 1
            bad += abs(result[0] - truth) > result[1]
    return good, bad, none


def world_offset(world: World, found: Offset) -> int:
    """The true offset when the PHC showed what the reading says."""
    back = (world.phc - found.phc_ns) / (1 + world.ppb / SECOND_NS)
    return world.realtime - round(back) - found.phc_ns


@pytest.mark.parametrize("name", WORLDS)
def test_bars_hold(name: str) -> None:
    good = bad = 0
    for seed in range(10):
        world = World(seed, **WORLDS[name])  # type: ignore[arg-type]
        n, out, _ = converted(world, Tracker(), 110, 100, late=True)
        good, bad = good + n, bad + out
    assert good >= 100_000
    assert bad <= good // 1000


@pytest.mark.parametrize("name", [n for n in WORLDS if n != "is steered hard"])
def test_bars_hold_past_the_last_reading(name: str) -> None:
    good = bad = 0
    for seed in range(3):
        world = World(seed, **WORLDS[name])  # type: ignore[arg-type]
        tracker = Tracker(period_ns=SECOND_NS + 10_000_000)
        n, out, _ = converted(world, tracker, 120, 100, late=False)
        good, bad = good + n, bad + out
    assert good >= 30_000
    assert bad <= good // 1000


def test_bars_are_not_wider_than_the_reads_call_for() -> None:
    """A bar that always holds because it is huge would prove nothing."""
    world = World(1, ppb=50_000, latency=symmetric)
    tracker = Tracker()
    bars = []
    for _ in range(50):
        for hw, _truth in stamps(world, 20):
            result = tracker.to_system(hw)
            if result is not None:
                bars.append(result[1])
        found = estimate(world.read())
        assert found is not None
        tracker.add(found)
        assert found.bar_ns < 900
    assert sorted(bars)[len(bars) // 2] < 2000


def test_the_narrowest_sample_counts() -> None:
    samples = [Sample(1000, 5000, 400), Sample(2000, 6050, 100), Sample(3000, 7200, 101)]
    found = estimate(Reading(Method.EXTENDED, samples, 0, 0))
    assert found is not None
    assert (found.phc_ns, found.offset_ns, found.bar_ns) == (6050, 2050 - 6050, 50)
    assert found.sys_ns == 2050


def test_an_odd_window_rounds_its_bar_up() -> None:
    found = estimate(Reading(Method.BASIC, [Sample(1000, 0, 101)], 0, 0))
    assert found is not None
    assert (found.offset_ns, found.bar_ns) == (1050, 51)


def test_precise_takes_the_middle_and_how_much_they_differ() -> None:
    samples = [Sample(t, t + d, 0) for t, d in ((100, 7), (200, 5), (300, 9))]
    found = estimate(Reading(Method.PRECISE, samples, 0, 0))
    assert found is not None
    assert (found.offset_ns, found.bar_ns) == (-7, 2)
    alone = estimate(Reading(Method.PRECISE, samples[:1], 0, 0))
    assert alone is not None
    assert alone.bar_ns == 1


def test_no_sample_is_no_offset() -> None:
    assert estimate(Reading(Method.EXTENDED, [], 0, 0)) is None


def track(world: World, tracker: Tracker, periods: int) -> list[Step]:
    steps = []
    for _ in range(periods):
        world.run(SECOND_NS)
        found = estimate(world.read())
        assert found is not None
        step = tracker.add(found)
        if step is not None:
            steps.append(step)
    return steps


@pytest.mark.parametrize("by_ns", [5_000_000, -5_000_000, -37 * SECOND_NS, 3600 * SECOND_NS])
def test_a_step_of_the_phc_is_seen_and_discards(by_ns: int) -> None:
    world, tracker = World(3, ppb=10_000), Tracker()
    assert track(world, tracker, 5) == []
    world.run(SECOND_NS // 2)
    world.phc_base += by_ns
    stamped, truth = world.phc, world.realtime
    [step] = track(world, tracker, 1)
    assert step.clock is Stepped.PHC
    assert abs(step.by_ns - by_ns) < 50_000
    assert tracker.steps_seen == 1
    assert tracker.to_system(stamped) is None, "nothing is known of the way to here"
    assert track(world, tracker, 2) == []
    result = tracker.to_system(world.phc)
    assert result is not None
    assert abs(result[0] - world.realtime) <= result[1]
    wrong = tracker.to_system(stamped)
    assert wrong is None or abs(wrong[0] - truth) <= wrong[1]


@pytest.mark.parametrize("by_ns", [1_000, -1_000, SECOND_NS, -SECOND_NS])
def test_a_step_of_realtime_is_seen_however_small(by_ns: int) -> None:
    world, tracker = World(4, ppb=10_000), Tracker()
    assert track(world, tracker, 5) == []
    world.realtime_step_ns += by_ns
    [step] = track(world, tracker, 1)
    assert step.clock is Stepped.REALTIME
    assert abs(step.by_ns - by_ns) <= 120
    assert tracker.to_system(world.phc) is None
    track(world, tracker, 2)
    result = tracker.to_system(world.phc)
    assert result is not None
    assert abs(result[0] - world.realtime) <= result[1]


@pytest.mark.parametrize("by_ns", [2_000, 20_000, 200_000, -200_000])
def test_a_step_too_small_to_be_told_from_drift_widens_the_bar(by_ns: int) -> None:
    for at in (0.01, 0.5, 0.99):
        world, tracker = World(5, ppb=10_000), Tracker()
        track(world, tracker, 5)
        waiting = []
        for i in range(100):
            world.run(SECOND_NS // 100)
            if i == int(at * 100):
                world.phc_base += by_ns
            waiting.append((world.phc, world.realtime))
        found = estimate(world.read())
        assert found is not None
        tracker.add(found)
        for hw, truth in waiting:
            result = tracker.to_system(hw)
            assert result is None or abs(result[0] - truth) <= result[1]


def test_nothing_is_extrapolated_past_one_period_or_backwards() -> None:
    world, tracker = World(6), Tracker(period_ns=SECOND_NS)
    track(world, tracker, 4)
    first, last = tracker.line[0], tracker.line[-1]
    assert tracker.to_system(last.phc_ns + SECOND_NS) is not None
    assert tracker.to_system(last.phc_ns + SECOND_NS + 1) is None
    assert tracker.to_system(first.phc_ns) is not None
    assert tracker.to_system(first.phc_ns - 1) is None


def test_two_readings_are_not_enough() -> None:
    world, tracker = World(7), Tracker()
    for needed in (1, 2):
        track(world, tracker, 1)
        assert len(tracker.line) == needed
        assert tracker.to_system(world.phc) is None


def test_a_long_gap_begins_anew() -> None:
    world, tracker = World(8), Tracker()
    track(world, tracker, 4)
    world.run(10 * SECOND_NS)
    middle = world.phc
    assert track(world, tracker, 1) == []
    assert len(tracker.line) == 1
    assert tracker.to_system(middle) is None


def test_a_phc_that_stands_still_is_a_step_each_time() -> None:
    world, tracker = World(9, ppb=-float(SECOND_NS)), Tracker()
    steps = track(world, tracker, 3)
    assert [s.clock for s in steps] == [Stepped.PHC] * 2
    assert abs(steps[0].by_ns + SECOND_NS) < 100_000


@pytest.mark.parametrize("ppb", [0, 13, -50_000, 400_000])
def test_frequency_is_right_within_its_bar(ppb: int) -> None:
    world, tracker = World(10, ppb=ppb, latency=asymmetric), Tracker()
    assert tracker.frequency() is None
    track(world, tracker, 61)
    found = tracker.frequency()
    assert found is not None
    assert abs(found.ppb - ppb) <= found.bar_ppb
    assert found.bar_ppb < 300
    assert 20 * SECOND_NS < found.over_ns <= 61 * SECOND_NS


def test_max_adj_is_a_limit_too() -> None:
    assert Tracker(max_adj_ppb=500).most_ppb == 500
    assert Tracker(max_adj_ppb=10**9).most_ppb == Tracker().most_ppb == 1_000_000
    assert Tracker(max_adj_ppb=0).most_ppb == 1_000_000, "0: it cannot be adjusted"
