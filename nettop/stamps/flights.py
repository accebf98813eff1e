"""Stamps to the sends they belong to: first and last of each kind, joined writes, what is missing.

Keys are the kernel's: of datagrams a count, of a stream the offset of a write's last byte, modulo
2^32. A retransmission or a stacked device stamps SCHED and SND again under the same key; writes
that the kernel joined into one buffer are stamped once, under the key of the last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from nettop.model.stamps import Sent, Stamp, StampType

_HALF = 1 << 31
_MASK = (1 << 32) - 1
_MOST_TIMES = 32


class Flight(Struct):
    """One send and its stamps; CLOCK_REALTIME, but hardware_ns is the NIC's clock."""

    key: int
    clocks: Sent
    scheds_ns: list[int] = field(default_factory=list)
    snds_ns: list[int] = field(default_factory=list)
    hardware_ns: int | None = None  # the last
    ack_ns: int | None = None
    completion_ns: int | None = None
    joined: bool = False  # into a later write: it has no stamps of its own
    stats: Mapping[str, int] | None = None  # OPT_STATS of the last stamp

    @property
    def sched_ns(self) -> int | None:
        """The first: further ones are of stacked devices or retransmissions."""
        return self.scheds_ns[0] if self.scheds_ns else None

    @property
    def snd_ns(self) -> int | None:
        """The first: further ones are retransmissions."""
        return self.snds_ns[0] if self.snds_ns else None

    def left_before(self, ns: int) -> int | None:
        """The last departure up to then: the one that an arrival or an ACK can be due to."""
        return max((at for at in self.snds_ns if at <= ns), default=self.snd_ns)

    @property
    def stamped(self) -> bool:
        return bool(self.scheds_ns or self.snds_ns or self.hardware_ns or self.ack_ns)


class Flights:
    """Sends under way of one socket.

    A flight is complete at its ACK (stream), else when its owner takes it with `pop`.
    """

    def __init__(self, *, is_stream: bool, most: int = 4096) -> None:
        self._stream = is_stream
        self._most = most
        self._open: OrderedDict[int, Flight] = OrderedDict()
        self.strays = 0  # stamps of no send that is known
        self.dropped = 0  # sends given up because too many were open

    def __len__(self) -> int:
        return len(self._open)

    def sent(self, key: int, clocks: Sent) -> Flight:
        """A send whose stamps will come."""
        flight = self._open[key] = Flight(key, clocks)
        if len(self._open) > self._most:
            self._open.popitem(last=False)
            self.dropped += 1
        return flight

    def take(self, stamps: Iterable[Stamp]) -> list[Flight]:
        """Files stamps; returns the flights that an ACK completed, oldest first."""
        done: list[Flight] = []
        for stamp in stamps:
            if stamp.key is None or stamp.type is None:
                continue
            flight = self._open.get(stamp.key)
            if flight is None:
                self.strays += 1
            else:
                _file(flight, stamp)
            if self._stream and stamp.type is StampType.ACK:
                done += self._acknowledged(stamp.key)
        return done

    def _acknowledged(self, key: int) -> list[Flight]:
        """The sends up to this key; an ACK covers all before it."""
        done = []
        for known in list(self._open):
            if (key - known) & _MASK >= _HALF:
                break
            flight = self._open.pop(known)
            flight.joined = not flight.stamped
            done.append(flight)
        return done

    def get(self, key: int) -> Flight | None:
        return self._open.get(key)

    def pop(self, key: int) -> Flight | None:
        """Takes a flight out, complete or not."""
        return self._open.pop(key, None)

    def older_than(self, mono_ns: int) -> list[Flight]:
        """Takes out the sends from before this CLOCK_MONOTONIC: their stamps did not come."""
        out = []
        for key, flight in list(self._open.items()):
            if flight.clocks.before_mono_ns >= mono_ns:
                break
            out.append(self._open.pop(key))
        return out


def _file(flight: Flight, stamp: Stamp) -> None:
    if stamp.stats is not None:
        flight.stats = stamp.stats
    if stamp.hardware_ns is not None and stamp.type is StampType.SND:
        flight.hardware_ns = stamp.hardware_ns
    at = stamp.software_ns
    if at is None:
        return
    match stamp.type:
        case StampType.SCHED:
            _keep(flight.scheds_ns, at)
        case StampType.SND:
            _keep(flight.snds_ns, at)
        case StampType.ACK:
            flight.ack_ns = at
        case StampType.COMPLETION:
            flight.completion_ns = at


def _keep(times: list[int], at: int) -> None:
    """All of the first, and the last."""
    if len(times) >= _MOST_TIMES:
        times.pop()
    times.append(at)
