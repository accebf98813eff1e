"""Every tick of every host to a command, until it has what it needs of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nettop.errors import NettopError
from nettop.hosts.feed import FIRST_S, HostsFeed, HostTick
from nettop.model.hosts import HostState

_LOOK_S = 0.2  # how often it is looked at whether one has failed or been lost


def silence(ticks: int) -> str:
    """Of a host of which no reason is known, by how many of its ticks came: one that answered may
    do so again."""
    if not ticks:
        return "it has not answered in time"
    return "it stopped answering for a while, or its ticks came too late"


class Follower:
    """Ticks are taken in the threads of their links, so that none is left out; a fault in that is
    raised in the thread that waits, and is never taken for one of the host."""

    def __init__(self, feed: HostsFeed, take: Callable[[HostTick], None]) -> None:
        """take: is called by one thread at a time for one host, for several hosts at once."""
        self._feed, self._take = feed, take
        self._fault: BaseException | None = None
        self._locks = [threading.Lock() for _ in range(feed.size)]
        self._ended = False
        feed.on_tick = self._took

    def _took(self, tick: HostTick) -> None:
        with self._locks[tick.place]:
            if self._ended or self._fault is not None:
                return
            try:
                self._take(tick)
            except Exception as error:  # of this end: the link is well
                self._fault = error

    def wait(
        self, done: Callable[[], bool], until_s: float | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> None:  # fmt: skip
        """Starts the links, and waits until done() or that moment of the monotonic clock.

        Args:
            meanwhile: is called a few times a second.

        Raises:
            Exception: what take raised.
        """
        self._feed.begin()
        while self._fault is None and not done():
            now_s = time.monotonic()
            if until_s is not None and now_s >= until_s:
                break
            next_s = now_s + _LOOK_S
            self._feed.wait(
                lambda: self._fault is not None or done(),
                next_s if until_s is None else min(next_s, until_s),
            )
            self._feed.say_changes()
            if meanwhile is not None:
                meanwhile()
        self.check()

    def check(self) -> None:
        """
        Raises:
            Exception: what take raised.
        """
        if self._fault is not None:
            raise self._fault

    def end(self) -> None:
        """take is not called any more, and no call of it runs."""
        self._ended = True
        for lock in self._locks:
            with lock:
                pass


def wait_for_looks(
    feed: HostsFeed,
    take: Callable[[HostTick], bool],
    *,
    for_s: float,
    meanwhile: Callable[[], object] | None = None,
) -> list[HostState]:
    """Has each host looked at for a time by its own clock.

    A host that is lost has been looked at as far as it came; one that has not begun is not waited
    for longer than for a first tick.

    Args:
        take: returns whether it has all of this host; is not called with it again then.

    Returns:
        The states of the hosts; those of which something was taken have answered.

    Raises:
        NettopError: no host has answered.
    """
    whole: set[int] = set()
    begun: set[int] = set()

    def took(tick: HostTick) -> None:
        if tick.place in whole:
            return
        if tick.sample.seq == 1 and tick.place in begun:  # what was before the gap is its look
            whole.add(tick.place)
            return
        begun.add(tick.place)
        if take(tick):
            whole.add(tick.place)

    def done() -> bool:
        return all(i in whole or feed.is_out(i) for i in range(feed.size))

    follower = Follower(feed, took)
    try:
        follower.wait(done, time.monotonic() + FIRST_S + for_s, meanwhile)
    finally:
        follower.end()
    if not begun:
        raise NettopError("no host has answered")
    return feed.hosts()
