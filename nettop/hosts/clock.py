"""How far another host's clock is from this one's: the times of a question and its answer."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

MOST = 16  # measurements that are kept
# A system clock is steered by at most so much: what an old measurement may be off by.
DRIFT = 500e-6


class Offset(NamedTuple):
    """Its CLOCK_REALTIME less this host's; the truth is within bar_ns of it."""

    offset_ns: int
    bar_ns: int


class HostClock:
    """The best of the last measurements.

    An answer says when the question came and when the answer left there. Question and answer take
    the rest of the round trip, in whatever shares: half of that is the bar.
    """

    def __init__(self) -> None:
        self._taken: deque[tuple[int, Offset]] = deque(maxlen=MOST)

    def answered(self, sent_ns: int, came_ns: int, went_ns: int, heard_ns: int) -> None:
        """sent and heard by this host's CLOCK_REALTIME, came and went by the other one's."""
        ways_ns = (heard_ns - sent_ns) - (went_ns - came_ns)
        if ways_ns < 0 or went_ns < came_ns:
            return  # a clock was set meanwhile
        offset_ns = ((came_ns - sent_ns) + (went_ns - heard_ns)) // 2
        fresh = Offset(offset_ns, ways_ns // 2 + 1)
        if any(not _agree(fresh, self._aged(old, heard_ns)) for old in self._taken):
            self._taken.clear()  # a clock was set: what was measured before is of another one
        self._taken.append((heard_ns, fresh))

    def offset(self, now_ns: int) -> Offset | None:
        """None: not measured. Any thread may ask."""
        aged = [self._aged(one, now_ns) for one in list(self._taken)]
        return min(aged, key=lambda o: o.bar_ns) if aged else None

    def _aged(self, taken: tuple[int, Offset], now_ns: int) -> Offset:
        at_ns, offset = taken
        return offset._replace(bar_ns=offset.bar_ns + int(abs(now_ns - at_ns) * DRIFT))


def _agree(a: Offset, b: Offset) -> bool:
    return abs(a.offset_ns - b.offset_ns) <= a.bar_ns + b.bar_ns
