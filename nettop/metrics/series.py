"""The numbers of a group of sockets: counters that only grow, and gauges of the last tick."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct, field

from nettop.engine.edges import OCTAVE_EDGES, OCTAVES
from nettop.metrics.labels import Labels

# Buckets of native histograms: eight to an octave of seconds. The i'th ends at 2 ** (i / 8) s.
NATIVE_SCHEMA = 3
_EACH = 1 << NATIVE_SCHEMA
_OCTAVES = struct.Struct(f"<{OCTAVES}I")


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

    __slots__ = ("counts", "native", "sum_ns")

    def __init__(self, *, native: bool = False) -> None:
        """native: it has buckets of NATIVE_SCHEMA too; then all times come to observe()."""
        self.counts = [0] * OCTAVES
        self.sum_ns = 0
        self.native: Counter[int] | None = Counter() if native else None

    def observe(self, ns: int) -> None:
        """ns: more than 0."""
        self.counts[octave_of(ns)] += 1
        self.sum_ns += ns
        if self.native is not None:
            self.native[native_bucket(ns)] += 1

    def add(self, counts: Sequence[int], sum_ns: int) -> None:
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        self.sum_ns += sum_ns

    def add_buckets(self, buckets: Iterable[tuple[int, int, int]], sum_ns: int) -> None:
        """Of fine buckets, which lie within octaves."""
        for low, _high, n in buckets:
            self.counts[octave_of(low)] += n
        self.sum_ns += sum_ns

    def frozen(self) -> Frozen:
        native = None if self.native is None else tuple(sorted(self.native.items()))
        return Frozen(tuple(self.counts), self.sum_ns, native)


def octave_of(ns: int) -> int:
    """The octave that counts a time: its upper edge, 64 << octave ns, is more than that."""
    return max(0, min(OCTAVES - 1, ns.bit_length() - 6))


def native_bucket(ns: int) -> int:
    """The bucket of NATIVE_SCHEMA that has a time: up to its edge, beyond that of the one below."""
    return math.ceil(math.log2(ns / 1e9) * _EACH)


def unpacked(raw: bytes) -> tuple[int, ...]:
    """Of the packed octaves of a socket."""
    return _OCTAVES.unpack(raw)


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


class Series(Struct):
    """A group. One thread changes it."""

    labels: Labels
    created_s: float | None
    counts: list[float] = field(default_factory=lambda: [0.0] * len(Count))
    rtt: Octaves = field(default_factory=lambda: Octaves(native=True))
    waits: Octaves = field(default_factory=Octaves)
    unwell_ever: set[tuple[str, str]] = field(default_factory=set)
    # of the tick
    sockets: int = 0
    unread_ns: int = 0
    accept_share: float | None = None
    unwell: dict[tuple[str, str], int] = field(default_factory=dict)
    moved: bool = True  # since it was frozen
    _frozen: SeriesTick | None = None

    def begin(self) -> None:
        """A tick begins: gauges are of the sockets that it has."""
        if self.sockets or self.unwell or self.accept_share is not None:
            self.moved = True
        self.sockets = self.unread_ns = 0
        self.accept_share = None
        self.unwell = {}

    def add(self, which: Count, more: float) -> None:
        if more > 0:
            self.counts[which] += more
            self.moved = True

    def sick(self, who: str, why: str) -> None:
        """A socket is unwell."""
        self.unwell[who, why] = self.unwell.get((who, why), 0) + 1
        self.unwell_ever.add((who, why))
        self.moved = True

    def take_gauges(self, of: Series) -> None:
        """Those of a group that is counted here from now on."""
        self.sockets += of.sockets
        self.unread_ns = max(self.unread_ns, of.unread_ns)
        if of.accept_share is not None:
            self.accept_share = max(self.accept_share or 0.0, of.accept_share)
        for key, n in of.unwell.items():
            self.unwell[key] = self.unwell.get(key, 0) + n
            self.unwell_ever.add(key)
        self.moved = True

    def frozen(self) -> SeriesTick:
        """As it is now; the same object until it changes."""
        if self._frozen is None or self.moved:
            # What was unwell once is 0 by now, not gone: an alert then ends.
            unwell = dict.fromkeys(sorted(self.unwell_ever), 0) | self.unwell
            self._frozen = SeriesTick(
                self.labels, self.created_s, tuple(self.counts), self.rtt.frozen(),
                self.waits.frozen(), self.sockets, self.unread_ns, self.accept_share, unwell,
            )  # fmt: skip
            self.moved = False
        return self._frozen


UPPER_NS = tuple(OCTAVE_EDGES[1:])  # by octave
