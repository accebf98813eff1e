"""What was lost recently, of what nettop counts since its start."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from msgspec.structs import replace

from nettop.model.cost import Cost
from nettop.text import units
from nettop.tui.header import lost_texts

LATELY_S = 60.0  # as far back as the panes' histories reach


class Lately:
    """Fed with each tick; where it was not for longer than it looks back, it begins anew."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Cost]] = deque()

    def texts(self, cost: Cost, at_s: float) -> tuple[str, ...]:
        """What was lost in the last minute, or interval where that is longer; nothing: none.

        Args:
            at_s: when it is asked, by a clock that is not set.
        """
        span_s = max(LATELY_S, cost.interval_s * 1.5)
        *some, last = lost_texts(self._of(cost, at_s, span_s)) or [""]
        span = "1m" if span_s == LATELY_S else units.time(cost.interval_s * 1e9)
        return (*some, f"{last} in {span}") if last else ()

    def _of(self, cost: Cost, at_s: float, span_s: float) -> Cost:
        """The same with what was lost in that span alone."""
        seen = self._seen
        if not seen:
            seen.append((at_s, Cost()))  # nothing was lost before the start
        elif at_s - seen[-1][0] > span_s:
            seen.clear()
        if not seen or seen[-1][1] is not cost:
            seen.append((at_s, cost))
        while len(seen) > 1 and at_s - seen[0][0] > span_s:
            seen.popleft()
        began = seen[0][1] if at_s - seen[0][0] <= span_s else cost
        return replace(
            cost,
            lost_events=max(0, cost.lost_events - began.lost_events),
            missed_ticks=max(0, cost.missed_ticks - began.missed_ticks),
            lost_by_plane=_grown(began.lost_by_plane, cost.lost_by_plane),
        )


def _grown(began: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {plane: max(0, n - began.get(plane, 0)) for plane, n in now.items()}
