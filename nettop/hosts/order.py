"""The rows of many hosts in one order: each host's are in order already."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from nettop.engine.handle import PackedRows
from nettop.engine.wire import TEXT_NUMBERS, column_of
from nettop.feed import Sort
from nettop.model.types import AF_INET, Detail, Row
from nettop.text.columns import reader

if TYPE_CHECKING:
    from nettop.export.jsonrows import PackedRowSource

Pair = tuple[Row, Detail | None]
Key = Callable[[Row, Detail | None], Any]  # None: not known, which stands last
Rank = tuple[int, Any] | tuple[int]
# Rows of a host that are read at once: at least, and at most.
_LEAST, _MOST = 16, 256
_CONG_BYTES = 8  # of the name of a congestion control that the helper orders by


class HostRows:
    """The rows of one host at one tick, in its order; read as far as they are wanted."""

    def __init__(self, read: Callable[[int, int], Sequence[Pair]]) -> None:
        """read: rows from a place on, at most so many."""
        self._read = read
        self._rows: list[Pair] = []
        self._at = 0
        self._seen: set[int] = set()

    def __iter__(self) -> Iterator[Pair]:
        at = 0
        while at < len(self._rows) or self._more():
            yield self._rows[at]
            at += 1

    def _more(self) -> bool:
        """A tick that comes between two reads may move a row, which is not to be there twice."""
        while some := self._read(self._at, min(_MOST, max(_LEAST, self._at))):
            self._at += len(some)
            fresh = [pair for pair in some if pair[0].cookie not in self._seen]
            self._seen.update(row.cookie for row, _ in fresh)
            self._rows += fresh
            if fresh:
                return True
        return False


class MergedRows:
    """Rows of all hosts in one order, made as far as they are wanted."""

    def __init__(self, hosts: Sequence[Iterable[Pair]], sort: Sort) -> None:
        key, descending = key_of(sort), _descends(sort)
        self._found: list[Pair] = []
        self._rest = heapq.merge(
            *hosts, key=lambda pair: rank(key(*pair), descending), reverse=descending
        )

    def first(self, count: int) -> list[Pair]:
        """So many, or more, or all."""
        self._found += islice(self._rest, max(0, count - len(self._found)))
        return self._found


def rank(key: Any, descending: bool) -> Rank:
    """What is compared: a key that is not known stands last either way."""
    if key is None:
        return (0,) if descending else (1,)
    return (1, key) if descending else (0, key)


def _descends(sort: Sort) -> bool:
    return sort.field is None or sort.descending


def key_of(sort: Sort) -> Key:
    """As the helper orders the rows of one host."""
    field = sort.field
    if field is None:
        return _unwell
    if field.id in _KEYS:
        return _KEYS[field.id]
    if field.loc is not None:
        return reader(field)
    # By the number that stands for a text, or there is nothing to order by.
    number = TEXT_NUMBERS.get(field.id)
    if number is None:
        return _unwell
    read = attrgetter(number)
    return lambda row, _: read(row.rec)


def packed_keys(sort: Sort) -> Callable[[PackedRowSource, PackedRows], Sequence[Any]]:
    """Keys of rows as C has them, those of the usual order without reading all of a row."""
    field = sort.field
    if field is None:
        return _unwell_keys
    key, info = key_of(sort), field.reads("info")

    def keys(source: PackedRowSource, packed: PackedRows) -> list[Any]:
        raw, details, known = packed
        of = packed if info else (raw, details, [False] * len(known))
        return [key(*source.unpack(of, at)) for at in range(len(known))]

    return keys


def _unwell_keys(source: PackedRowSource, packed: PackedRows) -> list[tuple[int, int, int]]:
    return [
        (level, strength, 0 if level else min(int(max(0.0, flow)).bit_length(), 60))
        for level, strength, flow in zip(
            *(column_of(packed[0], name) for name in ("level", "strength", "flow_bytes_per_s")),
            strict=True,
        )
    ]


def _unwell(row: Row, _: Detail | None) -> tuple[int, int, int]:
    """Level, then strength, then traffic in powers of two."""
    rec = row.rec
    flow = 0 if rec.level else int(max(0.0, rec.flow_bytes_per_s)).bit_length()
    return rec.level, rec.strength, min(flow, 60)


def _local(row: Row, _: Detail | None) -> tuple[bool, bytes, int]:
    return row.rec.family != AF_INET, row.rec.src, row.rec.sport


def _remote(row: Row, _: Detail | None) -> tuple[bool, bytes, int]:
    return row.rec.family != AF_INET, row.rec.dst, row.rec.dport


def _proc(row: Row, _: Detail | None) -> tuple[str, int] | None:
    return (row.proc.comm, row.proc.pid) if row.proc.pid else None


def _who(row: Row, _: Detail | None) -> tuple[int, int] | None:
    return (row.rec.who, row.rec.verdict) if row.rec.verdicts else None


def _cong(row: Row, _: Detail | None) -> str | None:
    return row.cong[:_CONG_BYTES] if row.cong else None


_KEYS: dict[str, Key] = {
    "local": _local, "remote": _remote, "proc": _proc, "comm": _proc, "who": _who, "cc": _cong,
    "host": lambda row, _: row.host,
}  # fmt: skip
