"""Events of many hosts together, by the clock of this one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nettop.hosts import merge
from nettop.hosts.parts import Parts
from nettop.model.events import ALL_TYPES, Closed, Event, EventMemory, EventType
from nettop.replay import ReplayFeed


class EventsOfAll(Parts):
    """What happened, newest first."""

    def events(
        self, cookies: Sequence[int], *, most: int, types: Collection[EventType] = ALL_TYPES
    ) -> list[Event]:
        asked = self._split(cookies) if cookies else [(i, feed, []) for i, feed in self._live()]
        found = [
            self._here(i, feed, event)
            for i, feed, own in asked
            for event in feed.events(own, most=most, types=types)
        ]
        return self._newest(found)[:most]

    def _here(self, place: int, feed: ReplayFeed, event: Event) -> Event:
        """By this host's clock."""
        shift = self._shift_ns(place, feed)
        cookie = event.cookie + merge.above(place) if event.cookie else 0
        return event._replace(at_ns=event.at_ns + shift, cookie=cookie)

    def _shift_ns(self, place: int, feed: ReplayFeed) -> int:
        """What its CLOCK_MONOTONIC becomes one of here by: what was so long before the tick there
        was as long before the tick of them all.

        Args:
            feed: as it was there when it was asked; the host may be lost meanwhile.
        """
        model, here = feed.latest(), self.latest()
        assert model is not None
        assert here is not None
        return here.mono_ns - model.mono_ns

    @staticmethod
    def _newest(events: list[Event]) -> list[Event]:
        return sorted(events, key=lambda event: -event.at_ns)

    def tick_events(
        self, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        out: list[Event] = []
        beyond: dict[EventType, int] = {}
        for place, feed in self._live():
            some, more = feed.tick_events(most, everything=everything)
            out += [self._here(place, feed, event) for event in some]
            for kind, n in more.items():
                beyond[kind] = beyond.get(kind, 0) + n
        return self._newest(out)[:most], beyond

    def host_events(
        self, name: str, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        """As tick_events, of one host and by its own clock."""
        feed = self._at(self._names.index(name))
        return feed.tick_events(most, everything=everything) if feed is not None else ((), {})

    def events_memory(self, cookies: Sequence[int]) -> EventMemory | None:
        parts = self._split(cookies)
        if len(parts) != 1:
            return None
        place, feed, own = parts[0]
        memory = feed.events_memory(own)
        if memory is None:
            return None
        shift = self._shift_ns(place, feed)
        gap_ns = memory.gap_ns
        return memory._replace(
            since_ns=memory.since_ns + shift, gap_ns=None if gap_ns is None else gap_ns + shift
        )

    def closed(self, cookies: Sequence[int], *, most: int) -> list[Closed]:
        if cookies:
            parts = [(i, f, f.closed(own, most=most)) for i, f, own in self._split(cookies)]
        else:
            parts = [(i, f, f.closed((), most=most)) for i, f in self._live()]
        out = [self._closed_here(i, feed, closed) for i, feed, some in parts for closed in some]
        return sorted(out, key=lambda closed: -closed.event.at_ns)[:most]

    def _closed_here(self, place: int, feed: ReplayFeed, closed: Closed) -> Closed:
        event = self._here(place, feed, closed.event)
        shift = event.at_ns - closed.event.at_ns
        born_ns = None if closed.born_ns is None else closed.born_ns + shift
        return closed._replace(event=event, born_ns=born_ns)
