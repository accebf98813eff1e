"""What a pane is given to draw."""

from __future__ import annotations

from dataclasses import dataclass

from nettop.model.events import Closed, Event
from nettop.model.types import Detail, Group, Model, Point, Row
from nettop.tui.panes.rx import Waits
from nettop.tui.panes.tx import Sends


@dataclass(frozen=True, slots=True)
class PaneData:
    """One tick for the panes: a socket, the marked ones, or (both None) all that match."""

    model: Model
    row: Row | None
    detail: Detail | None
    history: tuple[Point, ...]
    marked: Group | None
    waits: Waits | None = None  # None: the wait plane is off
    sends: Sends | None = None  # None: no stage of any send is known
    events: tuple[Event, ...] | None = None  # newest first; None: the plane is off
    closed: tuple[Closed, ...] = ()
    cookies: tuple[int, ...] | None = None  # the row's or those of the marked; None: all sockets
    view: int = 0  # of the RX pane: an index into rx.VIEWS
    since_s: float | None = None  # how long the worst verdict has held


def subject(data: PaneData) -> str:
    """What the pane is about, for its title."""
    from nettop.model.words import owner_text
    from nettop.render.columns import endpoint

    if data.marked is not None:
        return f"* {data.marked.sockets} marked"
    if data.row is None:
        return f"{data.model.totals.matched} sockets"
    owner = owner_text(data.row) or "–"
    return f"{owner} → {endpoint(data.row, local=False)}" if data.row.has_remote else owner
