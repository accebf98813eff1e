"""Rows, groups and distributions of many hosts, each of which has an engine of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from nettop.feed import Grouping, Sort
from nettop.hosts import merge
from nettop.hosts.events import EventsOfAll
from nettop.hosts.groups import HostGroups, Part
from nettop.hosts.order import HostRows, MergedRows, Pair, packed_keys
from nettop.model.types import Detail, Group, Histogram, Model, Point, Proc, Row

if TYPE_CHECKING:
    from nettop.engine.handle import PackedRows
    from nettop.enginefeed import PackedRowSource
    from nettop.export.hostrows import PackedHosts
    from nettop.query.compile import Filter
    from nettop.replay import ReplayFeed
    from nettop.text.fields import Field


class NoNames:
    """Filters are compiled for each host by its own names; this is for what they need beside."""

    def cgroup_ids(self, pattern: str) -> list[int]:
        return []

    container_ids = netns_ids = cgroup_ids

    def devices(self, name: str) -> list[tuple[int, int]]:
        return []

    def uid(self, name: str) -> int | None:
        return 0

    def is_host(self, pattern: str) -> bool:
        return False


class _Of(NamedTuple):
    """What the rows of a host were read of."""

    place: int
    model: Model | None  # compared as the object that it is
    sockets: int
    details: bool
    sort: Sort

    def same(self, other: _Of) -> bool:
        return self.model is other.model and self._replace(model=None) == other._replace(model=None)


class _Called:
    """Rows of a host, as C has them, with its name in -H."""

    def __init__(self, source: PackedRowSource, name: str) -> None:
        self.packed, self.tail = source.packed, source.tail
        self._source, self._name = source, name

    def unpack(self, packed: PackedRows, at: int) -> Pair:
        row, detail = self._source.unpack(packed, at)
        row.host = self._name
        return row, detail


class RowsOfAll(EventsOfAll):
    """What is asked of the hosts that are there."""

    def __init__(self, names: Sequence[str], sort: Sort | None) -> None:
        super().__init__(names)
        self.names = NoNames()
        self._sort = sort or Sort()
        self._rows: dict[int, tuple[_Of, HostRows]] = {}  # of each host, as they are now
        self._merged: tuple[list[HostRows], MergedRows] | None = None
        self._merging = threading.Lock()

    @contextmanager
    def one_tick(self) -> Iterator[Model | None]:
        with ExitStack() as stack:
            parts = [stack.enter_context(feed.one_tick()) for _, feed in self._live()]
            torn = any(part is None for part in parts)
            yield None if torn else self.latest()

    # --- rows ---

    def count(self) -> int:
        return sum(feed.count() for _, feed in self._live())

    def window(self, offset: int, rows: int) -> list[Row]:
        if rows <= 0 or offset < 0:
            return []
        return [row for row, _ in self._first(offset + rows)[offset : offset + rows]]

    def _first(self, count: int, *, details: bool = False) -> list[Pair]:
        """So many rows of all hosts in order, or more."""
        field = self._sort.field
        details = details or (field is not None and field.reads("info"))
        with self._merging:
            hosts = [self._rows_of(place, feed, details) for place, feed in self._live()]
            if self._merged is None or self._merged[0] != hosts:
                self._merged = hosts, MergedRows(hosts, self._sort)
            return self._merged[1].first(count)

    def _rows_of(self, place: int, feed: ReplayFeed, details: bool) -> HostRows:
        """Those at hand, while its tick is the same."""
        of = _Of(place, feed.latest(), feed.count(), details, self._sort)
        known = self._rows.get(place)
        if known is not None and known[0].same(of):
            return known[1]

        def read(offset: int, most: int) -> list[Pair]:
            found = [
                (row, feed.detail(row.cookie) if details else None)
                for row in feed.window(offset, most)
            ]
            return [(self._placed(place, row), detail) for row, detail in found]

        rows = HostRows(read)
        self._rows[place] = of, rows
        return rows

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        """Every matched socket in order; everything: what the hosts send whatever the filter."""
        if not everything:
            yield from self._first(max(1, self.count()), details=with_detail)
            return
        for place, feed in self._live():
            for row, detail in feed.rows_all(with_detail=with_detail, everything=True):
                yield self._placed(place, row), detail

    def packed_all(self, *, everything: bool = False) -> PackedHosts:
        """The same with details, as C has them."""
        from nettop.export.hostrows import PackedHost, PackedHosts

        keys = None if everything else packed_keys(self._sort)
        hosts = []
        for place, feed in self._live():
            name = self._names[place]
            source = _Called(feed.packed_now(everything=everything), name)
            hosts.append(PackedHost(name, source, feed.owners))
        return PackedHosts(hosts, keys, self._sort.field is None or self._sort.descending)

    def position(self, cookie: int) -> int | None:
        found = self._of(cookie)
        own = found[1].position(found[2]) if found is not None else None
        if own is None:
            return None
        count, most = own + 1, self.count()
        while True:
            for place, (row, _) in enumerate(self._first(count)):
                if row.cookie == cookie:
                    return place
            if count >= most:
                return None
            count = min(most, count * 4)

    def find(self, cookie: int) -> Row | None:
        found = self._of(cookie)
        row = found[1].find(found[2]) if found is not None else None
        return self._placed(found[0], row) if found is not None and row is not None else None

    def detail(self, cookie: int) -> Detail | None:
        found = self._of(cookie)
        return found[1].detail(found[2]) if found is not None else None

    def owners(self, row: Row) -> list[Proc]:
        found = self._of(row.cookie)
        return found[1].owners(row) if found is not None else []

    def matching(self, compiled: Filter | None = None) -> list[int]:
        return [
            cookie + merge.above(place)
            for place, feed in self._live()
            for cookie in feed.matching(compiled)
        ]

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        found = [feed.values(field, compiled) for _, feed in self._live()]
        return sum(rows for rows, _ in found), b"".join(values for _, values in found)

    def seconds_since(self, engine_s: int) -> float | None:
        """The hosts' engines began at different times."""
        return None

    def groups(self, grouping: Grouping) -> HostGroups:
        parts = [Part(self._names[at], at, feed.groups(grouping)) for at, feed in self._live()]
        return HostGroups(
            parts, merge.whole_host if grouping is Grouping.HOST else merge.host_group
        )

    def members(self, grouping: Grouping, cookie: int, *, most: int) -> list[int]:
        found = self._of(cookie)
        if found is None:
            return []
        place, feed, own = found
        return [c + merge.above(place) for c in feed.members(grouping, own, most=most)]

    def sum(self, cookies: Sequence[int]) -> Group | None:
        parts = [
            merge.host_group(self._names[place], place, group)
            for place, feed, own in self._split(cookies)
            if (group := feed.sum(own)) is not None
        ]
        if not parts:
            return None
        return merge.group_of(f"{sum(p.sockets for p in parts)} sockets", parts)

    # --- distributions ---

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        if cookies is None:
            found = [f.tx(None, run=run) for _, f in self._live()]
        else:
            found = [f.tx(own, run=run) for _, f, own in self._split(cookies)]
        known = [stages for stages in found if stages is not None]
        if not known:
            return None
        together = (merge.histogram_of(of_stage) for of_stage in zip(*known, strict=True))
        return tuple(h for h in together if h is not None)

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        if cookies is None:
            return merge.histogram_of(f.rx_wait(None, run=run) for _, f in self._live())
        return merge.histogram_of(f.rx_wait(own, run=run) for _, f, own in self._split(cookies))

    def history(self, cookie: int | None) -> list[Point]:
        """Of one socket, by its host's clock; None: of the one host there is."""
        if cookie is not None:
            found = self._of(cookie)
            return found[1].history(found[2]) if found is not None else []
        only = self._at(0) if len(self._names) == 1 else None
        return only.history(None) if only is not None else []
