"""How far a PHC is from CLOCK_REALTIME, within a bar; hardware stamps as system time. Pure.

One reading is a row of samples: system clock, PHC, system clock. The PHC was read somewhere in that
window, so the middle of the narrowest window is right within half of it. Between two readings the
offset is interpolated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from enum import Enum, IntEnum

from msgspec import Struct

SECOND_NS = 1_000_000_000
# Oscillators are wrong by less than this; a larger change between two readings is a step.
MOST_PPB = 1_000_000
# A frequency may change by so much from one reading to the next without being seen yet.
WANDER_PPB = 100
_KEPT = 600
_GAP_PERIODS = 4
_BENDS = 8  # changes of slope from which the frequency is estimated


class Method(IntEnum):
    """How both clocks are read together, best first; values of enum nt_phc_method."""

    PRECISE = 0
    EXTENDED = 1
    BASIC = 2


class Sample(Struct, frozen=True):
    """The PHC, read in a window of the system clock that begins at sys_ns."""

    sys_ns: int
    phc_ns: int
    width_ns: int


class Reading(Struct, frozen=True):
    """Samples in a row, and CLOCK_REALTIME against CLOCK_MONOTONIC at that time."""

    method: Method
    samples: Sequence[Sample]
    realtime_minus_mono_ns: int
    realtime_minus_mono_bar_ns: int


class Offset(Struct, frozen=True):
    """System clock minus PHC, when the PHC showed phc_ns: right within bar_ns."""

    phc_ns: int
    offset_ns: int
    bar_ns: int
    method: Method
    realtime_minus_mono_ns: int
    realtime_minus_mono_bar_ns: int

    @property
    def sys_ns(self) -> int:
        return self.phc_ns + self.offset_ns


class Stepped(Enum):
    """Which clock jumped."""

    PHC = "phc"
    REALTIME = "realtime"


class Step(Struct, frozen=True):
    """A jump between two readings."""

    clock: Stepped
    at_sys_ns: int  # when it was seen
    by_ns: int


class Frequency(Struct, frozen=True):
    """How much faster than the system clock a PHC runs."""

    ppb: float
    bar_ppb: float
    over_ns: int


def estimate(reading: Reading) -> Offset | None:
    """The best sample's offset; None if there is no sample.

    PRECISE has no window: the middle one counts, and the bar is how much they differ, which is what
    repeats, not a bound.
    """
    if not reading.samples:
        return None
    if reading.method is Method.PRECISE:
        ordered = sorted(reading.samples, key=lambda s: s.sys_ns - s.phc_ns)
        best = ordered[len(ordered) // 2]
        low, high = (s.sys_ns - s.phc_ns for s in (ordered[0], ordered[-1]))
        middle = best.sys_ns - best.phc_ns
        offset, bar = middle, max(high - middle, middle - low, 1)
    else:
        best = min(reading.samples, key=lambda s: s.width_ns)
        offset = best.sys_ns + best.width_ns // 2 - best.phc_ns
        bar = (best.width_ns + 1) // 2
    return Offset(
        best.phc_ns,
        offset,
        bar,
        reading.method,
        reading.realtime_minus_mono_ns,
        reading.realtime_minus_mono_bar_ns,
    )


def _ppb(a: Offset, b: Offset) -> float:
    """Slope of the offset."""
    return (b.offset_ns - a.offset_ns) * SECOND_NS / (b.phc_ns - a.phc_ns)


class Tracker:
    """The readings of one PHC since the last step, as a line that bends at each of them.

    A step makes a new line begin: what was stamped before it must be converted before the reading
    that shows the step is added, or not at all.
    """

    def __init__(self, period_ns: int = SECOND_NS, max_adj_ppb: int | None = None) -> None:
        self.period_ns = period_ns
        self.most_ppb = min(max_adj_ppb, MOST_PPB) if max_adj_ppb else MOST_PPB
        self.steps: deque[Step] = deque(maxlen=64)
        self.steps_seen = 0
        self._line: list[Offset] = []
        self._keys: list[int] = []  # phc_ns of _line
        self._bends: list[float] = []  # ppb: change of slope at each of _line, where it is known

    @property
    def line(self) -> Sequence[Offset]:
        """Readings since the last step, oldest first."""
        return self._line

    @property
    def last(self) -> Offset | None:
        return self._line[-1] if self._line else None

    def add(self, offset: Offset) -> Step | None:
        """A further reading; the step that it shows, if it does."""
        last = self.last
        step = self._step(last, offset) if last is not None else None
        late = last is not None and offset.sys_ns - last.sys_ns > _GAP_PERIODS * self.period_ns
        if step is not None or late:
            self.lose()
        if step is not None:
            self.steps.append(step)
            self.steps_seen += 1
        self._line.append(offset)
        self._keys.append(offset.phc_ns)
        if len(self._line) > 2:
            before, middle, now = self._line[-3:]
            self._bends.append(abs(_ppb(middle, now) - _ppb(before, middle)))
        if len(self._line) > _KEPT:
            del self._line[0], self._keys[0], self._bends[0]
        return step

    def lose(self) -> None:
        """Nothing is known any more of how the clock ran on (it could not be read)."""
        self._line, self._keys, self._bends = [], [], []

    def _step(self, a: Offset, b: Offset) -> Step | None:
        jump = b.realtime_minus_mono_ns - a.realtime_minus_mono_ns
        if abs(jump) > a.realtime_minus_mono_bar_ns + b.realtime_minus_mono_bar_ns:
            return Step(Stepped.REALTIME, b.sys_ns, jump)
        moved = a.offset_ns - b.offset_ns  # of the PHC against the system clock
        passed = b.sys_ns - a.sys_ns
        allowed = a.bar_ns + b.bar_ns + self.most_ppb * max(passed, 0) // SECOND_NS
        if abs(moved) > allowed or b.phc_ns <= a.phc_ns:
            return Step(Stepped.PHC, b.sys_ns, moved)
        return None

    def to_system(self, hw_ns: int) -> tuple[int, int] | None:
        """CLOCK_REALTIME of a hardware stamp, and its bar; None if it cannot be converted.

        The bar is what the readings on both sides have, and how far the offset moved recently
        otherwise than on a straight line: changes of frequency, steps too small to be seen as such.
        """
        line = self._line
        if len(line) < 3 or hw_ns < line[0].phc_ns:
            return None
        i = bisect_right(self._keys, hw_ns)
        if i == len(line):
            return self._beyond(hw_ns)
        a, b = line[i - 1], line[i]
        span = b.phc_ns - a.phc_ns
        since = hw_ns - a.phc_ns
        offset = a.offset_ns + _divided((b.offset_ns - a.offset_ns) * since, span)
        bend = self._bend(i)
        bar = (a.bar_ns * (span - since) + b.bar_ns * since) / span + bend * span / SECOND_NS
        return hw_ns + offset, int(bar) + 1

    def _bend(self, i: int) -> float:
        """The largest change of slope beside the reading before i, and shortly before that."""
        # The first of _bends is at the second reading; one or two are a poor guide.
        known = self._bends[max(0, i - 1 - _BENDS) : i] or self._bends[:1]
        return max(known) * (1 if len(known) > 2 else 2)

    def _beyond(self, hw_ns: int) -> tuple[int, int] | None:
        """Past the last reading by at most one period, on the slope of the last two."""
        a, b = self._line[-2:]
        ahead = hw_ns - b.phc_ns
        if ahead > self.period_ns:
            return None
        span = b.phc_ns - a.phc_ns
        offset = b.offset_ns + _divided((b.offset_ns - a.offset_ns) * ahead, span)
        bend = max(self._bend(len(self._line)), WANDER_PPB)
        bar = b.bar_ns + (a.bar_ns + b.bar_ns) * ahead / span + bend * max(ahead, span) / SECOND_NS
        return hw_ns + offset, int(bar) + 1

    def frequency(self, window_ns: int = 60 * SECOND_NS) -> Frequency | None:
        """Between the two readings of the window that bound it best; None before there are two."""
        if len(self._line) < 2:
            return None
        end = self._line[-1].sys_ns
        recent = [o for o in self._line if end - o.sys_ns <= window_ns]
        if len(recent) < 2:
            return None
        half = len(recent) // 2
        a = min(recent[:half], key=lambda o: o.bar_ns * SECOND_NS / (end - o.sys_ns + 1))
        start = a.sys_ns
        b = min(recent[half:], key=lambda o: (a.bar_ns + o.bar_ns) / (o.sys_ns - start))
        passed = b.sys_ns - a.sys_ns
        return Frequency(
            (a.offset_ns - b.offset_ns) * SECOND_NS / passed,
            (a.bar_ns + b.bar_ns) * SECOND_NS / passed,
            passed,
        )


def _divided(a: int, b: int) -> int:
    """a / b, rounded to the nearest, exactly."""
    return (2 * a + b) // (2 * b)
