"""The table of groups as lines: columns, how each compares with the others, boxes on one axis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import inf
from operator import attrgetter
from statistics import median
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nettop.feed import Grouping
from nettop.groups import ManyGroups
from nettop.model.causes import Cause, QueueOf
from nettop.model.types import Because, Dist, Group, Level, Verdict
from nettop.text import units
from nettop.text.columns import cut
from nettop.text.fields import FIELDS
from nettop.tui.columns import gutter_of
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.rx import axis
from nettop.tui.panes.tx import box_of
from nettop.tui.style import LEVEL_ROLES, Role
from nettop.tui.widgets.lines import BLANK, Line, Part, clip, line, width_of, wrapped

D, B = Role.DIM, Role.BOLD
TITLES = {
    Grouping.PROCESS: "PROCESS",
    Grouping.PROGRAM: "PROGRAM",
    Grouping.REMOTE: "REMOTE ADDRESS",
    Grouping.REMOTE_PORT: "REMOTE ADDR:PORT",
    Grouping.LOCAL: "LOCAL ADDRESS",
    Grouping.PORT: "LOCAL PORT",
    Grouping.CGROUP: "CGROUP",
    Grouping.NETNS: "NETNS",
    Grouping.HOST: "HOST",
}
# Where a whole title has no room; they fit into the least that there is.
_NARROW_TITLES = {
    Grouping.REMOTE: "REMOTE", Grouping.REMOTE_PORT: "REMOTE:PORT", Grouping.LOCAL: "LOCAL",
}  # fmt: skip
OF_REMOTE = (Grouping.REMOTE, Grouping.REMOTE_PORT)
OF_ADDRESS = (*OF_REMOTE, Grouping.LOCAL)
_FIELDS = dict.fromkeys(OF_ADDRESS, "remote") | {
    Grouping.PROCESS: "proc", Grouping.CGROUP: "cgroup",
}  # fmt: skip
BY_RTT = (*OF_REMOTE, Grouping.NETNS)  # the box is of round-trip times, else of RX waits
TAIL = 21  # WHO and WHY
LEAST_NAME = 12  # cells
LEAST_GROUPS = 4  # of fewer none is said to differ from the others
SLOW_TIMES, SLOW_NS = 3.0, 1_000_000  # so many times their median, and so much above it


class Column(Struct, frozen=True):
    """A number of a group, or of how it compares: what it is compared by is read of all at once."""

    title: str
    cells: int
    least: int  # smallest width of the screen that shows it
    of: str  # the member of Group; "": the factor to the median
    form: Callable[[float | None], str]
    quantile: str = ""  # of times: the member of Dist, an edge of an octave

    def text(self, group: Group, factor: float | None) -> str:
        if not self.quantile:
            return self.form(getattr(group, self.of) if self.of else factor)
        times: Dist = getattr(group, self.of)
        value: int | None = getattr(times, self.quantile) or None
        return units.time(value, rough=value is not None and value < times.max_ns)

    def values(self, groups: Sequence[Group], by: Sequence[float | None]) -> Sequence[Any]:
        """Of each group; by: their factors."""
        found = _column(groups, self.of) if self.of else by
        if self.quantile:
            quantile = attrgetter(self.quantile)
            return [quantile(times) or None for times in found]
        return found


def _whole(number: float | None) -> str:
    return units.ABSENT if number is None else str(int(number))


_REMOTE_ONLY = "×MED"
COLUMNS = (
    Column("SOCKS", 6, 0, "sockets", _whole),
    Column("UNW", 4, 0, "unwell", units.count),
    Column("TX", 4, 76, "tx_bytes_per_s", units.bits_per_s),
    Column("RX", 4, 76, "rx_bytes_per_s", units.bits_per_s),
    Column("RETR/s", 6, 130, "retrans_per_s", units.rate),
    Column("RETR%", 5, 76, "retr_pct", units.percent),
    Column("SRTT50", 6, 66, "rtt50_ns", units.time),
    Column("SRTTMAX", 7, 150, "rtt_max_ns", units.time),
    Column(_REMOTE_ONLY, 5, 66, "", units.ratio),
    Column("RXW99", 7, 100, "waits", units.time, "p99_ns"),
    Column("ACK50", 7, 140, "acks", units.time, "p50_ns"),
    Column("ACK99", 7, 120, "acks", units.time, "p99_ns"),
    Column("SNDQ", 4, 160, "wqueue_bytes", units.size),
    Column("RCVQ", 4, 160, "rqueue_bytes", units.size),
)


def all_columns(grouping: Grouping) -> list[Column]:
    """Those that a terminal wide enough shows."""
    return [c for c in COLUMNS if c.title != _REMOTE_ONLY or grouping in OF_REMOTE]


def columns_of(
    grouping: Grouping, width: int, sort: Column | None = None, equals: bool = True
) -> list[Column]:
    """In that width; the one that they are sorted by is among them, in the place of the last where
    there is no room. equals: some are compared with each other; else that has no column."""
    shown = [c for c in all_columns(grouping) if width >= c.least or c is sort]
    if not equals:
        shown = [c for c in shown if c.title != _REMOTE_ONLY or c is sort]
    if sort is not None and sort.least > width:
        while len(shown) > 2 and _name_room(shown, width) < LEAST_NAME:
            shown.remove([c for c in shown if c is not sort][-1])
    return shown


def box_cells(width: int) -> int:
    """Cells of the box; 0: there is no room for it."""
    return 0 if width < 110 else 16 if width < 130 else 20 if width < 180 else 40


def _name_room(columns: Sequence[Column], width: int) -> int:
    used = sum(c.cells + 1 for c in columns)
    box = box_cells(width)
    return width - 3 - used - (box + 1 if box else 0) - TAIL


def name_cells(
    grouping: Grouping, width: int, sort: Column | None = None, equals: bool = True
) -> int:
    return max(LEAST_NAME, _name_room(columns_of(grouping, width, sort, equals), width))


def name_of(group: Group, grouping: Grouping, room: int) -> str:
    """What it is called, cut as the column of that name is: of one that is too long the namespace
    goes first, of an address the port stays."""
    title, field = group.title, _FIELDS.get(grouping)
    if len(title) <= room or field is None:
        return title if len(title) <= room else title[: room - 1] + "…"
    name, space, _ = title.partition(" in ") if grouping in OF_ADDRESS else (title, "", "")
    if len(name) < room:
        return title[: room - 1] + "…"
    # The same address in another namespace is another group: that one is left out shows.
    return cut(name, room - 1, FIELDS[field]) + "…" if space else cut(name, room, FIELDS[field])


def _column(groups: Sequence[Group], name: str) -> Sequence[Any]:
    """A member of each: of many no group need be made for that."""
    if isinstance(groups, ManyGroups):
        return groups.column(name)
    return [getattr(group, name) for group in groups]


def _equals(groups: Sequence[Group], grouping: Grouping) -> dict[int, list[int]]:
    """Places of remote ends with the same port, by that: backends, whose times should be alike.
    None where they are too few."""
    out: defaultdict[int, list[int]] = defaultdict(list)
    if grouping in OF_REMOTE:
        columns = zip(_column(groups, "port"), _column(groups, "rtt50_ns"), strict=True)
        for at, (port, rtt50_ns) in enumerate(columns):
            if port and rtt50_ns:
                out[port].append(at)
    return {port: some for port, some in out.items() if len(some) >= LEAST_GROUPS}


def factors(groups: Sequence[Group], grouping: Grouping) -> list[float | None]:
    """Of each group: SRTT50 by the median of its equals'; None: it has none."""
    out: list[float | None] = [None] * len(groups)
    equals = _equals(groups, grouping)
    times = _column(groups, "rtt50_ns") if equals else ()
    for some in equals.values():
        known = [times[at] for at in some]
        of_others = _median_of_others(sorted(known))
        for at, one in zip(some, known, strict=True):
            out[at] = one / of_others(one)
    return out


def _median_of_others(times: Sequence[int]) -> Callable[[int], float]:
    """Of one among two or more sorted times: the median of the rest."""
    last = len(times) - 2  # place of the last one of the rest
    a, b = last // 2, (last + 1) // 2  # between which the rest has its median
    low, high = times[a], times[b]
    of_low, of_high = (times[a + 1] + times[b + 1]) / 2, (low + high) / 2
    of_middle = (low + times[b + 1]) / 2

    def of_others(one: int) -> float:
        return of_low if one <= low else of_high if one > high else of_middle

    return of_others


def is_slow(rtt50_ns: int | None, factor: float | None) -> bool:
    """Much slower than the other groups, by a time that matters."""
    if factor is None or rtt50_ns is None or factor < SLOW_TIMES:
        return False
    return rtt50_ns - rtt50_ns / factor >= SLOW_NS


def _slow(groups: Sequence[Group], by: Sequence[float | None]) -> set[int]:
    """Places of those that are slow among their equals."""
    far = [at for at, factor in enumerate(by) if factor is not None and factor >= SLOW_TIMES]
    times = _column(groups, "rtt50_ns") if far else ()
    return {at for at in far if is_slow(times[at], by[at])}


def ordered(
    groups: Sequence[Group],
    grouping: Grouping,
    column: Column | None = None,
    *,
    descending: bool = True,
) -> tuple[Sequence[Group], list[float | None]]:
    """As they came, worst first; inside a level the slow one among equals before them. By a column
    its largest first, or its smallest, and what is not known last.

    Returns:
        The groups, and their factors.
    """
    by = factors(groups, grouping)
    keys: list[Any]
    if column is not None:
        sign = 1 if descending else -1
        values = column.values(groups, by)
        keys = [-inf if value is None else sign * value for value in values]
    else:
        slow = _slow(groups, by)
        keys = [*zip(_column(groups, "level"), (at in slow for at in range(len(by))), strict=True)]
    order = sorted(range(len(by)), key=keys.__getitem__, reverse=True)
    return in_order(groups, order), [by[i] for i in order]


def in_order(groups: Sequence[Group], order: Sequence[int]) -> Sequence[Group]:
    """The same groups in another order, given by their places here."""
    return groups.in_order(order) if isinstance(groups, ManyGroups) else [groups[i] for i in order]


def _times(group: Group, grouping: Grouping) -> Dist:
    """What the box shows."""
    if grouping not in BY_RTT:
        return group.waits
    p50, p90, most = group.rtt50_ns, group.rtt90_ns, group.rtt_max_ns
    if not p50 or not p90 or not most:
        return Dist()
    return Dist(group.sockets, 0, p50, p90, p90, most)


def titles(
    grouping: Grouping,
    width: int,
    sort: Column | None = None,
    equals: bool = True,
    *,
    descending: bool = True,
) -> Line:
    """sort: the column that they are sorted by; None: they stand worst first."""
    room = name_cells(grouping, width, sort, equals)
    title = TITLES.get(grouping, "")
    if len(title) > room:
        title = _NARROW_TITLES[grouping]
    parts: list[Part] = [(" " * 3 + title.ljust(room), Role.TITLE)]
    arrow = "▼" if descending else "▲"
    for c in columns_of(grouping, width, sort, equals):
        mark = arrow if c is sort and len(c.title) < c.cells else ""
        role = Role.TITLE_BOLD if c is sort else Role.TITLE
        parts.append((f" {c.title + mark:>{c.cells}}", role))
    if cells := box_cells(width):
        parts.append((f" {axis(cells, 0):<{cells}}", Role.TITLE))
    parts.append((" WHO  WHY", Role.TITLE))
    used = width_of(tuple(parts))
    return clip((*parts, (" " * max(0, width - used), Role.TITLE)), width)


def column_at(
    grouping: Grouping, width: int, x: int, sort: Column | None = None, equals: bool = True
) -> Column | None:
    """The column whose title a cell belongs to."""
    used = 3 + name_cells(grouping, width, sort, equals)
    for c in columns_of(grouping, width, sort, equals):
        if used <= x < used + c.cells + 1:
            return c
        used += c.cells + 1
    return None


def group_line(
    group: Group,
    factor: float | None,
    grouping: Grouping,
    width: int,
    g: Glyphs,
    *,
    selected: bool,
    letter: str,
    why: str,
    sort: Column | None = None,
    equals: bool = True,
) -> Line:
    """
    Args:
        letter: A or B of what is compared.
        why: of the worst member's verdict, "" well.
        sort: the column that they are sorted by.
        equals: as of columns_of.
    """
    sign = (" ", g.watch, g.unwell)[group.level]
    loud = LEVEL_ROLES[group.level]
    room = name_cells(grouping, width, sort, equals)
    name = g.text(name_of(group, grouping, room))
    slow = is_slow(group.rtt50_ns, factor)
    parts: list[Part] = [
        *gutter_of(g.cursor if selected else "", letter, sign, group.level),
        (name, Role.REVERSE if selected else Role.NORMAL),
        (" " * (room - len(name)), Role.NORMAL),
    ]
    for column in columns_of(grouping, width, sort, equals):
        text = column.text(group, factor)
        role = D if text in ("0", units.ABSENT) else Role.NORMAL
        if column.title == "UNW" and group.unwell:
            role = Role.UNWELL
        elif column.title in ("SRTT50", _REMOTE_ONLY) and slow:
            role = Role.WATCH
        parts.append((" " * (column.cells - len(text) + 1), Role.NORMAL))
        parts.append((text, role))
    if cells := box_cells(width):
        times = _times(group, grouping)
        box = box_of(times, cells, g) if times.count else " " * cells
        parts += [(" ", Role.NORMAL), (box, Role.WATCH if slow else D)]
    if why:
        parts.append((f" {group.who or '':<4} {why}", loud))
    elif slow:
        parts.append((" –    slower", Role.WATCH))
    return tuple(parts)


def _middle(groups: Sequence[Group]) -> Group:
    """A group that has the median of each number that is known."""

    def each(name: str) -> Sequence[Any]:
        if isinstance(groups, ManyGroups):
            return groups.column_unordered(name)
        return _column(groups, name)

    def mid(name: str) -> float | None:
        known = [value for value in each(name) if value is not None]
        return median(known) if known else None

    def whole(name: str) -> int | None:
        value = mid(name)
        return None if value is None else int(value)

    def times(name: str) -> Dist:
        known: list[Dist] = [times for times in each(name) if times.count]

        def one(member: str) -> int:
            return int(median(map(attrgetter(member), known))) if known else 0

        return Dist(one("count"), 0, one("p50_ns"), one("p90_ns"), one("p99_ns"), one("max_ns"))

    return replace(
        groups[0],
        title=f"median of {len(groups)}",  # no more than a narrow column has room for
        sockets=whole("sockets") or 0,
        unwell=whole("unwell") or 0,
        level=Level.OK,
        rtt50_ns=whole("rtt50_ns"),
        rtt90_ns=whole("rtt90_ns"),
        rtt_max_ns=whole("rtt_max_ns"),
        rqueue_bytes=whole("rqueue_bytes") or 0,
        wqueue_bytes=whole("wqueue_bytes") or 0,
        tx_bytes_per_s=mid("tx_bytes_per_s"),
        rx_bytes_per_s=mid("rx_bytes_per_s"),
        retrans_per_s=mid("retrans_per_s"),
        retr_pct=mid("retr_pct"),
        waits=times("waits"),
        acks=times("acks"),
    )


def median_line(
    groups: Sequence[Group],
    grouping: Grouping,
    width: int,
    g: Glyphs,
    sort: Column | None = None,
    equals: bool = True,
) -> list[Line]:
    """The median of each column; none of a few groups."""
    if len(groups) < LEAST_GROUPS:
        return []
    middle = group_line(
        _middle(groups), None, grouping, width, g, selected=False, letter="", why="", sort=sort,
        equals=equals,
    )  # fmt: skip
    return [tuple((text, D) for text, _ in middle)]  # it is none of them, and not unwell


def _why_slow(group: Group, causes: Mapping[int, Cause]) -> str:
    """Whose fault that is, as far as its worst socket says."""
    cause = causes.get(group.worst_cookie)
    if group.verdict != Verdict.QDISC or group.because != Because.QUEUE:
        return (
            "; whether it is that host, the path to it or this host's own queue on that way is not "
            "known from here: see WHO of its sockets"
        )
    said = "; it waits in this host's own queue (kern), not on the path"
    if cause is None or not isinstance(cause.shared, QueueOf):
        return said
    return f"{said}: {cause.evidence[0].says}"


def notes(
    groups: Sequence[Group],
    by: Sequence[float | None],
    grouping: Grouping,
    width: int,
    causes: Mapping[int, Cause],
    sort: Column | None = None,
) -> list[Line]:
    """Below the groups: their median, which one is slow among equals, what the signs mean.

    Args:
        by: their factors.
        causes: of sockets, by cookie.
    """
    lines: list[Line] = [BLANK]
    slow = _slow(groups, by)
    for port, some in _equals(groups, grouping).items() if slow else ():
        here = [at for at in some if at in slow]
        many = f"of {len(some)} at :{port}"
        if len(here) == 1:
            group, factor = groups[here[0]], by[here[0]] or 1.0
            others = units.time((group.rtt50_ns or 0) / factor)
            said = (
                f"{group.title} has srtt {units.time(group.rtt50_ns)}, {units.ratio(factor)} the "
                f"median of the others ({others}){_why_slow(group, causes)}"
            )
            lines += wrapped(line((f"one {many} is slow: ", B), said), width)
        elif here:
            lines.append(line((f"{len(here)} {many} are slow by the median of the others", B)))
    if any(by):
        text = "×MED: SRTT50 by the median of the others with the same port"
        lines.append(line((text, D)))
    if box_cells(width):
        what = "the sockets' srtt" if grouping in BY_RTT else "RX queue wait, to a factor of 2"
        marks = "├ p50 ┤ p90" if grouping in BY_RTT else "├ p50 ┼ p90 ┤ p99"
        lines.append(line((f"{marks} · max of {what}, one axis for all", D)))
    shown = {column.title for column in columns_of(grouping, width, sort)}
    which = " ".join(title for title in ("ACK50", "ACK99") if title in shown)
    if which and any(acks.count for acks in _column(groups, "acks")):
        text = f"{which}: from send to ACK, to a factor of 2, of the sends that are stamped"
        lines += wrapped(line((text, D)), width)
    return lines
