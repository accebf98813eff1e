"""Which groups have series of their own: the top ones stay, the rest is counted as `other`."""

from __future__ import annotations

from heapq import nsmallest

from msgspec import Struct

from nettop.engine.counter import NO_ONE, OTHER, Counter, CountTick
from nettop.metrics.labels import Labels
from nettop.metrics.series import Series
from nettop.model.types import Verdict
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_name

STAY_S = 60.0  # a group that got series keeps them so long, whatever others do
EXCHANGE_S = 5.0  # who has series is looked at so often
AHEAD = 2.0  # another must have moved so many times as much to take its place
HALF_LIFE_S = 60.0  # what was moved counts half after this time
# So long after groups were folded for want of series others get half of those that are free; where
# that soon was too many, the next are waited for twice as long.
WIDEN_S, WIDEN_MOST_S = 60.0, 3600.0
# A group with unwell sockets goes before one without, which may move any amount.
UNWELL = 1e18


class Group(Struct, eq=False):
    """A group that sockets are of; several share the series of `other`."""

    labels: Labels
    number: int  # of nettop.engine.counter
    series: Series
    own: bool  # has series of its own
    since_s: float  # when it got them, or was first seen; monotonic clock
    last_s: float  # when it last had a socket
    moved_bytes: float = 0.0  # fading
    fresh_bytes: int = 0  # of this tick
    unwell: bool = False  # in this tick

    @property
    def rank(self) -> float:
        return self.moved_bytes + (UNWELL if self.unwell else 0.0)


class Groups:
    """All groups there are. One thread."""

    def __init__(self, counter: Counter, other: Labels, *, top: int, expire_s: float) -> None:
        """
        Args:
            other: labels of what is folded.
            top: most groups with series of their own.
            expire_s: how long the series of a group stay after its last socket.
        """
        self.counter, self.top, self.expire_s = counter, top, expire_s
        self._wanted = top
        self._pause_s, self._shed_s, self._widened_s = WIDEN_S, 0.0, float("-inf")
        self.other = Series(other, None, OTHER)
        self._groups: dict[Labels, Group] = {}
        self._numbered: list[Group | None] = []  # by number
        self._own = 0
        self._before_s: float | None = None
        self._exchanged_s = -EXCHANGE_S
        self.folded_total = 0  # groups that were folded, each time it happened
        self._other_used = False

    def of(self, labels: Labels, now_s: float, wall_s: float) -> Group:
        """The group of these labels, made where there is none."""
        group = self._groups.get(labels)
        if group is None:
            group = self._groups[labels] = self._new(labels, now_s, wall_s)
            if group.number == len(self._numbered):
                self._numbered.append(group)
            else:
                self._numbered[group.number] = group
        group.last_s = now_s
        return group

    def _new(self, labels: Labels, now_s: float, wall_s: float) -> Group:
        if labels == self.other.labels:
            self._other_used = True
        elif self._own < self.top:
            self._own += 1
            # Those of the first tick are as old as the exporter.
            created_s = None if self._before_s is None else wall_s
            series = Series(labels, created_s, self.counter.series())
            number = self.counter.group(series.number)
            return Group(labels, number, series, True, now_s, now_s)
        else:
            self.folded_total += 1
            self._other_used = True
        number = self.counter.group(OTHER)
        return Group(labels, number, self.other, False, now_s, now_s)

    def begin(self) -> None:
        """A tick begins."""
        self.other.begin()
        for group in self._groups.values():
            group.fresh_bytes, group.unwell = 0, False
            if group.own:
                group.series.begin()

    def take(self, tick: CountTick, now_s: float) -> None:
        """What was counted in the tick that began."""
        numbered = self._numbered
        for group, (moved_bytes, present, _) in zip(numbered, tick.groups(), strict=True):
            if present and group is not None:
                group.fresh_bytes, group.last_s = moved_bytes, now_s
        for number, n, who, verdict in tick.sick():
            group = numbered[number]
            assert group is not None
            group.unwell = True
            said = "?" if who == NO_ONE else who_name(who)
            group.series.sick(said, VERDICTS[Verdict(verdict)].name, n)
        for series in self.series:
            if tick.changed(series.number):
                series.take(tick.sums(series.number))

    def end(self, now_s: float, wall_s: float) -> None:
        """A tick ended: groups fade, expire, and take each other's place."""
        before, self._before_s = self._before_s, now_s
        fade = 0.5 ** ((now_s - before) / HALF_LIFE_S) if before is not None else 1.0
        gone = []
        for group in self._groups.values():
            group.moved_bytes = group.moved_bytes * fade + group.fresh_bytes
            if now_s - group.last_s > (self.expire_s if group.own else 0):
                gone.append(group)
        for group in gone:
            del self._groups[group.labels]
            self._numbered[group.number] = None
            self.counter.end_group(group.number)
            self._own -= group.own
            if group.own:
                self.counter.end_series(group.series.number)
        self._exchange(now_s, wall_s)

    def _exchange(self, now_s: float, wall_s: float) -> None:
        if self._own >= self.top and now_s - self._exchanged_s < EXCHANGE_S:
            return
        self._exchanged_s = now_s
        waiting = [g for g in self._groups.values() if not g.own and g.labels != self.other.labels]
        if not waiting:
            return
        waiting.sort(key=lambda g: -g.rank)
        own = [g for g in self._groups.values() if g.own and now_s - g.since_s >= STAY_S]
        own.sort(key=lambda g: g.rank)
        for group in waiting:
            if self._own < self.top:
                self._own += 1
            elif own and group.rank > AHEAD * own[0].rank:
                self._fold(own.pop(0), now_s)
                self._own += 1
            else:
                break
            group.own, group.since_s = True, now_s
            group.series = Series(group.labels, wall_s, self.counter.series())
            self.counter.move(group.number, group.series.number)

    def _fold(self, group: Group, now_s: float) -> None:
        """What it counts from now on is counted as `other`; its series end."""
        self.other.take_gauges(group.series)
        self.counter.move(group.number, OTHER)
        self.counter.end_series(group.series.number)
        group.own, group.series, group.since_s = False, self.other, now_s
        self._own -= 1
        self.folded_total += 1
        self._other_used = True

    def shed(self, series: int, now_s: float, cost: int) -> None:
        """Folds the least groups until so many series are gone; each is taken to have cost."""
        if series <= 0:
            return
        own = [g for g in self._groups.values() if g.own]
        for group in nsmallest(-(-series // max(1, cost)), own, key=lambda g: g.rank):
            self._fold(group, now_s)
        self.top = min(self.top, self._own)
        if now_s - self._shed_s > 1.0:  # else it is one shedding, in several ticks
            soon = now_s - self._widened_s < self._pause_s
            self._pause_s = min(2 * self._pause_s, WIDEN_MOST_S) if soon else WIDEN_S
        self._shed_s = now_s

    def widen(self, spare: int, now_s: float, cost: int) -> None:
        """So many series have no group: after a while some may have one again.

        Args:
            cost: that a group takes.
        """
        if self.top >= self._wanted:
            return
        top = min(self._wanted, self._own + spare // 2 // max(1, cost))
        if top > self.top and now_s - max(self._shed_s, self._widened_s) >= self._pause_s:
            self.top, self._widened_s = top, now_s

    @property
    def own(self) -> list[Group]:
        """Groups with series of their own."""
        return [group for group in self._groups.values() if group.own]

    @property
    def folded(self) -> int:
        """Groups that have sockets and no series of their own."""
        return sum(not g.own and g.labels != self.other.labels for g in self._groups.values())

    @property
    def series(self) -> list[Series]:
        """Those that there are, `other` last where it counts anything."""
        own = [group.series for group in self.own]
        return [*own, self.other] if self._other_used else own
