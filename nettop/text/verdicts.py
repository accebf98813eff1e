"""The one table of verdicts: what each is called, whom it blames, where it begins, how it reads.

JSON, the filter's `verdict = …`, help, `--help-json` and the WHY column are made from it;
README, the round trip, the schema and the compiled helper are compared with it.

To add a verdict:
1. native/include/nt_wire.cdef.h: a number in enum nt_verdict, its thresholds in struct nt_config.
2. native/engine/nt_verdict.c: their defaults, its WHO in who_of, hold() where its condition is met.
3. Here: a number in types.Verdict and a line below; its evidence in explain.py; a row in README.
tests/unit/test_verdict_table.py names whatever is still missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import force_setattr

from nettop.model.types import Because, Verdict, Who
from nettop.text import units

Cell = Callable[[float, Because, bool], str]


class VerdictSpec(Struct, frozen=True):
    """One verdict.

    words: what its WHY begins with; cell writes the WHY from the number, the cause and whether
        the number is a lower bound.
    who: whom it blames (nt_who_of) where no finding says otherwise; also: whom a finding may.
    limits: members of struct nt_config by their defaults; of two the second is unwell.
    watch, unwell: conditions with the limits filled in, as {member[0]}.
    next_step: what to run or look at, as explain.py fills it in: {pid}, {host} and {port} of the
        peer, {lport}; by_cause where a cause has one of its own.
    said: the sentence where a cause has one of its own.
    rules_out: what explain.py shows with its number where that says it is not the cause.
    unknown: what this verdict leaves open.
    by_holder: what the process that holds the socket did settles that.
    source: the plane that the number is from.
    of: the statistic that the number is.
    """

    number: Verdict
    name: str  # of JSON's "verdicts" and the filter's `verdict = …`
    unit: str  # of its number, as JSON names it
    who: Who
    words: tuple[str, ...]
    cell: Cell
    sentence: str
    limits: Mapping[str, tuple[float, ...]]
    watch: str
    unwell: str
    next_step: str = ""
    by_cause: Mapping[Because, str] = field(default_factory=dict)
    said: Mapping[Because, str] = field(default_factory=dict)
    rules_out: tuple[str, ...] = ()
    unknown: str = ""
    by_holder: bool = False
    source: str = "diag"
    also: tuple[Who, ...] = ()
    causes: tuple[Because, ...] = ()
    of: str | None = None
    conditions: tuple[str, str] = ("", "")  # of watch and unwell, whatever is given

    def __post_init__(self) -> None:
        said = {m: [limit_text(m, v) for v in values] for m, values in self.limits.items()}
        both = self.watch.format(**said), self.unwell.format(**said)
        force_setattr(self, "conditions", both)

    def step(self, because: int = Because.PLAIN, **named: object) -> str:
        """What to run or look at; what is not named stands there in capitals."""
        places = {"pid": "PID", "host": "HOST", "port": "PORT", "lport": "PORT", **named}
        return self.by_cause.get(Because(because), self.next_step).format(**places)

    def says(self, because: int = Because.PLAIN) -> str:
        """The sentence, of that cause."""
        return self.said.get(Because(because), self.sentence)

    @property
    def whos(self) -> tuple[Who, ...]:
        return (self.who, *self.also)


def limit_text(member: str, value: float) -> str:
    """A threshold with the unit that its member's name ends in: 200 ms, 5 s, 80 %, 2 ×."""
    if member.endswith("_per_s"):
        return f"{value:g} a second"
    for ending, seconds in (("_us", 1e-6), ("_ms", 1e-3), ("_s", 1.0)):
        if member.endswith(ending):
            spent = value * seconds
            return f"{spent:g} s" if spent >= 1 else f"{spent * 1e3:g} ms"
    if member.endswith("_pct"):
        return f"{value:g} %"
    return f"{value:g} ×" if member.endswith("_ratio") else f"{value:g}"


# The names in JSON's "cause".
CAUSES = {
    Because.RTO: "resent",
    Because.SILENT_PEER: "resent_since_handshake",
    Because.SYN: "syn",
    Because.PROBE: "window_probe",
    Because.UNSENT: "unsent",
    Because.KEEPALIVE: "keepalive",
    Because.FULL: "full",
    Because.CHECKSUM: "checksum",
    Because.MEMORY: "memory",
    Because.OTHER: "other",
    Because.UNKNOWN: "unknown",
    Because.HERE: "this_host",
    Because.NO_CPU: "cpu_not_given",
    Because.QUEUE: "own_queue",
    Because.CARRIER: "link",
    Because.RECEIVE: "receive",
    Because.STOPPED: "stopped",
    Because.DISK: "disk",
    Because.HEAD: "many_at_once",
    Because.SYSCTL: "sysctl",
    Because.OTHER_END: "other_end",
    Because.NOT_ACCEPTED: "not_accepted",
    Because.REORDERED: "reordered",
    Because.NAGLE: "nagle",
    Because.CORK: "cork",
    Because.PACED: "pacing_rate",
    Because.UNUSUAL: "unusual",
    Because.SIBLINGS: "siblings",
    Because.NEXT_HOP: "next_hop",
    Because.GROWS: "grows",
    Because.PASSES_ON: "passes_on",
    Because.NOT_TAKEN: "not_taken_up",
}

LEAST_RATIO_US = 1000  # a minimum from which on its multiples say something

_OPTIONS = {Because.NAGLE: "Nagle", Because.CORK: "cork", Because.PACED: "pacing"}
_UNANSWERED = {
    Because.SYN: "SYN",
    Because.PROBE: "probe",
    Because.KEEPALIVE: "keepal",
    Because.UNSENT: "unsent",
}


def _share(word: str) -> Cell:
    return lambda value, because, bounded: f"{word} {units.percent(value)}"


def _wait(word: str) -> Cell:
    return lambda value, because, bounded: f"{word} {units.time(value * 1e6)}"


def _order(value: float, because: Because, bounded: bool) -> str:
    return f"{'reorder' if because == Because.REORDERED else 'holes'} {units.percent(value)}"


def _window(value: float, because: Because, bounded: bool) -> str:
    # Over 100 stands for a window that is shut.
    return "window 0" if value > 100 else f"window {units.percent(value)}"


def _accept(value: float, because: Because, bounded: bool) -> str:
    return "accept full" if value >= 100 else f"accept {units.percent(value)}"


def _rtt(value: float, because: Because, bounded: bool) -> str:
    return f"RTT {value:.1f}x min" if value < 100 else f"RTT {value:.0f}x"


_BUSY = "whether it was busy, asleep, stopped or not given a CPU"
_THERE = "where on the path"
_CPU_STEP = (
    "top: what else runs; cat /proc/{pid}/cgroup, and in that cgroup cpu.stat: nr_throttled is a "
    "quota (cpu.max) that is used up; ps -o ni,cls,psr -p {pid}: its priority and its CPU"
)
_STOPPED_STEP = "kill -CONT {pid} lets it go on, unless it was stopped on purpose"
_TRACE = "mtr -T -P {port} {host} shows from which hop on"
# A step that begins so is of another namespace than the socket's.
OTHER_NAMESPACE = "in that namespace"
_HERE_STEP = (
    "tc -s qdisc, ip -s link, nft list ruleset (iptables -vnL): which queue, device or rule counts "
    "drops"
)

_LINK_STEP = "ip -s link, ethtool of the device, dmesg: since when has it no link"
_RECEIVE_STEP = (
    "top -H: what runs at a higher priority on the CPU of ksoftirqd or of the napi thread; "
    "cat /proc/softirqs"
)
_DISK_STEP = "cat /proc/{pid}/stack: what it waits for; iostat -x 1: which disk is busy"
_HERE_SAID = "this host drops its packets"
_CARRIER_SAID = "this host has no link or no route to the peer, or had none"
_UNSENT_SAID = "this host itself refuses to send"
_UNSENT_STEP = (
    "ip route get {host}; nft list ruleset (iptables -vnL OUTPUT) and tc -s qdisc: which rule or "
    "queue counts drops"
)
_NEXT_HOP_SAID = "the next hop does not answer, so nothing leaves this host"
_NEXT_HOP_STEP = (
    "ip route get {host}: the next hop and its device; ip neigh show dev DEVICE: FAILED or "
    "INCOMPLETE did not answer"
)
_OTHER_END_SAID = "the other end, on this host, reads too slowly"
_NOT_ACCEPTED_SAID = "the peer's program does not take connections up"
_ACCEPT_STEP = (
    "ss -ltn at {host}: is the queue of its listener (Recv-Q) full; nettop -l there says who "
    "accepts too slowly"
)
_STOPPED_SAID = "is stopped, so it reads nothing"
_DISK_SAID = "waits for a disk or a device, and reads nothing meanwhile"
_GROWS_SAID = "reads slower than data comes, or not at all"
_NOT_TAKEN_SAID = "does not take connections up"
_PASSES_ON_SAID = "takes late what the program here passes on, so that it reads no more"
_READER_SAID = {
    Because.STOPPED: _STOPPED_SAID, Because.DISK: _DISK_SAID, Because.PASSES_ON: _PASSES_ON_SAID,
}  # fmt: skip
_UNUSUAL_WAIT_SAID = "reads much later than is usual for this flow"
_READER_STEPS = {
    Because.NO_CPU: _CPU_STEP, Because.STOPPED: _STOPPED_STEP, Because.DISK: _DISK_STEP,
}  # fmt: skip

_TABLE = (
    VerdictSpec(
        Verdict.UNREAD, "reads_late", "ms", Who.APP, ("unread",),
        lambda value, because, bounded: f"unread {units.time(value * 1e6, bounded=bounded)}",
        "does not read", {"unread_ms": (200, 5000)},
        "oldest unread data that poll() calls readable ≥ {unread_ms[0]}", "≥ {unread_ms[1]}",
        next_step="grep State /proc/{pid}/status (T stopped, D waits for a disk, R runs); then "
        "strace -fp {pid} shows where it is instead of recv()",
        also=(Who.CPU, Who.PEER),
        causes=(Because.NO_CPU, Because.STOPPED, Because.DISK, Because.GROWS, Because.PASSES_ON,
                Because.NOT_TAKEN),
        by_cause=_READER_STEPS, said={
            **_READER_SAID, Because.GROWS: _GROWS_SAID, Because.NOT_TAKEN: _NOT_TAKEN_SAID,
        },
        rules_out=("arrived",), unknown=_BUSY, by_holder=True,
    ),
    VerdictSpec(
        Verdict.ACCEPT, "accept", "percent", Who.APP, ("accept",), _accept,
        "accepts too slowly", {"accept_pct": (80, 100)},
        "accept queue ≥ {accept_pct[0]} of its limit, or it was in the interval before and "
        "connections are dropped now, or those that accept() took waited for it as long as makes "
        "`reads` unwell, in the mean; of several listeners at one port only where any waits now",
        "≥ {accept_pct[1]}, or drops too, or they wait so long",
        next_step="strace -fe accept4 -p {pid}: how often it accepts; more workers or less work "
        "between two accept() calls; a longer backlog (listen(), net.core.somaxconn) helps bursts "
        "alone",
        also=(Who.CPU,), causes=(Because.NO_CPU, Because.STOPPED, Because.DISK), said={
            Because.NO_CPU: "accepts too slowly, as no CPU is given to it",
            Because.STOPPED: "is stopped, so it accepts nothing",
            Because.DISK: "waits for a disk or a device, and accepts nothing meanwhile",
        },
        by_cause=_READER_STEPS,
        rules_out=("connected",), by_holder=True,
    ),
    VerdictSpec(
        Verdict.LOSS, "loss", "percent", Who.NET, ("loss",), _share("loss"),
        "loss on the path", {"loss_pct": (0.5, 2), "loss_retrans": (3,), "thin_pct": (2,)},
        "≥ {loss_retrans[0]} segments and ≥ {loss_pct[0]} of bytes resent in 5-10 s, more than a "
        "flow loses that fills its path; of one segment at a time 2, ≥ {thin_pct[0]}",
        "≥ {loss_pct[1]}", also=(Who.KERN, Who.NIC, Who.PEER),
        causes=(Because.HERE, Because.CARRIER, Because.NOT_ACCEPTED, Because.NEXT_HOP),
        next_step=f"{_TRACE}; look with nettop at the other end too",
        by_cause={Because.HERE: _HERE_STEP, Because.CARRIER: _LINK_STEP,
                  Because.NOT_ACCEPTED: _ACCEPT_STEP, Because.NEXT_HOP: _NEXT_HOP_STEP},
        said={Because.HERE: _HERE_SAID, Because.CARRIER: _CARRIER_SAID,
              Because.NOT_ACCEPTED: _NOT_ACCEPTED_SAID, Because.NEXT_HOP: _NEXT_HOP_SAID},
        rules_out=("here", "window", "qdisc"), unknown=_THERE,
    ),
    VerdictSpec(
        Verdict.RTO, "rto", "count", Who.NET, ("RTO", "SYN", "probe", "keepal", "unsent"),
        lambda value, because, bounded: f"{_UNANSWERED.get(because, 'RTO')} x{value:.0f}",
        "what was sent is not answered", {},
        "data or a SYN resent on time-outs, 2 probes unanswered, or 2 tries that this host itself "
        "refused, until an answer comes",
        "at once", also=(Who.PEER, Who.KERN, Who.NIC),
        said={Because.HERE: _HERE_SAID, Because.CARRIER: _CARRIER_SAID,
              Because.NOT_ACCEPTED: _NOT_ACCEPTED_SAID, Because.NEXT_HOP: _NEXT_HOP_SAID,
              Because.UNSENT: _UNSENT_SAID},
        causes=(Because.RTO, Because.SILENT_PEER, Because.SYN, Because.PROBE, Because.KEEPALIVE,
                Because.HERE, Because.CARRIER, Because.NOT_ACCEPTED, Because.NEXT_HOP,
                Because.UNSENT),
        next_step=f"ping {{host}}, and {_TRACE}; look with nettop at the other end too",
        by_cause={
            Because.HERE: _HERE_STEP,
            Because.UNSENT: _UNSENT_STEP,
            Because.CARRIER: _LINK_STEP,
            Because.SYN: "nc -vz {host} {port} from here and from another host; ss -ltn on "
            "{host}: does it listen, is its queue (Recv-Q) full",
            Because.SILENT_PEER: "nettop at {host}: does its program accept and read, does a "
            "firewall there or between drop established connections",
            Because.NOT_ACCEPTED: _ACCEPT_STEP,
            Because.NEXT_HOP: _NEXT_HOP_STEP,
        },
        rules_out=("here",),
    ),
    VerdictSpec(
        Verdict.WINDOW, "peer_window", "percent", Who.PEER, ("window",), _window,
        "the peer's window holds us back", {"rwnd_pct": (20, 50)},
        "peer's window holds us back ≥ {rwnd_pct[0]} of the time", "≥ {rwnd_pct[1]}, or shut",
        next_step="nettop at {host}: its program reads too slowly, or its receive buffer "
        "(SO_RCVBUF, net.ipv4.tcp_rmem) is too small for this path",
        rules_out=("loss", "sndbuf", "qdisc"), unknown="why the peer keeps its window small",
        causes=(Because.OTHER_END,),
        said={Because.OTHER_END: _OTHER_END_SAID},
    ),
    VerdictSpec(
        Verdict.RTT, "rtt", "ratio", Who.NET, ("RTT",), _rtt,
        "the round trip is far above its minimum",
        {"rtt_ratio": (2, 4), "rtt_over_us": (10000,)},
        "srtt, measured now, ≥ {rtt_ratio[0]} min_rtt and ≥ {rtt_over_us[0]} more, and so were the "
        "last round trips, where few made it fall or rise",
        "≥ {rtt_ratio[1]}, not where it stands there for 20-40 s",
        also=(Who.KERN, Who.NIC, Who.PEER, Who.UNKNOWN),
        causes=(Because.RECEIVE, Because.CARRIER, Because.UNUSUAL, Because.SIBLINGS,
                Because.OTHER_END),
        said={Because.RECEIVE: "this host takes packets in late",
              Because.OTHER_END: _OTHER_END_SAID,
              Because.CARRIER: _CARRIER_SAID,
              Because.UNUSUAL: "the round trip takes much longer than is usual for this flow",
              Because.SIBLINGS: "the round trip takes much longer than to other peers of the same "
              "service"},
        by_cause={
            Because.RECEIVE: _RECEIVE_STEP, Because.CARRIER: _LINK_STEP,
            Because.UNUSUAL: "ping {host}: a longer path shows there, a program that answers later "
            f"and delays its ACKs until then does not; {_TRACE}",
            Because.SIBLINGS: "nettop at {host}: do its programs read late, does it get no CPU; "
            "ping {host}: is it its path",
        },
        next_step=f"tc -s qdisc: a backlog here is part of the srtt; {_TRACE}",
        rules_out=("loss", "window", "qdisc"), unknown="which queue on the path",
    ),
    VerdictSpec(
        Verdict.SNDBUF, "send_buffer", "percent", Who.APP, ("sndbuf",), _share("sndbuf"),
        "the send buffer is too small", {"sndbuf_pct": (20, 50)},
        "send buffer holds us back ≥ {sndbuf_pct[0]} of the time", "≥ {sndbuf_pct[1]}",
        next_step="does the program set SO_SNDBUF; sysctl net.ipv4.tcp_wmem; ss -tmi sport = "
        ":{lport} shows the limit as tb",
        also=(Who.KERN, Who.NIC), causes=(Because.SYSCTL, Because.CARRIER),
        said={Because.SYSCTL: "this host lets no send buffer grow large enough",
              Because.CARRIER: _CARRIER_SAID},
        by_cause={Because.SYSCTL: "sysctl net.ipv4.tcp_wmem: its third number limits all send "
                  "buffers that grow", Because.CARRIER: _LINK_STEP},
        rules_out=("loss", "window", "qdisc"),
    ),
    VerdictSpec(
        Verdict.DROPS, "drops", "per_s", Who.APP, ("drops",),
        lambda value, because, bounded: f"drops {units.rate(value)}/s",
        "what comes for it is dropped", {"drops_per_s": (0, 100)},
        "packets for the socket are dropped, less what a filter refuses; segments that this host "
        "itself drops of a connection: the mean of up to 5 s", "≥ {drops_per_s[1]}",
        also=(Who.CPU, Who.NET, Who.KERN, Who.UNKNOWN),
        causes=(Because.FULL, Because.NO_CPU, Because.CHECKSUM, Because.MEMORY, Because.OTHER,
                Because.UNKNOWN, Because.HERE, Because.STOPPED),
        said={Because.HERE: _HERE_SAID,
              Because.STOPPED: "is stopped, so what comes for it is dropped",
              Because.NO_CPU: "what comes for it is dropped, as no CPU is given to it"},
        next_step="nettop, pane 4: the reason of each drop; nstat -az | grep -i -e drop -e err",
        by_cause={
            Because.FULL: "top -H -p {pid}: is its reader busy; a larger SO_RCVBUF (up to "
            "net.core.rmem_max), or more sockets by SO_REUSEPORT",
            Because.NO_CPU: _CPU_STEP,
            Because.STOPPED: _STOPPED_STEP,
            Because.CHECKSUM: "ethtool -S of the device: errors; ethtool -k: its checksum offload",
            Because.MEMORY: "sysctl net.ipv4.udp_mem net.ipv4.tcp_mem, cat /proc/net/sockstat; "
            "memory.max of its cgroup, and sock in memory.stat",
            Because.HERE: _HERE_STEP,
        },
    ),
    VerdictSpec(
        Verdict.UNCLOSED, "unclosed", "s", Who.APP, ("unclosed",),
        # The FIN came no later than the last packet: a lower bound, and its short form fits.
        lambda value, because, bounded: f"unclosed {units.time(value * 1e9, bounded=True)}",
        "has not closed what the peer closed", {"unclosed_s": (60,)},
        "CLOSE_WAIT for ≥ {unclosed_s[0]}", "never",
        next_step="ls /proc/{pid}/fd | wc -l, twice: does it grow towards ulimit -n; the program "
        "must close() what returned 0 from recv()",
        rules_out=("closed",),
    ),
    VerdictSpec(
        Verdict.CWND, "cwnd", "percent", Who.NET, ("cwnd",), _share("cwnd"),
        "the congestion window is the limit", {"cwnd_pct": (20,)},
        "congestion window full ≥ {cwnd_pct[0]} of the time", "never: a word, not an alarm",
        next_step="none for a bulk transfer; else ss -ti dport = :{port}: cwnd, ssthresh, "
        "congestion control",
        rules_out=("loss", "window", "qdisc"),
    ),
    VerdictSpec(
        Verdict.READS, "reads_late", "ms", Who.APP, ("reads",), _wait("reads"),
        "reads late", {"wait_ms": (20, 200), "wait_count": (5,)},
        "p99 of the RX queue wait ≥ {wait_ms[0]}, from {wait_count[0]} samples on; of less than "
        "100 their mean a quarter of that too",
        "≥ {wait_ms[1]}", of="p99",
        next_step="cat /proc/{pid}/schedstat, twice: if its 2nd number grows it waits for a CPU; "
        "else strace -cfp {pid} shows what it does between two reads",
        also=(Who.CPU, Who.PEER),
        causes=(Because.NO_CPU, Because.HEAD, Because.STOPPED, Because.DISK, Because.UNUSUAL,
                Because.PASSES_ON),
        by_cause=_READER_STEPS, said={**_READER_SAID, Because.HEAD: "reads many sockets late",
              Because.UNUSUAL: _UNUSUAL_WAIT_SAID},
        rules_out=("arrived",), unknown=_BUSY, by_holder=True, source="wait",
    ),
    VerdictSpec(
        Verdict.QDISC, "qdisc", "ms", Who.KERN, ("qdisc",), _wait("qdisc"),
        "packets wait in the device's queue", {"qdisc_us": (5000, 50000)},
        "p99 of the qdisc stage ≥ {qdisc_us[0]}, or the own queue takes half or more of what srtt "
        "is over its minimum (its backlog by its rate, or what other sends wait there)",
        "≥ {qdisc_us[1]}, or as the round trip. kern? where that is the queue of an ifb, by which "
        "what comes in may pass",
        next_step="tc -s -d qdisc: whose backlog stands, at what rate it is shaped; nettop -s tx: "
        "who fills it",
        causes=(Because.QUEUE, Because.UNUSUAL), rules_out=("loss", "window"), source="stages",
    ),
    VerdictSpec(
        Verdict.NIC, "nic", "ms", Who.NIC, ("nic",), _wait("nic"),
        "packets wait for the wire", {"nic_us": (5000, 50000)},
        "p99 of the nic stage ≥ {nic_us[0]}", "≥ {nic_us[1]}",
        next_step="ethtool -S of the device: pause frames, drops; ethtool -g: its ring; ethtool: "
        "its speed",
        causes=(Because.UNUSUAL,), rules_out=("qdisc", "window"), source="stages",
    ),
    VerdictSpec(
        Verdict.ORDER, "out_of_order", "percent", Who.NET, ("holes", "reorder"), _order,
        "segments come out of order",
        {"reordered_pct": (1,), "holes_pct": (8,), "holes_steady_pct": (6,)},
        "≥ {holes_pct[0]} of the segments that come in 5-10 s find one before them missing "
        "(≥ {holes_steady_pct[0]} where some do in each of four intervals), or "
        "≥ {reordered_pct[0]} of those that were sent were overtaken, 5 or more",
        "never", causes=(Because.REORDERED,),
        next_step=f"{_TRACE}; look with nettop at the other end too: it knows what it sent again",
        by_cause={
            Because.REORDERED: "is the path spread over several links (bonding, ECMP by packet), "
            f"or a device over several queues; {_TRACE}",
        },
        rules_out=("loss",), unknown=_THERE,
    ),
    VerdictSpec(
        Verdict.RCVBUF, "receive_buffer", "percent", Who.APP, ("rcvbuf",), _share("rcvbuf"),
        "the receive buffer is too small for this path", {"rcvbuf_pct": (50,)},
        "a window below 64 KB, and as much as ≥ {rcvbuf_pct[0]} of it comes in each round trip",
        "never",
        next_step="does the program set SO_RCVBUF (it ends autotuning); sysctl net.ipv4.tcp_rmem; "
        "ss -tmi sport = :{lport} shows the limit as rb",
        rules_out=("read",),
    ),
    VerdictSpec(
        Verdict.OPTION, "socket_option", "percent", Who.APP, ("Nagle", "cork", "pacing"),
        lambda value, because, bounded: (
            f"{_OPTIONS.get(because, 'Nagle')} {units.percent(value)}"
        ),
        "an option of the program's socket holds data back", {"option_pct": (20,)},
        "data waits for Nagle's ACK, for TCP_CORK or for SO_MAX_PACING_RATE ≥ {option_pct[0]} of "
        "the time, though both windows have room",
        "never", causes=(Because.NAGLE, Because.CORK, Because.PACED),
        next_step="TCP_NODELAY, or one write() for each message",
        by_cause={
            Because.CORK: "TCP_CORK off (or the last send() without MSG_MORE) where a message ends",
            Because.PACED: "ss -ti sport = :{lport}: pacing_rate; the program sets "
            "SO_MAX_PACING_RATE, or a BPF program of its cgroup does",
        },
        rules_out=("loss", "window", "sndbuf"),
    ),
)  # fmt: skip

VERDICTS: dict[Verdict, VerdictSpec] = {spec.number: spec for spec in _TABLE}
# Two may have one name; in JSON `of` says which of them a number is.
NAMES = tuple(dict.fromkeys(spec.name for spec in _TABLE))


def named(name: str | None, of: object = None) -> list[Verdict]:
    """The verdicts of that name, first those whose number is such a statistic."""
    found = [spec for spec in _TABLE if spec.name == name]
    return [spec.number for spec in sorted(found, key=lambda spec: spec.of != of)]


def worded(word: str) -> list[Verdict]:
    """The verdict whose WHY begins with that word, as a user who reads the column writes it."""
    return [spec.number for spec in _TABLE if word.lower() == spec.words[0].lower()]


def verdict_words(
    verdict: Verdict,
    value: float,
    because: int = Because.PLAIN,
    *,
    bounded: bool = True,
    least_us: int = 0,
) -> str:
    """A few words with the number, at most 13 cells: `loss 2.1%`, `unread ≥12s`.

    bounded: the age of unread data is a lower bound. least_us: min_rtt, 0 not known; where it is
    so small that any wait is many times as long, a round trip is named by its time.
    """
    if verdict is Verdict.RTT and 0 < least_us < LEAST_RATIO_US:
        return f"RTT {units.time(value * least_us * 1e3)}"
    return VERDICTS[verdict].cell(value, Because(because), bounded)
