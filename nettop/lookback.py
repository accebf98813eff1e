"""What the live screen keeps to look back: frames of the last minutes, and what each tick said."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from typing import Protocol

from nettop.changes import EVENTS, Changes
from nettop.model.events import EventType
from nettop.model.types import Model
from nettop.sample import Sample
from nettop.spells import SickRows, SpellTracker, TickSummary
from nettop.store.memory import MOST_BYTES, MemoryFrames


class Ticking(SickRows, Protocol):
    """The feed whose ticks are kept."""

    def sockets_of_events(
        self, types: Collection[EventType], *, everything: bool = False
    ) -> tuple[set[int], int]: ...


class LookBack(MemoryFrames):
    """The poller takes ticks in; any thread reads."""

    def __init__(self, span_s: float, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(span_s, most_bytes)
        self.changes = Changes()
        self._tracker = SpellTracker(matched=False)
        self._summaries: deque[TickSummary] = deque()
        self._summing = threading.Lock()

    def take(self, model: Model, sample: Sample, feed: Ticking) -> None:
        """The tick of that model, while the feed still stands at it."""
        info = self.add(sample)
        self._tracker.take(model, feed)
        summary = self._tracker.summary(model)._replace(seq=info.seq)
        sockets, left_out = feed.sockets_of_events(EVENTS, everything=True)
        sockets.update(change.cookie for change in summary.changes)
        self.changes.add(info.seq, sockets, left_out)
        oldest = self.oldest_seq
        self.changes.forget_before(oldest)
        with self._summing:
            self._summaries.append(summary)
            while self._summaries[0].seq < oldest:
                self._summaries.popleft()

    def summaries(self) -> list[TickSummary]:
        """Of the ticks that are kept, oldest first; their seq is that of frames()."""
        with self._summing:
            return list(self._summaries)
