"""One socket, whole: every tcp_info field with its meaning, history, verdict, owners."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import events
from textual.app import ComposeResult

from nettop.model.tcpinfo import LISTEN_FIELDS, TAIL_6_18, TAIL_7_0, TCP_INFO, InfoField
from nettop.model.types import Detail, Model, Proto, Row
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.columns import EXACT, endpoint
from nettop.text.explain import explain
from nettop.text.keys import group_of, written
from nettop.text.words import owner_text
from nettop.tui.base import KeyScreen
from nettop.tui.footer import key_in, name_of
from nettop.tui.header import host_line, shortened
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.events import events_lines
from nettop.tui.panes.gather import events_of, memory_of, sends_of, waits_of
from nettop.tui.panes.health import number_lines
from nettop.tui.panes.lines import rx_lines, tx_lines
from nettop.tui.style import LEVEL_ROLES, Role
from nettop.tui.widgets.lines import (
    BLANK,
    NEEDS,
    Line,
    LineWidget,
    Part,
    clip,
    flow,
    line,
    rows_of,
    spread,
    too_small,
    width_of,
    wrapped,
)

if TYPE_CHECKING:
    from nettop.tui.app import NettopApp
    from nettop.tui.screens.main import MainScreen

FOOT_KEYS = (("Esc", "back"), ("↑↓", "next socket"), ("←→", "explain a field"), ("PgDn", "scroll"),
             ("y", "ss command"), ("e", "export"), ("space", "pause"), ("?", "help"))  # fmt: skip
PAST_KEYS = (("[ ]", "tick"), ("{ }", "change"), ("J", "time"), ("L", "live"))
NOTICE_S = 3.0
_WHEEL = 3  # lines
_STRIP_FROM_END = 2  # lines
PARTS = (("RX queue wait", rx_lines, 10), ("TX stages", tx_lines, 13), ("events", events_lines, 14))
_CELLS = {"us": 6, "ms": 6, "count": 5, "packets": 5}  # of values by unit; of others 4
GROUPS = ("time", "cong", "loss", "bytes", "limits", "option")
OPTION_BITS = ((1, "ts"), (2, "sack"), (4, "wscale"), (8, "ecn"), (16, "ecnseen"), (32, "syndata"),
               (64, "usec_ts"), (128, "tfo_child"))  # fmt: skip
UNUSUAL = frozenset({"lost", "retrans", "retransmits", "probes", "backoff", "total_rto"})
MEMORY = (
    ("rmem_alloc", "receive queue, memory charged"), ("rcvbuf", "its limit"),
    ("wmem_alloc", "on its way to the device"), ("sndbuf", "limit of the send queue"),
    ("fwd_alloc", "reserved, not used"), ("wmem_queued", "send queue, memory charged"),
    ("optmem", "options, filters, BPF storage"), ("backlog", "waits for the socket's lock"),
    ("drops", "packets dropped by this socket"),
)  # fmt: skip


def value_text(item: InfoField, raw: int) -> str:
    """A tcp_info number as people read it."""
    if item.absent is not None and raw == item.absent:
        return units.ABSENT
    if raw < len(item.words):
        return item.words[raw]
    if item.name == "options":
        return "+".join(name for bit, name in OPTION_BITS if raw & bit) or "none"
    match item.unit:
        case "us":
            return units.time(raw * 1e3)
        case "ms":
            return units.time(raw * 1e6)
        case "bytes" if item.name not in EXACT:
            return units.size(raw)
        case "bytes_per_s":
            return units.bits_per_s(raw)
        case "flag":
            return "yes" if raw else "no"
        case "bits":
            return f"0x{raw:x}"
        case _:
            return str(raw) if raw < 100_000 else units.count(raw)


def fields_of(detail: Detail) -> list[InfoField]:
    """What the kernel sent, with the layout of the tail that was decoded."""
    tail = (
        TAIL_7_0
        if "ecn_mode" in detail.tcp_info
        else TAIL_6_18
        if "accecn_opt_seen" in detail.tcp_info
        else ()
    )
    return [item for item in (*TCP_INFO, *tail) if item.name != "state"]


def info_lines(
    row: Row, detail: Detail | None, chosen: str | None, columns: int, width: int
) -> list[Line]:
    """Every field by group; `–` for what this kernel or this state does not give."""
    if detail is None:
        return [line(("tcp_info is read with the next tick", Role.DIM))]
    if not detail.tcp_info:
        return [line(("this socket has no tcp_info", Role.DIM))]
    lines: list[Line] = []
    everything = fields_of(detail)
    for group in GROUPS:
        cells = []
        for item in everything:
            if item.group != group:
                continue
            raw = detail.tcp_info.get(item.name)
            if raw is None or (row.is_listen and item.name not in LISTEN_FIELDS):
                text = units.ABSENT
            else:
                text = value_text(item, raw)
            quiet = text in ("0", units.ABSENT, "no") or (raw == 0 and bool(item.words))
            role = Role.DIM if quiet else Role.NORMAL
            if raw and item.name in UNUSUAL:
                role = Role.WATCH
            name_role = Role.REVERSE if item.name == chosen else Role.DIM
            cells.append((item.name, text, _CELLS.get(item.unit, 4), role, name_role))
        lines += _grid(group, cells, columns, width)
        lines.append(BLANK)
    return lines


def _grid(
    title: str, cells: list[tuple[str, str, int, Role, Role]], columns: int, width: int
) -> list[Line]:
    """Name and value side by side; what is too long for a cell takes two, nothing is cut.

    cells: name, value, cells that values of its kind need, and how both look: so that a value that
    grows moves nothing.
    """
    cell = (width - 8) // columns
    lines: list[Line] = []
    parts: list[Part] = [(f"{title:<8}", Role.BOLD)]
    used = 0
    for name, text, most, role, name_role in cells:
        wide = min(columns, -(-(len(name) + max(most, len(text)) + 2) // cell))
        if used + wide > columns:
            lines.append(tuple(parts))
            parts, used = [(" " * 8, Role.NORMAL)], 0
        room = cell * wide - len(name) - 1
        parts += [(name, name_role), (f"{text:>{room}} ", role)]
        used += wide
    return [*lines, tuple(parts)]


def memory_lines(detail: Detail | None, columns: int, width: int) -> list[Line]:
    if detail is None or not detail.skmem:
        return []
    cells = []
    for name, _ in MEMORY:
        raw = detail.skmem.get(name)
        text = units.ABSENT if raw is None else str(raw) if name == "drops" else units.size(raw)
        cells.append((name, text, 4, Role.DIM if text == "0" else Role.NORMAL, Role.DIM))
    lines = _grid("memory", cells, columns, width)
    extra = {
        **detail.cong_info,
        **{k: v for k, v in detail.attrs.items() if k not in ("shutdown",)},
    }
    if extra:
        words = [line(clean(f"{k} {v}")) for k, v in extra.items()]
        lines.append(BLANK)
        for i, row in enumerate(flow(words, width - 8)):
            lines.append(((("" if i else "more").ljust(8), Role.BOLD), *row))
    return lines


def here(action: str) -> bool:
    """Whether an action means something while one socket is shown."""
    return group_of(action) in ("RUN", "TIME") and action not in ("reset", "cost", "clocks", "bell")


class DetailScreen(KeyScreen[None]):
    """↑↓ next socket, ←→ a field with its help, PgUp PgDn scroll, Esc back."""

    DEFAULT_CSS = "DetailScreen { overflow: hidden; } #detail { height: 100%; width: 100%; }"

    def __init__(self, main: MainScreen, cookie: int) -> None:
        super().__init__()
        self.main = main
        self.cookie = cookie
        self.top = 0
        self.chosen = 0
        self.explains = False
        self._page = 1  # lines of it that a page goes on: as many as are shown
        self._data: PaneData | None = None  # as it was drawn last
        self._keys: list[tuple[str, str]] = []  # in the last line

    @property
    def nettop(self) -> NettopApp:
        return cast("NettopApp", self.app)

    def compose(self) -> ComposeResult:
        self.body = LineWidget(id="detail")
        yield self.body

    def on_mount(self) -> None:
        self._select()
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        if hasattr(self, "body"):
            self.body._lines = []
            self.call_after_refresh(self.redraw)

    def show_model(self, model: Model) -> None:
        self.redraw()

    def redraw(self) -> None:
        with self.main.one_tick() as whole:
            self._redraw(whole)

    def _redraw(self, whole: bool) -> None:
        model = self.main.model
        if model is None or not self.is_mounted:
            return
        width, height = self.app.size
        if too_small(width, height):
            self.body.set_lines([clip(NEEDS, width)])
            return
        g = self.nettop.glyphs
        feed = self.main.feed
        row = feed.find(self.cookie)
        head: list[Line] = [host_line(model, width, g)]
        if row is None:
            text = "   closed: this socket is gone. Esc goes back"
            if self.main.timeline.current is not None:
                text = "   this socket is not in this tick. [ ] another tick, Esc back"
            gone = line((text, Role.WATCH))
            self.body.set_lines([*head, BLANK, gone, BLANK, self._message(width), *self._where()])
            return
        if whole:
            self._data = self._gather(model, row)
        elif self._data is not None and self._data.cookies != (self.cookie,):
            self._data = None
        data = self._data
        detail = data.detail if data is not None else feed.detail(self.cookie)
        since = data.since_s if data is not None else None
        head += self._identity(row, detail, width)
        head.append(line((g.rule * width, Role.DIM)))
        head += self._verdict(row, detail, model, since, width)
        head.append(line((g.rule * width, Role.DIM)))
        where = self._where()
        room = height - len(head) - 2 - len(where)
        self._page = max(1, room)
        content = self._content(row, detail, data, width)
        self.top = max(0, min(self.top, len(content) - room))
        shown = content[self.top : self.top + room]
        shown += [BLANK] * (room - len(shown))
        foot = self._foot(detail, width, self.top + room < len(content))
        self.body.set_lines([*head, *shown, *where, *foot])

    def _where(self) -> list[Line]:
        """Which tick of the past this is, and where it stands among them."""
        badge = self.main.badge()
        if not badge:
            return []
        return [line((f" {clean(badge)} ", Role.REVERSE)), self.main.strip()]

    def _gather(self, model: Model, row: Row) -> PaneData:
        feed = self.main.feed
        return PaneData(
            model=model,
            row=row,
            detail=feed.detail(self.cookie),
            history=tuple(feed.history(self.cookie)),
            marked=None,
            waits=waits_of(feed, model, [self.cookie]),
            sends=sends_of(feed, model, [self.cookie]),
            events=events_of(feed, model, [self.cookie]),
            memory=memory_of(feed, [self.cookie]),
            cookies=(self.cookie,),
            selects=self.main.selects,
            views=self.main.views.with_all_events(),
            since_s=feed.seconds_since(row.rec.verdict_since_s),
        )

    def _identity(self, row: Row, detail: Detail | None, width: int) -> list[Line]:
        rec = row.rec
        owner = owner_text(row) or units.ABSENT
        since = self.main.feed.seconds_since(rec.state_since_s)
        state = row.state_name if rec.proto != Proto.UDP else "UDP"
        first: list[Line] = [
            line((owner, Role.BOLD)),
            line(endpoint(row, local=True), (" ⇄ ", Role.DIM),
                 (endpoint(row, local=False), Role.BOLD)),
            line(state, (f" ≥{units.time(since * 1e9)}" if since is not None else "", Role.DIM)),
            line(row.cong or units.ABSENT),
            line(("user ", Role.DIM), row.user or str(rec.uid)),
            line(("netns ", Role.DIM), row.netns_name or str(rec.netns)),
        ]  # fmt: skip
        if row.above:
            first.insert(0, line(("host ", Role.DIM), row.host or units.ABSENT))
        place: list[Line] = [
            line(("cookie ", Role.DIM), f"{rec.cookie:x}"),
            line(("inode ", Role.DIM), str(rec.inode) if rec.inode else units.ABSENT),
        ]
        if row.container:
            place.append(line(("container ", Role.DIM), row.container))
        place.append(line(("cgroup ", Role.DIM), row.cgroup or units.ABSENT))
        owners = self.main.feed.owners(row)
        here = self.main.feed.live and not row.above
        place += [
            # Of the past another process may have the number by now, or this is another host.
            line(
                (f"pid {proc.pid} ", Role.DIM),
                (_command(proc.pid) if here else None) or proc.comm,
            )
            for proc in owners[:3]
        ]
        if len(owners) > 3:
            place.append(line((f"and {len(owners) - 3} more", Role.DIM)))
        return [*flow(first, width, "  "), *flow(place, width, "  ")[:3]]

    def _verdict(
        self, row: Row, detail: Detail | None, model: Model, since: float | None, width: int
    ) -> list[Line]:
        said = explain(row, detail, model, since)
        role = LEVEL_ROLES[row.level] if row.rec.verdicts else Role.DIM
        who: tuple[Part, ...] = ((said.who, role), (": ", Role.DIM)) if said.who else ()
        head = line(*who, (said.what, Role.BOLD), (said.held, Role.DIM))
        evidence = [line(text) for text in rows_of(said.evidence, width)]
        said_lines = [*wrapped(head, width), *evidence]
        if len(said_lines) == 2:
            said_lines = flow(said_lines, width)
        beside = [text for each in said.beside for text in rows_of(each, width)]
        return [*said_lines, *(line((text, Role.DIM)) for text in beside)]

    def _content(
        self, row: Row, detail: Detail | None, data: PaneData | None, width: int
    ) -> list[Line]:
        chosen = self._chosen_field(detail)
        name = chosen.name if chosen and self.explains else None
        if width < 110:
            columns = 2 if width < 100 else 3
            fields = info_lines(row, detail, name, columns, width)
            fields += memory_lines(detail, columns, width)
            return [*self._side(data, width), BLANK, *fields]
        side = max(44, width * 36 // 100)
        left_width = width - side - 2
        columns = 3 if left_width >= 74 else 2
        left = info_lines(row, detail, name, columns, left_width) + memory_lines(
            detail, columns, left_width
        )
        right = self._side(data, side)
        out: list[Line] = []
        for i in range(max(len(left), len(right))):
            a = clip(left[i], left_width, self.nettop.glyphs.ellipsis) if i < len(left) else BLANK
            b = right[i] if i < len(right) else BLANK
            pad = (" " * (left_width - width_of(a)), Role.NORMAL)
            out.append((*a, pad, (self.nettop.glyphs.bar + " ", Role.DIM), *b))
        return out

    def _side(self, data: PaneData | None, width: int) -> list[Line]:
        if data is None:
            return [line(("the rest follows: the sockets are being read", Role.DIM))]
        g = self.nettop.glyphs
        lines = number_lines(data, width - 1, g)
        for title, make, height in PARTS:
            rule = g.rule * max(0, width - len(title) - 4)
            lines += [
                BLANK,
                line((f"{g.rule} ", Role.DIM), (title, Role.BOLD), (f" {rule}", Role.DIM)),
            ]
            some = make(data, width - 1, height, g)
            while some and not "".join(text for text, _ in some[-1]).strip():
                some.pop()
            lines += some
        return [clip(text, width, g.ellipsis) for text in lines]

    def _chosen_field(self, detail: Detail | None) -> InfoField | None:
        if detail is None or not detail.tcp_info:
            return None
        ordered = [f for group in GROUPS for f in fields_of(detail) if f.group == group]
        self.chosen %= len(ordered)
        return ordered[self.chosen]

    def _foot(self, detail: Detail | None, width: int, more: bool) -> list[Line]:
        field = self._chosen_field(detail) if self.explains else None
        shown = self._message(width)
        if field is not None and not shown:
            kind = "cumulative" if field.kind == "counter" else field.kind
            sent = detail.tcp_info.get(field.name) if detail else None
            absent = (
                ""
                if sent is not None
                else f"; not sent: this kernel gives {detail.tcp_info_len if detail else 0} bytes"
            )
            said = line((f"tcpi_{field.name} ", Role.FOCUS), field.help,
                        (f" ({field.unit}, {kind}{absent})", Role.DIM))  # fmt: skip
            shown = clip(said, width, self.nettop.glyphs.ellipsis)
        keys: list[Part] = []
        self._keys = []
        past = self.main.timeline.current is not None
        for key, text in (*FOOT_KEYS[:1], *PAST_KEYS, *FOOT_KEYS[1:]) if past else FOOT_KEYS:
            more_keys: list[Part] = [(key, Role.BOLD), (f" {text}  ", Role.DIM)]
            if width_of((*keys, *more_keys)) > width - 18:
                break
            keys += more_keys
            self._keys.append((key, text))
        place = self.main.feed.position(self.cookie)
        right = f"{'↓ more  ' if more else ''}{(place or 0) + 1} of {self.main.feed.count()} "
        return [shown, spread(tuple(keys), ((right, Role.DIM),), width)]

    def _message(self, width: int) -> Line:
        """What a key's work came to, for some seconds."""
        text, role = self.main.current_message
        return line((shortened(clean(text), width), role)) if text else BLANK

    def press(self, event: events.Key) -> None:
        with self.main.one_tick():
            self._press(event)

    def _press(self, event: events.Key) -> None:
        match event.key:
            case "escape" | "enter" | "backspace":
                self.main.opened = None
                self.leave()
                self.main.table.select(self.cookie)
                self.main.refresh_all()
                return
            case "down" | "j" | "up" | "k":
                self._next(1 if event.key in ("down", "j") else -1)
            case "right" | "tab" | "left" | "shift+tab":
                step = 1 if event.key in ("right", "tab") else -1
                self.chosen += step if self.explains else 0
                self.explains = True
            case "pagedown":
                self.top += self._page
            case "pageup":
                self.top -= self._page
            case "home" | "g":
                self.top = 0
            case "end" | "G":
                self.top = 1 << 30
            case _:
                self._do(self.nettop.keymap.action_of(event.key, event.character), event)
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """A key of the last line is pressed; above it stands the strip of the past."""
        x, y = event.screen_offset
        from_end = self.app.size.height - 1 - y
        key = key_in(self._keys, x) if from_end == 0 else None
        if key is not None:
            self.press(events.Key(name_of(key), key if len(key) == 1 else None))
        elif from_end == _STRIP_FROM_END and self._where():
            self.main.to_cell(x)

    def on_mouse_scroll_down(self) -> None:
        self.top += _WHEEL
        self.redraw()

    def on_mouse_scroll_up(self) -> None:
        self.top -= _WHEEL
        self.redraw()

    def _do(self, action: str | None, event: events.Key) -> None:
        """What keys do on every screen, for this socket."""
        match action:
            case "copy":
                self.main.copy_command(self.main.feed.find(self.cookie))
            case "palette":
                from nettop.tui.screens.palette import PaletteScreen

                self.app.push_screen(
                    PaletteScreen(self.nettop.keymap, lambda chosen: self._do(chosen, event), here)
                )
            case str() if here(action):
                self.main.act(action)
            case str():
                self.main.say(f"{written(event.key, event.character)} is for the table: Esc first",
                              Role.WATCH, NOTICE_S)  # fmt: skip
            case None:
                self.main.unknown(event)

    def _select(self) -> None:
        self.main.opened = self.cookie
        self.main.select_tx()

    def _next(self, by: int) -> None:
        place = self.main.feed.position(self.cookie)
        rows = self.main.feed.window(max(0, (place if place is not None else 0) + by), 1)
        if rows:
            self.cookie = rows[0].cookie
            self._select()
            rows = self.main.table.rows
            self.main.timeline.set_focus([self.cookie, *(r.cookie for r in rows)][:256])


def _command(pid: int) -> str | None:
    """Command line of a process; None if it is gone or another user's."""
    import psutil

    try:
        words = psutil.Process(pid).cmdline()
    except (psutil.Error, OSError):
        return None
    return clean(" ".join(words))[:200] or None
