"""The hosts of one feed: which are live, and whose a socket is."""

from __future__ import annotations

from collections.abc import Sequence

from nettop.hosts import merge
from nettop.hosts.link import Link
from nettop.hosts.remote import RemoteFeed
from nettop.model.types import HOST_COOKIES, Model, Row


class Parts:
    """A link and a feed of each, in the order of -H."""

    def __init__(self) -> None:
        self._feeds: list[RemoteFeed] = []
        self._links: list[Link] = []

    def latest(self) -> Model | None:
        """The tick of them all."""
        raise NotImplementedError

    def _live(self) -> list[tuple[int, RemoteFeed]]:
        return [
            (i, self._feeds[i])
            for i, link in enumerate(self._links)
            if link.live and self._feeds[i].latest() is not None
        ]

    def _placed(self, place: int, row: Row) -> Row:
        row.above = merge.above(place)
        row.host = self._links[place].name
        return row

    def _of(self, cookie: int) -> tuple[int, RemoteFeed, int] | None:
        """The place of a host, its feed, and the cookie there."""
        number, own = divmod(cookie, HOST_COOKIES)
        if not 0 < number <= len(self._feeds) or not self._links[number - 1].live:
            return None
        return number - 1, self._feeds[number - 1], own

    def _split(self, cookies: Sequence[int]) -> list[tuple[int, RemoteFeed, list[int]]]:
        by_place: dict[int, list[int]] = {}
        for cookie in cookies:
            number, own = divmod(cookie, HOST_COOKIES)
            by_place.setdefault(number - 1, []).append(own)
        return [(i, feed, by_place[i]) for i, feed in self._live() if i in by_place]
