"""What happened to sockets: typed records, and the words for each."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

from nettop.model.types import (
    AF_INET6,
    CA_STATES,
    TCP_LISTEN,
    TCP_STATES,
    Histogram,
    Stage,
    address_text,
)
from nettop.render import units

_SYN_SENT, _SYN_RECV = 2, 3
_TAIL_LOSS_PROBE = 5  # icsk_pending: ICSK_TIME_LOSS_PROBE
_LOSS = 4  # ca_state
_PROTOS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
_ETIMEDOUT, _ECONNREFUSED = errno.ETIMEDOUT, errno.ECONNREFUSED


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


# As JSON names them, and in at most five cells.
EVENT_NAMES = {kind: kind.name.lower() for kind in EventType}
SHORT_NAMES = {
    EventType.RETRANSMIT: "retr",
    EventType.DROP: "drop",
    EventType.RESET_SENT: "rst →",
    EventType.RESET_RECEIVED: "rst ←",
    EventType.ERROR: "error",
    EventType.STATE: "state",
    EventType.CONG: "cong",
    EventType.CLOSED: "close",
}


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
    last: Closed | None = None  # of CLOSED: the last numbers

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
    def life_ns(self) -> int | None:
        return None if self.born_ns is None else self.event.at_ns - self.born_ns

    @property
    def srtt_us(self) -> int | None:
        return self.event.rtt_us or None


class Drop(NamedTuple):
    """struct nt_drop: drops of one reason on one socket, of the interval."""

    cookie: int  # 0: no socket
    packets: int
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
    missed: int = 0  # not even seen: they interrupted the program that tells of their like
    overrun: int = 0  # recorded, and gone before anybody could ask: one read had too many

    @property
    def left_out(self) -> int:
        """Nobody can list them."""
        return self.suppressed + self.lost + self.missed + self.overrun


class EventMemory(NamedTuple):
    """What is remembered of sockets' past."""

    since_ns: int  # all that was recorded of them since then counts here; CLOCK_MONOTONIC
    gap_ns: int | None  # when the kernel last left records out, of whatever socket; None: never
    forgotten: int  # sockets, for want of room
    counts: tuple[int, ...]  # by EventType


@dataclass(frozen=True, slots=True)
class EventsTick:
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


def errno_text(err: int) -> str:
    """ECONNRESET; a number that has no name as it is."""
    return errno.errorcode.get(err, str(err))


def retransmit_kind(e: Event) -> str:
    """Why a segment was sent again: SYN, SYN-ACK, TLP, RTO or fast."""
    if e.flags & EventFlag.SYNACK:
        return "SYN-ACK"
    if e.state == _SYN_SENT:
        return "SYN"
    if e.state == _SYN_RECV:
        return "SYN-ACK"
    if e.ca_state == _LOSS:
        return "RTO"
    if e.timer == _TAIL_LOSS_PROBE and e.ca_state < 2:
        return "TLP"
    return "fast"


def _state(number: int) -> str:
    return TCP_STATES.get(number, str(number))


def _ca(number: int) -> str:
    return CA_STATES.get(number, str(number))


def closed_why(c: Closed) -> str:
    """How a socket ended, in a few words."""
    e = c.event
    if e.state == TCP_LISTEN:
        return "stopped listening"
    if e.err == _ECONNREFUSED and e.state == _SYN_SENT:
        return "refused"
    if e.flags & EventFlag.RESET_IN:
        return "reset by peer"
    if e.err == _ETIMEDOUT:
        return "timed out"
    if e.err:
        return errno_text(e.err)
    if e.flags & EventFlag.RESET_OUT:
        return f"reset by us, {units.size(c.unread)} unread" if c.unread else "reset by us"
    if e.state == _SYN_SENT:
        return "gave up connecting"
    if e.flags & EventFlag.FIN_FIRST:
        return "closed by us"
    if e.flags & EventFlag.FIN_BY_PEER:
        return "closed by peer"
    return "closed"


def closed_numbers(c: Closed) -> str:
    """Why, and the last numbers: `closed by us, lived 12.4s, ↑1.2M ↓38K, 3 retr, srtt 248ms`."""
    words = [closed_why(c)]
    if c.life_ns is not None:
        words.append(f"lived {units.time(c.life_ns)}")
    if c.event.state not in (TCP_LISTEN, _SYN_SENT):
        words.append(f"↑{units.size(c.bytes_acked)} ↓{units.size(c.bytes_received)}")
    if c.total_retrans:
        words.append(f"{c.total_retrans} retr")
    if c.wait is not None:
        d = c.wait.dist
        words.append(f"rx wait {units.time(d.sum_ns / d.count)} mean")
    if c.srtt_us is not None:
        words.append(f"srtt {units.time(c.srtt_us * 1000)}")
    return ", ".join(words)


def event_numbers(e: Event) -> str:
    """What an event says beside its type: reason, states, sizes."""
    match e.type:
        case EventType.RETRANSMIT:
            kind = retransmit_kind(e)
            words = [kind if kind.startswith("SYN") else f"{kind} +{e.ahead}"]
            if e.retransmits:
                words.append(f"{e.retransmits} in a row")
            if e.segs > 1:
                words.append(f"{e.segs} segs")
            if not kind.startswith("SYN"):
                words.append(f"{_ca(e.ca_state)} cwnd {e.snd_cwnd}")
            if e.err:
                why = errno_text(-e.err) if e.err < 0 else "dropped by the qdisc"
                words.append(f"not sent: {why}")
            return ", ".join(words)
        case EventType.DROP:
            return f"{e.reason} {units.size(e.length)}"
        case EventType.RESET_SENT:
            return e.reason or ""
        case EventType.RESET_RECEIVED:
            return f"in {_state(e.state)}"
        case EventType.ERROR:
            return f"{errno_text(e.err)} {os.strerror(e.err)}"
        case EventType.STATE:
            return f"{_state(e.state)} → {_state(e.new_state)}"
        case EventType.CONG:
            return f"{_ca(e.ca_state)} → {_ca(e.new_ca_state)} cwnd {e.snd_cwnd}"
        case EventType.CLOSED:
            if e.last is None:
                return f"from {_state(e.state)}"
            return closed_numbers(e.last)


def event_who(e: Event, owner: str | None = None) -> str:
    """Whose it is and the other end: nginx/812 → 10.0.0.1:443.

    Args:
        owner: what is known of the socket's process from elsewhere, first choice.
    """
    if e.flags & EventFlag.LEAVING:
        return f"{e.local} → {e.remote}"
    if e.flags & EventFlag.FROM_PACKET:
        return f"{e.remote} → {e.local}"
    who = owner or e.owner or e.local
    return f"{who} → {e.remote}" if e.has_remote else who


def event_line(e: Event, now_ns: int, owner: str | None = None) -> str:
    """Time, what, who, numbers: `-2.10s retr  nginx/812 → 10.0.0.1:443  fast +1448`."""
    age = units.time(max(0, now_ns - e.at_ns))
    return f"-{age:<6} {SHORT_NAMES[e.type]:<5} {event_who(e, owner)}  {event_numbers(e)}"
