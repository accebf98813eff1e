"""For how long a condition has held, tick by tick; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nettop.model.types import Model

# Ticks are not exact: so much may be missing to a time that was asked for.
SLACK_NS = 50_000_000


class Standing(NamedTuple):
    """A socket that matches, since when; or with any_socket that some socket did."""

    cookies: tuple[int, ...]  # all that have matched equally long
    since_mono_ns: int
    since_wall_ns: int
    held_ns: int
    ticks: int  # in which it was looked at, the first and the last included


class _Since(NamedTuple):
    mono_ns: int
    wall_ns: int
    ticks: int


class Hold:
    """Takes which sockets match in each tick, and says once one has matched long enough."""

    def __init__(self, for_s: float = 0.0, *, any_socket: bool = False) -> None:
        """
        Args:
            for_s: so long the condition has to hold, in every tick; 0: one tick.
            any_socket: it may be another socket in each tick; else it has to be the same.
        """
        self._for_ns = max(0, round(for_s * 1e9) - min(SLACK_NS, round(for_s * 5e7)))
        self._any = any_socket
        self._since: dict[int, _Since] = {}
        self.longest: Standing | None = None  # so far
        self.ticks = 0
        self.matched = 0  # ticks with a socket that matched

    def begin_again(self) -> None:
        """Nothing is known of the time before: what stood then may have ended."""
        self._since = {}

    def take(self, model: Model, cookies: Sequence[int]) -> Standing | None:
        """What has held long enough by this tick, those that have the longest; None: nothing."""
        self.ticks += 1
        self.matched += bool(cookies)
        now = _Since(model.mono_ns, model.wall_ns, 0)
        keys = ((0,) if cookies else ()) if self._any else cookies
        before, self._since = self._since, {}
        for key in keys:
            since = before.get(key, now)
            self._since[key] = since._replace(ticks=since.ticks + 1)
        if not self._since:
            return None
        first = min(self._since.values())
        longest = [key for key, since in self._since.items() if since.mono_ns == first.mono_ns]
        held = Standing(
            tuple(cookies if self._any else longest), first.mono_ns, first.wall_ns,
            model.mono_ns - first.mono_ns, first.ticks,
        )  # fmt: skip
        if self.longest is None or held.held_ns >= self.longest.held_ns:
            self.longest = held
        return held if held.held_ns >= self._for_ns else None
