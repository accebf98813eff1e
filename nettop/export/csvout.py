"""CSV: one row per socket per tick, one column per field of the registry, numbers in base units.

The names of the columns end in the unit; a code is its word; unknown is empty. RFC 4180:
CRLF, quotes doubled. A text that a spreadsheet would take for a formula gets a leading apostrophe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nettop.export.jsonout import neat
from nettop.export.times import utc_text
from nettop.model.types import Detail, Model, Row
from nettop.text.columns import endpoint, reader
from nettop.text.fields import FIELDS, Field, Kind, Value

Write = Callable[[bytes], object]

Readers = Sequence[tuple[Field, Callable[[Row, Detail | None], Value]]]

TAKEN = "taken"  # first column: UTC time of the tick
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NEEDS_QUOTES = frozenset(',"\r\n')
_CHUNK_ROWS = 64


def write_header(write: Write, fields: Sequence[Field] | None = None) -> None:
    """Writes the line of names."""
    names = [TAKEN, *(f.csv_name for f in fields or FIELDS.values())]
    write((",".join(map(_quoted, names)) + "\r\n").encode())


def write_rows(
    write: Write,
    model: Model,
    rows: Iterable[tuple[Row, Detail | None]],
    fields: Sequence[Field] | None = None,
) -> None:
    """Writes a line per socket; the OSError of write comes through."""
    taken, chosen = utc_text(model.wall_ns), readers(list(fields or FIELDS.values()))
    chunk: list[bytes] = []
    for row, detail in rows:
        chunk.append(line(taken, row, detail, chosen))
        if len(chunk) >= _CHUNK_ROWS:
            write(b"".join(chunk))
            chunk.clear()
    if chunk:
        write(b"".join(chunk))


def readers(fields: Sequence[Field]) -> Readers:
    """What line() wants."""
    return [(field, reader(field)) for field in fields]


def line(taken: str, row: Row, detail: Detail | None, chosen: Readers) -> bytes:
    """Of one socket."""
    cells = [taken]
    for field, read in chosen:
        if field.kind is Kind.ADDRESS:
            cells.append(endpoint(row, local=field.id == "local"))
            continue
        value = field.said(read(row, detail))
        cells.append(str(value) if type(value) is int else cell(value))
    return (",".join(cells) + "\r\n").encode("utf-8", "backslashreplace")


def cell(value: Value) -> str:
    """A value between two commas."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _quoted(f"'{value}" if value.startswith(_FORMULA) else value)
    if isinstance(value, int):
        return str(int(value))
    text = repr(neat(value))
    return text.removesuffix(".0")


def _quoted(text: str) -> str:
    if _NEEDS_QUOTES.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'
