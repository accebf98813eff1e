"""Ticks into series: what sockets did since the tick before, added to their groups."""

from __future__ import annotations

from typing import Protocol

from nettop.engine.counter import Counter, Key
from nettop.metrics.groups import Groups
from nettop.metrics.labels import Labeller
from nettop.model.events import EventType
from nettop.model.types import Model


class CountedFeed(Protocol):
    """The part of a live feed that series are made from."""

    def count_sockets(
        self, counter: Counter, now_ns: int, after: int, *, filtered: bool
    ) -> list[Key]: ...


class Gatherer:
    """Adds up ticks; one thread."""

    def __init__(self, labeller: Labeller, groups: Groups, *, whole: bool) -> None:
        """whole: no filter of the user's is in force."""
        self._labeller, self.groups, self._whole = labeller, groups, whole
        self._closed_seq = 0  # the first close that is not taken yet; 0: not known
        self.closed_unknown = 0  # TCP sockets that closed and left no record

    def take(self, model: Model, feed: CountedFeed) -> None:
        """The tick that was polled last."""
        now_s, wall_s = model.mono_ns / 1e9, model.wall_ns / 1e9
        groups, labels_of = self.groups, self._labeller.of
        groups.begin()
        keys = feed.count_sockets(
            groups.counter, model.mono_ns, self._closed_seq, filtered=not self._whole
        )
        named = [groups.of(labels_of(key), now_s, wall_s).number for key in keys]
        tick = groups.counter.end(named)
        groups.take(tick, now_s)
        self._note_closed(model, tick.closed_next, tick.closed, tick.closed_unknown)
        groups.end(now_s, wall_s)

    def _note_closed(self, model: Model, upto: int, closed: int, unknown: int) -> None:
        if model.events is None:
            return
        if not self._closed_seq:  # what closed before the first tick was not there in it
            self._closed_seq = model.events.first_seq
            return
        self._closed_seq = upto
        counts = model.events.counts[EventType.CLOSED]
        self.closed_unknown += counts.left_out
        if self._whole:  # the engine keeps a few thousand
            self.closed_unknown += unknown + max(0, counts.seen - counts.left_out - closed)
