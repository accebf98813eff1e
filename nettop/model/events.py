"""What happened to sockets: typed records."""

# Types are no texts here: a NamedTuple compiles those, one by one, which is a part of each start.

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import NamedTuple

from msgspec import Struct

from nettop.model.types import (
    AF_INET6,
    Histogram,
    Stage,
    address_text,
)

_PROTOS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6", 132: "sctp", 136: "udplite"}


class EventType(IntEnum):
    """enum nt_event_type."""

    RETRANSMIT = 0
    DROP = 1
    RESET_SENT = 2
    RESET_RECEIVED = 3
    ERROR = 4
    STATE = 5
    CONG = 6
    CLOSED = 7


class EventFlag(IntFlag):
    """enum nt_event_flag."""

    OWNER = 1
    FROM_PACKET = 2
    SYNACK = 4
    FIN_FIRST = 8
    FIN_BY_PEER = 16
    RESET_IN = 32
    RESET_OUT = 64
    PASSIVE = 128
    LEAVING = 256
    FIN_CAME = 512


ALL_TYPES = frozenset(EventType)
# As JSON names them.
EVENT_NAMES = {kind: kind.name.lower() for kind in EventType}


class Event(NamedTuple):
    """struct nt_event; what a type does not have is 0, empty or None."""

    at_ns: int  # CLOCK_MONOTONIC
    cookie: int  # 0: no socket
    seq: int  # order of arrival
    netns: int
    type: EventType
    family: int
    proto: int  # IPPROTO_*
    state: int  # of STATE and CLOSED the one before
    new_state: int
    ca_state: int
    new_ca_state: int
    timer: int
    retransmits: int
    flags: int  # EventFlag
    sport: int
    dport: int
    src: bytes
    dst: bytes
    pid: int
    comm: str  # safe for a terminal
    reason: str | None  # of DROP and RESET_SENT: the kernel's name
    err: int
    ahead: int  # bytes between snd_una and the segment
    length: int  # bytes of the packet or segment
    segs: int
    snd_cwnd: int
    rtt_us: int
    last: "Closed | None" = None  # of CLOSED: the last numbers

    @property
    def proto_name(self) -> str:
        return _PROTOS.get(self.proto, str(self.proto))

    @property
    def local(self) -> str:
        return endpoint_text(self.family, self.src, self.sport)

    @property
    def remote(self) -> str:
        return endpoint_text(self.family, self.dst, self.dport)

    @property
    def has_remote(self) -> bool:
        return bool(self.dport) or any(self.dst)

    @property
    def owner(self) -> str | None:
        """nginx/812 as the kernel knew it; None: it did not."""
        if not self.flags & EventFlag.OWNER:
            return None
        return f"{self.comm}/{self.pid}" if self.pid else self.comm


class Closed(NamedTuple):
    """struct nt_closed: the last numbers of a TCP socket."""

    event: Event
    born_ns: int | None  # None: before nettop came
    bytes_sent: int
    bytes_acked: int
    bytes_received: int
    bytes_retrans: int
    segs_out: int
    segs_in: int
    data_segs_out: int
    data_segs_in: int
    total_retrans: int
    lost: int
    delivered: int
    delivered_ce: int
    rttvar_us: int
    min_rtt_us: int | None
    snd_ssthresh: int
    snd_mss: int
    unread: int  # bytes that the program did not take
    unacked: int  # bytes that the peer did not acknowledge
    reord_seen: int
    dsack_dups: int
    rcv_ooopack: int
    uid: int
    wait: Histogram | None = None  # of received data, by octaves; None: not traced
    tx: Mapping[Stage, tuple[int, int]] = {}  # by stage: sends, and their times' sum in ns

    @property
    def sent(self) -> int:
        """Bytes of data that the peer acknowledged: tcpi_bytes_acked counts SYN and FIN too."""
        return min(self.bytes_acked, max(0, self.bytes_sent - self.bytes_retrans))

    @property
    def received(self) -> int:
        """Bytes of data: tcpi_bytes_received counts a FIN too."""
        return max(0, self.bytes_received - bool(self.event.flags & EventFlag.FIN_CAME))

    @property
    def life_ns(self) -> int | None:
        return None if self.born_ns is None else self.event.at_ns - self.born_ns

    @property
    def srtt_us(self) -> int | None:
        return self.event.rtt_us or None


class Drop(NamedTuple):
    """struct nt_drop: drops of one reason on one socket, of the interval."""

    cookie: int  # 0: no socket
    packets: int
    segs: int  # of these on the wire, where one packet may be many
    last_ns: int
    reason: str
    netns: int
    family: int
    proto: int
    state: int
    sport: int
    dport: int
    src: bytes
    dst: bytes


class DropReason(NamedTuple):
    """struct nt_drop_reason."""

    name: str
    packets: int  # since the plane is on
    interval: int  # of these, in the last interval


class TypeCount(NamedTuple):
    """Events of one type."""

    seen: int = 0
    suppressed: int = 0  # of these, without a record: too many at once
    lost: int = 0  # of these, without a record: the ring was full
    missed: int = 0  # not even seen: they interrupted the program that counts them
    overrun: int = 0  # recorded, and gone before they could be read: one read had too many

    @property
    def left_out(self) -> int:
        """They cannot be listed."""
        return self.suppressed + self.lost + self.missed + self.overrun


class EventMemory(NamedTuple):
    """What is remembered of sockets' past."""

    since_ns: int  # all that was recorded of them since then counts here; CLOCK_MONOTONIC
    gap_ns: int | None  # when the kernel last left records out, of whatever socket; None: never
    forgotten: int  # sockets, for want of room
    counts: tuple[int, ...]  # by EventType


class EventsTick(Struct, frozen=True):
    """What one read of the events plane says."""

    counts: tuple[TypeCount, ...]  # by EventType, of the interval
    totals: tuple[TypeCount, ...]  # since the plane is on
    reasons: tuple[DropReason, ...]  # most of the interval first
    drops: tuple[Drop, ...]  # of the interval, most first; the first few hundred
    drop_places: int  # how many (socket, reason) there were
    unplaced: int  # drops counted by reason alone, of the interval
    segs_retrans: int  # of the interval, SYN-ACKs included
    no_storage: int  # sockets whose birth and owner could not be kept, so far
    runs: int  # of the programs, so far
    first_seq: int  # records of the interval have this seq or a higher one
    seconds: float | None  # length of the interval; None: the first

    @property
    def left_out(self) -> int:
        """Events that cannot be listed, so far."""
        return sum(c.left_out for c in self.totals)

    @property
    def lost(self) -> int:
        """Of these, not left out on purpose: the ring was full, or the program did not run."""
        return sum(c.lost + c.missed for c in self.totals)


def endpoint_text(family: int, addr: bytes, port: int) -> str:
    """addr:port, [addr]:port of IPv6; `?` for no address."""
    if not family:
        return "?"
    text = address_text(family, addr)
    return f"[{text}]:{port}" if family == AF_INET6 else f"{text}:{port}"
