"""In which ticks something changed: a verdict of a socket began or ended, an event came, or one of
many hosts was lost or came back."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from nettop.model.events import EventType

# What befell a socket. That it changed its state, or closed, is ordinary life.
EVENTS = frozenset(
    {
        EventType.RETRANSMIT,
        EventType.DROP,
        EventType.RESET_SENT,
        EventType.RESET_RECEIVED,
        EventType.ERROR,
    }
)
MOST_A_TICK = 1024  # sockets that are named of one tick
MOST_SOCKETS = 1 << 18  # and of all ticks together: 2 MB


class Changed(NamedTuple):
    """A tick in which something changed."""

    seq: int
    cookies: frozenset[int]  # of the sockets, events without one left out
    left_out: int  # sockets that are not named, as there were too many
    hosts: Mapping[str, str] = {}  # of many, that were lost or came back: what to say of each


class Changes:
    """Finds the nearest of such ticks; one thread adds, any asks."""

    def __init__(self) -> None:
        self._ticks: deque[Changed] = deque()
        self._named = 0
        self._lock = threading.Lock()

    def add(self, seq: int, cookies: Collection[int], left_out: int = 0) -> None:
        """Of the newest tick; nothing where no socket changed."""
        if not cookies:
            return
        kept = frozenset(sorted(cookies)[:MOST_A_TICK])
        with self._lock:
            self._ticks.append(Changed(seq, kept, left_out + len(cookies) - len(kept)))
            self._named += len(kept)
            while self._named > MOST_SOCKETS:
                self._named -= len(self._ticks.popleft().cookies)

    def forget_before(self, seq: int) -> None:
        with self._lock:
            while self._ticks and self._ticks[0].seq < seq:
                self._named -= len(self._ticks.popleft().cookies)

    def before(self, seq: int) -> Iterator[Changed]:
        """Ticks before a seq, the nearest first."""
        ticks = self._all()
        yield from reversed(ticks[: bisect_left(ticks, seq, key=lambda t: t.seq)])

    def after(self, seq: int) -> Iterator[Changed]:
        """Ticks after a seq, the nearest first."""
        ticks = self._all()
        yield from ticks[bisect_right(ticks, seq, key=lambda t: t.seq) :]

    def previous_change(self, seq: int, cookies: Collection[int] | None = None) -> int | None:
        """The seq of the nearest tick before one in which one of these sockets, or (None) any,
        changed; None: there is none."""
        return _first(self.before(seq), cookies)

    def next_change(self, seq: int, cookies: Collection[int] | None = None) -> int | None:
        """As previous_change, after a tick."""
        return _first(self.after(seq), cookies)

    def _all(self) -> list[Changed]:
        with self._lock:
            return list(self._ticks)


def _first(ticks: Iterator[Changed], cookies: Collection[int] | None) -> int | None:
    wanted = None if cookies is None else frozenset(cookies)
    return next((t.seq for t in ticks if wanted is None or not wanted.isdisjoint(t.cookies)), None)
