"""The clocks: what each NIC stamps, and its hardware clock against the system's, at 1 Hz."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from msgspec import Struct
from msgspec.structs import replace
from textual import events
from textual.app import ComposeResult
from textual.message import Message

from nettop.clocks import table
from nettop.clocks.interfaces import Interface, Remark
from nettop.clocks.observer import PhcReport, Report
from nettop.clocks.table import Level, Row
from nettop.clocks.watch import Watch
from nettop.text.clean import clean
from nettop.text.keys import written
from nettop.tui.base import KeyScreen
from nettop.tui.footer import key_in, name_of
from nettop.tui.screens.clockplot import plot, sparkline
from nettop.tui.style import Role
from nettop.tui.widgets.lines import (
    BLANK,
    NEEDS,
    Line,
    LineWidget,
    Part,
    clip,
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

FOOT_KEYS = (("Esc", "back"), ("↑↓", "interface"), ("?", "help"), ("q", "quit"))
METHOD_LINE = (
    "offset: stamps of the hardware (PRECISE) where it has them, else the narrowest of 25 windows; "
    "± half of it"
)
SHORT_METHOD_LINE = "offset: the narrowest of 25 read windows, ± half of it"
MEANS = (
    ("offset", "PHC minus the system clock; TAI: minus that and TAI-UTC"),
    ("±", "half the read window: the truth lies inside"),
    ("drift", "how much faster the PHC runs, over 60 s"),
    ("locked", "within 1µs and its ± at each reading"),
    ("", ""),
    ("", "nettop never steers a clock and never changes a NIC's filter."),
)
_ROLES = {Level.PLAIN: Role.DIM, Level.FINE: Role.NORMAL, Level.WATCH: Role.WATCH,
          Level.UNWELL: Role.UNWELL}  # fmt: skip
_SPARK_CELLS = 12
LEAST_PLOT = 7  # lines, with its rule


class Column(Struct, frozen=True):
    """Where a cell of table.Row stands from which width on."""

    title: str
    member: str
    width: int
    right: bool = False
    least: int = 0
    wide: int = 0  # its width from 120 on, if another


COLUMNS = (
    Column("NIC", "name", 10, wide=15),
    Column("DRIVER", "driver", 10, least=100, wide=12),
    Column("PHC", "clock", 5),
    Column("TX", "tx", 5),
    Column("RX", "rx", 5),
    Column("SET NOW", "setting", 9, least=100),
    Column("OFFSET", "offset", 10, right=True),
    Column("±", "bar", 6, right=True),
    Column("DRIFT", "drift", 8, right=True),
    Column("60 s", "", _SPARK_CELLS, least=120),
    Column("STATE", "state", 20),
)


class ClocksReady(Message):
    """The watch has a newer report."""


def open_clocks(main: MainScreen) -> None:
    """The screen, unless this is a file: clocks are of the machine that nettop runs on."""
    if not main.timeline.base.live:
        main.say("a file has no clocks: nettop clocks shows this machine's", Role.WATCH)
        return
    main.app.push_screen(ClocksScreen())


class ClocksScreen(KeyScreen[None]):
    """↑↓ chooses an interface, Esc goes back."""

    DEFAULT_CSS = "ClocksScreen { overflow: hidden; } #clocks { height: 100%; width: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self.at = 0
        self.top = 0
        self.notice = ""  # of a key that means nothing here; until the next one
        self.watcher = Watch(self._ready)

    def _ready(self) -> None:
        """Called from the watch's thread."""
        with suppress(RuntimeError):  # after the end
            self.post_message(ClocksReady())

    @property
    def nettop(self) -> NettopApp:
        return cast("NettopApp", self.app)

    def compose(self) -> ComposeResult:
        self.body = LineWidget(id="clocks")
        yield self.body

    def on_mount(self) -> None:
        self.call_after_refresh(self.redraw)
        self.watcher.start()

    def on_unmount(self) -> None:
        self.watcher.stop()

    def on_resize(self) -> None:
        if hasattr(self, "body"):
            self.body._lines = []
            self.call_after_refresh(self.redraw)

    def on_clocks_ready(self) -> None:
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        x, y = event.screen_offset
        key = key_in(FOOT_KEYS, x, begin=2) if y == self.app.size.height - 1 else None
        if key is not None and not self.notice:
            self.press(events.Key(name_of(key), key if len(key) == 1 else None))

    def on_mouse_scroll_down(self) -> None:
        self.at += 1
        self.redraw()

    def on_mouse_scroll_up(self) -> None:
        self.at -= 1
        self.redraw()

    def press(self, event: events.Key) -> None:
        self.notice = ""
        match event.key:
            case "escape" | "backspace" | "C":
                self.leave()
                self.nettop.main.refresh_all()
                return
            case "down" | "j":
                self.at += 1
            case "up" | "k":
                self.at -= 1
            case "home" | "g":
                self.at = 0
            case "end" | "G":
                self.at = 1 << 30
            case "pagedown":
                self.at += 10
            case "pageup":
                self.at -= 10
            case _:
                action = self.nettop.keymap.action_of(event.key, event.character)
                if action in ("quit", "help", "redraw"):
                    self.nettop.main.act(action)
                else:
                    self.notice = f"no key {written(event.key, event.character)} here"
        self.redraw()

    # --- drawing ---

    def redraw(self) -> None:
        if not self.is_mounted:
            return
        width, height = self.app.size
        if too_small(width, height):
            self.body.set_lines([clip(NEEDS, width)])
            return
        self.body.set_lines(self._lines_of(width, height))

    def _lines_of(self, width: int, height: int) -> list[Line]:
        report = self.watcher.latest
        if report is None:
            why = self.watcher.failure
            text = f"the clocks cannot be read: {why}" if why else "reading the clocks"
            return [line(("nettop clocks", Role.BOLD)), BLANK, line((clean(text), Role.DIM))]
        subjects = table.subjects(report)
        self.at = max(0, min(self.at, len(subjects) - 1))
        room = max(3, min(len(subjects), (height - 8) // 2))
        self.top = max(0, min(self.top, self.at, len(subjects) - room))
        self.top = max(self.top, self.at - room + 1)
        shown = [table.row_of(*s) for s in subjects[self.top : self.top + room]]
        lines = [*_head(report, width), _titles(width)]
        lines += [self._row(row, width, self.top + i == self.at) for i, row in enumerate(shown)]
        foot = self._foot(len(subjects), width)
        left = height - len(lines) - 2
        below = self._below(shown[self.at - self.top], left, width) if shown else []
        below = below[:left]
        below += [BLANK] * (left - len(below))
        ellipsis = self.nettop.glyphs.ellipsis
        return [clip(text, width, ellipsis) for text in (*lines, BLANK, *below, foot)]

    def _row(self, row: Row, width: int, chosen: bool) -> Line:
        g = self.nettop.glyphs
        sign = {Level.WATCH: g.watch, Level.UNWELL: g.unwell}.get(row.level, " ")
        role = _ROLES[row.level]
        parts: list[Part] = [
            (g.cursor if chosen else " ", Role.FOCUS),
            (f"{sign} ", role),
        ]
        columns = _columns(width)
        for column in columns:
            if not column.member:
                text = sparkline(row.phc.line, column.width, g) if row.phc else g.off
            else:
                text = getattr(row, column.member)
            parts.append((_cell(text, column, column is columns[-1]), _role_of(column, text, row)))
        if chosen:
            parts[2] = (parts[2][0], Role.BOLD)
        return tuple(parts)

    def _below(self, row: Row, room: int, width: int) -> list[Line]:
        """What there is to say on the chosen row, its capabilities, its offset over time."""
        g = self.nettop.glyphs
        name = row.name if row.nic else row.clock
        lines: list[Line] = []
        for remark in table.sentences(row):
            lines += _sentence(name, remark, width)
        words = [BLANK, *_words(row.nic, width)] if row.nic is not None else []
        phc = row.phc
        if phc is None or len(phc.line) < 2 or room - len(lines) < LEAST_PLOT:
            return lines + words
        # Where both do not fit, the plot says more.
        if room - len(lines) - len(words) >= LEAST_PLOT:
            lines += words
        left = room - len(lines) - 2
        side = 44 if width >= 110 else 0
        title = f"{name} {row.clock} - {'TAI' if row.offset.startswith('TAI') else 'system'}"
        lines += [BLANK, _rule(title, f"around {row.offset}  {_span(phc)}", width, g.rule)]
        drawn = plot(phc, width - side - 2, min(left, 14), g)
        means = _means(side - 2) if side else []
        for i, text in enumerate(drawn):
            pad: Part = (" " * (width - side - width_of(text)), Role.NORMAL)
            more: Line = means[i] if i < len(means) else BLANK
            lines.append((*text, pad, *more))
        return lines

    def _foot(self, count: int, width: int) -> Line:
        keys: list[Part] = []
        for key, text in FOOT_KEYS:
            keys += [(key, Role.BOLD), (f" {text}  ", Role.DIM)]
        if self.notice:
            keys = [(self.notice, Role.WATCH), ("  ", Role.NORMAL), *keys[:2]]
        place = f"{self.at + 1} of {count} " if count else "no interfaces "
        return spread((("  ", Role.NORMAL), *keys), ((place, Role.DIM),), width)


def _head(report: Report, width: int) -> list[Line]:
    system = table.system_text(report)
    one = line(("nettop clocks", Role.BOLD), ("  ", Role.DIM), system)
    first = [one] if width_of(one) <= width else wrapped(one, width)
    if not report.phcs:
        return [*first, line(("no NIC here has a hardware clock", Role.DIM))]
    text = METHOD_LINE if width >= len(METHOD_LINE) else SHORT_METHOD_LINE
    return [*first, line((text, Role.DIM))]


def _columns(width: int) -> list[Column]:
    wide = width >= 120
    return [replace(c, width=(wide and c.wide) or c.width) for c in COLUMNS if width >= c.least]


def _titles(width: int) -> Line:
    columns = _columns(width)
    text = "   " + "".join(_cell(c.title, c, c is columns[-1]) for c in columns)
    return line((text.ljust(width)[:width], Role.TITLE))


def _cell(text: str, column: Column, last: bool) -> str:
    if last:
        return text
    if len(text) > column.width:
        text = text[: column.width - 1] + "…"
    return (text.rjust if column.right else text.ljust)(column.width) + " "


def _role_of(column: Column, text: str, row: Row) -> Role:
    if text == "–" or (row.level is Level.PLAIN and column.title != "NIC"):
        return Role.DIM
    if column.title in ("STATE", "OFFSET"):
        return _ROLES[row.level]
    return Role.DIM if column.title in ("DRIVER", "±", "60 s") else Role.NORMAL


def _sentence(name: str, remark: Remark, width: int) -> list[Line]:
    role = Role.WATCH if remark.odd else Role.DIM
    rows = rows_of(remark.text, max(20, width - len(name) - 3))
    lines = [
        line((f"{name}: " if i == 0 else " " * (len(name) + 2), role),
             (text, Role.NORMAL if remark.odd else Role.DIM))
        for i, text in enumerate(rows)
    ]  # fmt: skip
    if remark.fix:
        lines.append(line((" " * (len(name) + 2) + "fix: ", Role.DIM), (remark.fix, Role.BOLD)))
    return lines


def _words(nic: Interface, width: int) -> list[Line]:
    """Capabilities by the kernel's names."""
    lines = []
    for title, words in (
        ("stamps", nic.capabilities),
        ("tx types", nic.tx_types),
        ("rx filters", nic.rx_filters),
    ):
        for i, text in enumerate(rows_of(" ".join(words) or "–", width - 12)):
            lines.append(line((f"{title if i == 0 else '':<11}", Role.DIM), (text, Role.NORMAL)))
    return lines


def _rule(title: str, right: str, width: int, rule: str) -> Line:
    rest = rule * max(0, width - len(title) - len(right) - 6)
    return line((f"{rule} ", Role.DIM), (title, Role.FOCUS), (f" {right} {rest}", Role.DIM))


def _span(phc: PhcReport) -> str:
    if len(phc.line) < 2:
        return ""
    seconds = (phc.line[-1].sys_ns - phc.line[0].sys_ns) / 1e9
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _means(width: int) -> Sequence[Line]:
    lines: list[Line] = []
    for word, text in MEANS:
        rows = rows_of(text, width - 8) or [""]
        lines += [
            line((f"{word if i == 0 else '':<8}", Role.BOLD), (part, Role.DIM))
            for i, part in enumerate(rows)
        ]
    return lines
