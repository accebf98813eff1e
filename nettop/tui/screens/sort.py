"""The sort picker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nettop.feed import Sort
from nettop.model.types import Row
from nettop.text.columns import cell
from nettop.text.fields import FIELDS, Field, Kind
from nettop.text.words import why_text
from nettop.tui.screens.picker import ChosenT, Picker
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line

_STEADY = "level, strength; steady (default)"
_TOP_CELLS = 15
MOST_ROWS = 2000  # what is looked through for the tops; of more none is said
# The keys that matter most, each in a few words; all others are found by typing.
USUAL = {
    "retr/s": "segments resent per second",
    "retr%": "bytes resent of bytes sent",
    "srtt": "smoothed round-trip time",
    "srtt/minrtt": "round-trip time by its minimum",
    "rxwait.p99": "RX queue wait, p99",
    "unread": "age of the oldest unread data",
    "tx.total.p99": "send to ACK, p99",
    "tx.qdisc.p99": "time in the qdisc, p99",
    "sndq": "bytes not acknowledged",
    "rcvq": "bytes not read",
    "drops/s": "packets dropped by the socket",
    "cwnd": "congestion window, smallest first",
    "flow": "the larger of tx and rx, bit/s",
    "proc": "name of the program, then pid",
    "remote": "remote address and port",
}


def top_text(field: Field | None, down: bool, rows: Sequence[Row]) -> str:
    """What a key would bring to the top of these rows, in the order that they have; "": nothing."""
    if field is None:
        worst = max(rows, key=lambda row: (row.level, row.rec.strength), default=None)
        return why_text(worst) or "" if worst is not None and worst.level else ""
    known = [(value, row) for row in rows if (value := field.value(row)) is not None]
    if not known or field.kind in (Kind.TEXT, Kind.ADDRESS):
        return ""
    value, row = (max if down else min)(known, key=lambda pair: pair[0])
    return cell(field, row, None) if value else ""


class SortPicker(Picker[ChosenT]):
    """Enter sorts, Enter on the key in force reverses."""

    TITLE = "sort by"
    WIDTH, HEIGHT = 74, 20
    FIRST = 1
    FOOT = "↑↓ choose  Enter sort, again: reverse  type to find  Esc"


class SortScreen(SortPicker[Sort]):
    """Keys of the table of sockets; letters find among all of them."""

    def __init__(self, sort: Sort, rows: Sequence[Row], then: Callable[[Sort], object]) -> None:
        """rows: those that pass the filter, for what each key would bring to the top; or none."""
        super().__init__(then)
        self.sort = sort
        self.keys: list[Field | None] = [None, *(FIELDS[name] for name in USUAL)]
        if sort.field is not None and sort.field not in self.keys:
            self.keys.append(sort.field)
        self.at = self.keys.index(sort.field if sort.field is not None else FIELDS["retr/s"])
        self.tops = {key: top_text(key, self._down(key), rows) for key in self.keys}

    def _down(self, field: Field | None) -> bool:
        if field is None:
            return True
        return not self.sort.descending if field is self.sort.field else field.descending

    def _shown(self) -> list[Field | None]:
        if not self.typed:
            return self.keys
        everything = [None, *(f for f in FIELDS.values() if f.sortable)]
        return [f for f in everything if self.typed in (f.id if f else "unwell")]

    @property
    def entries(self) -> int:
        return len(self._shown())

    def body(self, width: int) -> list[Line]:
        what_cells = max(4, width - 20 - _TOP_CELLS)
        head = f"{'KEY':<16}{'DIR':<4} {'WHAT':<{what_cells - 1}}TOP NOW"
        lines: list[Line] = [line((head, Role.DIM))]
        shown = self._shown()
        self.at = max(0, min(self.at, len(shown) - 1))
        for i, field in enumerate(shown):
            same = field is self.sort.field
            arrow = self.nettop.glyphs.down if self._down(field) else self.nettop.glyphs.up
            name = field.id if field else "unwell"
            what = USUAL.get(name) or (field.help if field else _STEADY)
            if len(what) > what_cells - 2:
                what = what[: what_cells - 3] + self.nettop.glyphs.ellipsis
            top = self.tops.get(field, "")
            text = f"{name:<16}{arrow:<4} {what:<{what_cells - 1}}{top}"[:width].ljust(width)
            lines.append(
                line((text, Role.REVERSE if i == self.at else Role.BOLD if same else Role.NORMAL))
            )
        return lines + self.below("key")

    def choose_at_cursor(self) -> None:
        shown = self._shown()
        if shown:
            field = shown[self.at]
            self.choose(Sort(field, self._down(field)))
