"""Parquet: the table of CSV with types, for DuckDB, pandas and the like. Needs pyarrow.

A row per socket per tick; unknown is null. `taken` is a timestamp in UTC with nanoseconds; times
are whole nanoseconds, sizes whole bytes, flags booleans, codes their words. Row groups
are written as they fill, so that a few ticks and a row group are all that is in memory; the footer
comes last, and without it the file is none.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Any

from nettop.engine.wire import EMPTY_REC
from nettop.errors import NettopError
from nettop.export.jsonout import neat
from nettop.model.tcpinfo import TCP_INFO
from nettop.model.types import Detail, Model, Row
from nettop.text.columns import endpoint, reader
from nettop.text.fields import FIELDS, Field, Formula, Kind, Loc

TAKEN = "taken"
GROUP_ROWS = 16384
_BATCH_ROWS = 2048
_WAITING = 2  # ticks that may wait for the disk
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_FLAGS = frozenset(info.name for info in TCP_INFO if info.width == 1)

Batches = list[Any]  # pyarrow's record batches


def type_name(field: Field) -> str:
    """What a column holds: string, bool, float64, int64 or (identities) uint64."""
    if field.loc is None or field.words:
        return "string"
    if field.id == "cookie":
        return "uint64"
    if isinstance(field.loc, Formula):
        whole = field.loc.sign != "/" and _is_whole(field.loc.left) and _is_whole(field.loc.right)
        return "int64" if whole else "float64"
    if field.loc.base == "info" and field.loc.member in _FLAGS:
        return "bool"
    return "int64" if _is_whole(field.loc) else "float64"


def _is_whole(loc: Loc) -> bool:
    if loc.base == "rec" and isinstance(getattr(EMPTY_REC, loc.member), float):
        return False
    return loc.scale >= 1


class ParquetTable:
    """One file. A thread of its own writes it: a signal, which reaches the main thread, finds a
    tick in the file or not, but never a part of one."""

    def __init__(
        self, write: Callable[[bytes], object], fields: Sequence[Field] | None = None
    ) -> None:
        """write: takes bytes; called by the thread."""
        import pyarrow

        chosen = tuple(fields or FIELDS.values())
        self._readers = [(field, reader(field), type_name(field)) for field in chosen]
        types = [(f.csv_name, getattr(pyarrow, _ARROW[type_name(f)])()) for f in chosen]
        self._schema = pyarrow.schema([(TAKEN, pyarrow.timestamp("ns", tz="UTC")), *types])
        self._queue: SimpleQueue[Batches | None] = SimpleQueue()
        self._room = threading.Semaphore(_WAITING)
        self._failure: BaseException | None = None
        self._sink = _Sink(write)
        self._thread = threading.Thread(target=self._run, name="nettop-parquet", daemon=True)
        self._thread.start()

    def add(self, model: Model, rows: Iterable[tuple[Row, Detail | None]]) -> None:
        """Takes one tick in.

        Raises:
            NettopError: what came before cannot be written.
        """
        batches: Batches = []
        part: list[tuple[Row, Detail | None]] = []
        for one in rows:
            part.append(one)
            if len(part) >= _BATCH_ROWS:
                batches.append(self._batch(model.wall_ns, part))
                part = []
        if part:
            batches.append(self._batch(model.wall_ns, part))
        self._check()
        self._room.acquire()
        self._check()
        self._queue.put(batches)

    def _batch(self, wall_ns: int, rows: Sequence[tuple[Row, Detail | None]]) -> Any:
        import pyarrow

        columns: list[list[Any]] = [[wall_ns] * len(rows)]
        for field, read, kind in self._readers:
            if field.kind is Kind.ADDRESS:
                columns.append([endpoint(row, local=field.id == "local") for row, _ in rows])
            else:
                said = field.said
                columns.append([_value(said(read(row, detail)), kind) for row, detail in rows])
        arrays = [
            pyarrow.array(values, type=kind)
            for values, kind in zip(columns, self._schema.types, strict=True)
        ]
        return pyarrow.record_batch(arrays, schema=self._schema)

    def end(self) -> None:
        """Writes what is left, and the footer.

        Raises:
            NettopError: it cannot be written.
        """
        self._queue.put(None)
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if isinstance(self._failure, NettopError):
            raise self._failure
        if self._failure is not None:
            raise NettopError(f"cannot write the table: {self._failure}")

    # --- the thread ---

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as error:
            self._failure = error
            self._room.release()  # whoever waits for it gets the error

    def _write_all(self) -> None:
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        group: Batches = []
        n_rows = 0
        with ParquetWriter(self._sink, self._schema, compression="zstd") as writer:
            while (batches := self._queue.get()) is not None:
                for batch in batches:
                    group.append(batch)
                    n_rows += batch.num_rows
                    if n_rows >= GROUP_ROWS:
                        writer.write_table(pyarrow.Table.from_batches(group))
                        group, n_rows = [], 0
                self._room.release()
            if group:
                writer.write_table(pyarrow.Table.from_batches(group))


_ARROW = {"string": "string", "bool": "bool_", "float64": "float64", "int64": "int64",
          "uint64": "uint64"}  # fmt: skip


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "string":
        return str(value)  # a code without a word is a number
    if kind == "float64":
        return neat(value)
    if kind == "bool":
        return bool(value)
    # No kernel counts as far; a file that says so is damaged.
    return int(value) if kind == "uint64" or _LEAST <= value <= _MOST else None


class _Sink(io.RawIOBase):
    """As much of a file as pyarrow asks of one: what to write, and where it stands."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write, self._at = write, 0

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._write(raw)
        self._at += len(raw)
        return len(raw)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) != (0, io.SEEK_CUR):
            raise io.UnsupportedOperation("seek")
        return self._at

    def writable(self) -> bool:
        return True
