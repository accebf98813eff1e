"""What a run of probes amounts to: times by leg, losses, disorder."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from nettop.clocks.follow import SystemTime
from nettop.probe.clock import boot_number, clock_error_ns
from nettop.probe.legs import Leg, Round, late_legs, near_legs, one_way_bar_ns, within_bar
from nettop.probe.times import Times
from nettop.probe.wire import FarTimes

_KNOWN = 64  # settled probes that a later answer may still add to
_LAST = 600
LATE_FACTOR = 3  # late: a round over so many times the median
_LATE_FROM = 20  # rounds before anything is called late


class Point(Struct, frozen=True):
    """One settled probe for the list of the last ones."""

    seq: int
    mono_ns: int
    round_ns: int | None  # None: lost
    worst: Leg | None  # the longest part
    worst_ns: int = 0
    late: bool = False


class Tally(Struct):
    """Counts and times since the start or since they were cleared."""

    legs: dict[Leg, Times] = field(default_factory=dict)
    sent: int = 0
    answered: int = 0
    lost: int = 0
    overdue: int = 0  # answered after they had been called lost
    duplicates: int = 0
    reordered: int = 0
    garbage: int = 0  # answers that are no answers
    refused: int = 0
    late: int = 0
    joined: int = 0  # writes that the kernel joined with a later one: no stamps of their own
    resent: int = 0  # SND stamps beyond the first
    stamps_missing: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=_LAST))
    one_way_bar_ns: int | None = None  # the widest; None: that of an answer is not known
    hardware_bar_ns: int | None = None  # the widest
    hardware_unknown: int = 0  # timestamps not converted to system time: the clock stepped
    has_far: bool = False
    same_kernel: bool = False  # every answer came from this kernel
    _settled: OrderedDict[int, Round] = field(default_factory=OrderedDict)

    def add(self, leg: Leg, ns: int) -> None:
        self.legs.setdefault(leg, Times()).add(ns)

    def settle(
        self, r: Round, *, stages: tuple[str, ...], before: Mapping[Leg, int] | None = None
    ) -> Point:
        """A probe whose stamps are in, or will not come; before: legs from before its send."""
        legs = {**(before or {}), **near_legs(r)}
        if r.far is not None:
            legs = within_bar(legs, self._far(r.far))
        for leg, ns in legs.items():
            self.add(leg, ns)
        f = r.flight
        if f.joined:
            self.joined += 1
        else:
            for stage in stages:
                self.stamps_missing[stage] += getattr(f, f"{stage}_ns") is None
        self.resent += max(0, len(f.snds_ns) - 1)
        self._settled[r.seq] = r
        if len(self._settled) > _KNOWN:
            self._settled.popitem(last=False)
        return self._point(r, legs)

    def _point(self, r: Round, legs: dict[Leg, int]) -> Point:
        rounds = self.legs.get(Leg.ROUND)
        took = r.round_ns
        late = False
        if took is not None and rounds is not None and rounds.count >= _LATE_FROM:
            late = took > LATE_FACTOR * rounds.median_ns()
            self.late += late
        parts = [leg for leg in legs if leg not in (Leg.ROUND, Leg.ACK)]
        worst = max(parts, key=lambda leg: legs[leg], default=None)
        at = r.flight.clocks.before_mono_ns
        point = Point(r.seq, at, took, worst, legs[worst] if worst else 0, late)
        self.points.append(point)
        return point

    def hardware(self, times: Iterable[SystemTime | None]) -> None:
        """Hardware stamps of a probe as system time; None: that was not possible."""
        for time in times:
            if time is None:
                self.hardware_unknown += 1
            else:
                self.hardware_bar_ns = max(self.hardware_bar_ns or 0, time.bar_ns)

    def _far(self, far: FarTimes) -> int | None:
        """An answer with the far side's times: what it says of an earlier one.

        Returns by how much its one-way times may be off; None: not known.
        """
        boot = boot_number()
        bar_ns = one_way_bar_ns(far, boot, clock_error_ns())
        self._trust(bar_ns, same_kernel=bool(boot) and far.boot == boot)
        settled = self._settled.pop(far.told_seq, None) if far.told_snd_ns else None
        if settled is not None:
            for leg, ns in within_bar(late_legs(settled, far), bar_ns).items():
                self.add(leg, ns)
        return bar_ns

    def _trust(self, bar_ns: int | None, *, same_kernel: bool) -> None:
        """What is said of all answers is what holds for the least certain of them."""
        if not self.has_far:
            self.has_far, self.same_kernel, self.one_way_bar_ns = True, same_kernel, bar_ns
            return
        self.same_kernel &= same_kernel
        known = (self.one_way_bar_ns, bar_ns)
        self.one_way_bar_ns = None if None in known else max(ns for ns in known if ns is not None)

    def lose(self, r: Round) -> Point:
        self.lost += 1
        point = Point(r.seq, r.flight.clocks.before_mono_ns, None, None)
        self.points.append(point)
        return point

    @property
    def loss_pct(self) -> float | None:
        """Of the probes whose fate is known; None while there is none."""
        known = self.answered + self.lost
        return 100 * self.lost / known if known else None
