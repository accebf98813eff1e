"""The feed of an opened snapshot: its sockets in an engine of their own, nothing is polled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nettop.engine import ffi
from nettop.engine.handle import Engine
from nettop.export.load import LoadedSnapshot
from nettop.feed import BETWEEN_S, Grouping, NotPolled, Sort
from nettop.groups import Groups, matched_totals, sum_of
from nettop.model.events import ALL_TYPES, Closed, Event, EventMemory, EventType
from nettop.model.types import (
    NO_DIST,
    Detail,
    Group,
    Histogram,
    Model,
    PlaneHas,
    Point,
    Proc,
    Proto,
    Row,
)
from nettop.users import USERS

if TYPE_CHECKING:
    from nettop.query.compile import Filter
    from nettop.text.fields import Field

_WINDOW = 256
_UPTO = 512
_NO_UID = 1 << 32  # one more than a record can hold


class FileNames:
    """The names that the file gives to the numbers of its records; a NameSets of filters too."""

    def __init__(self, snapshot: LoadedSnapshot) -> None:
        self._snapshot = snapshot

    def user(self, uid: int) -> str | None:
        return self._snapshot.users.get(uid)

    def netns_name(self, inode: int) -> str | None:
        return self._snapshot.netns.get(inode)

    def device(self, netns: int, ifindex: int) -> str | None:
        return self._snapshot.devices.get((netns, ifindex))

    def devices(self, name: str) -> list[tuple[int, int]]:
        return [at for at, dev in self._snapshot.devices.items() if dev == name]

    def cgroup(self, cgroup_id: int) -> str | None:
        return self._snapshot.cgroups.get(cgroup_id, (None, None))[0]

    def container(self, path: str) -> str | None:
        return next((c for p, c in self._snapshot.cgroups.values() if p == path), None)

    def cgroup_ids(self, pattern: str) -> list[int]:
        """Cgroups whose path, name or container matches; below a match all match."""
        wanted = pattern if pattern == "/" else pattern.rstrip("/")
        return [
            cgroup_id
            for cgroup_id, (path, container) in self._snapshot.cgroups.items()
            if (path and _below(path, wanted)) or (container and _matches(container, wanted))
        ]

    def container_ids(self, pattern: str) -> list[int]:
        """Cgroups of the containers that are called so, in letters of any case."""
        cgroups = self._snapshot.cgroups.items()
        low = pattern.lower()
        return [i for i, (_, name) in cgroups if name and _matches(name.lower(), low)]

    def netns_ids(self, pattern: str) -> list[int]:
        return [inode for inode, name in self._snapshot.netns.items() if _matches(name, pattern)]

    def is_host(self, pattern: str) -> bool:
        return fnmatchcase(self._snapshot.model.host.lower(), pattern.lower())

    def uid(self, name: str) -> int | None:
        """By the file; of this host only a uid that the file has no name for."""
        users = self._snapshot.users
        found = next((uid for uid, user in users.items() if user == name), None)
        if found is not None:
            return found
        here = USERS.uid(name)
        return _NO_UID if here in users else here


def _matches(name: str, pattern: str) -> bool:
    """A name may itself have the letters of a pattern."""
    return name == pattern or fnmatchcase(name, pattern)


def _below(path: str, pattern: str) -> bool:
    return (
        _matches(path, pattern)
        or path.startswith(f"{pattern}/")
        or _matches(path.rsplit("/", 1)[-1], pattern)
    )


class FileFeed(NotPolled):
    """A Feed whose one model never changes but for the totals of its filter."""

    live = False

    def __init__(self, snapshot: LoadedSnapshot) -> None:
        self.title: str | None = snapshot.name
        self.filter_text = self.file_filter = snapshot.filter_text
        self._snapshot = snapshot
        self.names = FileNames(snapshot)
        self._model = snapshot.model
        self._engine = Engine(tail=lambda: snapshot.tail)
        self._engine.config.rows_all = 1
        self._engine.configure()
        details = ffi.from_buffer("struct nt_detail[]", snapshot.details)
        self._engine.load(bytes(snapshot.rows), details, snapshot.count)
        snapshot.rows, snapshot.details = bytearray(), bytearray()
        self._sort = Sort()
        self._count = 0
        self._everything: Filter | None = None
        self._reorder()

    def _reorder(self) -> None:
        sort = self._sort
        self._count = self._engine.order(sort.field, sort.descending, _UPTO, False)

    # --- the screen's side ---

    def start(self, on_model: Callable[[], None]) -> None:
        on_model()

    def stop(self) -> None: ...

    close = stop

    between_s = BETWEEN_S

    def between(self) -> None: ...

    def tick(self, missed: int = 0) -> Model:
        return self._model

    def latest(self) -> Model | None:
        return self._model

    def one_tick(self) -> AbstractContextManager[Model | None]:
        return nullcontext(self._model)

    def matching(self, compiled: Filter | None = None) -> list[int]:
        return self._engine.matching(compiled)

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        return self._engine.values(field, compiled)

    def count(self) -> int:
        return self._count

    def window(self, offset: int, rows: int) -> list[Row]:
        return [self._named(row) for row in self._engine.window(offset, rows)]

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        """Every matched socket in order; everything: whatever the filter."""
        if everything and self._everything is not None:
            compiled = self._everything
            self.set_filter(None)
            try:
                yield from self.rows_all(with_detail=with_detail)
            finally:
                self.set_filter(compiled)
            return
        offset = 0
        while rows := self.window(offset, _WINDOW):
            for row in rows:
                yield row, self._detail(row) if with_detail else None
            offset += len(rows)

    def packed_all(self, *, everything: bool = False) -> None:
        """What the file leaves out is in no record."""

    def events(
        self, cookies: Sequence[int], *, most: int, types: Collection[EventType] = ALL_TYPES
    ) -> list[Event]:
        return []

    def tick_events(
        self, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        return (), {}

    def events_memory(self, cookies: Sequence[int]) -> EventMemory | None:
        return None

    def closed(self, cookies: Sequence[int], *, most: int) -> list[Closed]:
        return []

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        """Of a file the interval alone, without buckets."""
        if run:
            return None
        if cookies is None:
            return tuple(Histogram(d, ()) for d in self._model.tx) if self._model.tx else None
        row = self.find(cookies[0]) if len(cookies) == 1 else None
        if row is None or not row.plane.has & PlaneHas.TX:
            return None
        return tuple(Histogram(dist, ()) for dist in row.plane.tx)

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        """Of a file the interval alone; of sockets without buckets, so that two do not add up."""
        whole = self._snapshot.model.rx_wait
        if run or whole is None:
            return None
        if cookies is None:
            if self._everything is None:
                return whole
            if self._count > 1:
                return None
            cookies = [row.cookie for row in self.window(0, 1)]
        rows = [row for row in map(self.find, cookies) if row is not None]
        waits = [row.plane.wait for row in rows if row.plane.wait.count]
        return Histogram(waits[0] if waits else NO_DIST, ()) if len(waits) < 2 else None

    def position(self, cookie: int) -> int | None:
        return self._engine.position(cookie)

    def find(self, cookie: int) -> Row | None:
        row = self._engine.find(cookie)
        return self._named(row) if row else None

    def detail(self, cookie: int) -> Detail | None:
        row = self._engine.find(cookie)
        return self._detail(row) if row else None

    def owners(self, row: Row) -> list[Proc]:
        return self._snapshot.holders.get(row.rec.inode, [])

    def seconds_since(self, engine_s: int) -> float | None:
        return None

    def groups(self, grouping: Grouping) -> Groups:
        return Groups(self._engine.groups(grouping), grouping, self.names)

    def members(self, grouping: Grouping, cookie: int, *, most: int) -> list[int]:
        return self._engine.members(grouping, cookie, most)

    def sum(self, cookies: Sequence[int]) -> Group | None:
        g = self._engine.sum(cookies)
        return sum_of(g, self.names) if g is not None else None

    def history(self, cookie: int | None) -> list[Point]:
        return []

    def set_focus(self, cookies: Sequence[int]) -> None: ...

    def set_filter(self, compiled: Filter | None) -> None:
        """Puts a filter in force, whose names are those of the file whatever this host has."""
        if compiled is not None:
            from nettop.query.compile import compile_filter

            compiled = compile_filter(compiled.text, self.names)
        self._everything = compiled
        self._engine.set_filter(compiled)
        self._reorder()
        totals = self._snapshot.model.totals
        if compiled is not None:
            has_rates = self._snapshot.model.interval_s is not None
            totals = replace(totals, **matched_totals(self._engine.totals(), has_rates))
        self._model = replace(
            self._model,
            seq=self._model.seq + 1,
            totals=totals,
            rx_wait=self.rx_wait(None, run=False),
            chosen=compiled is not None or self._snapshot.model.chosen,
        )

    def set_sort(self, sort: Sort) -> None:
        self._sort = sort
        self._reorder()

    def clear(self) -> None: ...

    # --- records to rows ---

    def _named(self, row: Row) -> Row:
        rec, names = row.rec, self.names
        row.host = self._snapshot.model.host
        row.user = names.user(rec.uid)
        row.netns_name = names.netns_name(rec.netns)
        if rec.ifindex:
            row.dev = names.device(rec.netns, rec.ifindex)
        if rec.cgroup_id:
            row.cgroup, row.container = self._snapshot.cgroups[rec.cgroup_id]
        return row

    def _detail(self, row: Row) -> Detail | None:
        detail = self._engine.detail(row.cookie, tcp=row.proto == Proto.TCP)
        hole = self._snapshot.holes.get(row.cookie)
        if detail is None or hole is None:
            return detail
        known = {n: v for n, v in detail.tcp_info.items() if n not in hole.names}
        length = detail.tcp_info_len if hole.length_known else 0
        return replace(detail, tcp_info=known, tcp_info_len=length)
