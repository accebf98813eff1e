"""Groups of sockets, worst first."""

from __future__ import annotations

from nettop.feed import Grouping
from nettop.model.types import Flag, Group, Verdict
from nettop.text import units
from nettop.text.verdicts import verdict_words
from nettop.tui.style import LEVEL_ROLES, Role
from nettop.tui.widgets.lines import Line, LineWidget, Part, line

TITLES = {
    Grouping.PROCESS: "PROCESS",
    Grouping.REMOTE: "REMOTE",
    Grouping.LOCAL: "LOCAL",
    Grouping.CGROUP: "CGROUP",
    Grouping.NETNS: "NETNS",
}
# Title, cells, smallest width of the screen that shows it.
COLUMNS = (
    ("SOCKS", 6, 0), ("UNW", 4, 0), ("TX", 4, 76), ("RX", 4, 76), ("RETR/s", 6, 0),
    ("RETR%", 5, 100), ("SRTT50", 6, 66), ("SRTTMAX", 7, 100), ("SNDQ", 4, 100), ("RCVQ", 4, 100),
)  # fmt: skip
TAIL = 21  # WHO and WHY


def _cells(group: Group) -> tuple[str, ...]:
    return (
        str(group.sockets), units.count(group.unwell), units.bits_per_s(group.tx_bytes_per_s),
        units.bits_per_s(group.rx_bytes_per_s), units.rate(group.retrans_per_s),
        units.percent(group.retr_pct), units.time(group.rtt50_ns), units.time(group.rtt_max_ns),
        units.size(group.wqueue_bytes), units.size(group.rqueue_bytes),
    )  # fmt: skip


def _name_cells(width: int) -> int:
    used = sum(w + 1 for _, w, least in COLUMNS if width >= least)
    return max(12, width - 3 - used - TAIL)


class GroupTable(LineWidget):
    """The groups of the feed's matched sockets; the cursor follows the group."""

    def __init__(self) -> None:
        super().__init__(id="groups")
        self.grouping = Grouping.NONE
        self.groups: list[Group] = []
        self._read = Grouping.NONE  # what they are groups by
        self.at = 0
        self.top = 0
        self._titles: dict[Grouping, str | None] = {}  # where the cursor stands in each

    def show(self, grouping: Grouping) -> None:
        """Groups by this, the cursor where it was left."""
        self.grouping = grouping
        self.at = self.top = 0
        if grouping:
            self.reload()

    @property
    def selected(self) -> Group | None:
        return self.groups[self.at] if self.at < len(self.groups) else None

    def titles(self, width: int) -> Line:
        """Above lines of the same width, which may not have been laid out yet."""
        parts = [" " * 3, TITLES.get(self.grouping, "").ljust(_name_cells(width))]
        parts += [f" {t:>{w}}" for t, w, least in COLUMNS if width >= least]
        text = "".join(parts) + " WHO  WHY"
        return line((text.ljust(width)[:width], Role.TITLE))

    def reload(self) -> None:
        """Reads the groups anew; while a long sweep is under way those at hand stay."""
        feed = self.nettop.feed
        with feed.one_tick() as model:
            if model is not None or self._read is not self.grouping:
                self.groups = feed.groups(self.grouping)
                self._read = self.grouping
        for i, group in enumerate(self.groups):
            if group.title == self._titles.get(self.grouping):
                self.at = i
                break
        self._place()

    def move(self, by: int) -> None:
        self.at += by
        self._place()

    def _place(self) -> None:
        self.at = max(0, min(self.at, len(self.groups) - 1))
        height = max(1, self.size.height)
        self.top = max(0, min(self.top, self.at, len(self.groups) - 1))
        if self.at >= self.top + height:
            self.top = self.at - height + 1
        self._titles[self.grouping] = self.groups[self.at].title if self.groups else None
        self.redraw()

    def redraw(self) -> None:
        shown = self.groups[self.top : self.top + max(1, self.size.height)]
        self.set_lines([self._line(g, i + self.top == self.at) for i, g in enumerate(shown)])

    def _line(self, group: Group, selected: bool) -> Line:
        g = self.nettop.glyphs
        sign = (" ", g.watch, g.unwell)[group.level]
        loud = LEVEL_ROLES[group.level]
        room = _name_cells(self.size.width)
        name = group.title if len(group.title) <= room else group.title[: room - 1] + g.ellipsis
        parts: list[Part] = [
            (g.cursor if selected else " ", Role.FOCUS),
            (sign, loud),
            (" ", Role.NORMAL),
            (name, Role.REVERSE if selected else Role.NORMAL),
            (" " * (room - len(name)), Role.NORMAL),
        ]
        for (title, width, least), text in zip(COLUMNS, _cells(group), strict=True):
            if self.size.width < least:
                continue
            role = Role.DIM if text in ("0", units.ABSENT) else Role.NORMAL
            if title == "UNW" and group.unwell:
                role = Role.UNWELL
            parts.append((f" {text:>{width}}", role))
        who, why = "", ""  # blank: well
        if group.verdict is not None and group.who is not None:
            who, why = group.who, self._why(group.verdict, group)
        role = loud if group.verdict is not None else Role.DIM
        parts.append((f" {who:<4} {why}", role))
        return tuple(parts)

    def _why(self, verdict: Verdict, group: Group) -> str:
        """The words of the worst member; only of unread data it matters how it was measured."""
        worst = self.nettop.feed.find(group.worst_cookie) if verdict is Verdict.UNREAD else None
        bounded = worst is None or not worst.flags & Flag.UNREAD_EXACT
        return verdict_words(verdict, group.verdict_value, group.because, bounded=bounded)

    def on_resize(self) -> None:
        self._lines = []
        self._place()
