"""The two lines above the table: the host and its totals; filter, sort, planes, own cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct
from rich.cells import cell_len

from nettop.model.cost import Cost
from nettop.model.types import Model
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.columns import on_by_itself
from nettop.text.fields import Field
from nettop.text.hosts import hosts_text
from nettop.tui.glyphs import Glyphs
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, spread, width_of

D, B = Role.DIM, Role.BOLD
_PATH = re.compile(r"(?:^|[\s'\"])/\S")  # in a message: a word that begins at the root


class HeaderState(Struct, frozen=True):
    """What the user set, as the header shows it."""

    filter_text: str | None = None
    sort: Field | None = None
    grouping: str = ""
    groups_by: str = ""  # the column that groups are sorted by
    paused_at: str | None = None
    paused_for_s: float = 0
    held: bool = False
    hidden: str = ""
    message: str = ""
    message_role: Role = Role.BOLD
    file: str | None = None
    past: str = ""  # which tick of the past is shown
    bell: int | None = None  # sockets for which it rings; None: it is off
    lost: tuple[str, ...] = ()  # recently


def host_line(model: Model, width: int, g: Glyphs) -> Line:
    """Who is unwell, and the sums: every number is whole, what says least is left out first.

    Levels and flows are of the sockets that a filter lets through, where one does; the others are
    of all, and say so."""
    t = model.totals
    none = None if t.tcp is None else 0
    est, listen = t.by_state.get("ESTABLISHED", none), t.by_state.get("LISTEN", none)
    retr: Line = (("retr ", D), (units.rate(t.retrans_per_s) + "/s", B))
    if t.retr_pct and width >= 160 and not model.chosen:  # a share of what a filter lets through
        retr = (*retr, (f" {units.percent(t.retr_pct)}", Role.NORMAL))
    flows: Line = (
        ("↑", D), (units.bits_per_s(t.tx_bytes_per_s), B),
        (" ↓", D), (units.bits_per_s(t.rx_bytes_per_s), B),
    )  # fmt: skip
    host = hosts_text(model.hosts) if model.hosts else clean(model.host)[:24]
    away = not all(h.live for h in model.hosts)
    spaces = ""
    if t.netns_hidden:
        spaces = f"{t.netns} of {t.netns + t.netns_hidden} netns"
    elif t.netns > 1:
        spaces = f"{t.netns} netns"
    # (rank, text): in the order of the line; where they do not fit the highest rank goes.
    parts: list[tuple[float, Line]] = [
        (2, (("nettop  ", B),)),
        (0 if away else 4.5 if model.hosts else 7, ((f"{host} ", Role.WATCH if away else D),)),
        (10, ((f"{model.kernel[:16]} ", D),)),
        (0, ((f" {g.unwell} {t.unwell} unwell  ", Role.UNWELL if t.unwell else D),)),
        (0, ((f"{g.watch} {t.watch} watch   ", Role.WATCH if t.watch else D),)),
    ]
    if model.chosen:
        parts += [(4, (("of ", D), (f"{t.matched}   ", B))), (5, (*flows, ("   ", D)))]
        # Wherever one of them is said, so is of what it is.
        parts += [(0, (("all: ", D),))]
    parts += [
        (3, (("tcp ", D), (f"{_known(t.tcp)} ", B))),
        (6, (("est ", D), (f"{_known(est)} ", Role.NORMAL))),
        (9, (("listen ", D), (f"{_known(listen)} ", Role.NORMAL))),
        (9, (("tw ", D), (f"{_known(t.by_state.get('TIME_WAIT'))} ", Role.NORMAL))),
        (11, (("udp ", D), (f"{_known(t.udp)} ", Role.NORMAL))),
        (1, (("  ", D), *retr)),
    ]
    if not model.chosen:
        parts += [(5, (("   ", D), *flows))]
    right: list[tuple[float, Line]] = [(8, (("  ", D), (spaces, D)))] if spaces else []
    while sum(width_of(text) for _, text in (*parts, *right)) + bool(right) > width:
        last = max(rank for rank, _ in (*parts, *right))
        if not last:
            break
        parts, right = ([p for p in some if p[0] != last] for some in (parts, right))
    left = tuple(part for _, text in parts for part in text)
    return spread(left, tuple(part for _, text in right for part in text), width)


def _known(count: int | None) -> str:
    return units.ABSENT if count is None else str(count)


_PLANES = (("diag", "diag"), ("procs", "procs"), ("wait", "wait"), ("stages", "stages"),
           ("clocks", "hw"), ("events", "events"))  # fmt: skip
_PLANE_NAMES = frozenset(shown for _, shown in _PLANES)


def _planes(model: Model, g: Glyphs) -> list[Line]:
    planes: list[Line] = []
    sign = {"ok": (g.on, D), "partial": (g.partly, Role.WATCH), "off": (g.off, Role.NORMAL)}
    for name, shown in _PLANES:
        status = model.source(name)
        if status is not None:
            text, role = sign[status.state]
            plane: Line = ((f" {shown}", D), (text, role))
            if not planes:
                plane = (("  ", D), *plane)
            planes.append((*plane, (" by itself", D)) if on_by_itself(status) else plane)
    return planes


def lost_texts(cost: Cost) -> list[str]:
    """What is missing since the start, and of which plane; none where nothing is."""
    named = [f"{plane} lost {n}" for plane, n in cost.lost_by_plane.items() if n]
    rest = cost.lost_events - sum(cost.lost_by_plane.values())
    named += [f"{units.counted(rest, 'record')} lost"] if rest else []
    return named + (
        [f"{units.counted(cost.missed_ticks, 'tick')} missed"] if cost.missed_ticks else []
    )


def _cost(model: Model, lost: Iterable[str], full: bool) -> list[Part]:
    c = model.cost
    parts: list[Part] = []
    if full:
        parts.append((f"cpu {units.percent(c.cpu_pct)}", D))
        if c.bpf_runs_per_s is not None:
            parts.append((f" bpf {units.count(c.bpf_runs_per_s)}/s", D))
        parts.append(("  ", D))
    parts += [(f"{text}  ", Role.WATCH) for text in lost]
    parts.append((f"{c.interval_s:.1f}s", Role.WATCH if c.stretched else D))
    return parts


def status_line(model: Model, state: HeaderState, width: int, g: Glyphs) -> Line:
    """Filter, sort and planes at the left; pause badge, message or own cost at the right."""
    text = state.filter_text or "none"
    room = max(10, width // 3)
    if len(text) > room:
        text = text[: room - 1] + "…"
    # A word and its value are shown together or not at all.
    left: list[Line] = [(("filter ", D), (clean(text), B if state.filter_text else D))]
    if state.grouping:
        left += [(("  by ", D), (state.grouping, B))]
    by = state.groups_by or (state.sort.id if state.sort else "unwell")
    left += [(("  sort ", D), (by, Role.NORMAL))]
    if state.held:
        left += [((" held", Role.FOCUS),)]
    if state.bell is not None:
        bell: Line = (("  bell", Role.UNWELL if state.bell else Role.FOCUS),)
        left += [(*bell, (f" {state.bell}", Role.UNWELL)) if state.bell else bell]
    bare = len(left)
    left += _planes(model, g) if width >= 100 else []
    right: list[Part]
    if state.message:
        # Which tick is shown stands there in any case, and that it stays.
        shown = clean(state.past or "")
        if not shown and state.paused_at is not None:
            shown = f"PAUSED {state.paused_at}"
        badge: list[Part] = [("  ", D), (f" {shown} ", Role.REVERSE)] if shown else []
        room_message = width - 1 - width_of(tuple(badge))
        right = [(shortened(clean(state.message), room_message), state.message_role), *badge]
        left = _fitting(left, width - width_of(tuple(right)) - 2)
    elif state.past:
        right = [(f" {clean(state.past)} ", Role.REVERSE)]
        left = _fitting(left, width - width_of(tuple(right)) - 1)
    elif state.paused_at is not None:
        ago = units.time(state.paused_for_s * 1e9)
        right = [(f" PAUSED {state.paused_at}  {ago} ago ", Role.REVERSE)]
    elif state.file is not None:
        right = [(f" {clean(state.file)} ", Role.REVERSE)]
        left = _fitting(left, width - width_of(tuple(right)) - 1)
    else:
        right = []
        if model.cost.stretched and width >= 100:
            right += [(model.cost.stretched, Role.WATCH), ("  ", D)]
        elif state.hidden and width >= 100:
            right += [("hidden: ", D), (state.hidden, D), (" (off)", D), ("   ", D)]
        right += _cost(model, state.lost, width >= 100)
        for kept, full in ((len(left), width >= 100), (len(left), False), (bare, False)):
            if width_of(_joined(left)) + width_of(tuple(right)) < width:
                break
            left, right = left[:kept], _cost(model, state.lost, full)
    return spread(_joined(left), tuple(right), width)


def _joined(groups: Iterable[Line]) -> Line:
    return tuple(part for group in groups for part in group)


def _fitting(groups: Sequence[Line], room: int) -> list[Line]:
    """The first of them, as many as fit whole."""
    kept = len(groups)
    while kept and width_of(_joined(groups[:kept])) > room:
        kept -= 1
    return list(groups[:kept])


# What of the second line begins with these words is changed by these actions, or explained.
_ACTIONS = {
    "filter ": "filter", "  by ": "group", "  sort ": "sort", "  bell": "bell",
    "hidden: ": "columns",
}  # fmt: skip


def action_at(shown: Line, x: int) -> str | None:
    """The action of what stands in a cell of the second line; a gap, a message, a badge: none."""
    action, used = None, 0
    for text, role in shown:
        if text in _ACTIONS:
            action = _ACTIONS[text]
        elif text.strip() in _PLANE_NAMES or text.startswith("cpu "):
            action = "cost"
        elif not text.strip() or role is Role.REVERSE:
            action = None
        used += cell_len(text)
        if x < used:
            return action
    return None


def is_of_levels(shown: Line, x: int) -> bool:
    """Whether a cell of the first line says how many are unwell, or to watch."""
    used = 0
    for text, _ in shown:
        used += cell_len(text)
        if x < used:
            return text.strip().endswith(("unwell", "watch"))
    return False


def shortened(text: str, cells: int) -> str:
    """A message in so many cells: one with a path loses its middle, any other its end."""
    if cell_len(text) <= cells:
        return text
    if cells < 1:
        return ""
    kept = (cells - 1) * 3 // 5 if _PATH.search(text) else 0
    head, tail = text[: cells - 1 - kept], text[len(text) - kept :]
    while cell_len(head) > cells - 1 - kept:
        head = head[:-1]
    while cell_len(tail) > kept:
        tail = tail[1:]
    return f"{head}…{tail}"
