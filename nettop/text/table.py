"""A plain text table, written line by line as the rows come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

from msgspec import Struct

from nettop.model.types import Detail, Model, Row
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.columns import (
    cell,
    cells_of,
    columns_for,
    cut,
    fitting,
    level_sign,
    title_of,
    to_ascii,
)
from nettop.text.fields import Field
from nettop.text.hosts import host_line, hosts_text
from nettop.text.words import LEVEL_WORDS

# So many rows are looked at before the widths of a table that is not cut are settled.
SAMPLE_ROWS = 500
_GUTTER = 2
BLANK = "."  # in a bare table: nothing to say, as a blank cell


class TableStyle(Struct, frozen=True):
    """How a table looks."""

    width: int = 120  # chooses the columns; also the longest line if fits is set
    fits: bool = False  # cut to the width of a terminal; else everything in full
    ascii: bool = False
    columns: tuple[Field, ...] | None = None  # instead of those chosen by width
    bare: bool = False  # no titles; the level and every column one word, for awk


def table_lines(
    model: Model,
    rows: Iterable[tuple[Row, Detail | None]],
    style: TableStyle,
    *,
    filter_text: str | None = None,
    file: str | None = None,
) -> Iterator[str]:
    """The header, the titles and a line per socket, without newlines."""
    finish: Callable[[str], str] = to_ascii if style.ascii else str
    if not style.bare:
        for line in header_lines(model, filter_text, file):
            yield finish(line[: style.width] if style.fits else line)
        yield ""
    if style.columns is None:
        columns = list(columns_for(style.width, model))
        if style.fits:
            columns = list(fitting(columns, style.width - _GUTTER))
    else:
        columns = [(f, cells_of(f)) for f in style.columns]
    fields = [field for field, _ in columns]
    if style.bare:
        for row, detail in rows:
            words = [LEVEL_WORDS[min(row.rec.level, 2)], *_cells(fields, row, detail)]
            yield finish(" ".join(map(_word, words)))
        return
    texts: Iterator[tuple[str, list[str]]] = (
        (level_sign(row), _cells(fields, row, detail)) for row, detail in rows
    )
    widths = [max(width, len(title_of(field))) for field, width in columns]
    if not style.fits:
        sample = list(islice(texts, SAMPLE_ROWS))
        for _, cells in sample:
            widths = [max(w, len(text)) for w, text in zip(widths, cells, strict=True)]
        texts = chain(sample, texts)
    elif fields[-1].id == "why":
        widths[-1] = max(widths[-1], style.width - _GUTTER - sum(w + 1 for w in widths[:-1]))
    yield finish(_line(" ", [title_of(f) for f in fields], fields, widths, style))
    for sign, cells in texts:
        yield finish(_line(sign, cells, fields, widths, style))


def _word(text: str) -> str:
    """A cell that awk takes for one field."""
    return "_".join(text.split()) or BLANK


def _known(count: int | None) -> str:
    return units.ABSENT if count is None else str(count)


def header_lines(model: Model, filter_text: str | None, file: str | None) -> list[str]:
    """Host, time and totals; then the filter and what of the polling does not work."""
    t = model.totals
    when = _clock(model.wall_ns)
    every = "first interval" if model.interval_s is None else f"{model.interval_s:.1f}s"
    states = t.by_state
    none = None if t.tcp is None else 0
    est, listen = states.get("ESTABLISHED", none), states.get("LISTEN", none)
    short = model.intervals is not None and model.intervals < 2
    few = "≥" if short else ""
    first = [
        f"nettop  {_of_whom(model)}  {when}  {every}",
        f"! {few}{t.unwell} unwell  ▲ {few}{t.watch} watch",
        f"tcp {_known(t.tcp)} est {_known(est)} listen {_known(listen)}"
        f" tw {_known(states.get('TIME_WAIT'))} udp {_known(t.udp)}",
        f"retr {units.rate(t.retrans_per_s)}/s",
        f"↑{units.bits_per_s(t.tx_bytes_per_s)} ↓{units.bits_per_s(t.rx_bytes_per_s)}",
    ]
    if t.netns > 1 or t.netns_hidden:
        hidden = f" (+{t.netns_hidden} not polled)" if t.netns_hidden else ""
        first.append(f"netns {t.netns}{hidden}")
    lines = ["   ".join(first)]
    lines += map(host_line, model.hosts)
    second = [f"{t.matched} shown"]
    if short:
        seen = "one poll" if not model.intervals else "one interval"
        more = "" if file else " (add -d SECS)"
        second.append(f"verdicts of {seen}: most must hold in two intervals{more}")
    if file:
        second.append(f"file {clean(file)}")
    if filter_text:
        second.append(f"filter {clean(filter_text)}")
    if model.thresholds:
        second.append(f"thresholds {clean(model.thresholds)}")
    second += [
        f"{s.name} {s.state}: {clean(s.reason)}{f' (fix: {clean(s.fix)})' if s.fix else ''}"
        for s in model.sources
        if s.state != "ok" and s.reason and s.name in ("diag", "procs")
    ]
    return [*lines, "   ".join(second)]


def _of_whom(model: Model) -> str:
    if model.hosts:
        return hosts_text(model.hosts)
    return f"{clean(model.host)} {clean(model.kernel)}"


def _cells(fields: Sequence[Field], row: Row, detail: Detail | None) -> list[str]:
    texts = [cell(field, row, detail) for field in fields]
    # Names were made safe where they were read; what this makes sure of costs little.
    return texts if "".join(texts).isprintable() else [clean(text) for text in texts]


def _line(
    sign: str, cells: Sequence[str], fields: Sequence[Field], widths: Sequence[int],
    style: TableStyle,
) -> str:  # fmt: skip
    parts = []
    for text, field, width in zip(cells, fields, widths, strict=True):
        shown = cut(text, width, field) if style.fits else text
        parts.append(shown.ljust(width) if field.left else shown.rjust(width))
    line = f"{sign} {' '.join(parts)}".rstrip()
    return line[: style.width] if style.fits else line


def _clock(wall_ns: int) -> str:
    from time import gmtime, strftime

    return strftime("%Y-%m-%d %H:%M:%SZ", gmtime(wall_ns // 1_000_000_000))
