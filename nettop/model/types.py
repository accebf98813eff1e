"""The values that travel from the sources to the screen and the files."""

# Types are no texts here: a NamedTuple compiles those, one by one, which is a part of each start.

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field

from nettop.model.cost import Cost
from nettop.model.evidence import NO_TICK, HostTick

if TYPE_CHECKING:
    from nettop.model.causes import Cause, LateProcess, PeerKey, SlowPeer
    from nettop.model.events import EventsTick
    from nettop.model.hosts import HostState
    from nettop.model.path import PathTick

AF_INET = 2
AF_INET6 = 10

TCP_STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "NEW_SYN_RECV",
    13: "BOUND_INACTIVE",
}
TCP_SYN_SENT = 2
TCP_CLOSE = 7
TCP_LISTEN = 10
CA_STATES = {0: "Open", 1: "Disorder", 2: "CWR", 3: "Recovery", 4: "Loss"}


class Proto(IntEnum):
    """enum nt_proto."""

    TCP = 1
    UDP = 2
    MPTCP = 3


class Owner(IntEnum):
    """enum nt_owner: why a socket has a process, or none."""

    UNKNOWN = 0
    PROC = 1
    KERNEL = 2
    ORPHAN = 3
    NOT_ACCEPTED = 4
    NOT_FOUND = 5
    HIDDEN = 6


class Flag(IntFlag):
    """enum nt_flag: what is known of a record."""

    NEW = 1
    RATES = 2
    LIMITED = 4
    MISSED = 8
    APP_LIMITED = 16
    INFO = 32
    RETR_PCT = 64
    OLDEST_UNREAD = 128
    MATCH = 256
    SKMEM = 512
    UNREAD_EXACT = 1024
    WAIT_UNTRACED = 2048
    UNREADABLE = 4096
    MOVED = 8192
    FLOW_RX = 16384
    QUEUE_LONG = 32768


class Level(IntEnum):
    """How loud a socket is: blank, ▲ watch, ! unwell."""

    OK = 0
    WATCH = 1
    UNWELL = 2


class Who(IntEnum):
    """enum nt_who: whose fault."""

    APP = 0
    KERN = 1
    NIC = 2
    NET = 3
    PEER = 4
    UNKNOWN = 5
    CPU = 6


HOST_COOKIES = 1 << 64  # a host's cookies are below it
WHO_MAYBE = 8  # added to a Who: it looks like it, no more


class Because(IntEnum):
    """enum nt_because: what a verdict's number was made of, where that is not always the same."""

    PLAIN = 0
    RTO = 1
    SILENT_PEER = 2
    SYN = 3
    PROBE = 4
    KEEPALIVE = 5
    FULL = 6
    CHECKSUM = 7
    MEMORY = 8
    OTHER = 9
    UNKNOWN = 10
    HERE = 11
    NO_CPU = 12
    STOPPED = 13
    NAGLE = 14
    CORK = 15
    PACED = 16
    QUEUE = 17
    CARRIER = 18
    RECEIVE = 19
    REORDERED = 20
    DISK = 21
    HEAD = 22
    SYSCTL = 23
    OTHER_END = 24
    NOT_ACCEPTED = 25
    UNUSUAL = 26
    SIBLINGS = 27
    NEXT_HOP = 28
    GROWS = 29
    PASSES_ON = 30
    UNSENT = 31
    NOT_TAKEN = 32


class Verdict(IntEnum):
    """enum nt_verdict, worst first."""

    UNREAD = 0
    ACCEPT = 1
    LOSS = 2
    RTO = 3
    WINDOW = 4
    RTT = 5
    SNDBUF = 6
    DROPS = 7
    UNCLOSED = 8
    CWND = 9
    READS = 10
    QDISC = 11
    NIC = 12
    ORDER = 13
    RCVBUF = 14
    OPTION = 15


class Proc(NamedTuple):
    """struct nt_proc with the name made safe for a terminal."""

    pid: int
    fd: int
    owner: Owner
    more: int
    comm: str


class Stage(IntEnum):
    """enum nt_stage: the parts of a send."""

    COPY = 0
    SNDBUF = 1
    TCP = 2
    QDISC = 3
    NIC = 4
    ACK = 5
    TOTAL = 6


class Dist(Struct, frozen=True):
    """struct nt_dist: times of one interval, ns; count 0: nothing was measured."""

    count: int = 0
    sum_ns: int = 0
    p50_ns: int = 0
    p90_ns: int = 0
    p99_ns: int = 0
    max_ns: int = 0


NO_DIST = Dist()


class PlaneHas(IntFlag):
    """enum nt_plane_has."""

    WAIT = 1
    UNREAD = 2
    UNREAD_BOUND = 4
    TX = 8
    WAIT_PROBE = 16
    TX_PATH = 32
    WAIT_OCTAVES = 64
    TX_OCTAVES = 128
    SPLIT = 256
    UDP = 512
    WAIT_SHARED = 1024


class Split(NamedTuple):
    """struct nt_split: what the program did while received data waited for it, ns of the interval.

    Where the parts make less than waiting_ns, the rest is unknown.
    """

    waiting_ns: int = 0  # so long something was unread
    wake_ns: int = 0  # until a thread that slept on it was woken
    cpu_ns: int = 0  # it was ready, and no CPU was given to it
    ran_ns: int = 0  # it ran, and did something else
    asleep_ns: int = 0  # it slept, and not on this socket
    stopped_ns: int = 0  # it was stopped by a signal or a debugger
    takes: int = 0  # waits that ended with a read
    others: int = 0  # of these, such as another thread read than was expected

    @property
    def unknown_ns(self) -> int:
        return max(0, self.waiting_ns - sum(self[1:6]))


NO_SPLIT = Split()


class UdpMoved(NamedTuple):
    """struct nt_udp: what a UDP socket moved in the interval."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_datagrams: int = 0  # or batches of them: UDP_GRO, UDP_SEGMENT
    tx_datagrams: int = 0
    over_ns: int = 0  # 0: how long the interval was is not known


NO_UDP = UdpMoved()


class Plane(Struct, frozen=True):
    """struct nt_plane: what the BPF planes know of a socket, of the last interval."""

    wait: Dist = NO_DIST
    wait_octaves: bytes = b""  # 32 packed u32, nt_hist.h's octaves
    oldest_unread_ns: int = 0
    wait_bounded: int = 0  # samples that are lower bounds
    wait_approx: int = 0  # samples that may be off by more than 3 %
    has: int = 0  # PlaneHas
    tx_sends: int = 0
    tx_incomplete: int = 0  # joined by a later send: one key for both
    tx_open: int = 0  # sampled, and not acknowledged yet
    tx_resent: int = 0
    tx_nic_bar_ns: int = 0  # ± of the nic stage
    tx: tuple[Dist, ...] = (NO_DIST,) * len(Stage)
    ack_octaves: bytes = b""  # 32 packed u16, of the ack stage
    split: Split = NO_SPLIT  # with PlaneHas.SPLIT
    udp: UdpMoved = NO_UDP  # with PlaneHas.UDP
    standing_ms: int = 0  # so long all that was read had waited 5 ms or more; 0: not so
    usual: bytes = bytes(12)  # three struct nt_usual, by UsualOf: what intervals before had


NO_PLANE = Plane()


class NicStage(Struct, frozen=True):
    """What the nic stage of sends rests on beside their stamps: the clocks of NICs."""

    bar_ns: int = 0  # the widest of the interval's
    run_bar_ns: int = 0  # and of the run's
    waiting: int = 0  # stamps whose clock is to be read once more
    unplaced: int = 0  # timestamps so far that could not be converted
    before_software: int = 0  # that lie before the driver's own stamp by more than the bar
    reason: str | None = None  # why there is none


class Histogram(Struct, frozen=True):
    """Times in buckets: (lower edge ns, upper edge ns, count), only those that hold any."""

    dist: Dist
    buckets: tuple[tuple[int, int, int], ...]


NO_HISTOGRAM = Histogram(NO_DIST, ())


_WAIT_UNTRACED = int(Flag.WAIT_UNTRACED)  # an int and a Flag take ten times as long to combine


def holds_any(verdicts: int, any_of: tuple[Verdict, ...]) -> bool:
    """Whether one of these is among them, which are 1 << Verdict."""
    for verdict in any_of:  # noqa: SIM110 - any() of a generator takes four times as long
        if verdicts >> verdict & 1:
            return True
    return False


class Row(Struct):
    """One socket of the window: the packed record, its owner and its names."""

    rec: Any  # nettop.engine.wire.Rec: a named tuple with the members of struct nt_rec
    proc: Proc
    plane: Plane = NO_PLANE
    cong: str | None = None
    user: str | None = None
    cgroup: str | None = None
    container: str | None = None
    netns_name: str | None = None
    dev: str | None = None  # the device that it is bound to
    host: str | None = None
    above: int = 0  # HOST_COOKIES times a number: cookies of different hosts differ

    @property
    def cookie(self) -> int:
        """Of one host that which the kernel has."""
        return int(self.rec.cookie) + self.above

    @property
    def flags(self) -> int:
        return int(self.rec.flags)

    @property
    def proto(self) -> Proto:
        return Proto(self.rec.proto)

    @property
    def state(self) -> int:
        return int(self.rec.state)

    @property
    def state_name(self) -> str:
        return TCP_STATES.get(self.rec.state, str(self.rec.state))

    @property
    def is_listen(self) -> bool:
        return bool(self.rec.proto != Proto.UDP and self.rec.state == TCP_LISTEN)

    @property
    def untraced(self) -> bool:
        """Without a verdict it is not known whether its program reads late: the RX wait leaves the
        socket out, or it is MPTCP's, whose reads nothing traces, and holds what came."""
        if self.is_listen:
            return False
        holds = self.rec.proto == Proto.MPTCP and self.rec.rqueue
        return bool(self.rec.flags & _WAIT_UNTRACED or holds)

    @property
    def level(self) -> Level:
        return Level(self.rec.level)

    @property
    def local_addr(self) -> str:
        return address_text(self.rec.family, self.rec.src)

    @property
    def remote_addr(self) -> str:
        return address_text(self.rec.family, self.rec.dst)

    @property
    def has_remote(self) -> bool:
        return bool(self.rec.dport) or any(self.rec.dst)

    @property
    def verdicts(self) -> list[Verdict]:
        """Active verdicts, worst first; the first two have their numbers in the record."""
        rec = self.rec
        if not rec.verdicts:
            return []
        first = [Verdict(rec.verdict)]
        if rec.verdict2 != rec.verdict:
            first.append(Verdict(rec.verdict2))
        return first + [v for v in Verdict if rec.verdicts >> v & 1 and v not in first]

    def holds(self, *any_of: Verdict) -> bool:
        """Whether one of these verdicts is active."""
        return holds_any(self.rec.verdicts, any_of)


class Sick(NamedTuple):
    """struct nt_sick: what is wrong with a socket, in short; members as in struct nt_rec."""

    cookie: int
    flags: int  # Flag
    verdicts: int  # 1 << Verdict, of those that hold
    verdicts_unwell: int  # of these, such as are unwell by themselves
    verdict: int  # the worst two, equal where there is one
    verdict2: int
    who: int
    who2: int
    because: int
    because2: int
    verdict_value: float
    verdict2_value: float


def address_text(family: int, raw: bytes) -> str:
    """Numeric form of 16 raw bytes; IPv4 lies in the first four."""
    if family == AF_INET:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    return str(IPv6Address(raw))


class Detail(Struct):
    """All that the kernel said of one socket, by kernel name and unit."""

    cookie: int
    tcp_info: Mapping[str, int]  # names without tcpi_; only what the kernel sent
    tcp_info_len: int
    meminfo: Mapping[str, int] = field(default_factory=dict)  # rmem wmem fmem tmem, bytes
    skmem: Mapping[str, int] = field(default_factory=dict)  # bytes; drops is a count
    cong_info: Mapping[str, int] = field(default_factory=dict)  # vegas, dctcp or bbr
    attrs: Mapping[str, int | str] = field(default_factory=dict)  # tos, mark, shutdown, ulp …


class Group(Struct):
    """Sockets that share a process, program, address, port, cgroup or namespace."""

    title: str  # as shown: nginx/812, 10.0.4.13:8080, …
    filter_text: str  # the filter that lets just these through
    sockets: int
    unwell: int
    watch: int
    level: Level
    verdict: Verdict | None
    verdict_value: float
    who: str | None  # of the verdict
    because: Because
    worst_cookie: int
    rtt50_ns: int | None  # median of the sockets' smoothed round-trip times
    rtt90_ns: int | None
    rtt_max_ns: int | None
    rqueue_bytes: int
    wqueue_bytes: int
    # None: of none of the sockets it is known, or others were sent than in the tick before.
    tx_bytes_per_s: float | None
    rx_bytes_per_s: float | None
    retrans_per_s: float | None
    retr_pct: float | None
    proc: Proc | None = None
    port: int | None = None  # that of all members, of an address grouping
    waits: Dist = NO_DIST  # RX queue wait in the interval; percentiles are edges of octaves
    acks: Dist = NO_DIST  # the ack stage of the sends that were stamped, likewise


class SourceStatus(Struct, frozen=True):
    """Whether a plane works; if not, why, and the command that would fix it."""

    name: str  # diag procs wait stages path events stamps clocks
    state: str  # ok, partial, off
    method: str | None = None
    reason: str | None = None
    fix: str | None = None


class HostCounters(Struct, frozen=True):
    """Of /proc/net/{sockstat,snmp,netstat}, summed over the namespaces polled. None: not there."""

    tcp_inuse: int | None = None
    tcp_orphan: int | None = None
    tcp_time_wait: int | None = None
    tcp_alloc: int | None = None
    tcp_mem_pages: int | None = None
    udp_inuse: int | None = None
    curr_estab: int | None = None
    active_opens: int | None = None
    passive_opens: int | None = None
    attempt_fails: int | None = None
    estab_resets: int | None = None
    out_rsts: int | None = None
    out_segs: int | None = None
    in_segs: int | None = None
    retrans_segs: int | None = None
    udp_in_errors: int | None = None
    udp_rcvbuf_errors: int | None = None
    listen_overflows: int | None = None
    listen_drops: int | None = None
    tcp_timeouts: int | None = None
    tcp_lost_retransmit: int | None = None


class Totals(Struct, frozen=True, kw_only=True):
    """Sums of the last sweep, and the host's own counters."""

    tcp: int | None = None  # None: not all of them could be listed, or none was asked for
    udp: int | None = None
    mptcp: int | None = None
    by_state: Mapping[str, int]  # dumped TCP sockets; TIME_WAIT comes from sockstat
    matched: int
    unwell: int
    watch: int
    who: Mapping[str, tuple[int, int]]  # app kern nic net peer ? cpu → (watch, unwell)
    opened: int | None = None
    closed: int | None = None
    tx_bytes_per_s: float | None = None  # of the matched sockets
    rx_bytes_per_s: float | None = None
    matched_retrans_per_s: float | None = None
    retr_pct: float | None = None
    retrans_per_s: float | None = None  # host: RetransSegs, closed sockets too
    resets_per_s: float | None = None  # host: EstabResets
    netns: int = 1
    netns_hidden: int = 0  # further namespaces that exist and are not polled
    duplicates: int = 0
    restarts: int = 0
    malformed: int = 0
    truncated: int = 0


class Model(Struct, frozen=True):
    """One tick, derived; rows are asked of the feed, which keeps them packed."""

    seq: int
    mono_ns: int
    wall_ns: int
    interval_s: float | None  # None: the first interval has no rates
    host: str
    kernel: str
    sources: tuple[SourceStatus, ...]
    cost: Cost
    totals: Totals
    path: "PathTick | None" = None  # below the sockets; None: the plane is off
    rx_wait: Histogram | None = None  # of what the rows are chosen from; None: the plane is off
    rx_wait_all: Histogram | None = None  # of all in the polled namespaces
    chosen: bool = False  # a filter or a choice of protocols leaves sockets out
    tx: tuple[Dist, ...] | None = None  # by Stage, of every stamped send; None: nothing selected
    nic: NicStage | None = None
    tx_absent: Mapping[Stage, str] = field(default_factory=dict)  # stages not measured here: why
    events: "EventsTick | None" = None  # None: the plane is off
    file_events: tuple[Mapping[str, Any], ...] | None = None  # events of an opened file, as written
    file_events_dropped: Mapping[str, int] = field(default_factory=dict)  # of an opened file
    intervals: int | None = None  # ended so far: verdicts must hold in two; None: a file without
    evidence: HostTick = NO_TICK  # what the host says beside its sockets
    thresholds: str | None = None  # of verdicts that are not the defaults: unread_ms=100,900
    causes: "Mapping[int, Cause]" = field(default_factory=dict)  # by cookie, of what is held now
    # by pid: read many late at once
    late: "Mapping[int, LateProcess]" = field(default_factory=dict)
    slow: "Mapping[PeerKey, SlowPeer]" = field(default_factory=dict)  # beside peers of one service
    dropped_out: Mapping[int, int] = field(
        default_factory=dict
    )  # cookie → packets that its own host dropped on the way out, while it is held for losses
    readers: Mapping[int, int] = field(
        default_factory=dict
    )  # cookie → thread id, where it is known
    hosts: "tuple[HostState, ...]" = ()  # whose ticks this is of together; none: of one host

    def source(self, name: str) -> SourceStatus | None:
        return next((s for s in self.sources if s.name == name), None)


class Point(NamedTuple):
    """One tick of a history; None where the kernel said nothing."""

    mono_ns: int
    rtt_ns: int | None
    snd_cwnd: int | None
    retrans_per_s: float | None
    tx_bytes_per_s: float | None
    rx_bytes_per_s: float | None
    wqueue_bytes: int | None
    rqueue_bytes: int | None
    delivery_bytes_per_s: float | None
    wait_octaves: tuple[int, ...] | None = None  # deliveries read in this tick, by octave of wait
