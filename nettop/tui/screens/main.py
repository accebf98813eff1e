"""The main screen: header, table, panes; keys act on its state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any, cast

from msgspec.structs import replace
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import ModalScreen

from nettop.feed import Grouping, Sort
from nettop.model.events import ALL_TYPES
from nettop.model.types import Model, Row
from nettop.query import narrowed
from nettop.text.moments import clock_text, taken_text
from nettop.tui import columns as table_columns
from nettop.tui.footer import footer_keys, footer_line, place_of_groups, place_of_one, place_of_rows
from nettop.tui.header import HeaderState, host_line, status_line
from nettop.tui.lately import Lately
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.gather import (
    GROUP_SOCKETS,
    MOST_EVENTS,
    events_of,
    group_data,
    members_of,
    memory_of,
    names_of,
    sends_of,
    waits_of,
)
from nettop.tui.panes.pane import Pane
from nettop.tui.panes.views import EVENTS, WAITS, Views
from nettop.tui.screens.mouse import MouseKeys
from nettop.tui.screens.row_keys import NOTICE_S, Rows
from nettop.tui.screens.view_keys import ABOVE_PANES, LEAST_PANES, pane_lines, shown_panes
from nettop.tui.style import Role
from nettop.tui.widgets.filter_line import FilterLine
from nettop.tui.widgets.group_table import GroupTable
from nettop.tui.widgets.lines import (
    NEEDS,
    ClickLine,
    line,
    too_small,
)
from nettop.tui.widgets.socket_table import SocketTable

NARROW_SOCKETS = 256
OTHER_GROUPS, OF_OTHERS = 16, 8  # groups beside the chosen ones, and sockets of each
GROUPINGS = (Grouping.NONE, Grouping.PROCESS, Grouping.PROGRAM, Grouping.REMOTE,
             Grouping.REMOTE_PORT, Grouping.LOCAL, Grouping.PORT, Grouping.CGROUP,
             Grouping.NETNS)  # fmt: skip


class MainScreen(MouseKeys):
    """State of the view lives here; widgets draw what they are given."""

    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    MainScreen { layout: vertical; overflow: hidden; }
    #host, #status, #titles, #footer, #strip { height: 1; }
    #filter { height: 2; display: none; }
    #table { height: 1fr; }
    #groups { height: 1fr; display: none; }
    #panes { height: 12; }
    .pane { width: 1fr; height: 100%; display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.model: Model | None = None
        self.sort = Sort()
        self.grouping = Grouping.NONE
        self.paused = False
        self.paused_ns = 0
        self.pane_number = 3
        self.zoomed = False
        self.views = Views()
        self.column_set, self._columns_for = table_columns.ColumnSet(()), cast("Any", None)
        self._g_at = 0.0
        self._key = ""  # the last one
        self._panes_at = 0.0
        self._pane_data: PaneData | None = None  # as it was drawn last
        self._lately = Lately()

    def compose(self) -> ComposeResult:
        # Kept as they are made: an end in the middle of the start finds no children to ask for.
        self.host = ClickLine("host", self.host_clicked)
        self.status = ClickLine("status", self.status_clicked)
        self.filter_line = FilterLine(
            self.nettop.history_file,
            lambda: self.feed.names,
            self._apply_filter,
            self._close_filter,
            self._filter_typed,
        )
        self.titles = ClickLine("titles", self.title_clicked)
        self.table = SocketTable(lambda: self.column_set, id="table")
        self.groups = GroupTable()
        self.panes = [Pane(number) for number in (1, 2, 3, 4)]
        self.pane_box = Horizontal(*self.panes, id="panes")
        self.strip_line = ClickLine("strip", self.to_cell)
        self.footer = ClickLine("footer", self.footer_clicked)
        yield self.host
        yield self.status
        yield self.filter_line
        yield self.titles
        yield self.table
        yield self.groups
        yield self.pane_box
        yield self.strip_line
        yield self.footer

    def on_mount(self) -> None:
        options = self.nettop.options
        self.filter_text = options.filter_text
        self.sort = Sort(options.sort_field, options.sort_descending)
        if options.grouping:
            self._group(options.grouping)
        self._arrange()
        kept = self.timeline.kept
        if kept is not None and kept.message:
            self.say(kept.message, Role.WATCH)
        if kept is not None and kept.plays:
            self.toggle_playing()

    # --- layout ---

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()
        self.call_after_refresh(self.refresh_all)

    def _arrange(self) -> None:
        width, height = self.app.size.width, self.app.size.height
        fits = not too_small(width, height)
        panes_fit = fits and height >= LEAST_PANES
        zoomed = self.zoomed and panes_fit
        shown = shown_panes(width, self.pane_number, zoomed=zoomed)
        first = True
        for pane in self.panes:
            on = pane.number in shown and panes_fit
            pane.display = on
            pane.bordered = on and not first
            pane.focused_pane = pane.number == self.pane_number
            first = first and not on
        self.strip_line.display = self.timeline.away and self.timeline.current is not None
        beside = ABOVE_PANES + self.strip_line.display
        self._above = self._lines_above()
        lines = height - beside if zoomed else pane_lines(height, self._above)
        self.pane_box.styles.height = lines if panes_fit else 0
        self.status.display = self.footer.display = fits
        self.titles.display = fits and not zoomed
        self.table.display = fits and not zoomed and self.grouping is Grouping.NONE
        self.groups.display = fits and not zoomed and self.grouping is not Grouping.NONE
        for pane in self.panes:
            pane._lines = []
            pane.refresh()

    # --- a tick ---

    def show_model(self, model: Model) -> None:
        """Draws a tick; behind an overlay too, but not behind another screen."""
        self.model = model
        with self.one_tick():
            self._show(model)

    def _show(self, model: Model) -> None:
        from nettop.tui.screens.detail import DetailScreen

        if isinstance(self.app.screen, DetailScreen):
            self.app.screen.show_model(model)
        if not isinstance(self.app.screen, MainScreen | ModalScreen):
            # What is drawn below would make that screen paint all of itself.
            self.select_tx()
            return
        now = time.monotonic()
        panes = now - self._panes_at >= self.nettop.pane_pace_s
        if panes:
            self._panes_at = now
        self.refresh_all(panes=panes)

    @contextmanager
    def one_tick(self) -> Iterator[bool]:
        """What is asked of the feed inside is of one tick, that of self.model; False: a long sweep
        is under way, and only the rows on the screen are."""
        with self.feed.one_tick() as model:
            if model is not None and self.model is not None:
                self.model = model
            yield model is not None

    def show_tick(self) -> None:
        model = self.feed.latest()
        if model is None:
            return
        self._panes_at = 0.0
        past = self.timeline.current is not None
        if past != self.strip_line.display:
            self._arrange()
            self.call_after_refresh(self.refresh_all)
        self.show_model(model)

    def refresh_all(self, *, panes: bool = True) -> None:
        with self.one_tick():
            self._refresh_all(panes)

    def _refresh_all(self, panes: bool) -> None:
        if not self.is_mounted:
            return
        if self.model is None:
            self.host.set_lines([line(("nettop", Role.BOLD))])
            self.table.set_lines([line(), line("   reading sockets" + self.nettop.glyphs.ellipsis)])
            return
        width = self.app.size.width
        if too_small(*self.app.size):
            self.host.set_lines([NEEDS])
            return
        self.choose_columns(width)
        if self.grouping is Grouping.NONE:
            self.table.reload()
            if self.choose_columns(width):  # what it read has a value of one more
                self.table.redraw()
        else:
            self.groups.reload()
        if self._lines_above() != self._above:
            self._arrange()
        self._set_focus()
        self.select_tx()
        self.refresh_header()
        if panes:
            self.refresh_panes()

    def refresh_header(self) -> None:
        if self.model is None or too_small(*self.app.size):
            return
        width, g = self.app.size.width, self.nettop.glyphs
        self.host.set_lines([host_line(self.model, width, g)])
        message, role = self.current_message
        state = HeaderState(
            filter_text=self._filter_shown(),
            sort=None if self.grouping else self.sort.field,
            groups_by=self.groups.sort.title if self.grouping and self.groups.sort else "",
            grouping=self.grouping.name.lower() if self.grouping else "",
            paused_at=clock_text(self.paused_ns) if self.paused else None,
            paused_for_s=max(0.0, (time.time_ns() - self.paused_ns) / 1e9) if self.paused else 0,
            held=self.held,
            hidden=self.column_set.hidden,
            message=message,
            message_role=role,
            file=None
            if self.feed.live
            else taken_text(self.feed.title or "", self.model.wall_ns, time.time_ns()),
            past=self.badge(),
            bell=None if self.bell is None or self.paused else self.bell.matching,
            lost=()
            if self.timeline.away
            else self._lately.texts(self.model.cost, time.monotonic()),
        )
        self.status.set_lines([status_line(self.model, state, width, g)])
        if self.grouping is Grouping.NONE:
            titles = table_columns.titles(
                self.column_set, self.sort.field, self.sort.descending, width
            )
        else:
            titles = self.groups.titles(width)
        self.titles.set_lines([titles])
        self.strip_line.set_lines([self.strip()])
        self.footer.set_lines([footer_line(self._footer_keys(), self._place(), width)])

    def _filter_shown(self) -> str | None:
        cut = self.feed.file_filter if self.feed.live or self.rows is Rows.USUAL else None
        among = ", ".join(filter(None, (self.rows.among, cut)))
        if not among or among == self.filter_text:
            return self.filter_text
        return f"{self.filter_text or 'none'} of {among}"

    def _footer_keys(self) -> list[tuple[str, str]]:
        options = self.nettop.options
        return footer_keys(
            paused=self.paused,
            grouped=bool(self.grouping),
            readonly=options.readonly,
            kept=self.timeline.kept is not None,
            past=self.timeline.current is not None,
            playing=self.playing,
            live=self.timeline.base.live,
            pane=self.full_size,
            registry=self.nettop.keymap.keys,
        )

    def _place(self) -> str:
        if self.grouping:
            return place_of_groups(len(self.groups.groups), len(self.table.marked))
        table = self.table
        if self.full_size:
            at = table.cursor_at if table.selected is not None else None
            return place_of_one(at, self.feed.count(), len(table.marked))
        return place_of_rows(table.offset_row, table.page, self.feed.count(), len(table.marked))

    def refresh_panes(self) -> None:
        """While a long sweep is under way they stay as they are; the tick brings new ones."""
        if self.model is None:
            return
        with self.one_tick() as whole:
            if whole or self._pane_data is None:
                self._pane_data = self._gather()
            else:
                self._panes_at = 0.0
                self._pane_data = replace(self._pane_data, views=self.views)
            data = self._pane_data
        for pane in self.panes:
            if pane.display:
                pane.show(data)

    def _gather(self) -> PaneData:
        assert self.model is not None
        beside = self.panes[EVENTS - 1].display
        # Where no wait is known of what is chosen, that pane has its events.
        instead = not beside and self.panes[WAITS - 1].display
        most_events = MOST_EVENTS if beside or instead else 1
        if self.grouping and (group := self.groups.selected) is not None:
            return group_data(
                self.feed, self.model, self.grouping, group, self.groups.both, self.views,
                most=most_events, selects=self.selects, beside=beside,
            )  # fmt: skip
        marked = self.feed.sum(list(self.table.marked)) if self.table.marked else None
        row = self._subject()
        cookie = row.cookie if row is not None else None
        cookies = self._cookies(cookie)
        return PaneData(
            model=self.model,
            row=row if marked is None else None,
            detail=self.feed.detail(cookie) if cookie is not None and marked is None else None,
            history=tuple(self.feed.history(cookie)) if marked is None else (),
            marked=marked,
            waits=waits_of(self.feed, self.model, cookies),
            sends=sends_of(self.feed, self.model, cookies),
            events=events_of(
                self.feed,
                self.model,
                cookies,
                most=most_events,
                types=self.views.types(self.model) if beside else ALL_TYPES,
            ),
            events_beside=beside,
            memory=memory_of(self.feed, cookies),
            cookies=tuple(cookies) if cookies is not None else None,
            closed=tuple(self.feed.closed((), most=64)) if cookie is None else (),
            selects=self.selects,
            names=names_of(self.feed, self.model),
            views=self.views,
            since_s=self.feed.seconds_since(row.rec.verdict_since_s) if row is not None else None,
        )

    def _cookies(self, cookie: int | None) -> list[int] | None:
        """What the panes are about: the marked, the chosen one, or (None) all."""
        if self.table.marked:
            return list(self.table.marked)
        return [cookie] if cookie is not None else None

    def _of_groups(self) -> list[int]:
        """Sockets of the compared groups, of each its share, and of that at the cursor; and first
        ones of the others that are shown."""
        groups = [*self.groups.both, *filter(None, (self.groups.selected,))]
        share = (GROUP_SOCKETS - OTHER_GROUPS * OF_OTHERS) // max(1, len(groups))
        some = [members_of(self.feed, self.grouping, group, share) for group in groups]
        others = self.groups.others(OTHER_GROUPS)
        some += [members_of(self.feed, self.grouping, group, OF_OTHERS) for group in others]
        return list(dict.fromkeys(cookie for cookies in some for cookie in cookies))

    @property
    def selects(self) -> bool:
        """Whether what is chosen is asked of the kernel: not of a file or the past."""
        return self.timeline.current is None and self.timeline.base.live

    def select_tx(self) -> None:
        """Sends are stamped of what the user chose: marks, an opened socket, a narrow filter, or
        the socket that the cursor stands on (the plane waits until it rests)."""
        cookies: list[int] = []
        if self.trying:  # not chosen yet
            return
        if self.grouping:
            cookies = self._of_groups()
        elif self.table.marked:
            cookies = list(self.table.marked)
        elif self.opened is not None:
            cookies = [self.opened]
        elif self.filter_text and self.feed.count() < NARROW_SOCKETS:
            cookies = [row.cookie for row in self.feed.window(0, NARROW_SOCKETS)]
        elif (row := self._subject()) is not None:
            cookies = [row.cookie]
        self.feed.select_tx(cookies)

    def _subject(self) -> Row | None:
        """The socket under the cursor once the user has chosen one; of a group its worst member."""
        if self.grouping:
            group = self.groups.selected
            return self.feed.find(group.worst_cookie) if group else None
        return self.table.selected

    def _set_focus(self) -> None:
        """Fine times are kept of what the panes may be asked for."""
        if self.grouping:
            self.timeline.set_focus(self._of_groups()[:256])
            return
        self.timeline.set_focus([*self.table.marked, *(r.cookie for r in self.table.rows)][:256])

    # --- messages of the widgets ---

    def on_socket_table_moved(self) -> None:
        with self.one_tick():
            self._set_focus()
            self.select_tx()
            self.refresh_panes()
            self.refresh_header()

    def on_socket_table_opened(self) -> None:
        if self.app.screen is self:
            self.do_open()

    # --- keys ---

    def press(self, event: events.Key) -> None:
        if self.filter_line.display:
            self.filter_line.press(event)
            return
        self._key = event.key
        if not self.pane_key(event.key):
            self.do(event)

    def do(self, event: events.Key) -> None:
        """What the key stands for; another screen's too."""
        action = self.nettop.keymap.action_of(event.key, event.character)
        if action is None:
            self.unknown(event)
        else:
            self.act(action)

    def paste(self, text: str) -> None:
        if self.filter_line.display:
            self.filter_line.paste(text)

    def _move(self, by: int) -> None:
        self.hold_awhile()
        if self.grouping:
            self.groups.move(by)
            self.refresh_panes()
            return
        self.table.move(by, announce=False)
        self.on_socket_table_moved()  # at once, so that all is in one picture

    def do_down(self) -> None:
        self._move(1)

    def do_up(self) -> None:
        self._move(-1)

    def do_page_down(self) -> None:
        self._move(self.table.page)

    def do_page_up(self) -> None:
        self._move(-self.table.page)

    def do_first(self) -> None:
        now = time.monotonic()
        if now - self._g_at > 0.5 and self._key != "home":
            self._g_at = now
        else:
            self.to_first()

    def do_last(self) -> None:
        self._move(self.feed.count())

    def do_open(self) -> None:
        if self.grouping:
            group = self.groups.selected
            if group is None or not group.filter_text:
                return
            self.below.append((self.filter_text, self.grouping))
            self.grouping = Grouping.NONE
            self._arrange()
            self._use_filter(narrowed(self.filter_text, group.filter_text))
            self.call_after_refresh(self.refresh_all)
            return
        row = self.table.at_cursor
        if row is not None:
            from nettop.tui.screens.detail import DetailScreen

            self.app.push_screen(DetailScreen(self, row.cookie))

    def do_back(self) -> None:
        if self.zoomed:
            self.do_zoom()
        elif self.grouping:
            self._group(Grouping.NONE)
        elif self.below:
            text, grouping = self.below.pop()
            self._use_filter(text)
            self._group(grouping)
        elif self.filter_text:
            self._use_filter(None)
        elif self.table.follow:
            self.table.to_top()
            self.refresh_panes()

    def do_pause(self) -> None:
        if self.timeline.current is not None or self.timeline.moving:
            self.toggle_playing()
            return
        if not self.feed.live:
            return
        self.paused = not self.paused
        if self.model is not None and self.paused:
            self.paused_ns = self.model.wall_ns
        self.feed.set_paused(self.paused)
        self.refresh_header()

    def do_mark(self) -> None:
        if self.grouping:
            self.groups.compare()
            one = len(self.groups.compared) == 1
            self.say("A: x on another group compares the two" if one else "", seconds=NOTICE_S)
            self._arrange()
            self.call_after_refresh(self.refresh_panes)
            return
        self.table.toggle_mark()
        self._move(1)
        self.refresh_panes()

    def do_clear_marks(self) -> None:
        if not self.table.marked and not self.groups.compared:
            self.say("nothing is marked", seconds=NOTICE_S)
        self.groups.compared.clear()
        self.groups.redraw()
        self.table.marked.clear()
        self.table.redraw()
        self._arrange()
        self.call_after_refresh(self.refresh_panes)
        self.refresh_header()

    def do_group_back(self) -> None:
        self.do_group(-1)

    def do_group(self, by: int = 1) -> None:
        several = self.model is not None and bool(self.model.hosts)
        order = (*GROUPINGS, Grouping.HOST) if several else GROUPINGS
        at = order.index(self.grouping) if self.grouping in order else 0
        self._group(order[(at + by) % len(order)])

    def _group(self, grouping: Grouping) -> None:
        self.grouping = grouping
        self.groups.show(grouping)
        self._arrange()
        self.call_after_refresh(self.refresh_all)

    do_group_by_process = partialmethod(_group, Grouping.PROCESS)
    do_group_by_program = partialmethod(_group, Grouping.PROGRAM)
    do_group_by_remote = partialmethod(_group, Grouping.REMOTE)
    do_group_by_remote_port = partialmethod(_group, Grouping.REMOTE_PORT)
    do_group_by_local = partialmethod(_group, Grouping.LOCAL)
    do_group_by_port = partialmethod(_group, Grouping.PORT)
    do_group_by_cgroup = partialmethod(_group, Grouping.CGROUP)
    do_group_by_netns = partialmethod(_group, Grouping.NETNS)

    def do_reset(self) -> None:
        self.below.clear()
        self.set_held(False)
        self.grouping = Grouping.NONE
        self.groups.show(Grouping.NONE)
        self.zoomed = False
        self.nettop.set_columns(None)
        self.column_shift = 0
        self._columns_for = None
        if self.rows is not Rows.USUAL:
            self._ask_rows(Rows.USUAL)
        self._arrange()
        self._use_sort(Sort())
        self._use_filter(None)
        self.say("the view is the usual one", seconds=NOTICE_S)

    def do_clear(self) -> None:
        if self.in_past:
            self.say("what is kept of the past cannot be cleared", Role.WATCH)
            return
        self.feed.clear()
        self.say("histories begin anew", seconds=NOTICE_S)
        self.refresh_panes()
