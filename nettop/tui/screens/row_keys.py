"""Keys that choose which sockets and columns there are, find an action, and go to the shell."""

from __future__ import annotations

from enum import Enum
from functools import partialmethod

from textual import events

from nettop.query import narrowed
from nettop.text.columns import title_of
from nettop.text.fields import Field
from nettop.text.keys import no_key
from nettop.tui.columns import ColumnSet, choose
from nettop.tui.screens.bell_keys import BellKeys
from nettop.tui.sideways import sideways
from nettop.tui.style import Role
from nettop.tui.widgets.socket_table import SocketTable

NOTICE_S = 3.0
MOST_NAMED = 3  # columns in a message


class Rows(Enum):
    """Which sockets are rows, and what is said of them."""

    USUAL = "the usual sockets"
    ALL = "all sockets"
    LISTENERS = "listeners"
    UDP = "all UDP sockets"

    @property
    def among(self) -> str | None:
        """What the line of the filter says; None: of the usual ones nothing."""
        return None if self is Rows.USUAL else self.value

    @property
    def none(self) -> str:
        """What the table says where there are none."""
        return _NONE[self]


_NONE = {
    Rows.USUAL: "no connected socket here: a shows listeners and all others",
    Rows.ALL: "no socket here",
    Rows.LISTENERS: "no listener here: a shows the usual sockets",
    Rows.UDP: "no UDP socket here: u shows the usual sockets",
}
_PASS = {Rows.LISTENERS: "state listening", Rows.UDP: "proto = udp"}  # filters


class RowKeys(BellKeys):
    """What they change is shown by the subclass."""

    table: SocketTable

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows.USUAL
        self.column_shift = 0
        self._before_all = Rows.USUAL  # where the round of `a` began
        self._left: int | None = None  # the socket that was chosen, while it is no row
        self._odd_key = ""  # what was said of a key that means nothing
        self.usual_set = ColumnSet(())  # of this width

    def _use_filter(self, text: str | None) -> bool:
        raise NotImplementedError

    def _filter_written(self) -> str | None:
        return self._among_rows(self.filter_text)

    def _among_rows(self, text: str | None) -> str | None:
        """A filter, and what the chosen rows pass."""
        term = _PASS.get(self.rows)
        return narrowed(text, term) if term else text

    # --- which sockets ---

    def _ask_rows(self, rows: Rows) -> None:
        if not self.timeline.base.show_all(rows in (Rows.ALL, Rows.UDP)) and rows is Rows.ALL:
            self.say("a file has the sockets that were written into it", Role.WATCH)
            return
        if self.table.selected is not None:
            self._left = self.table.chosen
        self.rows = rows
        self._use_filter(self.filter_text)
        if self._left is not None and self.feed.position(self._left) is not None:
            self.table.select(self._left)
            self._left = None
        self.say(rows.value)

    def do_all(self) -> None:
        if self.rows is Rows.LISTENERS:
            self._ask_rows(self._before_all)
        elif self.rows is Rows.ALL:
            self._ask_rows(Rows.LISTENERS)
        else:
            self._before_all = self.rows
            self._ask_rows(Rows.ALL if self.timeline.base.live else Rows.LISTENERS)

    def do_udp(self) -> None:
        self._ask_rows(Rows.USUAL if self.rows is Rows.UDP else Rows.UDP)

    # --- which columns ---

    def choose_columns(self, width: int) -> bool:
        """Those of the width, the planes, the sort and of what was seen so far; whether they are
        others than before."""
        assert self.model is not None
        chosen, sort = self.nettop.options.columns_for(width), self.sort.field
        states = tuple(s.state for s in self.model.sources)
        key = (width, chosen, sort, states, len(self.table.seldom_seen))
        if key == self._columns_for:
            return False
        begins = not self.usual_set.columns
        self._columns_for = key
        self.usual_set = choose(width, self.model, chosen, sort, self.table.seldom_seen)
        self.column_set = self._shifted(self.column_shift) or self.usual_set
        if begins:
            self.say_left_out()
        return True

    def _shift(self, by: int) -> None:
        columns = self._shifted(self.column_shift + by)
        if columns is None:
            self.say("no column further " + ("right" if by > 0 else "left"), seconds=NOTICE_S)
            return
        self.column_shift += by
        self._columns_for = None
        self.refresh_all()

    def _shifted(self, shift: int) -> ColumnSet | None:
        width = self.app.size.width
        return sideways(self.usual_set, self.nettop.options.columns_for(width), shift, width)

    do_columns_left = partialmethod(_shift, -1)
    do_columns_right = partialmethod(_shift, 1)

    def do_columns(self) -> None:
        from nettop.tui.screens.columns import ColumnsScreen

        shown = tuple(f for f, _ in self.column_set.columns)
        self.app.push_screen(ColumnsScreen(shown, self._use_columns))

    def _use_columns(self, chosen: tuple[Field, ...]) -> None:
        before = {f for f, _ in self.column_set.columns}
        added = [f for f in chosen if f not in before]
        made = self._with_room(chosen, added) if added and self.model is not None else chosen
        self.nettop.set_columns(made or None)
        self._columns_for = None
        self.refresh_all()
        if gave_way := [title_of(f) for f in chosen if f not in made]:
            self.say(f"{' '.join(gave_way)} gave way", seconds=NOTICE_S)
        self.say_left_out()

    def _with_room(self, chosen: tuple[Field, ...], added: list[Field]) -> tuple[Field, ...]:
        """Without those that give way to the added ones, which stand before WHO and WHY unless they
        were moved; what has no room even so is at the end."""
        assert self.model is not None
        if chosen[-len(added) :] == tuple(added):
            rest = chosen[: -len(added)]
            at = next((i for i, f in enumerate(rest) if f.id in ("who", "why")), len(rest))
            chosen = (*rest[:at], *added, *rest[at:])
        width, sort = self.app.size.width, self.sort.field
        fit = choose(width, self.model, chosen, sort, self.table.seldom_seen, added).columns
        shown = {f for f, _ in fit}
        return (*(f for f in chosen if f in shown), *(f for f in added if f not in shown))

    def say_left_out(self) -> None:
        """Which of the chosen columns have no room at this width."""
        chosen = self.nettop.options.columns_for(self.app.size.width) or ()
        shown = {field for field, _ in self.usual_set.columns}
        out = [title_of(field) for field in chosen if field not in shown]
        if out:
            more = f" and {len(out) - MOST_NAMED} more" if len(out) > MOST_NAMED else ""
            self.say(f"no room for {' '.join(out[:MOST_NAMED])}{more}: → moves to them", Role.WATCH)

    # --- the rest ---

    def do_palette(self) -> None:
        from nettop.tui.screens.palette import PaletteScreen

        self.app.push_screen(PaletteScreen(self.nettop.keymap, self.act))

    def act(self, action: str) -> None:
        """Does an action; of another screen's those that need no table. What was said of a key
        before that means nothing goes."""
        if self.message is not None and self.message[0] == self._odd_key:
            self.message = None
        with self.feed.one_tick():
            getattr(self, f"do_{action}")()

    def do_suspend(self) -> None:
        self.nettop.to_shell()

    def unknown(self, event: events.Key) -> None:
        """Says of a key that means nothing where the keys are listed."""
        character = event.character if event.is_printable else None
        help_keys = next(k for k in self.nettop.keymap.keys if k.action == "help").shown.split()
        self._odd_key = no_key(event.key, character, (help_keys or [":"])[0])
        self.say(self._odd_key, Role.WATCH, NOTICE_S)
