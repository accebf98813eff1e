"""What is asked of sockets that are held for ill, and the causes that were found."""

# Types are no texts here: a NamedTuple compiles those, one by one, which is a part of each start.

from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from nettop.model.types import Because, Verdict, address_text, holds_any


class Evidence(NamedTuple):
    """A number with what it says; value None: there is none, or it is in words."""

    source: str  # the plane
    says: str
    value: float | None = None
    unit: str | None = None


class Candidate(NamedTuple):
    """struct nt_candidate: what decides the cause of what is held against a socket."""

    cookie: int
    src: bytes  # as in struct nt_rec
    dst: bytes
    wait_sum_ns: int
    qdisc_sum_ns: int
    nic_sum_ns: int
    wait_count: int
    qdisc_count: int
    nic_count: int
    netns: int
    ifindex: int  # that it is bound to; 0 none
    pid: int  # of its first holder, or while it waits of its listener's; 0 not known
    more: int
    rtt_us: int
    min_rtt_us: int  # 0: not known
    rttvar_us: int
    unread_ms: int
    rcvbuf: int  # bytes; 0: not known
    sndbuf: int
    dropped_here: int  # its packets that this host itself dropped, of the interval
    dropped_segs: int  # of these on the wire, where one packet may be many
    queued_bytes: int  # of its datagrams in queues of this host, with what the kernel adds
    total_retrans: int
    acked_bytes: int  # since it opened, the SYN counts as one; of 4 GB or more no more is said
    verdict_value: float
    flow_bytes_per_s: float  # sent or received, whichever is more; mean of 5 s
    sport: int
    dport: int
    held: int  # 1 << Verdict, of this interval
    verdicts: int  # active now
    family: int
    proto: int
    state: int
    level: int
    who: int  # of the worst verdict, as because and verdict
    because: int
    verdict: int
    matched: int  # 1: the filter in force lets it through
    few: int  # 1: it sends few segments at a time, which the peer may acknowledge late
    late_ack: int  # 1: and its long round trip, that is no verdict RTT, may be that alone
    waits: int  # 1: in a listener's accept queue, no program has it yet

    @property
    def ends(self) -> str:
        """Its two addresses, as Evidence.routes names them."""
        return _ends(self.family, self.src, self.dst)

    def holds(self, *any_of: Verdict) -> bool:
        """Whether one of these is active, or may soon be."""
        return holds_any(self.held | self.verdicts, any_of)


class QueueOf(NamedTuple):
    """Cause.shared of what a device's queue does, whatever its sockets are held for."""

    netns: int
    ifindex: int


class LateProcess(NamedTuple):
    """struct nt_late: a process of which sockets were read late, in the interval."""

    pid: int
    sockets: int  # that were read late
    deliveries: int  # of all its sockets
    sum_ns: int  # RX queue wait of those that were late
    max_ns: int


class PeerKey(NamedTuple):
    """struct nt_peer_key: one of the peers that this host calls at one port."""

    dst: bytes  # as in struct nt_rec
    netns: int
    dport: int
    family: int


class SlowPeer(NamedTuple):
    """struct nt_slow_peer: its round trips are far over their minimum, beside those to others."""

    key: PeerKey
    sockets: int  # with a round trip that was measured in the interval
    siblings: int  # other peers of the same service
    rtt_us: int  # geometric mean of its sockets
    siblings_rtt_us: int  # the same of the peer in the middle


# Rules ask for a socket's device several times a tick, and for many sockets of the same two hosts.
@lru_cache(maxsize=4096)
def _ends(family: int, src: bytes, dst: bytes) -> str:
    return f"{address_text(family, src)} {address_text(family, dst)}"


class Cause(Struct, frozen=True):
    """What explains conditions of a socket: one verdict takes their place."""

    rule: str  # by its name in nettop.causes
    cookie: int
    explains: int  # 1 << Verdict
    verdict: Verdict
    who: int  # Who, WHO_MAYBE added
    because: Because
    evidence: tuple[Evidence, ...]
    ruled_out: tuple[Evidence, ...] = ()
    next_step: str = ""
    value: float = -1.0  # of the verdict, in its unit; negative: that of the condition
    imposes: bool = False  # it holds though none of the conditions does
    stays: bool = True  # for some seconds after it was found, while what it explains holds
    shared: Hashable = None  # sockets with the same one have one cause
    party: str = ""  # whom it is about, where that is not the holder: device eth0
