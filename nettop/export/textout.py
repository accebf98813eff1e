"""A tick as a plain text table in UTF-8, or ASCII."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nettop.model.types import Detail, Model, Row
from nettop.text.table import TableStyle, table_lines

_CHUNK_LINES = 128


def write_text(
    write: Callable[[bytes], object],
    model: Model,
    rows: Iterable[tuple[Row, Detail | None]],
    style: TableStyle,
    *,
    filter_text: str | None = None,
    file: str | None = None,
) -> None:
    """Writes the table, a line at a time; the OSError of write comes through."""
    chunk: list[str] = []
    for line in table_lines(model, rows, style, filter_text=filter_text, file=file):
        chunk.append(line)
        if len(chunk) >= _CHUNK_LINES:
            write(("\n".join(chunk) + "\n").encode("utf-8", "replace"))
            chunk.clear()
    if chunk:
        write(("\n".join(chunk) + "\n").encode("utf-8", "replace"))
