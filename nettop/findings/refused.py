"""Connections and datagrams of this host that were refused: nothing listens where they went."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct

from nettop.model.events import Event, EventType

TYPES = frozenset({EventType.ERROR})
MOST_EVENTS = 1024  # of a tick that are looked at
MOST_PLACES = 1000  # that are counted, each by itself
MOST_PROGRAMS = 20  # of a place that are named
_PROTOS = ("tcp", "udp")


class Refused(Struct, frozen=True):
    """What one place refused while one looked."""

    proto: str  # tcp, udp
    remote: str  # address:port
    count: int  # of TCP connections; of UDP answers by ICMP, of which one may stand for several
    programs: tuple[str, ...]  # that asked, most first; those that are known


class RefusedSum:
    """Adds up the error events of the ticks."""

    def __init__(self) -> None:
        self._count: Counter[tuple[str, str]] = Counter()
        self._programs: dict[tuple[str, str], Counter[str]] = {}
        self.left_out = 0  # error events that were not looked at: too many

    def take(
        self, events: Iterable[Event], left_out: int, program_of: Callable[[int], str]
    ) -> None:
        """TCP reports ECONNREFUSED of a connection that is being opened alone; of UDP it is the
        ICMP of a port without a socket.

        Args:
            events: of TYPES.
            left_out: how many more there were.
            program_of: of a cookie, where the event does not say it; "": not known.
        """
        self.left_out += left_out
        for event in events:
            if event.err != errno.ECONNREFUSED or event.proto_name not in _PROTOS:
                continue
            place = event.proto_name, event.remote
            if place not in self._count and len(self._count) >= MOST_PLACES:
                self.left_out += 1
                continue
            self._count[place] += 1
            program = event.comm or program_of(event.cookie)
            known = self._programs.setdefault(place, Counter())
            if program and (program in known or len(known) < MOST_PROGRAMS):
                known[program] += 1

    def all(self) -> tuple[Refused, ...]:
        """Most first."""
        return tuple(
            Refused(*place, count, tuple(name for name, _ in self._programs[place].most_common()))
            for place, count in self._count.most_common()
        )
