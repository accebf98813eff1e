"""A tick to a file, or to any writer, in the format that the options or the ending choose."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from nettop.errors import UsageError
from nettop.export.formats import SUFFIXES, Format
from nettop.feed import Feed, OfHosts
from nettop.model.events import Event, EventType
from nettop.model.types import Detail, Model, Row
from nettop.text.columns import DEFAULT_WIDTH
from nettop.text.fields import Field
from nettop.text.table import TableStyle

if TYPE_CHECKING:
    from nettop.export.hostrows import PackedHosts
    from nettop.export.jsonrows import PackedRowSource
    from nettop.export.parquetout import ParquetTable

EVENTS_MOST = 1000
SNAPSHOT_STYLE = TableStyle(width=DEFAULT_WIDTH)


class RowFeed(Feed, Protocol):
    """A feed that can also be read from top to bottom."""

    def tick(self, missed: int = 0) -> Model:
        """Polls once in the calling thread; of a file its only model.

        missed: ticks that were left out since the one before.
        """

    @property
    def between_s(self) -> float:
        """How soon between() wants to be called, if the interval is longer."""

    def between(self) -> None:
        """Called meanwhile: what is gone is let go, queues are looked at once more."""

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        """Every socket that matches, in order; everything: whatever the filter."""

    def packed_all(self, *, everything: bool = False) -> PackedRowSource | PackedHosts | None:
        """The same with details, as C has them; None: what is not in its records counts too."""

    def close(self) -> None: ...


def write_tick(
    write: Callable[[bytes], object],
    feed: RowFeed,
    model: Model,
    form: Format,
    *,
    style: TableStyle = SNAPSHOT_STYLE,
    filter_text: str | None = None,
    shown: bool = True,
    file: str | None = None,
) -> None:
    """Writes one tick; of CSV the rows without their header.

    Args:
        write: takes bytes; its OSError comes through.
        feed: where the rows come from.
        model: the tick that the rows belong to.
        form: the format.
        style: of text and pictures; its columns also of CSV.
        filter_text: the filter in force, written into the output.
        shown: only sockets that pass the filter; else all.
        file: name of the file that the feed shows.
    """
    if form in (Format.JSON, Format.NDJSON):
        _write_json(write, feed, model, filter_text, lines=form is Format.JSON, shown=shown)
        return
    if form is Format.CSV:
        _write_csv(write, feed, model, style.columns, everything=not shown)
        return
    detail = any(f.reads("info") for f in style.columns or ())
    rows = feed.rows_all(with_detail=detail, everything=not shown)
    if form is Format.SVG:
        from nettop.export.svgout import write_svg

        write_svg(write, model, rows, style, filter_text=filter_text)
    else:
        from nettop.export.textout import write_text

        write_text(write, model, rows, style, filter_text=filter_text, file=file)


def _write_json(
    write: Callable[[bytes], object], feed: RowFeed, model: Model, filter_text: str | None,
    *, lines: bool, shown: bool,
) -> None:  # fmt: skip
    from nettop.export.jsonout import element_texts, write_object

    if not shown:
        model = replace(model, rx_wait=model.rx_wait_all or model.rx_wait)
    events: Sequence[Event] = ()
    beyond: Mapping[EventType, int] = {}
    if model.events is not None:
        events, beyond = feed.tick_events(EVENTS_MOST, everything=not shown)
    of_hosts = {}
    if isinstance(feed, OfHosts):
        for host in model.hosts:
            of_hosts[host.name] = feed.host_events(host.name, EVENTS_MOST, everything=not shown)
    packed = feed.packed_all(everything=not shown)
    if packed is None:
        rows = feed.rows_all(with_detail=True, everything=not shown)
        texts: Iterator[bytes | memoryview] = element_texts(rows, feed.owners, lines=lines)
    else:
        from nettop.export.hostrows import PackedHosts, json_texts
        from nettop.export.jsonrows import packed_texts

        if isinstance(packed, PackedHosts):
            texts = json_texts(packed, lines=lines)
        else:
            texts = packed_texts(packed, feed.owners, lines=lines)
    write_object(
        write, model, texts, filter_text=filter_text, lines=lines, events=events, beyond=beyond,
        of_hosts=of_hosts,
    )  # fmt: skip


def _write_csv(
    write: Callable[[bytes], object], feed: RowFeed, model: Model,
    fields: Sequence[Field] | None, *, everything: bool,
) -> None:  # fmt: skip
    packed = feed.packed_all(everything=everything)
    if packed is None:
        from nettop.export.csvout import write_rows

        write_rows(write, model, feed.rows_all(with_detail=True, everything=everything), fields)
        return
    from nettop.export.csvrows import packed_lines
    from nettop.export.hostrows import PackedHosts, csv_texts

    if isinstance(packed, PackedHosts):
        for some in csv_texts(packed, model, fields):
            write(some)
        return
    for text in packed_lines(packed, model, fields):
        write(bytes(text))


def write_header(write: Callable[[bytes], object], form: Format, style: TableStyle) -> None:
    """What stands once above all ticks: the header of CSV."""
    if form is Format.CSV and not style.bare:
        from nettop.export import csvout

        csvout.write_header(write, style.columns)


class Ticks:
    """Writes ticks one after the other, in one format."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        form: Format,
        style: TableStyle = SNAPSHOT_STYLE,
    ) -> None:
        """write: takes bytes; its OSError comes through."""
        self._write, self._form, self._style = write, form, style
        self._table: ParquetTable | None = None
        if form is Format.PARQUET:
            from nettop.export.parquetout import ParquetTable

            self._table = ParquetTable(write, style.columns)
        write_header(write, form, style)

    @property
    def whole(self) -> bool:
        """What is written is good as it is after each tick, not only after end()."""
        return self._table is None

    def add(
        self,
        feed: RowFeed,
        model: Model,
        *,
        filter_text: str | None = None,
        shown: bool = True,
        file: str | None = None,
    ) -> None:
        """As write_tick."""
        if self._table is not None:
            self._table.add(model, feed.rows_all(everything=not shown))
            return
        write_tick(
            self._write, feed, model, self._form, style=self._style, filter_text=filter_text,
            shown=shown, file=file,
        )  # fmt: skip

    def end(self) -> None:
        if self._table is not None:
            self._table.end()


def write_snapshot(
    path: str | Path | None,
    feed: RowFeed,
    model: Model,
    shown: bool,
    *,
    filter_text: str | None = None,
) -> Path:
    """Writes a snapshot file and returns where it is.

    Args:
        path: the file, its ending chooses the format; None: a name made of host and time.
        feed: where the rows come from.
        model: the tick.
        shown: only sockets that pass the filter; else all.
        filter_text: the filter in force.

    Raises:
        NettopError: in one line, when it cannot be written; nothing is left behind.
    """
    target = default_path(model) if path is None else Path(path)
    form = SUFFIXES.get(target.suffix.lower())
    if form is None:
        raise UsageError(f"{target}: the ending says what to write: one of {', '.join(SUFFIXES)}")
    from nettop.export.atomic import AtomicFile

    with AtomicFile(target) as file:
        ticks = Ticks(file.write, form)
        ticks.add(feed, model, filter_text=filter_text, shown=shown)
        ticks.end()
    return target.absolute()


def default_path(
    model: Model, environ: Mapping[str, str] | None = None, ending: str = ".json"
) -> Path:
    """nettop-HOST-YYYYMMDD-HHMMSS.json, here, or under $XDG_DATA_HOME if here is read-only."""
    environ = os.environ if environ is None else environ
    folder = Path.cwd()
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        # Without HOME it would be asked of the user database, which may be a dead service.
        from tempfile import gettempdir

        home = environ.get("HOME") or gettempdir()
        folder = Path(environ.get("XDG_DATA_HOME") or f"{home}/.local/share")
        with suppress(OSError):  # opening the file there says why it cannot be
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    host = re.sub(r"[^A-Za-z0-9._-]", "_", model.host)[:64] or "host"
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(model.wall_ns // 1_000_000_000))
    stem = f"nettop-{host}-{when}"
    path = folder / f"{stem}{ending}"
    number = 2
    while os.path.lexists(path):
        path = folder / f"{stem}-{number}{ending}"
        number += 1
    return path
