"""The table's columns at a width, and the cells of a row with their colours."""

from __future__ import annotations

from msgspec import Struct

from nettop.model.types import Detail, Level, Model, Proto, Row, Verdict
from nettop.text.columns import (
    GUTTER,
    WHY_CELLS,
    cell,
    cells_of,
    columns_for,
    cut,
    fitting,
    on_by_itself,
    title_of,
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
) -> ColumnSet:
    """The set for a width, or the columns that the user chose, as far as they fit; with the one
    that sorts."""
    if chosen is not None:
        columns = tuple((f, cells_of(f)) for f in chosen)
    else:
        columns = columns_for(width, model)
    if sort is not None and all(f is not sort for f, _ in columns):
        at = next((i for i, (f, _) in enumerate(columns) if f.id in ("who", "why")), len(columns))
        columns = (
            *columns[:at],
            (sort, max(cells_of(sort), len(title_of(sort)) + 1)),
            *columns[at:],
        )
    columns = fitting(columns, width - GUTTER, sort, ranked=chosen is not None)
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


def role_of(field: Field, row: Row, text: str) -> Role:
    """Colour only for what is unusual, and never louder than the row's own level."""
    if text in _NOTHING:
        return Role.DIM
    level = row.level
    if field.id in ("who", "why"):
        return LEVEL_ROLES[level] if row.rec.verdicts else Role.DIM
    if level == Level.OK:
        return Role.NORMAL
    rec, loud = row.rec, Level.OK
    match field.id:
        case "srtt":
            ratio = FIELDS["srtt/minrtt"].value(row)
            if row.holds(Verdict.RTT):
                loud = level
            elif isinstance(ratio, float) and rec.min_rtt_us >= LEAST_RATIO_US:
                loud = Level.UNWELL if ratio > 4 else Level.WATCH if ratio > 2 else Level.OK
        case "retr/s" | "retr%":
            loud = Level.UNWELL if rec.retr_pct > 1 else Level.WATCH
        case "lost":
            loud = Level.WATCH
        case "rcvq":
            if row.is_listen:
                loud = Level.UNWELL if rec.rqueue > rec.wqueue else Level.WATCH
            elif rec.proto == Proto.UDP or rec.rqueue > 65536:
                loud = Level.WATCH
            if row.holds(Verdict.UNREAD):
                loud = Level.UNWELL
        case "sndq":
            loud = Level.UNWELL if row.holds(Verdict.WINDOW) else Level.OK
        case "st":
            if rec.state == CLOSE_WAIT and row.holds(Verdict.UNCLOSED):
                loud = Level.WATCH
        case "unread":
            loud = Level.UNWELL if row.holds(Verdict.UNREAD) else Level.OK
        case "drops" | "drops/s":
            loud = Level.WATCH
    return LEVEL_ROLES[min(loud, level)]


def cell_text(field: Field, row: Row, detail: Detail | None, numeric: bool) -> str:
    """What a cell says; numeric: users and namespaces by number."""
    if numeric and field.id == "user":
        return str(row.rec.uid)
    if numeric and field.id == "netns":
        return str(row.rec.netns)
    return cell(field, row, detail)


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
    quiet = row.level == Level.OK
    for field, width in columns.columns:
        text = cell_text(field, row, detail, numeric)
        if text in _NOTHING:
            role = Role.DIM
        elif quiet and field.id not in ("who", "why"):
            role = Role.NORMAL
        else:
            role = role_of(field, row, text)
        if len(text) > width:
            text = cut(text, width, field)
        if selected and field.id in ("proc", "comm"):
            role = Role.REVERSE
        elif selected and role is Role.NORMAL:
            role = Role.BOLD
        parts.append((text.ljust(width) if field.left else text.rjust(width), role))
        parts.append(_BETWEEN)
    return tuple(parts[:-1])


SORTABLE_KINDS = frozenset(Kind)
