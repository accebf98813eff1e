"""Events: retransmissions, drops, resets, errors, states and ends of sockets as they happen."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from nettop.engine import check, ffi, lib
from nettop.engine.handle import Engine
from nettop.model.events import EventType
from nettop.model.types import SourceStatus
from nettop.sources.stages import StagesPlane
from nettop.sources.wait import WaitPlane, off_status

NAME = "events"
METHOD = "tp_btf"


class EventsRead(NamedTuple):
    """What one read says of the plane itself; all of it so far."""

    runs: int  # of the programs
    left_out: int  # events that cannot be listed
    no_storage: int  # sockets whose birth and owner could not be kept


class EventsPlane:
    """Owns the loaded programs; what they recorded is the engine's (nettop.engine.eventlog)."""

    def __init__(self, handle: Any, types: int, missing: str) -> None:
        self._s = ffi.gc(handle, lib.nt_events_close)
        self.types = frozenset(t for t in EventType if types >> t & 1)
        self._missing = missing
        self.last: EventsRead | None = None

    def watch(self, netns: Collection[int]) -> None:
        """Records only of these network namespaces (inodes) from now on; none named: of all."""
        if self._s:
            check(lib.nt_events_spaces(self._s, list(netns), len(netns)), "choosing namespaces")

    @property
    def handle(self) -> Any:
        """struct nt_events *"""
        return self._s

    def read(self, engine: Engine) -> EventsRead | None:
        """Ends an interval, which the engine takes; once per tick, before the sweep: the engine
        then still knows the owners of sockets that closed."""
        if not self._s:
            return None
        t = ffi.new("struct nt_events_totals *")
        check(lib.nt_events_read(self._s, engine.handle, t), "reading events")
        left_out = sum(
            sum(ffi.unpack(n, len(EventType))) for n in (t.suppressed, t.lost, t.missed, t.overrun)
        )
        self.last = EventsRead(t.runs, left_out, t.no_storage)
        return self.last

    def status(self) -> SourceStatus:
        reasons = [self._missing] if self._missing else []
        last = self.last
        if last is not None and last.no_storage:
            reasons.append(
                f"{last.no_storage} sockets without birth and owner: no memory left for them"
            )
        state = "partial" if reasons else "ok"
        return SourceStatus(NAME, state, METHOD, "; ".join(reasons) or None)

    def close(self) -> None:
        """Detaches; nothing remains in the kernel."""
        if self._s:
            ffi.release(self._s)
            self._s = None


def open_plane(
    waits: WaitPlane | None = None, sends: StagesPlane | None = None, *, confined: bool = False
) -> tuple[EventsPlane | None, SourceStatus]:
    """The plane, or None and why it is off; its records of closed sockets say what waits and sends
    knew of them. confined: it records nothing until watch() names namespaces."""
    handle, why = ffi.new("struct nt_events **"), ffi.new("char[160]")
    types = lib.nt_events_open(
        waits.handle if waits else ffi.NULL, sends.handle if sends else ffi.NULL, confined,
        handle, why, 160,
    )  # fmt: skip
    text = ffi.string(why).decode("ascii", "replace")
    if types < 0:
        return None, off_status(NAME, types, text)
    plane = EventsPlane(handle[0], types, text)
    return plane, plane.status()
