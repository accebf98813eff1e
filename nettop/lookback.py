"""What the live screen keeps to look back: frames of the last minutes, and what each tick said."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from typing import Protocol

from nettop.changes import EVENTS, Befallen, Changes, EventRuns
from nettop.model.events import EventType
from nettop.model.types import Model
from nettop.sample import Sample
from nettop.spells import SickRows, SpellTracker, TickSummary
from nettop.store.memory import MOST_BYTES, MemoryFrames


class Ticking(SickRows, Protocol):
    """The feed whose ticks are kept."""

    def befallen(
        self, types: Collection[EventType], *, everything: bool = False
    ) -> tuple[set[Befallen], int]: ...


class TicksSaid:
    """What the ticks that are kept said; one thread takes them in, any reads."""

    def __init__(self) -> None:
        self.changes = Changes()
        self._tracker = SpellTracker(matched=False)
        self._runs = EventRuns()
        self._summaries: deque[TickSummary] = deque()
        self._lock = threading.Lock()

    def begin_anew(self, model: Model, feed: Ticking) -> None:
        """Other sockets are looked at from this tick on: no verdict began or ended by that."""
        self._tracker = SpellTracker(matched=False)
        self._tracker.take(model, feed)
        self._runs = EventRuns()

    def take(self, seq: int, model: Model, feed: Ticking) -> None:
        """The tick of that model, while the feed still stands at it."""
        self._tracker.take(model, feed)
        summary = self._tracker.summary(model)._replace(seq=seq)
        self.changes.add(seq, {change.cookie for change in summary.changes})
        befallen, left_out = feed.befallen(EVENTS, everything=True)
        for change in self._runs.take(seq, befallen, left_out):
            self.changes.add(*change[:3])
        with self._lock:
            self._summaries.append(summary)

    def forget_before(self, seq: int) -> None:
        self.changes.forget_before(seq)
        with self._lock:
            while self._summaries and self._summaries[0].seq < seq:
                self._summaries.popleft()

    def summaries(self) -> list[TickSummary]:
        """Of the ticks that are kept, oldest first."""
        with self._lock:
            return list(self._summaries)


class LookBack(MemoryFrames):
    """The poller takes ticks in; any thread reads."""

    def __init__(self, span_s: float, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(span_s, most_bytes)
        self._said = TicksSaid()
        self.changes = self._said.changes

    def take(self, model: Model, sample: Sample, feed: Ticking) -> None:
        """The tick of that model, while the feed still stands at it."""
        self._said.take(self.add(sample).seq, model, feed)
        self._said.forget_before(self.oldest_seq)

    def summaries(self) -> list[TickSummary]:
        """Of the ticks that are kept, oldest first; their seq is that of frames()."""
        return self._said.summaries()
