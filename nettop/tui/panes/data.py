"""What a pane is given to draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct, field

from nettop.model.events import Closed, Event, EventMemory
from nettop.model.types import Detail, Group, Model, Point, Row
from nettop.text import units
from nettop.tui.panes.rx import Waits
from nettop.tui.panes.tx import Sends
from nettop.tui.panes.views import EVENTS, SENDS, USUAL, WAITS, Views


class Worst(NamedTuple):
    """A socket, and for how long its worst verdict has held."""

    row: Row
    detail: Detail | None
    since_s: float | None


class PaneData(Struct, frozen=True):
    """One tick for the panes: a socket, the marked ones, or (both None) all that match."""

    model: Model
    row: Row | None
    detail: Detail | None
    history: tuple[Point, ...]
    marked: Group | None  # the marked sockets together, or those of a group
    waits: Waits | None = None  # None: the wait plane is off
    sends: Sends | None = None  # None: no stage of any send is known
    events: tuple[Event, ...] | None = None  # newest first; None: the plane is off
    memory: EventMemory | None = None  # of the sockets in `cookies`
    closed: tuple[Closed, ...] = ()
    cookies: tuple[int, ...] | None = None  # the row's or those of the marked; None: all sockets
    group: str = ""  # what the group is called
    worst: Worst | None = None  # its socket
    # Two groups beside each other: each, its waits and sends in the whole run.
    compared: tuple[tuple[Group, Waits | None, Sends | None], ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)  # of the sockets of a file's events
    selects: bool = False  # sends of these sockets are to be stamped, as they are chosen now
    views: Views = USUAL
    events_beside: bool = True  # another pane, or what stands below, shows them
    since_s: float | None = None  # how long the worst verdict has held


def subject(data: PaneData, number: int) -> tuple[str, ...]:
    """What the pane is about, for its title; the longest form first.

    With nothing selected waits and events are those of all sockets of the polled namespaces, unless
    some are chosen; sends are all that were stamped.
    """
    if len(data.compared) > 1 and number != EVENTS:
        return " against ".join(group.title for group, _, _ in data.compared), "A against B"
    if data.marked is not None and data.group:
        many = units.counted(data.marked.sockets, "socket")
        return f"{data.group}: {many}", data.group
    if data.marked is not None:
        return (f"* {data.marked.sockets} marked",)
    if data.row is None:
        if number == SENDS:
            return ("all stamped sends", "all sends")
        if number in (WAITS, EVENTS) and not data.model.chosen:
            spaces = data.model.totals.netns
            return (f"all of {spaces} netns" if spaces > 1 else "all sockets",)
        return (units.counted(data.model.totals.matched, "socket"),)
    who, remote = name_of(data.row)
    return (f"{who} → {remote}", f"→ {remote}", who) if remote else (who,)


def name_of(row: Row) -> tuple[str, str]:
    """A socket's program and its remote end, which may be none."""
    from nettop.text.columns import endpoint
    from nettop.text.words import owner_text

    return owner_text(row) or "–", endpoint(row, local=False) if row.has_remote else ""
