"""The table's columns at a width, and the cells of a row with their colours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from msgspec import Struct

from nettop.model.types import Detail, Level, Model, Proto, Row, Verdict
from nettop.text.columns import (
    GUTTER,
    SELDOM,
    WHY_CELLS,
    cells_of,
    columns_for,
    cut,
    fitting,
    on_by_itself,
    reader,
    title_of,
    writer,
)
from nettop.text.fields import FIELDS, Field, Kind
from nettop.text.units import ABSENT
from nettop.text.verdicts import LEAST_RATIO_US
from nettop.tui.style import LEVEL_ROLES, Role
from nettop.tui.widgets.lines import Line, Part

CLOSE_WAIT = 8


class ColumnSet(Struct, frozen=True):
    """Fields and cells, the last one taking the rest of the line."""

    columns: tuple[tuple[Field, int], ...]
    hidden: str = ""  # titles of columns whose plane is off

    @property
    def detailed(self) -> bool:
        """Whether a cell needs more of a socket than its row has."""
        return any(f.reads("info") for f, _ in self.columns)

    def position(self, field: Field) -> int | None:
        return next((i for i, (f, _) in enumerate(self.columns) if f is field), None)


def choose(
    width: int,
    model: Model,
    chosen: tuple[Field, ...] | None = None,
    sort: Field | None = None,
    seldom: Collection[str] = SELDOM,
    added: Sequence[Field] = (),
) -> ColumnSet:
    """The set for a width, of SELDOM with these, or the columns that the user chose, as far as they
    fit; with the one that sorts. added: of the chosen ones those that others give way to."""
    if chosen is not None:
        columns = tuple((f, cells_of(f)) for f in chosen)
    else:
        columns = columns_for(width, model, seldom)
    if sort is not None and all(f is not sort for f, _ in columns):
        at = next((i for i, (f, _) in enumerate(columns) if f.id in ("who", "why")), len(columns))
        columns = (
            *columns[:at],
            (sort, max(cells_of(sort), len(title_of(sort)) + 1)),
            *columns[at:],
        )
    ranked = chosen is not None and not added
    columns = fitting(columns, width - GUTTER, sort, ranked=ranked, added=added)
    off = [
        f.title
        for f in (FIELDS["rxwait.p99"], FIELDS["tx.total.p99"])
        if chosen is None and width >= 120 and f not in {c for c, _ in columns}
        and ((s := model.source(f.source or "")) is None or s.state == "off")
        and not on_by_itself(s)
    ]  # fmt: skip
    return ColumnSet(_stretch(columns, width), " ".join(off))


def _stretch(columns: tuple[tuple[Field, int], ...], width: int) -> tuple[tuple[Field, int], ...]:
    """What is left goes to the last column up to 16 cells, then to PROC, then to REMOTE."""
    least = [w or WHY_CELLS for _, w in columns]
    spare = width - GUTTER - sum(least) - (len(least) - 1)
    last = len(least) - 1
    for i, most in (
        (last, 16),
        *((j, 24) for j, (f, _) in enumerate(columns) if f.id == "proc"),
        *((j, 44) for j, (f, _) in enumerate(columns) if f.id == "remote"),
        (last, 10_000),
    ):
        more = max(0, min(spare, most - least[i]))
        least[i] += more
        spare -= more
    return tuple((f, w) for (f, _), w in zip(columns, least, strict=True))


def titles(columns: ColumnSet, sort: Field | None, descending: bool, width: int) -> Line:
    """The underlined line of titles; the sorting one is bold with its direction."""
    parts: list[Part] = [(" " * GUTTER, Role.TITLE)]
    used = GUTTER
    for i, (field, cells) in enumerate(columns.columns):
        text = title_of(field)
        role = Role.TITLE
        if field is sort:
            role = Role.TITLE_BOLD
            if len(text) < cells:
                text += "▼" if descending else "▲"
        text = text[:cells]
        parts.append((text.ljust(cells) if field.left else text.rjust(cells), role))
        used += cells
        if i < len(columns.columns) - 1:
            parts.append((" ", Role.TITLE))
            used += 1
    parts.append((" " * max(0, width - used), Role.TITLE))
    return tuple(parts)


def field_at(columns: ColumnSet, x: int) -> Field | None:
    """The column whose title a cell of the line of titles belongs to, with the blank before it."""
    used = GUTTER
    for field, cells in columns.columns:
        used += cells
        if x < used:
            return field if x >= GUTTER else None
        used += 1
    return None


_NOTHING = frozenset((ABSENT, "0", "0ns", ""))
_BETWEEN: Part = (" ", Role.NORMAL)
_ratio = reader(FIELDS["srtt/minrtt"])


def _srtt(row: Row) -> Level:
    if row.holds(Verdict.RTT):
        return Level.UNWELL
    ratio = _ratio(row, None)
    if not isinstance(ratio, float) or row.rec.min_rtt_us < LEAST_RATIO_US:
        return Level.OK
    return Level.UNWELL if ratio > 4 else Level.WATCH if ratio > 2 else Level.OK


def _resent(row: Row) -> Level:
    return Level.UNWELL if row.rec.retr_pct > 1 else Level.WATCH


def _received(row: Row) -> Level:
    rec = row.rec
    if row.holds(Verdict.UNREAD):
        return Level.UNWELL
    if row.is_listen:
        return Level.UNWELL if rec.rqueue > rec.wqueue else Level.WATCH
    return Level.WATCH if rec.proto == Proto.UDP or rec.rqueue > 65536 else Level.OK


def _state(row: Row) -> Level:
    unclosed = row.rec.state == CLOSE_WAIT and row.holds(Verdict.UNCLOSED)
    return Level.WATCH if unclosed else Level.OK


def _where(verdict: Verdict) -> Callable[[Row], Level]:
    return lambda row: Level.UNWELL if row.holds(verdict) else Level.OK


def _always(row: Row) -> Level:
    return Level.WATCH


# How unusual a number that is not 0 is, by field: its colour, which is never louder than the row's
# own level. The others have no colour but WHO and WHY.
_LOUDNESS: dict[str, Callable[[Row], Level]] = {
    "srtt": _srtt, "retr/s": _resent, "retr%": _resent, "lost": _always, "rcvq": _received,
    "sndq": _where(Verdict.WINDOW), "st": _state, "unread": _where(Verdict.UNREAD),
    "drops": _always, "drops/s": _always,
}  # fmt: skip


class _Cell(NamedTuple):
    """How the cells of a column are made."""

    write: Callable[[Row, Detail | None], str]
    cells: int
    left: bool
    named: bool  # of the program: the selected row's is reversed
    says_level: bool  # the row's
    loudness: Callable[[Row], Level] | None
    field: Field


@lru_cache(maxsize=8)
def _cells_for(columns: tuple[tuple[Field, int], ...], numeric: bool) -> tuple[_Cell, ...]:
    return tuple(
        _Cell(
            _written(field, numeric), cells, field.left, field.id in ("proc", "comm"),
            field.id in ("who", "why"), _LOUDNESS.get(field.id), field,
        )
        for field, cells in columns
    )  # fmt: skip


def _written(field: Field, numeric: bool) -> Callable[[Row, Detail | None], str]:
    """What a cell says; numeric: users and namespaces by number."""
    if numeric and field.id == "user":
        return lambda row, detail: str(row.rec.uid)
    if numeric and field.id == "netns":
        return lambda row, detail: str(row.rec.netns)
    return writer(field)


def gutter_of(cursor: str, mark: str, sign: str, level: Level) -> tuple[Part, Part, Part]:
    """The three cells before a name. A mark stands where the cursor does; under the cursor it
    stands in the blank, before the reversed name, so that both are seen."""
    return (
        (cursor or mark or " ", Role.FOCUS),
        (sign, LEVEL_ROLES[level]),
        (mark, Role.FOCUS) if cursor and mark else (" ", Role.NORMAL),
    )


def row_line(
    columns: ColumnSet, row: Row, detail: Detail | None = None, *, selected: bool, marked: bool,
    numeric: bool, cursor: str, mark: str, signs: tuple[str, str, str],
) -> Line:  # fmt: skip
    """One row: gutter, cells; of the selected one only the name is reversed."""
    gutter = gutter_of(
        cursor if selected else "", mark if marked else "", signs[row.level], row.level
    )
    parts: list[Part] = [*gutter]
    level = row.level
    usual = Role.BOLD if selected else Role.NORMAL
    for write, cells, left, named, says_level, loudness, field in _cells_for(
        columns.columns, numeric
    ):
        text, role = write(row, detail), Role.NORMAL
        if text in _NOTHING:
            role = Role.DIM
        elif says_level:
            role = LEVEL_ROLES[level] if row.rec.verdicts else Role.DIM
        elif loudness is not None and level != Level.OK:
            role = LEVEL_ROLES[min(loudness(row), level)]
        if role is Role.NORMAL:
            role = usual
        if len(text) > cells:
            text = cut(text, cells, field)
        if selected and named:
            role = Role.REVERSE
        parts.append((text.ljust(cells) if left else text.rjust(cells), role))
        parts.append(_BETWEEN)
    return tuple(parts[:-1])


# Members of the record that no cell shows, and that change with time alone: when others were read.
UNSEEN = frozenset({"base_ns", "lim_at_ms", "taken_at_ms", "loss_at_ms"})


@lru_cache(maxsize=4)
def _seen(names: tuple[str, ...]) -> itemgetter[Any]:
    """Members of a record that cells are made of."""
    return itemgetter(*(i for i, name in enumerate(names) if name not in UNSEEN))


_BESIDE_REC = tuple(name for name in Row.__struct_fields__ if name != "rec")


def same_cells(a: Row, b: Row) -> bool:
    """Whether the cells of two rows are alike, as far as they are made of the row alone."""
    seen = _seen(a.rec._fields)
    return seen(a.rec) == seen(b.rec) and all(
        getattr(a, name) == getattr(b, name) for name in _BESIDE_REC
    )


SORTABLE_KINDS = frozenset(Kind)
