"""Rows of many hosts as C writes them, in one order: those of each host are in order already."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from nettop.engine.handle import PackedRows
from nettop.export import jsonout
from nettop.export.jsonrows import JsonRows, PackedRowSource
from nettop.model.types import Model
from nettop.text.fields import Field

_PIECE_ROWS = 64  # that are written together
_MARK = b"\x1e%s\x1e" % os.urandom(8).hex().encode("ascii")  # between two rows: no name has it
Keyed = Iterator[tuple[Any, bytes]]


class PackedHost(NamedTuple):
    """The rows of one host."""

    name: str  # as -H has it
    source: PackedRowSource
    owners: jsonout.Owners


class PackedHosts(NamedTuple):
    """The rows of all hosts."""

    hosts: Sequence[PackedHost]
    # What rows are ordered by, None of one of which that is not known, which stands last; without
    # keys the hosts stand one after the other.
    keys: Callable[[PackedRowSource, PackedRows], Sequence[Any]] | None
    descending: bool


def json_texts(rows: PackedHosts, *, lines: bool) -> Iterator[bytes]:
    """Elements of sockets, with what stands between them."""

    def texts(host: PackedHost) -> Iterator[tuple[PackedRows, Iterable[bytes]]]:
        head = f'{{"host":{jsonout.encode(host.name)},'.encode("ascii")
        writer = JsonRows(host.source, host.owners)
        for packed in host.source.packed:
            yield packed, (head + text[1:] for text in _split(writer.texts(packed, _MARK)))

    between, before = jsonout.between(lines=lines), b""
    for some in _pieces(rows, texts):
        yield before + between.join(some)
        before = between


def csv_texts(
    rows: PackedHosts, model: Model, fields: Sequence[Field] | None = None
) -> Iterator[bytes]:
    """A line per socket."""
    from nettop.export.csvrows import CsvLines

    lines = CsvLines(model, fields)

    def texts(host: PackedHost) -> Iterator[tuple[PackedRows, Iterable[bytes]]]:
        writer = lines.of(host.source)
        for packed in host.source.packed:
            yield packed, _split(writer(packed, _MARK))

    return map(b"".join, _pieces(rows, texts))


def _split(texts: Iterable[bytes | memoryview]) -> list[bytes]:
    return b"".join(bytes(text) for text in texts).split(_MARK)


def _pieces(
    rows: PackedHosts,
    texts: Callable[[PackedHost], Iterator[tuple[PackedRows, Iterable[bytes]]]],
) -> Iterator[Sequence[bytes]]:
    keys = rows.keys
    if keys is None:
        one_by_one = chain.from_iterable(some for h in rows.hosts for _, some in texts(h))
        return _batched(one_by_one)
    known, unknown = (1, 0) if rows.descending else (0, 1)

    def keyed(host: PackedHost) -> Keyed:
        for packed, some in texts(host):
            for key, text in zip(keys(host.source, packed), some, strict=True):
                yield ((unknown,) if key is None else (known, key)), text

    found = heapq.merge(*map(keyed, rows.hosts), key=lambda r: r[0], reverse=rows.descending)
    return _batched(text for _, text in found)


def _batched(texts: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    texts = iter(texts)
    while some := list(islice(texts, _PIECE_ROWS)):
        yield some
