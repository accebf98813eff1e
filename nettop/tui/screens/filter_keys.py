"""The filter of the main screen: asked for, tried while it is typed, put in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.timer import Timer

from nettop.feed import Grouping
from nettop.query import FilterError, compile_filter
from nettop.text.fields import Field
from nettop.tui.screens.row_keys import RowKeys
from nettop.tui.style import Role
from nettop.tui.widgets.filter_line import FilterLine
from nettop.tui.widgets.lines import LineWidget
from nettop.tui.widgets.socket_table import SocketTable

if TYPE_CHECKING:
    from nettop.tui.widgets.spread_lines import Now

TYPED_S = 0.15  # so long after the last letter the table narrows
KNOWN_ROWS = 512  # whose values complete


class FilterKeys(RowKeys):
    """The state of the filter; the subclass has the widgets."""

    filter_line: FilterLine
    status: LineWidget
    titles: LineWidget
    table: SocketTable

    def __init__(self) -> None:
        super().__init__()
        self.filter_text: str | None = None
        # Below opened groups: the filter and the grouping that Esc goes back to.
        self.below: list[tuple[str | None, Grouping]] = []
        self.trying = False  # a filter that is being written is in force
        self._typed_timer: Timer | None = None
        # A field, the filter before it and the number of a tick; and what its values were then.
        self._now: tuple[tuple[str, str | None, int], Now | None] | None = None

    def do_filter(self) -> None:
        self._ask("filter ", self.filter_text or "", self._apply_filter)

    def _ask(self, label: str, text: str, take: Callable[[str], object]) -> None:
        from nettop.query.complete import known_values

        self._now = None
        self.status.display = False
        self.titles.display = False
        self.filter_line.display = True
        self.filter_line.styles.height = 12 if self.app.size.height >= 22 else 2
        self.filter_line.begin(text, label, take, known_values(self.feed.window(0, KNOWN_ROWS)),
                               self._now_of)  # fmt: skip
        self.call_after_refresh(self.filter_line.redraw)

    def _now_of(self, field: Field, before: str) -> Now | None:
        """Every socket is read for it: once a tick, however many keys are pressed."""
        from nettop.query.complete import begun

        whole = self._whole(begun(before) or None)
        key = field.id, whole, self.model.seq if self.model is not None else -1
        if self._now is None or self._now[0] != key:
            self._now = key, self._now_read(field, whole, narrowed=bool(before))
        return self._now[1]

    def _now_read(self, field: Field, whole: str | None, *, narrowed: bool) -> Now | None:
        from nettop.engine.spread import spread
        from nettop.tui.widgets.spread_lines import Now, has_spread

        if not has_spread(field) or self.model is None:
            return None
        try:
            compiled = compile_filter(whole, self.feed.names) if whole else None
        except FilterError:
            return None  # what stands before is no filter yet
        found = spread(*self.feed.values(field, compiled))
        planes = (self.model.source(name) for name in ("wait", "stages"))
        off = {s.name: s.reason or "" for s in planes if s is not None and s.state == "off"}
        when = "now" if self.feed.live else "then"
        return Now(field, found, narrowed, off, when)

    def _whole(self, text: str | None) -> str | None:
        """A filter that is written, with what the command line and the chosen rows ask for."""
        return self._among_rows(replace(self.nettop.options, filter_text=text).whole_filter)

    def _apply_filter(self, text: str) -> None:
        self.trying = False
        self._close_filter()
        self.below.clear()
        self._use_filter(text or None)

    def _close_filter(self) -> None:
        if self._typed_timer is not None:
            self._typed_timer.stop()
        self.filter_line.display = False
        self.status.display = True
        self.titles.display = True
        if self.trying:
            self.trying = False
            self._narrow(self.filter_text)
        self.refresh_header()

    def _filter_typed(self, text: str) -> None:
        if self._typed_timer is not None:
            self._typed_timer.stop()
        self._typed_timer = self.set_timer(TYPED_S, lambda: self._try_filter(text))

    def _try_filter(self, text: str) -> None:
        """Narrows the table while a filter is written; of one that is no filter yet, nothing."""
        from nettop.query.complete import begun, without_field

        if not self.filter_line.display:
            return
        try:
            tried = begun(text)
            compile_filter(tried, self.feed.names)
        except FilterError:
            return
        self.trying = True
        self._narrow(tried or None)
        if not self.feed.count() and (before := without_field(text)) is not None:
            self._narrow(before or None)  # the table stays until the comparison is written

    def _narrow(self, text: str | None) -> None:
        whole = self._whole(text)
        try:
            self.timeline.choose(replace(self.timeline.chosen, filter_text=whole))
        except FilterError:
            return  # a name that was there a moment ago; Enter says it
        self.table.to_top()
        self.model = self.feed.latest() or self.model
        self.refresh_all()

    def _use_filter(self, text: str | None) -> bool:
        """Puts a filter in force; a broken one changes nothing."""
        from nettop.query.compile import planes_off
        from nettop.query.plain import mistyped

        try:
            compiled = compile_filter(text, self.feed.names) if text else None
        except FilterError as error:
            self.say(str(error), Role.UNWELL)
            return False
        self.filter_text = text
        whole = self._whole(text)
        self.timeline.choose(replace(self.timeline.chosen, filter_text=whole))
        off = planes_off(compiled, self.model) if compiled and self.model else {}
        if off:
            self.say(f"never true: plane {', '.join(off)} is off", Role.WATCH)
        elif compiled is not None and (said := mistyped(compiled.words)):
            self.say(said[0], Role.WATCH)
        self.table.to_top()
        self.model = self.feed.latest() or self.model
        self.refresh_all()
        return True
