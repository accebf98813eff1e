"""The hosts of one feed: which are there, and whose a socket is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from nettop.hosts import merge
from nettop.model.types import HOST_COOKIES, Model, Row
from nettop.replay import ReplayFeed


class Parts(ABC):
    """A feed of each, in the order of -H."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)

    @abstractmethod
    def latest(self) -> Model | None:
        """The tick of them all."""

    @abstractmethod
    def _at(self, place: int) -> ReplayFeed | None:
        """Of a host that is there and has a tick."""

    def _live(self) -> list[tuple[int, ReplayFeed]]:
        found = ((i, self._at(i)) for i in range(len(self._names)))
        return [(i, feed) for i, feed in found if feed is not None]

    def _placed(self, place: int, row: Row) -> Row:
        row.above = merge.above(place)
        row.host = self._names[place]
        return row

    def _of(self, cookie: int) -> tuple[int, ReplayFeed, int] | None:
        """The place of a host, its feed, and the cookie there."""
        number, own = divmod(cookie, HOST_COOKIES)
        if not 0 < number <= len(self._names):
            return None
        feed = self._at(number - 1)
        return (number - 1, feed, own) if feed is not None else None

    def _split(self, cookies: Sequence[int]) -> list[tuple[int, ReplayFeed, list[int]]]:
        by_place: dict[int, list[int]] = {}
        for cookie in cookies:
            number, own = divmod(cookie, HOST_COOKIES)
            by_place.setdefault(number - 1, []).append(own)
        return [(i, feed, by_place[i]) for i, feed in self._live() if i in by_place]
