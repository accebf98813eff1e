"""The table of groups as lines: columns, how each compares with the others, boxes on one axis."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from math import inf
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from nettop.feed import Grouping
from nettop.groups import ManyGroups
from nettop.model.causes import Cause, QueueOf
from nettop.model.types import Because, Dist, Group, GroupNumbers, Level, Verdict
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
LEAST_GROUPS = 4  # of fewer none is said to differ from the others
SLOW_TIMES, SLOW_NS = 3.0, 1_000_000  # so many times their median, and so much above it


Measured = Group | GroupNumbers
Value = Callable[[Measured, float | None], float | None]


class Column(Struct, frozen=True):
    """value and text: of a group, and of its factor to the median."""

    title: str
    cells: int
    least: int  # smallest width of the screen that shows it
    value: Value
    form: Callable[[float | None], str]
    longest: Callable[[Measured], int] | None = None  # of what the value is an edge of an octave

    def text(self, group: Measured, factor: float | None) -> str:
        value = self.value(group, factor)
        if self.longest is not None and value is not None:
            return units.time(value, rough=value < self.longest(group))
        return self.form(value)


def _longest_ack(group: Measured) -> int:
    return group.acks.max_ns


def _whole(number: float | None) -> str:
    return units.ABSENT if number is None else str(int(number))


_REMOTE_ONLY = "×MED"
COLUMNS = (
    Column("SOCKS", 6, 0, lambda g, f: g.sockets, _whole),
    Column("UNW", 4, 0, lambda g, f: g.unwell, units.count),
    Column("TX", 4, 76, lambda g, f: g.tx_bytes_per_s, units.bits_per_s),
    Column("RX", 4, 76, lambda g, f: g.rx_bytes_per_s, units.bits_per_s),
    Column("RETR/s", 6, 130, lambda g, f: g.retrans_per_s, units.rate),
    Column("RETR%", 5, 76, lambda g, f: g.retr_pct, units.percent),
    Column("SRTT50", 6, 66, lambda g, f: g.rtt50_ns, units.time),
    Column("SRTTMAX", 7, 150, lambda g, f: g.rtt_max_ns, units.time),
    Column(_REMOTE_ONLY, 5, 66, lambda g, f: f, units.ratio),
    Column("RXW99", 7, 100, lambda g, f: g.waits.p99_ns or None, units.time,
           lambda g: g.waits.max_ns),
    Column("ACK50", 7, 140, lambda g, f: g.acks.p50_ns or None, units.time, _longest_ack),
    Column("ACK99", 7, 120, lambda g, f: g.acks.p99_ns or None, units.time, _longest_ack),
    Column("SNDQ", 4, 160, lambda g, f: g.wqueue_bytes, units.size),
    Column("RCVQ", 4, 160, lambda g, f: g.rqueue_bytes, units.size),
)  # fmt: skip


def columns_of(grouping: Grouping, width: int) -> list[Column]:
    return [
        c
        for c in COLUMNS
        if width >= c.least and (c.title != _REMOTE_ONLY or grouping in OF_REMOTE)
    ]


def box_cells(width: int) -> int:
    """Cells of the box; 0: there is no room for it."""
    return 0 if width < 110 else 16 if width < 130 else 20 if width < 180 else 40


def name_cells(grouping: Grouping, width: int) -> int:
    used = sum(c.cells + 1 for c in columns_of(grouping, width))
    box = box_cells(width)
    return max(12, width - 3 - used - (box + 1 if box else 0) - TAIL)


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


def _numbers(groups: Sequence[Group]) -> Sequence[Measured]:
    """What is compared, of all of them: of many no group need be made for that."""
    return groups.numbers if isinstance(groups, ManyGroups) else groups


def _equals(groups: Sequence[Measured], grouping: Grouping) -> dict[int, list[int]]:
    """Places of remote ends with the same port, by that: backends, whose times should be alike.
    None where they are too few."""
    out: dict[int, list[int]] = {}
    for at, group in enumerate(groups if grouping in OF_REMOTE else ()):
        if group.port and group.rtt50_ns:
            out.setdefault(group.port, []).append(at)
    return {port: some for port, some in out.items() if len(some) >= LEAST_GROUPS}


def factors(groups: Sequence[Group], grouping: Grouping) -> list[float | None]:
    """Of each group: SRTT50 by the median of its equals'; None: it has none."""
    numbers = _numbers(groups)
    out: list[float | None] = [None] * len(numbers)
    for some in _equals(numbers, grouping).values():
        known = [numbers[at].rtt50_ns or 0 for at in some]
        times = sorted(known)
        by = {one: one / _median_without(times, one) for one in set(known)}
        for at, one in zip(some, known, strict=True):
            out[at] = by[one]
    return out


def _median_without(times: Sequence[int], one: int) -> float:
    """Of sorted times, two or more, without one of them."""
    at, last = bisect_left(times, one), len(times) - 2  # of the others

    def other(place: int) -> int:
        return times[place + (place >= at)]

    return (other(last // 2) + other((last + 1) // 2)) / 2


def is_slow(group: Measured, factor: float | None) -> bool:
    """Much slower than the other groups, by a time that matters."""
    if factor is None or group.rtt50_ns is None or factor < SLOW_TIMES:
        return False
    return group.rtt50_ns - group.rtt50_ns / factor >= SLOW_NS


def ordered(
    groups: Sequence[Group], grouping: Grouping, column: Column | None = None
) -> Sequence[Group]:
    """As they came, worst first; inside a level the slow one among equals before them. By a column
    its largest first, and what is not known last."""
    by, numbers = factors(groups, grouping), _numbers(groups)
    if column is not None:
        value = column.value
        order = sorted(range(len(by)), key=lambda i: -_or_least(value(numbers[i], by[i])))
    else:
        order = sorted(range(len(by)), key=lambda i: (-numbers[i].level,
                                                      not is_slow(numbers[i], by[i])))  # fmt: skip
    return groups.in_order(order) if isinstance(groups, ManyGroups) else [groups[i] for i in order]


def _or_least(number: float | None) -> float:
    return -inf if number is None else number


def _times(group: Group, grouping: Grouping) -> Dist:
    """What the box shows."""
    if grouping not in BY_RTT:
        return group.waits
    p50, p90, most = group.rtt50_ns, group.rtt90_ns, group.rtt_max_ns
    if not p50 or not p90 or not most:
        return Dist()
    return Dist(group.sockets, 0, p50, p90, p90, most)


def titles(grouping: Grouping, width: int, sort: Column | None = None) -> Line:
    """sort: the column that they are sorted by; None: they stand worst first."""
    room = name_cells(grouping, width)
    title = TITLES.get(grouping, "")
    if len(title) > room:
        title = _NARROW_TITLES[grouping]
    parts: list[Part] = [(" " * 3 + title.ljust(room), Role.TITLE)]
    for c in columns_of(grouping, width):
        mark = "▼" if c is sort and len(c.title) < c.cells else ""
        role = Role.TITLE_BOLD if c is sort else Role.TITLE
        parts.append((f" {c.title + mark:>{c.cells}}", role))
    if cells := box_cells(width):
        parts.append((f" {axis(cells)[:cells]:<{cells}}", Role.TITLE))
    parts.append((" WHO  WHY", Role.TITLE))
    used = width_of(tuple(parts))
    return clip((*parts, (" " * max(0, width - used), Role.TITLE)), width)


def column_at(grouping: Grouping, width: int, x: int) -> Column | None:
    """The column whose title a cell belongs to."""
    used = 3 + name_cells(grouping, width)
    for c in columns_of(grouping, width):
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
) -> Line:
    """letter: A or B of what is compared; why: of the worst member's verdict, "" well."""
    sign = (" ", g.watch, g.unwell)[group.level]
    loud = LEVEL_ROLES[group.level]
    room = name_cells(grouping, width)
    name = g.text(name_of(group, grouping, room))
    slow = is_slow(group, factor)
    parts: list[Part] = [
        *gutter_of(g.cursor if selected else "", letter, sign, group.level),
        (name, Role.REVERSE if selected else Role.NORMAL),
        (" " * (room - len(name)), Role.NORMAL),
    ]
    for column in columns_of(grouping, width):
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
    numbers = _numbers(groups)

    def mid(read: Callable[[Measured], float | None]) -> float | None:
        known = [value for group in numbers if (value := read(group)) is not None]
        return median(known) if known else None

    def whole(read: Callable[[Measured], float | None]) -> int | None:
        value = mid(read)
        return None if value is None else int(value)

    def times(of: Callable[[Measured], Dist]) -> Dist:
        known = [times for group in numbers if (times := of(group)).count]

        def one(read: Callable[[Dist], int]) -> int:
            return int(median(map(read, known))) if known else 0

        return Dist(
            one(lambda d: d.count), 0, one(lambda d: d.p50_ns), one(lambda d: d.p90_ns),
            one(lambda d: d.p99_ns), one(lambda d: d.max_ns),
        )  # fmt: skip

    return replace(
        groups[0],
        title=f"median of {len(groups)}",  # no more than a narrow column has room for
        sockets=whole(lambda g: g.sockets) or 0,
        unwell=whole(lambda g: g.unwell) or 0,
        level=Level.OK,
        rtt50_ns=whole(lambda g: g.rtt50_ns),
        rtt90_ns=whole(lambda g: g.rtt90_ns),
        rtt_max_ns=whole(lambda g: g.rtt_max_ns),
        rqueue_bytes=whole(lambda g: g.rqueue_bytes) or 0,
        wqueue_bytes=whole(lambda g: g.wqueue_bytes) or 0,
        tx_bytes_per_s=mid(lambda g: g.tx_bytes_per_s),
        rx_bytes_per_s=mid(lambda g: g.rx_bytes_per_s),
        retrans_per_s=mid(lambda g: g.retrans_per_s),
        retr_pct=mid(lambda g: g.retr_pct),
        waits=times(lambda g: g.waits),
        acks=times(lambda g: g.acks),
    )


def median_line(groups: Sequence[Group], grouping: Grouping, width: int, g: Glyphs) -> list[Line]:
    """The median of each column; none of a few groups."""
    if len(groups) < LEAST_GROUPS:
        return []
    middle = _middle(groups)
    return [group_line(middle, None, grouping, width, g, selected=False, letter="", why="")]


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
    groups: Sequence[Group], grouping: Grouping, width: int, causes: Mapping[int, Cause]
) -> list[Line]:
    """Below the groups: their median, which one is slow among equals, what the signs mean.

    causes: of sockets, by cookie.
    """
    lines: list[Line] = [BLANK]
    by, numbers = factors(groups, grouping), _numbers(groups)
    for port, some in _equals(numbers, grouping).items():
        slow = [at for at in some if is_slow(numbers[at], by[at])]
        many = f"of {len(some)} at :{port}"
        if len(slow) == 1:
            group, factor = groups[slow[0]], by[slow[0]] or 1.0
            others = units.time((group.rtt50_ns or 0) / factor)
            said = (
                f"{group.title} has srtt {units.time(group.rtt50_ns)}, {units.ratio(factor)} the "
                f"median of the others ({others}){_why_slow(group, causes)}"
            )
            lines += wrapped(line((f"one {many} is slow: ", B), said), width)
        elif slow:
            lines.append(line((f"{len(slow)} {many} are slow by the median of the others", B)))
    if any(by):
        text = "×MED: SRTT50 by the median of the others with the same port"
        lines.append(line((text, D)))
    if box_cells(width):
        what = "the sockets' srtt" if grouping in BY_RTT else "RX queue wait, to a factor of 2"
        marks = "├ p50 ┤ p90" if grouping in BY_RTT else "├ p50 ┼ p90 ┤ p99"
        lines.append(line((f"{marks} · max of {what}, one axis for all", D)))
    shown = {column.title for column in columns_of(grouping, width)}
    if "ACK99" in shown and any(g.acks.count for g in numbers):
        which = "ACK50 ACK99" if "ACK50" in shown else "ACK99"
        text = f"{which}: from send to ACK, to a factor of 2, of the sends that are stamped"
        lines += wrapped(line((text, D)), width)
    return lines
