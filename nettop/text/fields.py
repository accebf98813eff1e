"""The one registry of what a socket shows: columns, sort keys, filter names, CSV and help.

A field's value is an integer or float in its base unit (times in ns, sizes in bytes,
rates per second, shares in percent), a text, or None for unknown.

To add a field: one line in _FIELDS. With a loc it is a number of struct nt_rec, tcp_info or a
plane; with a formula it is made of two other fields; with text it is made in Python. With a title
it is a column with room of its own. Sort, filter, CSV, `--columns` and help follow; a formula is
in JSON's `derived` too. A member of tcp_info is a line in tcpinfo.py alone. To show a column
without being asked, name it in columns.py (_SETS). tests/unit/test_fields.py holds this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nettop.model.tcpinfo import ABSENT, LISTEN_FIELDS, TCP_INFO, InfoField
from nettop.model.types import TCP_LISTEN, TCP_SYN_SENT, Detail, Flag, Proto, Row, Stage
from nettop.text.words import LEVEL_WORDS, owner_text, proto_text, state_text, who_text, why_text

Value = int | float | str | None


class Kind(Enum):
    """What a value is, which decides its unit in filters and its format on screen."""

    TIME = "time"  # ns
    SIZE = "size"  # bytes
    BITRATE = "bitrate"  # bytes/s, shown and filtered as bit/s
    COUNT = "count"
    RATE = "rate"  # per second
    PERCENT = "percent"
    RATIO = "ratio"
    TEXT = "text"
    ADDRESS = "address"
    LEVEL = "level"


CSV_UNITS = {
    Kind.TIME: "ns",
    Kind.SIZE: "bytes",
    Kind.BITRATE: "bytes_per_s",
    Kind.RATE: "per_s",
    Kind.PERCENT: "pct",
}

TCP_ALIVE = 0xFFFFFFFF & ~(1 << 6 | 1 << 10 | 1 << 3 | 1 << 12)  # not TIME_WAIT, LISTEN, SYN_RECV
ALL_STATES = 0xFFFFFFFF
SIGNS = "/+-"  # of formulas
TCP_LIKE = 1 << Proto.TCP | 1 << Proto.MPTCP
TCP_ONLY = 1 << Proto.TCP
ANY_PROTO = 1 << Proto.TCP | 1 << Proto.UDP | 1 << Proto.MPTCP


class Loc(Struct, frozen=True):
    """Where a number lies; becomes a struct nt_operand for the C side.

    base: "rec" (struct nt_rec member), "info" (tcp_info field), "proc" (struct nt_proc member)
        or "plane" (path into struct nt_plane: "wait.p99_ns", "tx.3.p99_ns").
    scale: multiplies the stored number to the field's base unit.
    need: nt_rec.flags without which the number is unknown.
    absent: stored number that means unknown.
    bit: the number is this single bit of the member.
    """

    base: str
    member: str
    scale: float = 1.0
    need: Flag = Flag(0)
    absent: int | None = None
    protos: int = ANY_PROTO
    states: int = ALL_STATES
    bit: int | None = None


class Formula(Struct, frozen=True):
    """A number made of two, in their base units; becomes a struct nt_term.

    sign: / ratio, + sum, - difference. Unknown where one of the two is, and a ratio by 0.
    """

    left: Loc
    sign: str
    right: Loc


class Field(Struct, frozen=True, eq=False):  # each is one of the registry
    """One thing that can be known of a socket."""

    id: str  # sort key, filter name, column; with its unit the CSV column
    kind: Kind
    help: str
    title: str = ""  # column title; "" cannot be a column
    width: int = 0  # cells of the column; 0: takes what is left
    loc: Loc | Formula | None = None  # None: text, made in Python
    formula: str = ""  # of two other fields, as "srtt / minrtt": makes loc
    text: Callable[[Row], str | None] | None = None
    aliases: tuple[str, ...] = ()
    descending: bool = True  # first direction when sorted
    sortable: bool = True
    source: str = "diag"  # the plane it needs
    left: bool = False  # left-aligned
    words: tuple[str, ...] = ()  # what its numbers 0, 1 … are called: it is a code, and no amount
    watch: float | None = None  # thresholds named in help, in the base unit
    unwell: float | None = None

    @property
    def csv_name(self) -> str:
        """The id with the unit of value(), which screen and filters may have another for."""
        unit = CSV_UNITS.get(self.kind, "")
        stem = self.id.removesuffix("/s").removesuffix("%").replace("/", "_per_")
        has_it = unit == "bytes" and unit in stem.split("_")
        return f"{stem}_{unit}" if unit and not has_it else stem

    def value(self, row: Row, detail: Detail | None = None) -> Value:
        """The value in the base unit, or None when it is not known."""
        if self.loc is None:
            return self.text(row) if self.text else None
        if isinstance(self.loc, Formula):
            left = _number(self.loc.left, row, detail)
            return combined(self.loc.sign, left, _number(self.loc.right, row, detail))
        return _number(self.loc, row, detail)

    def said(self, value: Value) -> Value:
        """What value() gave as screen and tables have it: of a code the word, where it has one."""
        if self.words and isinstance(value, int) and 0 <= value < len(self.words):
            return self.words[value]
        return value

    def reads(self, base: str) -> bool:
        """Whether its number, or a part of it, lies there (Loc.base)."""
        if isinstance(self.loc, Formula):
            return base in (self.loc.left.base, self.loc.right.base)
        return self.loc is not None and self.loc.base == base


def combined(sign: str, left: float | None, right: float | None) -> float | None:
    """What a formula makes of its two numbers."""
    if left is None or right is None:
        return None
    if sign == "/":
        return left / right if right else None
    return left + right if sign == "+" else left - right


def _number(loc: Loc, row: Row, detail: Detail | None) -> int | float | None:
    rec = row.rec
    if not loc.protos >> rec.proto & 1:
        return None
    if rec.proto != Proto.UDP and not loc.states >> rec.state & 1:
        return None
    if loc.need and (rec.flags & loc.need) != loc.need:
        return None
    raw: Any
    if loc.base == "info":
        raw = detail.tcp_info.get(loc.member) if detail else None
    elif loc.base == "proc":
        raw = getattr(row.proc, loc.member)
    elif loc.base == "plane":
        raw = row.plane
        for part in loc.member.split("."):
            raw = raw[int(part)] if part.isdigit() else getattr(raw, part)
    else:
        raw = getattr(rec, loc.member)
    if raw is None or (loc.absent is not None and raw == loc.absent):
        return None
    number: int | float = raw
    if loc.scale == 1.0:
        return number
    scaled = number * loc.scale
    return int(scaled) if isinstance(number, int) and loc.scale >= 1 else scaled


def _tcp(member: str, scale: float = 1.0, **more: Any) -> Loc:
    """A number that only a live TCP socket with tcp_info has."""
    return Loc(
        "rec", member, scale, **{"need": Flag.INFO, "protos": TCP_ONLY, "states": TCP_ALIVE, **more}
    )


def _plane(path: str) -> Loc:
    """A number of the BPF planes; 0 says that nothing was measured in this interval."""
    return Loc("plane", path, absent=0)


def _stage_field(stage: Stage, q: str) -> Field:
    words = {"p50": "median", "p99": "99th percentile"}[q]
    name = stage.name.lower()
    return Field(f"tx.{name}.{q}", Kind.TIME, f"{words} of the {name} stage of sends in this "
                 "interval", loc=_plane(f"tx.{stage.value}.{q}_ns"), source="stages")  # fmt: skip


def _moved(member: str) -> Loc:
    return Loc("rec", member, need=Flag.RATES | Flag.MOVED, states=TCP_ALIVE,
               protos=1 << Proto.TCP | 1 << Proto.UDP)  # fmt: skip


def _per_s(path: str) -> Formula:
    """Of a count of the BPF planes; unknown where the length of the interval is."""
    return Formula(Loc("plane", path), "/", Loc("plane", "udp.over_ns", 1e-9))


def _split_field(name: str, says: str, member: str) -> Field:
    return Field(f"rxwait.{name}", Kind.PERCENT, f"share of the time that received data waited in "
                 f"this interval, in which {says}; of sockets that are read late, marked or opened",
                 f"RX{name.upper()}%", 5, loc=Formula(Loc("plane", f"split.{member}"), "/", Loc(
                 "plane", "split.waiting_ns", 0.01)), source="wait")  # fmt: skip


_US, _MS = 1e3, 1e6

# fmt: off
_FIELDS: tuple[Field, ...] = (
    Field("level", Kind.LEVEL, "0 ok, 1 watch, 2 unwell: the loudest verdict, sinking 10 s late",
          loc=Loc("rec", "level"), words=LEVEL_WORDS),
    Field("proc", Kind.TEXT, "the program that holds the socket: name/pid, +N further holders",
          "PROC", 14, text=owner_text, left=True, descending=False),
    Field("comm", Kind.TEXT, "name of the program (the kernel's comm, 15 bytes)",
          text=lambda r: r.proc.comm if r.proc.pid else None, left=True, descending=False),
    Field("pid", Kind.COUNT, "process id of the first holder", "PID", 7,
          loc=Loc("proc", "pid", absent=0), descending=False),
    Field("user", Kind.TEXT, "owner of the socket", "USER", 8,
          text=lambda r: r.user or str(r.rec.uid), left=True, aliases=("uid",), descending=False),
    Field("proto", Kind.TEXT, "tcp, udp or mptcp", "PROTO", 5, text=proto_text, left=True,
          descending=False),
    Field("st", Kind.TEXT, "TCP state, or UDP", "ST", 4, text=state_text, left=True,
          aliases=("state",), descending=False),
    Field("lport", Kind.COUNT, "local port", "LPORT", 6, loc=Loc("rec", "sport"), left=True,
          aliases=("sport",), descending=False),
    Field("rport", Kind.COUNT, "remote port", "RPORT", 6, loc=Loc("rec", "dport"), left=True,
          aliases=("dport",), descending=False),
    Field("local", Kind.ADDRESS, "local address and port", "LOCAL", 21, left=True,
          aliases=("src",), descending=False),
    Field("remote", Kind.ADDRESS, "remote address and port", "REMOTE", 21, left=True,
          aliases=("dst",), descending=False),
    Field("tx", Kind.BITRATE, "payload acknowledged by the peer in this interval, bit/s; of UDP "
          "what the program sent (wait plane, Linux 6.3)", "TX", 4, loc=_moved("tx_bytes_per_s")),
    Field("rx", Kind.BITRATE, "payload received in order in this interval, bit/s; of UDP what the "
          "program read (the same)", "RX", 4, loc=_moved("rx_bytes_per_s")),
    Field("tx.dgrams/s", Kind.RATE, "UDP: datagrams that the program sent per second in this "
          "interval, or batches of them (UDP_SEGMENT)", "TXDG/s", 6,
          loc=_per_s("udp.tx_datagrams"), source="wait"),
    Field("rx.dgrams/s", Kind.RATE, "UDP: datagrams that the program read per second in this "
          "interval, or batches of them (UDP_GRO)", "RXDG/s", 6,
          loc=_per_s("udp.rx_datagrams"), source="wait"),
    Field("flow", Kind.BITRATE, "the larger of tx and rx, mean of about 5 s, bit/s", "FLOW", 5,
          loc=_moved("flow_bytes_per_s")),
    Field("srtt", Kind.TIME, "smoothed round-trip time (tcpi_rtt)", "SRTT", 6,
          loc=_tcp("rtt_us", _US, absent=ABSENT["rtt"]), aliases=("rtt",)),
    Field("rttvar", Kind.TIME, "mean deviation of the round-trip time (tcpi_rttvar)", "±VAR", 6,
          loc=_tcp("rttvar_us", _US, absent=0)),
    Field("minrtt", Kind.TIME, "windowed minimum round-trip time (tcpi_min_rtt; "
          "tcp_min_rtt_wlen, 5 min)", "MINRTT", 6,
          loc=_tcp("min_rtt_us", _US, absent=ABSENT["min_rtt"]), aliases=("min_rtt",)),
    Field("srtt/minrtt", Kind.RATIO, "smoothed round-trip time as a multiple of its minimum",
          "SRTT×", 5, formula="srtt / minrtt"),
    Field("cwnd", Kind.COUNT, "congestion window, segments (tcpi_snd_cwnd)", "CWND", 4,
          loc=_tcp("snd_cwnd"), descending=False, aliases=("snd_cwnd",)),
    Field("retr/s", Kind.RATE, "segments resent per second in this interval (Δtotal_retrans), "
          "tries that this host refused included", "RETR/s", 6,
          loc=_tcp("retrans_per_s", need=Flag.RATES), aliases=("retr",)),
    Field("retr%", Kind.PERCENT, "bytes resent of bytes sent in the last 5 to 10 s, less the share "
          "of segments that DSACK proved spurious", "RETR%", 5,
          loc=_tcp("retr_pct", need=Flag.RETR_PCT)),
    Field("lost", Kind.COUNT, "segments marked lost now (tcpi_lost)", "LOST", 4, loc=_tcp("lost")),
    Field("sndq", Kind.SIZE, "bytes written and not acknowledged; of a listener the limit of its "
          "accept queue", "SNDQ", 4, loc=Loc("rec", "wqueue"), aliases=("sendq", "wqueue")),
    Field("rcvq", Kind.SIZE, "bytes received and not read; of a listener the connections that "
          "wait for accept(), of UDP and MPTCP the memory that they take", "RCVQ", 4,
          loc=Loc("rec", "rqueue"), aliases=("recvq", "rqueue")),
    Field("unread", Kind.TIME, "age of the oldest unread data, at least", "UNREAD", 6,
          loc=Loc("rec", "oldest_unread_ms", _MS, need=Flag.OLDEST_UNREAD), source="diag"),
    Field("rxwait.p99", Kind.TIME, "99th percentile of the time that received data waited for "
          "the program in this interval; below 100 deliveries the longest; ~: at most twice too "
          "high", "RXW99", 6,
          loc=_plane("wait.p99_ns"), source="wait", aliases=("rxw99",)),
    Field("rxwait.p50", Kind.TIME, "median of that wait, the upper edge of its bucket",
          "RXW50", 6, loc=_plane("wait.p50_ns"), source="wait", aliases=("rxw50",)),
    Field("rxwait.p90", Kind.TIME, "90th percentile of it, the upper edge of its bucket",
          "RXW90", 6, loc=_plane("wait.p90_ns"), source="wait"),
    Field("rxwait.max", Kind.TIME, "longest wait in this interval", "RXWMAX", 6,
          loc=_plane("wait.max_ns"), source="wait"),
    Field("standing", Kind.TIME, "how long the receive queue has stood: all that was read had "
          "waited 5 ms or more, and what is unread has; from 100 ms on (CoDel's standing queue)",
          "STANDS", 6, loc=Loc("plane", "standing_ms", _MS, absent=0), source="wait"),
    Field("rxwait.n", Kind.COUNT, "deliveries that the program read in this interval", "RXWN", 4,
          loc=_plane("wait.count"), source="wait"),
    _split_field("wake", "no thread that slept on it was woken yet", "wake_ns"),
    _split_field("cpu", "the program was ready and no CPU was given to it", "cpu_ns"),
    _split_field("ran", "the program ran and did something else", "ran_ns"),
    _split_field("asleep", "the program slept, and not on this socket", "asleep_ns"),
    _split_field("stopped", "the program was stopped by a signal or a debugger", "stopped_ns"),
    Field("tx.total.p99", Kind.TIME, "99th percentile of send to ACK in this interval", "TX99", 6,
          loc=_plane("tx.6.p99_ns"), source="stages", aliases=("tx99",)),
    *(_stage_field(stage, q) for stage in Stage for q in ("p50", "p99")
      if (stage, q) != (Stage.TOTAL, "p99")),
    Field("drops", Kind.COUNT, "packets that this socket dropped in all", "DROPS", 5,
          loc=Loc("rec", "drops", need=Flag.SKMEM)),
    Field("drops/s", Kind.RATE, "packets dropped per second in this interval", "DROP/s", 6,
          loc=Loc("rec", "drops_per_s", need=Flag.RATES | Flag.SKMEM)),
    Field("limited.rwnd", Kind.PERCENT, "share of this interval held back by the peer's window",
          "RWND%", 5, loc=_tcp("lim_rwnd_pct", need=Flag.LIMITED)),
    Field("limited.sndbuf", Kind.PERCENT, "share of this interval held back by the send buffer: "
          "as the kernel counts it, and while all in it is on its way and it is full",
          "SBUF%", 5, loc=_tcp("lim_sndbuf_pct", need=Flag.LIMITED)),
    Field("limited.cwnd", Kind.PERCENT, "share of this interval held back by a full congestion "
          "window",
          "CWND%", 5, loc=_tcp("lim_cwnd_pct", need=Flag.LIMITED)),
    Field("limited.in_flight", Kind.PERCENT, "share of this interval waiting for an ACK, for "
          "pacing, or (Nagle, a cork) for more to send: no fault", "INFL%", 5,
          loc=_tcp("lim_in_flight_pct", need=Flag.LIMITED)),
    Field("limited.idle", Kind.PERCENT, "share of this interval with nothing to send: neither good "
          "nor bad", "IDLE%", 5, loc=_tcp("lim_idle_pct", need=Flag.LIMITED)),
    Field("cc", Kind.TEXT, "congestion control", "CC", 5, text=lambda r: r.cong, left=True,
          aliases=("cong",), descending=False),
    Field("cgroup", Kind.TEXT, "cgroup v2 path", "CGROUP", 24, text=lambda r: r.cgroup, left=True,
          descending=False),
    Field("container", Kind.TEXT, "container, pod or service, from the cgroup's path", "CONTAINER",
          19, text=lambda r: r.container, left=True, descending=False),
    Field("netns", Kind.TEXT, "network namespace, by name or inode", "NETNS", 10,
          text=lambda r: r.netns_name or str(r.rec.netns), left=True, descending=False),
    Field("host", Kind.TEXT, "the host that the socket is on, as -H names it", "HOST", 12,
          text=lambda r: r.host, left=True, aliases=("on",), descending=False),
    Field("dev", Kind.TEXT, "device that the socket is bound to, by name or ifindex", "DEV", 8,
          text=lambda r: r.dev or (str(r.rec.ifindex) if r.rec.ifindex else None), left=True,
          descending=False),
    Field("inode", Kind.COUNT, "inode of the socket", "INODE", 9,
          loc=Loc("rec", "inode", absent=0)),
    Field("cookie", Kind.COUNT, "the kernel's name for the socket (SO_COOKIE), unique until reboot",
          "COOKIE", 9, loc=Loc("rec", "cookie")),
    Field("who", Kind.TEXT, "whose fault: app, cpu, kern, nic, net or peer", "WHO", 5,
          text=who_text, left=True, descending=False),
    Field("why", Kind.TEXT, "the worst verdict with its number", "WHY", 0, text=why_text,
          left=True, sortable=False),
)
# fmt: on

_INFO_KIND = {
    "us": (Kind.TIME, _US),
    "ms": (Kind.TIME, _MS),
    "bytes": (Kind.SIZE, 1.0),
    "bytes_per_s": (Kind.BITRATE, 1.0),
}


def _info_field(item: InfoField) -> Field:
    kind, scale = _INFO_KIND.get(item.unit, (Kind.COUNT, 1.0))
    # Of a listener the kernel leaves the rest at 0.
    states = ALL_STATES if item.name in LISTEN_FIELDS else ALL_STATES & ~(1 << TCP_LISTEN)
    if item.name.startswith("last_"):
        # Nothing came yet: the kernel counts from the start of its clock.
        states &= ~(1 << TCP_SYN_SENT)
    loc = Loc("info", item.name, scale, need=Flag.INFO, absent=item.absent, protos=TCP_ONLY,
              states=states)  # fmt: skip
    return Field(item.name, kind, f"{item.help} (tcpi_{item.name})", loc=loc, words=item.words)


def _registry() -> dict[str, Field]:
    fields = {f.id: f for f in _FIELDS}
    taken = {a for f in _FIELDS for a in f.aliases} | set(fields)
    for item in TCP_INFO:
        if item.name not in taken and item.name not in {"state", "options"}:
            fields[item.name] = _info_field(item)
    return {name: resolved(field, fields) for name, field in fields.items()}


def resolved(field: Field, fields: Mapping[str, Field]) -> Field:
    """The field with the places that its formula names."""
    if not field.formula:
        return field
    first, sign, second = field.formula.split()
    parts = fields[first], fields[second]
    left, right = (part.loc for part in parts)
    if not isinstance(left, Loc) or not isinstance(right, Loc) or sign not in SIGNS:
        raise ValueError(f"{field.id}: {field.formula} is not of two numbers")
    plane = next((part.source for part in parts if part.source != "diag"), "diag")
    return replace(field, loc=Formula(left, sign, right), source=plane)


FIELDS: dict[str, Field] = _registry()
DERIVED = tuple(f for f in FIELDS.values() if f.formula)
ALIASES: dict[str, str] = {a: f.id for f in FIELDS.values() for a in f.aliases}


def lookup(name: str) -> Field | None:
    """The field of that id or alias, whatever the case of the letters."""
    key = name.lower()
    return FIELDS.get(key) or FIELDS.get(ALIASES.get(key, ""))


def nearest(name: str, candidates: list[str] | None = None, *, cutoff: float = 0.5) -> list[str]:
    """Up to three names that this may have been meant to be, from `cutoff` of 1 alike on."""
    from difflib import get_close_matches

    return get_close_matches(name.lower(), candidates or [*FIELDS, *ALIASES], n=3, cutoff=cutoff)
