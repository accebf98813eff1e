"""Questions about the events that an engine took, be they of this host or of a recording."""

from __future__ import annotations

import errno
import struct
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from nettop.engine import check, ffi, lib
from nettop.engine.events import CLOSED, DROP, EVENT, closed_of, drop_of, event_of
from nettop.engine.handle import Engine
from nettop.model.events import (
    ALL_TYPES,
    Closed,
    Drop,
    DropReason,
    Event,
    EventMemory,
    EventsTick,
    EventType,
    TypeCount,
)
from nettop.text.clean import clean

DROPS_SHOWN = 256
ORDERLY_DROPS = frozenset({"QUEUE_PURGE"})  # what a socket that closes still had in its queues
_NAME_BYTES = 64
# What struct nt_events_totals begins with: TypeCount's fields, each by EventType.
_GROWING = struct.Struct(f"<{len(TypeCount._fields) * len(EventType)}Q")


class EventLog:
    """Looks back; any thread may."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._e = engine, engine.handle
        self._beyond = dict.fromkeys(EventType, 0)

    def twin(self, engine: Engine) -> EventLog:
        """The same over a twin of the engine."""
        made = EventLog(engine)
        made._beyond = self._beyond.copy()
        return made

    def tick(self) -> EventsTick | None:
        """The last interval; None: the plane is off."""
        head, at_ns = ffi.new("struct nt_events_head *"), ffi.new("uint64_t *")
        err = lib.nt_events_last(self._e, head, at_ns)
        if err == -errno.ENOENT:
            return None
        check(err, "reading events")
        now, before = head.now, head.before
        totals, were = (_counts(ffi.addressof(head, end)) for end in ("now", "before"))
        drops, places = self._drops()
        return EventsTick(
            counts=tuple(
                TypeCount(*(a - b for a, b in zip(new, old, strict=True)))
                for new, old in zip(totals, were, strict=True)
            ),
            totals=totals,
            reasons=self._reasons(),
            drops=drops,
            drop_places=places,
            unplaced=now.unplaced - before.unplaced,
            segs_retrans=now.segs_retrans - before.segs_retrans,
            no_storage=now.no_storage,
            runs=now.runs,
            first_seq=now.first_seq,
            seconds=(at_ns[0] - head.begun_ns) / 1e9 if head.read > 1 else None,
        )

    def _name(self, reset: bool, number: int) -> str:
        text = ffi.new(f"char[{_NAME_BYTES}]")
        lib.nt_events_reason_name(self._e, reset, number, text, _NAME_BYTES)
        return _cleaned(ffi.string(text))

    def recent(
        self,
        cookies: Sequence[int] = (),
        *,
        most: int = 64,
        types: Collection[EventType] = ALL_TYPES,
        after: int = 0,
        filtered: bool = False,
    ) -> tuple[Event, ...]:
        """Newest first, of these sockets or (none named) of all.

        Args:
            most: how many at most.
            types: only of these.
            after: only with this seq or a higher one.
            filtered: of all, those that the engine's filter lets through.
        """
        return self._recent(cookies, most, types, after, filtered, ffi.NULL)

    def of_interval(
        self, most: int, *, filtered: bool
    ) -> tuple[tuple[Event, ...], Mapping[EventType, int]]:
        """The last interval's, newest first; filtered: of sockets that pass the engine's filter.
        And by type how many such lists so far left out because there were more than `most`."""
        head, at_ns = ffi.new("struct nt_events_head *"), ffi.new("uint64_t *")
        if lib.nt_events_last(self._e, head, at_ns):
            return (), {}
        more = ffi.new("uint64_t[]", len(EventType))
        found = self._recent((), most, ALL_TYPES, head.now.first_seq, filtered, more)
        for kind in EventType:
            self._beyond[kind] += more[kind]
        return found, self._beyond

    def listed(self, most: int, types: Collection[EventType]) -> tuple[tuple[Event, ...], int]:
        """The last interval's of these types that pass the filter, newest first, and how many
        further records there are."""
        head, at_ns = ffi.new("struct nt_events_head *"), ffi.new("uint64_t *")
        if lib.nt_events_last(self._e, head, at_ns):
            return (), 0
        more = ffi.new("uint64_t[]", len(EventType))
        found = self._recent((), most, types, head.now.first_seq, True, more)
        return found, sum(more)

    def drops(self, most: int) -> tuple[Event, ...]:
        """Packets that were dropped in the last interval, newest first, of all namespaces."""
        head, at_ns = ffi.new("struct nt_events_head *"), ffi.new("uint64_t *")
        if lib.nt_events_last(self._e, head, at_ns):
            return ()
        more = ffi.new("uint64_t[]", len(EventType))
        return self._recent((), most, (EventType.DROP,), head.now.first_seq, False, more)

    def _recent(
        self,
        cookies: Sequence[int],
        most: int,
        types: Collection[EventType],
        after: int,
        filtered: bool,
        more: Any,
    ) -> tuple[Event, ...]:
        room = ffi.new("struct nt_event[]", most)
        bits = sum(1 << t for t in types)
        n = check(
            lib.nt_events_recent(
                self._e, list(cookies), len(cookies), filtered, bits, after, room, most, more
            ),
            "looking back",
        )
        raw = bytes(ffi.buffer(room, n * EVENT.size))
        drop_name, reset_name = partial(self._name, False), partial(self._name, True)
        events = [event_of(raw, i * EVENT.size, drop_name, reset_name) for i in range(n)]
        ends = [e.seq for e in events if e.type is EventType.CLOSED]
        if ends:
            said = self.closed(cookies, most=2 * len(ends), after=min(ends), filtered=filtered)
            last = {c.event.seq: c for c in said}
            events = [e._replace(last=last.get(e.seq)) if e.seq in last else e for e in events]
        return tuple(events)

    def befallen(
        self, types: Collection[EventType], *, filtered: bool, most: int = 1024
    ) -> tuple[set[tuple[int, int]], int]:
        """Cookies of the sockets that events of these types befell in the last interval, each with
        the type, as of_interval() chooses, drops of an orderly close left out; and how many of the
        events were not looked at, as there were more than most."""
        head, at_ns = ffi.new("struct nt_events_head *"), ffi.new("uint64_t *")
        if lib.nt_events_last(self._e, head, at_ns):
            return set(), 0
        now, before = head.now, head.before
        if all(now.seen[t] == before.seen[t] for t in types):
            return set(), 0
        room, more = ffi.new("struct nt_event[]", most), ffi.new("uint64_t[]", len(EventType))
        bits = sum(1 << t for t in types)
        n = check(
            lib.nt_events_recent(
                self._e, ffi.NULL, 0, filtered, bits, now.first_seq, room, most, more
            ),
            "looking back",
        )
        events = {
            (e.cookie, e.type, e.reason if e.type == EventType.DROP else None) for e in room[0:n]
        }
        reasons = {reason for _, _, reason in events if reason is not None}
        orderly = {reason for reason in reasons if self._name(False, reason) in ORDERLY_DROPS}
        return {(c, kind) for c, kind, reason in events if c and reason not in orderly}, sum(more)

    def memory(self, cookies: Sequence[int] = ()) -> EventMemory | None:
        """What is remembered of these sockets together (none named: of one that is not); None: the
        plane is off."""
        m = ffi.new("struct nt_event_memory *")
        err = lib.nt_events_memory(self._e, list(cookies), len(cookies), m)
        if err == -errno.ENOENT:
            return None
        check(err, "looking back")
        return EventMemory(m.since_ns, m.gap_ns or None, m.forgotten, tuple(m.counts))

    def closed(
        self,
        cookies: Sequence[int] = (),
        *,
        most: int = 64,
        after: int = 0,
        filtered: bool = False,
    ) -> tuple[Closed, ...]:
        """The last sockets that closed, newest first, as recent() chooses them."""
        room = ffi.new("struct nt_closed[]", most)
        n = check(
            lib.nt_events_closed(self._e, list(cookies), len(cookies), filtered, after, room, most),
            "looking back",
        )
        raw = bytes(ffi.buffer(room, n * CLOSED.size))
        return tuple(closed_of(raw, i * CLOSED.size) for i in range(n))

    def drops_of(self, cookies: Sequence[int]) -> tuple[Drop, ...]:
        """Drops of the interval on these sockets, most first."""
        return self._drops(cookies)[0]

    def _drops(self, cookies: Sequence[int] = ()) -> tuple[tuple[Drop, ...], int]:
        of = list(cookies), len(cookies)
        found = check(lib.nt_events_drops(self._e, *of, ffi.NULL, 0), "reading drops")
        most = min(found, DROPS_SHOWN)
        room = ffi.new("struct nt_drop[]", most)
        n = min(check(lib.nt_events_drops(self._e, *of, room, most), "reading drops"), most)
        raw = bytes(ffi.buffer(room, n * DROP.size))
        name = partial(self._name, False)
        return tuple(drop_of(raw, i * DROP.size, name) for i in range(n)), found

    def _reasons(self) -> tuple[DropReason, ...]:
        most = check(lib.nt_events_reasons(self._e, ffi.NULL, 0), "reading reasons")
        room = ffi.new("struct nt_reason[]", most)
        n = min(check(lib.nt_events_reasons(self._e, room, most), "reading reasons"), most)
        return tuple(
            DropReason(_cleaned(ffi.string(r.name)), r.count, r.interval) for r in room[0:n]
        )


def _counts(totals: Any) -> tuple[TypeCount, ...]:
    """By EventType; totals: struct nt_events_totals *."""
    n = len(EventType)
    flat = _GROWING.unpack_from(ffi.buffer(totals))
    arrays = (flat[i : i + n] for i in range(0, len(flat), n))
    return tuple(map(TypeCount._make, zip(*arrays, strict=True)))


@lru_cache(1024)
def _cleaned(name: bytes) -> str:
    return clean(name)


assert [ffi.offsetof("struct nt_events_totals", name) for name in TypeCount._fields] == [
    i * 8 * len(EventType) for i in range(len(TypeCount._fields))
]
