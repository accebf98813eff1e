"""In which ticks something changed: a verdict of a socket began or ended, or events of a type did,
or one of many hosts was lost or came back. That they go on is no change."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
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
QUIET_TICKS = 5  # so many in a row without an event, and a run of them has ended
Befallen = tuple[int, int]  # cookie of a socket, type of what befell it
_UNNAMED: Befallen = (0, 0)  # events whose sockets are not known


class Changed(NamedTuple):
    """A tick in which something changed."""

    seq: int
    cookies: frozenset[int]  # of the sockets, events without one left out
    left_out: int  # sockets that are not named, as there were too many
    hosts: Mapping[str, str] = {}  # of many, that were lost or came back: what to say of each


class EventRuns:
    """Runs of ticks in which events of one type befall one socket."""

    def __init__(self) -> None:
        self._runs: dict[Befallen, tuple[int, bool]] = {}  # last tick; whether there are several

    def take(self, seq: int, befallen: Iterable[Befallen], left_out: int = 0) -> list[Changed]:
        """Of a tick after those before: where runs ended, which is the first tick without, and
        this tick if some begin here. The end of a single tick is no change."""
        now = dict.fromkeys(befallen, 0)
        if left_out:
            now[_UNNAMED] = left_out
        ends: dict[int, set[Befallen]] = {}
        for which, (last, several) in list(self._runs.items()):
            if seq - last >= QUIET_TICKS:
                del self._runs[which]
                if several:
                    ends.setdefault(last + 1, set()).add(which)
        began = {which for which in now if which not in self._runs}
        for which in now:
            self._runs[which] = seq, which not in began
        if began:
            ends.setdefault(seq, set()).update(began)
        return [
            as_change(at, {cookie for cookie, _ in some} - {0}, now.get(_UNNAMED, 0) or 1
                   if _UNNAMED in some else 0)
            for at, some in sorted(ends.items())
        ]  # fmt: skip


def as_change(seq: int, cookies: Collection[int], left_out: int) -> Changed:
    """With as many of the sockets as are named."""
    kept = frozenset(sorted(cookies)[:MOST_A_TICK])
    return Changed(seq, kept, left_out + len(cookies) - len(kept))


class Changes:
    """Finds the nearest of such ticks; one thread adds, any asks."""

    def __init__(self) -> None:
        self._ticks: deque[Changed] = deque()
        self._named = 0
        self._lock = threading.Lock()

    def add(self, seq: int, cookies: Collection[int], left_out: int = 0) -> None:
        """Of the newest tick, or of one shortly before it; nothing where no socket changed."""
        if not cookies and not left_out:
            return
        made = as_change(seq, cookies, left_out)
        with self._lock:
            place = len(self._ticks)
            while place and self._ticks[place - 1].seq > seq:
                place -= 1
            if place and self._ticks[place - 1].seq == seq:
                place -= 1
                known = self._ticks[place]
                self._named -= len(known.cookies)
                both = known.cookies | made.cookies
                made = as_change(seq, both, known.left_out + made.left_out)
                self._ticks[place] = made
            else:
                self._ticks.insert(place, made)
            self._named += len(made.cookies)
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
