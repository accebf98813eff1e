"""The events pane: what happened to the sockets, and what of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nettop.model.events import EVENT_NAMES, EventMemory, EventType
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.events import (
    SHORT_NAMES,
    closed_numbers,
    event_who,
    event_words,
    repeated,
)
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.common import B, D, off_lines
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.views import CLOSED, EVENTS, KINDS
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, flow, line, rows_of

LOUD_EVENTS = frozenset(
    {EventType.RETRANSMIT, EventType.DROP, EventType.RESET_RECEIVED, EventType.ERROR}
)

_INDENT = " " * 8
_ROOMY = 60  # cells, from which on two blanks stand before what an event says


def events_lines(data: PaneData, width: int, height: int, g: Glyphs) -> list[Line]:
    """What happened, newest first and repeats as one; as another view one type of events, or the
    sockets that closed."""
    if data.model.file_events is not None:
        lines = _file_event_lines(data, width)
        return _from(lines, data.views.scroll, height)
    if data.events is None:
        return off_lines(data, "events", width)[:height]
    now_ns = data.model.mono_ns
    view = data.views.of(EVENTS, data.model)
    head = _rate_lines(data) if data.cookies is None else _count_lines(data)
    head = [broken for text in head for broken in flow([text], width, "  ")]
    lines = []
    if view == CLOSED:
        for last in data.closed:
            age = units.time(max(0, now_ns - last.event.at_ns))
            numbers = closed_numbers(last)
            lines.append(line((f"-{age:<6} ", D), f"{event_who(last.event)}  ", (numbers, D)))
        if not lines:
            lines = [line(("no socket is known to have closed", D))]
    else:
        kind = KINDS.get(view)
        shown = [e for e in data.events if kind in (None, e.type)]  # until the next tick
        # Where the title names the socket, its lines do not.
        named = data.cookies is None or len(data.cookies) != 1
        for each in repeated(shown):
            e = each.newest
            what, numbers = event_words(e, now_ns, each.text)
            loud = Role.WATCH if e.type in LOUD_EVENTS else Role.NORMAL
            who = event_who(e) if named else ""
            said = _said((what, loud), numbers, width)
            end = said.pop()
            lines += [*said, *(flow([end, line((who, D))], width, _INDENT) if who else [end])]
        if not shown and data.memory is not None:
            nothing = _nothing(data.memory, data, "event" if kind is None else view)
            lines += [line((text, D)) for text in rows_of(nothing, width)]
        elif not shown and kind is not None:
            lines.append(line((f"no {view} is kept", D)))
    return [*head, *_from(lines, data.views.scroll, height - len(head))][:height]


def _said(head: Part, numbers: str, width: int) -> list[Line]:
    """An event: what it says stands in one column, and is broken where it is too long."""
    if not numbers:
        return [line(head)]
    gap = "  " if width >= _ROOMY else " "
    first = rows_of(numbers, max(1, width - len(head[0]) - len(gap)))[0]
    rest = rows_of(numbers[len(first) :].strip(), width - len(_INDENT))
    return [line(head, gap + first), *(line(_INDENT + text) for text in rest)]


def _from(lines: Sequence[Line], scroll: int, height: int) -> list[Line]:
    """From the scrolled line on; the last page is whole."""
    top = max(0, min(scroll, len(lines) - height))
    return list(lines[top : top + max(0, height)])


def _rate_lines(data: PaneData) -> list[Line]:
    """Events per second of all sockets of the polled namespaces, under a filter too."""
    tick = data.model.events
    if tick is None or not tick.seconds:
        return []
    parts: list[Part] = []
    for kind in EventType:
        seen = tick.counts[kind].seen
        if seen:
            parts += [(f"{SHORT_NAMES[kind]} ", D), (f"{units.rate(seen / tick.seconds)}/s  ", B)]
    if tick.left_out:
        parts.append((f"left out {units.count(tick.left_out)}", Role.WATCH))
    all_ = "all sockets: " if data.model.chosen else ""
    lines = [line((all_, D), *parts) if parts else line((f"{all_}nothing in this interval", D))]
    worst = [r for r in tick.reasons if r.interval][:3]
    if worst:
        text = "  ".join(f"{r.name} {units.count(r.interval)}" for r in worst)
        lines.append(line((f"{all_}drops ", D), text))
    return lines


def _count_lines(data: PaneData) -> list[Line]:
    """Events of these sockets as far back as all of them are remembered."""
    memory = data.memory
    if memory is None or not any(memory.counts):
        return []
    gap = memory.gap_ns is not None and memory.gap_ns > memory.since_ns
    parts: list[Part] = [(f"in {_age(memory.since_ns, data)}: {'at least ' if gap else ''}", D)]
    for kind in EventType:
        if memory.counts[kind]:
            parts += [(f"{SHORT_NAMES[kind]} ", D), (f"{units.count(memory.counts[kind])}  ", B)]
    return [tuple(parts)]


def _age(then_ns: int, data: PaneData) -> str:
    return units.time(max(0, data.model.mono_ns - then_ns))


def _nothing(memory: EventMemory, data: PaneData, thing: str) -> str:
    """Nothing is remembered: from when on that means that nothing was recorded."""
    since_ns = max(memory.since_ns, memory.gap_ns or 0)
    what = "it" if data.marked is None else "them"
    if memory.gap_ns is not None and data.model.mono_ns - memory.gap_ns < 2_000_000_000:
        return f"no {thing} of {what} recorded, but events are left out: too many at once"
    return f"no {thing} of {what} in the last {_age(since_ns, data)}; older ones are not kept"


def _file_event_lines(data: PaneData, width: int) -> list[Line]:
    """Events as a file has them, of these sockets or (None) of all; a socket's repeats are one."""
    cookies, kinds = data.cookies, {EVENT_NAMES[k]: k for k in data.views.types(data.model)}
    found: list[list[Any]] = []  # time, type, text, cookie, how often
    last: dict[object, list[Any]] = {}
    for event in data.model.file_events or ():
        at, kind, text = (clean(str(event.get(word, ""))) for word in ("at", "type", "text"))
        cookie = event.get("cookie")
        if kind not in kinds or (cookies is not None and cookie not in cookies):
            continue
        before = last.get(cookie)
        if cookie is not None and before is not None and before[1:3] == [kind, text]:
            before[4] += 1
            continue
        last[cookie] = [at[11:23], kind, text, cookie, 1]
        found.append(last[cookie])
    named = cookies is None or len(cookies) != 1
    lines: list[Line] = []
    for at, kind, text, cookie, times in found:
        often = f" ×{times}" if times > 1 else ""
        said = line((at, D), f" {SHORT_NAMES[kinds[kind]]:<5}{often}  {text}")
        who = data.names.get(cookie, "") if named else ""
        lines += flow([said, line((who, D))] if who else [said], width, _INDENT)
    return lines or [line((f"the file has no event{'' if cookies is None else ' of it'}", D))]
