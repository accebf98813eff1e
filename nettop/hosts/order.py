"""The rows of many hosts in one order: each host's are in order already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nettop.feed import Sort
from nettop.model.types import AF_INET, Detail, Row
from nettop.text.columns import reader

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


def _unwell(row: Row, _: Detail | None) -> tuple[int, int, int]:
    """Level, then strength, then traffic in powers of two."""
    rec = row.rec
    flow = 0 if rec.level else int(max(0.0, rec.flow_bytes_per_s)).bit_length()
    return rec.level, rec.strength, min(flow, 60)


def _local(row: Row, _: Detail | None) -> tuple[bool, bytes, int]:
    return row.rec.family != AF_INET, row.rec.src, row.rec.sport


def _remote(row: Row, _: Detail | None) -> tuple[bool, bytes, int]:
    return row.rec.family != AF_INET, row.rec.dst, row.rec.dport
