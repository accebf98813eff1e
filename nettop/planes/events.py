"""Events: retransmissions, drops, resets, errors, states and ends of sockets as they happen."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nettop.ffi import check, ffi, lib
from nettop.ffi.engine import Engine
from nettop.ffi.events import CLOSED, DROP, EVENT, closed_of, drop_of, event_of
from nettop.model.events import (
    Closed,
    Drop,
    DropReason,
    Event,
    EventMemory,
    EventsTick,
    EventType,
    TypeCount,
)
from nettop.model.types import SourceStatus
from nettop.planes.stages import StagesPlane
from nettop.planes.wait import WaitPlane, off_status
from nettop.render.clean import clean

NAME = "events"
METHOD = "tp_btf"
ALL_TYPES = frozenset(EventType)
DROPS_SHOWN = 256
_REASONS_MOST = 512
_NAME_BYTES = 60
_GROWING = ("seen", "suppressed", "lost", "missed", "overrun")


class EventsPlane:
    """Owns the loaded programs; one thread reads, any may look back."""

    def __init__(self, handle: Any, types: int, missing: str) -> None:
        self._s = ffi.gc(handle, lib.nt_events_close)
        self.types = frozenset(t for t in EventType if types >> t & 1)
        self._missing = missing
        self._names: dict[tuple[bool, int], str] = {}
        self._before: tuple[float, tuple[TypeCount, ...], int, int] | None = None
        self.last: EventsTick | None = None
        self._beyond = dict.fromkeys(EventType, 0)

    def watch(self, netns: Collection[int]) -> None:
        """Records only of these network namespaces (inodes) from now on; none named: of all."""
        if self._s:
            check(lib.nt_events_spaces(self._s, list(netns), len(netns)), "choosing namespaces")

    @property
    def handle(self) -> Any:
        """struct nt_events *"""
        return self._s

    def read(self, engine: Engine | None = None) -> EventsTick | None:
        """Ends an interval; once per tick, before the sweep: the engine then still knows the owners
        of sockets that closed."""
        if not self._s:
            return None
        t = ffi.new("struct nt_events_totals *")
        table = engine.handle if engine is not None else ffi.NULL
        check(lib.nt_events_read(self._s, table, t), "reading events")
        now = time.monotonic()
        totals = tuple(
            TypeCount(*(getattr(t, name)[kind] for name in _GROWING)) for kind in EventType
        )
        drops, places = self._drops()
        was, before, segs, unplaced = self._before or (
            now, (TypeCount(),) * len(EventType), 0, 0,
        )  # fmt: skip
        self.last = EventsTick(
            counts=tuple(
                TypeCount(*(a - b for a, b in zip(new, old, strict=True)))
                for new, old in zip(totals, before, strict=True)
            ),
            totals=totals,
            reasons=self._reasons(),
            drops=drops,
            drop_places=places,
            unplaced=t.unplaced - unplaced,
            segs_retrans=t.segs_retrans - segs,
            no_storage=t.no_storage,
            runs=t.runs,
            first_seq=t.first_seq,
            seconds=now - was if self._before else None,
        )
        self._before = now, totals, t.segs_retrans, t.unplaced
        return self.last

    def _name(self, drop: bool, number: int) -> str:
        known = self._names.get((drop, number))
        if known is None:
            text = ffi.new(f"char[{_NAME_BYTES}]")
            ask = lib.nt_events_drop_name if drop else lib.nt_events_reset_name
            ask(self._s, number, text, _NAME_BYTES)
            known = self._names[drop, number] = clean(ffi.string(text))
        return known

    def drop_name(self, number: int) -> str:
        """The kernel's name for a reason, without SKB_DROP_REASON_."""
        return self._name(True, number)

    def reset_name(self, number: int) -> str:
        """The kernel's name for a reason, without SK_RST_REASON_."""
        return self._name(False, number)

    def recent(
        self,
        cookies: Sequence[int] = (),
        *,
        most: int = 64,
        types: Collection[EventType] = ALL_TYPES,
        after: int = 0,
        engine: Engine | None = None,
    ) -> tuple[Event, ...]:
        """Newest first, of these sockets or (none named) of all.

        Args:
            most: how many at most.
            types: only of these.
            after: only with this seq or a higher one.
            engine: of all, those that its filter lets through.
        """
        return self._recent(cookies, most, types, after, engine, ffi.NULL) if self._s else ()

    def of_interval(
        self, most: int, engine: Engine | None
    ) -> tuple[tuple[Event, ...], Mapping[EventType, int]]:
        """The last interval's, newest first, of sockets that pass the engine's filter; and by type
        how many such lists so far left out because there were more than `most`."""
        if not self._s or self.last is None:
            return (), {}
        more = ffi.new("uint64_t[]", len(EventType))
        found = self._recent((), most, ALL_TYPES, self.last.first_seq, engine, more)
        for kind in EventType:
            self._beyond[kind] += more[kind]
        return found, self._beyond

    def _recent(
        self,
        cookies: Sequence[int],
        most: int,
        types: Collection[EventType],
        after: int,
        engine: Engine | None,
        more: Any,
    ) -> tuple[Event, ...]:
        room = ffi.new("struct nt_event[]", most)
        bits = sum(1 << t for t in types)
        table = engine.handle if engine is not None else ffi.NULL
        n = check(
            lib.nt_events_recent(
                self._s, table, list(cookies), len(cookies), bits, after, room, most, more
            ),
            "looking back",
        )
        raw = bytes(ffi.buffer(room, n * EVENT.size))
        events = [event_of(raw, i * EVENT.size, self.drop_name, self.reset_name) for i in range(n)]
        ends = [e.seq for e in events if e.type is EventType.CLOSED]
        if ends:
            told = self.closed(cookies, most=2 * len(ends), after=min(ends), engine=engine)
            last = {c.event.seq: c for c in told}
            events = [e._replace(last=last.get(e.seq)) if e.seq in last else e for e in events]
        return tuple(events)

    def memory(self, cookies: Sequence[int] = ()) -> EventMemory:
        """What is remembered of these sockets together; none named: of one that is not."""
        m = ffi.new("struct nt_event_memory *")
        check(lib.nt_events_memory(self._s, list(cookies), len(cookies), m), "looking back")
        return EventMemory(m.since_ns, m.gap_ns or None, m.forgotten, tuple(m.counts))

    def closed(
        self,
        cookies: Sequence[int] = (),
        *,
        most: int = 64,
        after: int = 0,
        engine: Engine | None = None,
    ) -> tuple[Closed, ...]:
        """The last sockets that closed, newest first, as recent() chooses them."""
        if not self._s:
            return ()
        room = ffi.new("struct nt_closed[]", most)
        table = engine.handle if engine is not None else ffi.NULL
        n = check(
            lib.nt_events_closed(self._s, table, list(cookies), len(cookies), after, room, most),
            "looking back",
        )
        raw = bytes(ffi.buffer(room, n * CLOSED.size))
        return tuple(closed_of(raw, i * CLOSED.size) for i in range(n))

    def drops_of(self, cookies: Sequence[int]) -> tuple[Drop, ...]:
        """Drops of the interval on these sockets, most first."""
        return self._drops(cookies)[0] if self._s else ()

    def _drops(self, cookies: Sequence[int] = ()) -> tuple[tuple[Drop, ...], int]:
        room = ffi.new("struct nt_drop[]", DROPS_SHOWN)
        found = check(
            lib.nt_events_drops(self._s, list(cookies), len(cookies), room, DROPS_SHOWN),
            "reading drops",
        )
        n = min(found, DROPS_SHOWN)
        raw = bytes(ffi.buffer(room, n * DROP.size))
        return tuple(drop_of(raw, i * DROP.size, self.drop_name) for i in range(n)), found

    def _reasons(self) -> tuple[DropReason, ...]:
        room = ffi.new("struct nt_drop_reason[]", _REASONS_MOST)
        n = min(check(lib.nt_events_reasons(self._s, room, _REASONS_MOST), "reading reasons"),
                _REASONS_MOST)  # fmt: skip
        return tuple(DropReason(clean(ffi.string(r.name)), r.count, r.interval) for r in room[0:n])

    def status(self) -> SourceStatus:
        if self._missing:
            return SourceStatus(NAME, "partial", METHOD, self._missing)
        tick = self.last
        if tick is not None and tick.no_storage:
            reason = f"{tick.no_storage} sockets without birth and owner: no memory left for them"
            return SourceStatus(NAME, "partial", METHOD, reason)
        return SourceStatus(NAME, "ok", METHOD)

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
