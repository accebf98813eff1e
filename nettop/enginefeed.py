"""What every feed over an engine answers alike, be it polled or replayed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nettop.derive import Deriver, RowNames
from nettop.feed import Grouping
from nettop.groups import Groups
from nettop.heldrows import HeldRows
from nettop.history import Histories
from nettop.model.events import ALL_TYPES, Closed, Event, EventMemory, EventType
from nettop.model.types import (
    Detail,
    Group,
    Histogram,
    HostCounters,
    Model,
    Point,
    Proc,
    Row,
    Sick,
)

if TYPE_CHECKING:
    from nettop.engine.counter import Counter, Key
    from nettop.engine.handle import PackedRows
    from nettop.model.tcpinfo import InfoField
    from nettop.query.compile import Filter
    from nettop.text.fields import Field

WINDOW = 256
# Sweeps of fewer sockets are waited for, and not longer than this.
LONG_SOCKETS = 5_000
TICK_WAIT_S = 0.1


class _Drawing(threading.local):
    """What a thread sees while it draws beside a long sweep; the poller sees all."""

    torn = False
    shown: HeldRows | None = None


class EngineFeed:
    """Rows, groups and distributions of the last tick; any thread may ask."""

    file_filter: str | None = None

    def __init__(self, deriver: Deriver) -> None:
        self._deriver = deriver
        self._histories = Histories()
        self._count = 0
        self._model: Model | None = None
        # Held while a tick is replaced, while all rows are copied, and while a picture is drawn.
        self._changing = threading.RLock()
        self._looked = (0, 0)  # the window that was asked for last
        self._focus: tuple[int, ...] = ()
        self._held: HeldRows | None = None  # while a long sweep is under way
        self._drawing = _Drawing()

    def latest(self) -> Model | None:
        return self._model

    # --- one picture, one tick ---

    @contextmanager
    def one_tick(self) -> Iterator[Model | None]:
        mine = self._drawing
        if mine.torn:  # nested: the picture stays what it is
            yield None
            return
        held = self._held
        # The first sweep has nothing to show before its end.
        at_once = self._model is None or self._sockets() > LONG_SOCKETS
        if self._changing.acquire(timeout=0 if at_once else TICK_WAIT_S):
            try:
                yield self._model
            finally:
                self._changing.release()
            return
        mine.torn, mine.shown = True, held or self._held
        try:
            yield None
        finally:
            mine.torn, mine.shown = False, None

    @contextmanager
    def _replacing(self) -> Iterator[None]:
        """The tick is replaced by the next; if that may take long its rows on the screen stay."""
        if self._sockets() > LONG_SOCKETS:
            d = self._deriver
            self._held = HeldRows(d.engine, d.name, self._looked, self._focus, self._count)
        with self._changing:
            try:
                yield
            finally:
                self._held = None

    def _sockets(self) -> int:
        """How many a sweep reads, about."""
        return 0

    def _reordered(self) -> None:
        """Rows that are held do not have their places any more."""
        self._held = self._drawing.shown = None

    def count(self) -> int:
        shown = self._drawing.shown
        return shown.count if shown is not None else self._count

    def window(self, offset: int, rows: int) -> list[Row]:
        d = self._deriver
        self._looked = offset, rows
        shown = self._drawing.shown
        held = shown.window(offset, rows) if shown is not None else None
        if held is not None:
            return held
        found = d.engine.window(offset, rows)
        for row in reversed(found):
            d.name(row)  # where names come late, what is asked for last comes first: the top row's
        return found

    def sick(self, *, matched: bool = True) -> list[Sick]:
        """The sockets with a verdict that is watch or unwell, in no order."""
        return self._deriver.engine.sick(matched=matched)

    def matching(self, compiled: Filter | None = None) -> list[int]:
        """Cookies of the sockets that a filter (None: the one in force) lets through now."""
        return self._deriver.engine.matching(compiled)

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        return self._deriver.engine.values(field, compiled)

    def position(self, cookie: int) -> int | None:
        shown = self._drawing.shown
        place = shown.position(cookie) if shown is not None else None
        if place is not None:
            return place
        return self._deriver.engine.position(cookie)

    def find(self, cookie: int) -> Row | None:
        shown = self._drawing.shown
        held = shown.find(cookie) if shown is not None else None
        if held is not None:
            return held[0]
        row = self._deriver.engine.find(cookie)
        return self._deriver.name(row) if row else None

    def detail(self, cookie: int) -> Detail | None:
        shown = self._drawing.shown
        held = shown.find(cookie) if shown is not None else None
        if held is not None:
            return held[1]
        return self._deriver.detail(cookie)

    def owners(self, row: Row) -> list[Proc]:
        return self._deriver.engine.owners(row.rec.inode) if row.rec.inode else []

    def seconds_since(self, engine_s: int) -> float | None:
        return max(0.0, self._deriver.engine.milliseconds() / 1e3 - engine_s)

    def groups(self, grouping: Grouping) -> Groups:
        return self._deriver.groups(grouping)

    def members(self, grouping: Grouping, cookie: int, *, most: int) -> list[int]:
        return self._deriver.engine.members(grouping, cookie, most)

    def sum(self, cookies: Sequence[int]) -> Group | None:
        return self._deriver.sum(cookies)

    def events(
        self, cookies: Sequence[int], *, most: int, types: Collection[EventType] = ALL_TYPES
    ) -> list[Event]:
        return list(self._deriver.log.recent(cookies, most=most, types=types, filtered=True))

    def tick_events(
        self, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        return self._deriver.log.of_interval(most, filtered=not everything)

    def befallen(
        self, types: Collection[EventType], *, everything: bool = False
    ) -> tuple[set[tuple[int, int]], int]:
        """Cookies of the sockets that events of these types befell in the last interval, each with
        the type, chosen as tick_events does; and how many events were not looked at."""
        return self._deriver.log.befallen(types, filtered=not everything)

    def listed_events(self, most: int, types: Collection[EventType]) -> tuple[Sequence[Event], int]:
        """Of the last interval, of these types and of sockets that match, newest first; and how
        many more there are records of."""
        return self._deriver.log.listed(most, types)

    def events_memory(self, cookies: Sequence[int]) -> EventMemory | None:
        return self._deriver.log.memory(cookies)

    def closed(self, cookies: Sequence[int], *, most: int) -> list[Closed]:
        return list(self._deriver.log.closed(cookies, most=most, filtered=True))

    def count_sockets(
        self, counter: Counter, now_ns: int, after: int, *, filtered: bool
    ) -> list[Key]:
        """Begins to count the matched sockets, as Counter.begin(); for the thread that polls."""
        return counter.begin(self._deriver.engine, now_ns, after, filtered=filtered)

    @property
    def row_names(self) -> RowNames:
        """What this host calls the numbers of its sockets."""
        return self._deriver.names

    @property
    def host_counters(self) -> HostCounters:
        """As they were read last."""
        return self._deriver.facts.counters

    def history(self, cookie: int | None) -> list[Point]:
        return self._histories.of(cookie)

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        return self._deriver.rx_wait(cookies, run=run)

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        return self._deriver.tx(cookies, run=run)

    def _rows(self, with_detail: bool) -> Iterator[tuple[Row, Detail | None]]:
        """All in order, a few hundred at a time."""
        offset = 0
        while rows := self.window(offset, WINDOW):
            for row in rows:
                yield row, (self._deriver.detail_of(row) if with_detail else None)
            offset += len(rows)

    def _packed(self) -> Iterator[PackedRows]:
        """The same with details, as C has them."""
        offset = 0
        while (some := self._deriver.engine.packed(offset, WINDOW))[2]:
            yield some
            offset += len(some[2])

    def _packed_source(self, packed: Iterator[PackedRows]) -> PackedRowSource:
        return PackedRowSource(packed, self._deriver)


class PackedRowSource:
    """As nettop.export wants it."""

    def __init__(self, packed: Iterator[PackedRows], deriver: Deriver) -> None:
        self.packed = packed
        self._deriver = deriver

    @property
    def tail(self) -> tuple[InfoField, ...]:
        return self._deriver.engine.tail

    def unpack(self, packed: PackedRows, at: int) -> tuple[Row, Detail | None]:
        """With its names."""
        row, detail = self._deriver.engine.unpack(packed, at)
        return self._deriver.name(row), detail
