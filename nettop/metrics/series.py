"""The numbers of a group of sockets: counters that only grow, and gauges of the last tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct, field

from nettop.engine.counter import Sums
from nettop.engine.edges import OCTAVE_EDGES, OCTAVES
from nettop.metrics.labels import Labels

# Buckets of native histograms: eight to an octave of seconds. The i'th ends at 2 ** (i / 8) s.
NATIVE_SCHEMA = 3


class Count(IntEnum):
    """Counters of a group, in the kernel's units."""

    SENT_BYTES = 0
    ACKED_BYTES = 1
    RECEIVED_BYTES = 2
    RETRANS_BYTES = 3
    RETRANS_SEGMENTS = 4
    DROPS = 5
    BUSY_MS = 6
    RWND_MS = 7
    SNDBUF_MS = 8
    CWND_MS = 9
    OPENED = 10
    CLOSED = 11
    UDP_SENT_BYTES = 12
    UDP_RECEIVED_BYTES = 13


class Frozen(NamedTuple):
    """A histogram by octaves, as it was."""

    counts: tuple[int, ...]  # by octave: nettop.engine.edges has their edges
    sum_ns: int
    # (index, count) of buckets of NATIVE_SCHEMA, ascending; None: it is known by octaves alone
    native: tuple[tuple[int, int], ...] | None = None


class Octaves:
    """A histogram of times by octaves that only grows."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * OCTAVES
        self.sum_ns = 0

    def add_buckets(self, buckets: Iterable[tuple[int, int, int]], sum_ns: int) -> None:
        """Of fine buckets, which lie within octaves."""
        for low, _high, n in buckets:
            self.counts[octave_of(low)] += n
        self.sum_ns += sum_ns

    def frozen(self) -> Frozen:
        return Frozen(tuple(self.counts), self.sum_ns)


def octave_of(ns: int) -> int:
    """The octave that counts a time: its upper edge, 64 << octave ns, is more than that."""
    return max(0, min(OCTAVES - 1, ns.bit_length() - 6))


Unwell = Mapping[tuple[str, str], int]  # (who, why) → sockets


class SeriesTick(Struct, frozen=True):
    """A group as it was at a tick."""

    labels: Labels
    created_s: float | None  # CLOCK_REALTIME; None: as old as the exporter
    counts: tuple[float, ...]  # by Count
    rtt: Frozen
    waits: Frozen
    sockets: int
    unread_ns: int  # age of the oldest unread delivery
    accept_share: float | None  # of the fullest accept queue; None: no listener
    unwell: Unwell


_NONE = Sums((0,) * len(Count), (0,) * OCTAVES, 0, (0,) * OCTAVES, 0, (), 0, None, 0)


class Series(Struct):
    """A group. One thread changes it."""

    labels: Labels
    created_s: float | None
    number: int  # of nettop.engine.counter
    sums: Sums = _NONE  # as they were counted last
    unwell_ever: set[tuple[str, str]] = field(default_factory=set)
    # of the tick
    sockets: int = 0
    unread_ns: int = 0
    accept_share: float | None = None
    unwell: dict[tuple[str, str], int] = field(default_factory=dict)
    moved: bool = True  # since it was frozen
    _frozen: SeriesTick | None = None

    @property
    def counts(self) -> tuple[float, ...]:
        """By Count."""
        counts: list[float] = [*self.sums.counts]
        counts[Count.CWND_MS] /= 100
        return tuple(counts)

    def begin(self) -> None:
        """A tick begins."""
        if self.unwell:
            self.moved = True
            self.unwell = {}

    def take(self, sums: Sums) -> None:
        """What was counted until now, and gauges of the sockets that the tick has."""
        self.sums, self.moved = sums, True
        self.sockets, self.unread_ns = sums.sockets, sums.unread_ns
        self.accept_share = sums.accept_share

    def sick(self, who: str, why: str, n: int) -> None:
        """So many sockets are unwell."""
        self.unwell[who, why] = self.unwell.get((who, why), 0) + n
        self.unwell_ever.add((who, why))
        self.moved = True

    def take_gauges(self, of: Series) -> None:
        """Those of a group that is counted here from now on."""
        self.sockets += of.sockets
        self.unread_ns = max(self.unread_ns, of.unread_ns)
        if of.accept_share is not None:
            self.accept_share = max(self.accept_share or 0.0, of.accept_share)
        for (who, why), n in of.unwell.items():
            self.sick(who, why, n)
        self.moved = True

    def frozen(self) -> SeriesTick:
        """As it is now; the same object until it changes."""
        if self._frozen is None or self.moved:
            # What was unwell once is 0 by now, not gone: an alert then ends.
            unwell = dict.fromkeys(sorted(self.unwell_ever), 0) | self.unwell
            sums = self.sums
            self._frozen = SeriesTick(
                self.labels, self.created_s, self.counts,
                Frozen(sums.rtt, sums.rtt_sum_ns, sums.native),
                Frozen(sums.waits, sums.wait_sum_ns), self.sockets, self.unread_ns,
                self.accept_share, unwell,
            )  # fmt: skip
            self.moved = False
        return self._frozen


UPPER_NS = tuple(OCTAVE_EDGES[1:])  # by octave
