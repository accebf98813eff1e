"""What every feed over an engine answers alike, be it polled or replayed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from nettop.derive import Deriver
from nettop.feed import Grouping
from nettop.history import Histories
from nettop.model.events import Closed, Event, EventMemory, EventType
from nettop.model.types import Detail, Group, Histogram, Point, Proc, Row, Sick

WINDOW = 256


class EngineFeed:
    """Rows, groups and distributions of the last tick; any thread may ask."""

    def __init__(self, deriver: Deriver) -> None:
        self._deriver = deriver
        self._histories = Histories()
        self._count = 0

    def count(self) -> int:
        return self._count

    def window(self, offset: int, rows: int) -> list[Row]:
        d = self._deriver
        return [d.name(row) for row in d.engine.window(offset, rows)]

    def sick(self, *, matched: bool = True) -> list[Sick]:
        """The sockets with a verdict that is watch or unwell, in no order."""
        return self._deriver.engine.sick(matched=matched)

    def position(self, cookie: int) -> int | None:
        return self._deriver.engine.position(cookie)

    def find(self, cookie: int) -> Row | None:
        row = self._deriver.engine.find(cookie)
        return self._deriver.name(row) if row else None

    def detail(self, cookie: int) -> Detail | None:
        return self._deriver.detail(cookie)

    def owners(self, inode: int) -> list[Proc]:
        return self._deriver.engine.owners(inode)

    def seconds_since(self, engine_s: int) -> float | None:
        return max(0.0, self._deriver.engine.milliseconds() / 1e3 - engine_s)

    def groups(self, grouping: Grouping) -> list[Group]:
        return self._deriver.groups(grouping)

    def sum(self, cookies: Sequence[int]) -> Group | None:
        return self._deriver.sum(cookies)

    def events(self, cookies: Sequence[int], *, most: int) -> list[Event]:
        return list(self._deriver.log.recent(cookies, most=most, filtered=True))

    def tick_events(
        self, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        return self._deriver.log.of_interval(most, filtered=not everything)

    def sockets_of_events(
        self, types: Collection[EventType], *, everything: bool = False
    ) -> tuple[set[int], int]:
        """Cookies of the sockets that events of these types befell in the last interval, chosen as
        tick_events does; and how many events were not looked at."""
        return self._deriver.log.sockets_of_interval(types, filtered=not everything)

    def events_memory(self, cookies: Sequence[int]) -> EventMemory | None:
        return self._deriver.log.memory(cookies)

    def closed(self, cookies: Sequence[int], *, most: int) -> list[Closed]:
        return list(self._deriver.log.closed(cookies, most=most, filtered=True))

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
