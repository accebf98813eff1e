"""The rows of many hosts in one order: each host's are in order already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nettop.engine.handle import PackedRows
from nettop.engine.wire import column_of
from nettop.feed import Sort
from nettop.model.types import AF_INET, Detail, Row
from nettop.text.columns import reader

if TYPE_CHECKING:
    from nettop.export.jsonrows import PackedRowSource

# Texts whose keys here order rows as the helper does.
_ORDERED = frozenset({"local", "remote", "proc", "comm", "who", "host"})
Key = Callable[[Row, Detail | None], Any]  # None: not known, which stands last


def key_of(sort: Sort) -> Key:
    """As the helper orders the rows of one host."""
    field = sort.field
    if field is None:
        return _unwell
    if field.id in ("local", "remote"):
        return _local if field.id == "local" else _remote
    if field.id in ("proc", "comm"):
        return lambda row, _: (row.proc.comm, row.proc.pid) if row.proc.pid else None
    if field.id == "who":
        return lambda row, _: (row.rec.who, row.rec.verdict) if row.rec.verdicts else None
    return reader(field)


def merged(rows: list[tuple[Row, Detail | None]], sort: Sort) -> list[tuple[Row, Detail | None]]:
    """rows: of each host in its order, one host after the other."""
    key = key_of(sort)
    known: list[tuple[Any, tuple[Row, Detail | None]]] = []
    unknown: list[tuple[Row, Detail | None]] = []
    for pair in rows:
        value = key(*pair)
        if value is None:
            unknown.append(pair)
        else:
            known.append((value, pair))
    # Stable both ways: rows of one host keep their order.
    known.sort(key=lambda item: item[0], reverse=sort.field is None or sort.descending)
    return [pair for _, pair in known] + unknown


def packed_keys(sort: Sort) -> Callable[[PackedRowSource, PackedRows], Sequence[Any]] | None:
    """Keys of rows as C has them, those of the usual order without reading all of a row; None: the
    rows of one host are not in the order of these keys."""
    field = sort.field
    if field is None:
        return _unwell_keys
    if field.loc is None and field.id not in _ORDERED:
        return None
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
