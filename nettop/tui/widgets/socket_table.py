"""The table of sockets: it holds only the lines that are on the screen."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.message import Message

from nettop.model.types import Detail, Row
from nettop.text.columns import SELDOM, reader
from nettop.text.fields import FIELDS
from nettop.tui.columns import ColumnSet, row_line, same_cells
from nettop.tui.widgets.lines import Line, LineWidget, line


class SocketTable(LineWidget):
    """A window on the feed's order; the cursor follows the socket, not the line.

    Until the user moves, nothing is chosen: the window stays at the top, where the worst stand.
    """

    class Moved(Message):
        """The cursor stands on another socket, or other sockets are on the screen."""

    class Opened(Message):
        """The row under the mouse was asked for."""

    def __init__(self, columns: Callable[[], ColumnSet], id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = columns
        self.rows: list[Row] = []
        # Columns that had a value in a row so far: once there, they stay.
        self.seldom_seen: set[str] = set()
        self.offset_row = 0
        self.cursor: int | None = None  # cookie
        self.cursor_at = 0
        self.marked: dict[int, None] = {}
        self.follow = False  # the user chose a socket: the cursor keeps to it
        # Its cookie. In a tick of the past that it is not in, the cursor stands elsewhere; in
        # another tick it is there again.
        self.chosen: int | None = None
        # Lines as they were made last, by cookie, with what each was made of.
        self._made: dict[int, tuple[tuple[Row, bool, bool], Line]] = {}
        self._made_for: tuple[ColumnSet, bool, int] | None = None

    @property
    def page(self) -> int:
        return max(1, self.size.height)

    @property
    def selected(self) -> Row | None:
        """The chosen socket, while it is on the screen."""
        return self.at_cursor if self.follow and self.cursor == self.chosen else None

    @property
    def at_cursor(self) -> Row | None:
        """What Enter opens: the chosen socket, or the first."""
        return next((r for r in self.rows if r.cookie == self.cursor), None)

    def reload(self) -> None:
        """Reads the window anew and redraws what differs."""
        with self.nettop.feed.one_tick():
            moved = self._reload()
        if moved:
            self.post_message(self.Moved())

    def _reload(self) -> bool:
        """Whether the cursor stands on another socket now."""
        count = self.nettop.feed.count()
        if self.follow and self.chosen is not None:
            place = self.nettop.feed.position(self.chosen)
            if place is not None:
                self.cursor_at = place
        self.cursor_at = max(0, min(self.cursor_at, count - 1))
        if self.cursor_at < self.offset_row:
            self.offset_row = self.cursor_at
        if self.cursor_at >= self.offset_row + self.page:
            self.offset_row = self.cursor_at - self.page + 1
        self.offset_row = max(0, min(self.offset_row, count - self.page))
        self.rows = self.nettop.feed.window(self.offset_row, self.page)
        for name in SELDOM - self.seldom_seen:
            read = reader(FIELDS[name])
            if any(read(row, None) is not None for row in self.rows):
                self.seldom_seen.add(name)
        at = self.cursor_at - self.offset_row
        cursor = self.rows[at].cookie if 0 <= at < len(self.rows) else None
        moved = cursor != self.cursor
        self.cursor = cursor
        if self.nettop.timeline.current is None or not self.follow:
            self.chosen = cursor
        self.redraw()
        return moved

    def redraw(self) -> None:
        """The lines of the rows at hand; those of rows that are as they were are not made anew."""
        columns, numeric = self._columns(), self.nettop.numeric
        of = (columns, numeric, self.outer_size.width)
        before = self._made if of == self._made_for else {}
        self._made, self._made_for = {}, of
        detailed = columns.detailed
        lines: list[Line] = []
        for row in self.rows:
            cookie = row.cookie
            selected = self.follow and cookie == self.cursor == self.chosen
            marked = cookie in self.marked
            known = before.get(cookie)
            if (
                known is not None
                and known[0][1:] == (selected, marked)
                # What has happened to its detail meanwhile the row does not say.
                and (known[0][0] is row or (not detailed and same_cells(known[0][0], row)))
            ):
                made = known[1]
            else:
                detail = self.nettop.feed.detail(cookie) if detailed else None
                made = self._line(columns, row, detail, selected, marked)
            self._made[cookie] = (row, selected, marked), made
            lines.append(made)
        if not lines:
            lines = [line(), line("   " + self.nettop.empty_text())]
        self.set_lines(lines)

    def _line(
        self, columns: ColumnSet, row: Row, detail: Detail | None, selected: bool, marked: bool
    ) -> Line:
        g = self.nettop.glyphs
        return row_line(
            columns, row, detail, selected=selected, marked=marked, numeric=self.nettop.numeric,
            cursor=g.cursor, mark=g.mark, signs=(" ", g.watch, g.unwell),
        )  # fmt: skip

    def move(self, by: int, *, announce: bool = True) -> None:
        """announce: by a message; else the caller draws what follows from it."""
        if not self.follow and by == 1:
            by = 0  # the first step chooses the first line
        self.move_to(self.cursor_at + by, announce=announce)

    def move_to(self, place: int, *, announce: bool = True) -> None:
        """Puts the cursor on a place of the order; the order holds still meanwhile."""
        self.cursor_at = max(0, min(place, self.nettop.feed.count() - 1))
        at = self.cursor_at - self.offset_row
        if 0 <= at < len(self.rows):  # it is on the screen: nothing needs to be read
            self.cursor = self.rows[at].cookie
        else:
            self.follow = False
            with self.nettop.feed.one_tick():
                self._reload()
        self.follow = True
        self.chosen = self.cursor
        self.redraw()
        if announce:
            self.post_message(self.Moved())

    def select(self, cookie: int) -> None:
        place = self.nettop.feed.position(cookie)
        if place is not None:
            self.move_to(place)

    def to_top(self) -> None:
        """Back to the top, where the worst stand, and staying there."""
        self.cursor_at = 0
        self.follow = False
        self.reload()

    def toggle_mark(self) -> None:
        """Marks the socket at the cursor, or takes its mark away; either chooses it."""
        if self.cursor is None:
            return
        self.follow = True
        self.chosen = self.cursor
        if self.cursor in self.marked:
            del self.marked[self.cursor]
        else:
            self.marked[self.cursor] = None
        self.redraw()

    def on_resize(self) -> None:
        self._lines = []
        self.reload()
        self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        self.move_to(self.offset_row + event.y)
        if event.chain == 2:
            self.post_message(self.Opened())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.move(-3)
