"""CSV: one row per socket per tick, one column per field of the registry, numbers in base units.

The names of the columns end in the unit; unknown is empty. RFC 4180: CRLF, quotes doubled. A
text that a spreadsheet would take for a formula gets a leading apostrophe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nettop.export.jsonout import neat
from nettop.export.times import utc_text
from nettop.model.types import Detail, Model, Row
from nettop.text.columns import endpoint, reader
from nettop.text.fields import FIELDS, Field, Kind, Value

Write = Callable[[bytes], object]

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
    readers = [(field, reader(field)) for field in fields or FIELDS.values()]
    taken = utc_text(model.wall_ns)
    chunk: list[str] = []
    for row, detail in rows:
        cells = [taken]
        for field, read in readers:
            if field.kind is Kind.ADDRESS:
                cells.append(endpoint(row, local=field.id == "local"))
                continue
            value = read(row, detail)
            cells.append(str(value) if type(value) is int else _cell(value))
        chunk.append(",".join(cells) + "\r\n")
        if len(chunk) >= _CHUNK_ROWS:
            write("".join(chunk).encode("utf-8", "backslashreplace"))
            chunk.clear()
    if chunk:
        write("".join(chunk).encode("utf-8", "backslashreplace"))


def _cell(value: Value) -> str:
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
