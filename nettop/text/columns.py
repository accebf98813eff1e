"""Which fields a text table shows at a width, and what a cell of it says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from operator import attrgetter

from msgspec.structs import replace

from nettop.model.types import AF_INET6, Detail, Flag, Model, PlaneHas, Proto, Row, SourceStatus
from nettop.text import units
from nettop.text.evidence import STAMPED_BY_ITSELF
from nettop.text.fields import FIELDS, Field, Formula, Kind, Loc, Value, combined

DEFAULT_WIDTH = 120
GUTTER = 3  # cursor or mark, level, blank
# From narrow to wide; a set serves from its width on, and WHY has room for every verdict in it.
_SETS: tuple[tuple[int, str], ...] = (
    (0, "proc remote who why"),
    (63, "proc remote srtt who why"),
    (70, "proc remote srtt retr/s who why"),
    # What is resent WHY says too; which of its sockets it is only the port says, and of a listener
    # nothing else does.
    (80, "proc lport remote srtt sndq rcvq who why"),
    (87, "proc lport remote srtt retr/s sndq rcvq who why"),
    (100, "proc lport remote flow srtt retr/s sndq rcvq rxwait.p99 unread who why"),
    (105, "proc lport remote st flow srtt retr/s sndq rcvq rxwait.p99 unread who why"),
    (120, "proc lport remote st flow srtt rttvar cwnd retr/s sndq rcvq rxwait.p99 unread "
          "tx.total.p99 who why"),
    (200, "proc local remote st tx rx srtt rttvar minrtt cwnd retr/s retr% lost sndq rcvq "
          "rxwait.p99 unread tx.total.p99 cc container who why"),
)  # fmt: skip
# What goes first where a set has no room for all of it; WHO and WHY never do.
_FIRST_TO_GO = (
    "cc", "minrtt", "lost", "container", "rttvar", "cwnd", "tx.total.p99", "flow", "st", "tx", "rx",
    "lport", "rcvq", "sndq", "retr%", "retr/s", "srtt",
)  # fmt: skip
# Where cells are scarce, and in the widest set.
_NARROWER = {"proc": 13, "remote": 19}
_WIDER = {"proc": 18, "remote": 24}
# Below 200 cells these give their place to the planes that know better.
_STOPGAPS = {"rttvar": "tx.total.p99", "unread": "rxwait.p99"}
_PLANES = {"wait", "stages"}
# On many hosts no socket has a value of these: a screen may leave them out until one has.
SELDOM = frozenset({"container"})
# Numbers that are names: never shortened to 8.1K.
NAMES = frozenset({"pid", "lport", "rport", "inode", "cookie"})
# Bytes of which each one counts: 1448, not 1.4K.
EXACT = frozenset({"snd_mss", "rcv_mss", "advmss", "pmtu"})
_GLYPHS = str.maketrans(
    {units.ABSENT: "-", "µ": "u", "\u00d7": "x", "±": "+", "▲": "+", "≥": ">",
     "…": "~", "↑": "^", "↓": "v", "Δ": "d", "●": "", "◐": "~"}
)  # fmt: skip
# Cells of a column that declares none: what the format of its kind needs.
_CELLS = {
    Kind.TIME: 6, Kind.SIZE: 4, Kind.BITRATE: 4, Kind.COUNT: 4, Kind.RATE: 4, Kind.PERCENT: 5,
    Kind.RATIO: 5, Kind.TEXT: 15, Kind.ADDRESS: 21, Kind.LEVEL: 6,
}  # fmt: skip
WHY_CELLS = 13  # the longest verdict
_UDP = int(Proto.UDP)
_FLOW_RX = int(Flag.FLOW_RX)  # see Row.untraced
_LEVEL_SIGNS = (" ", "▲", "!")


def on_by_itself(status: SourceStatus | None) -> bool:
    """It comes and goes without the user, so it moves no column."""
    return status is not None and (status.reason or "").startswith(STAMPED_BY_ITSELF)


def columns_for(
    width: int, model: Model, seldom: Collection[str] = SELDOM
) -> tuple[tuple[Field, int], ...]:
    """Fields and their cells for a table of about that width, without those of planes that are
    off, and of SELDOM with these; fitting() makes it exact."""
    least, names = max(s for s in _SETS if s[0] <= width)
    off = {
        p for p in _PLANES
        if (s := model.source(p)) is None or s.state == "off" or on_by_itself(s)
    }  # fmt: skip
    shown = {n for n in names.split() if FIELDS[n].source not in off}
    shown -= SELDOM.difference(seldom)
    if least < 200:
        shown -= {stopgap for stopgap, better in _STOPGAPS.items() if better in shown}
    if least >= 120 and _has_namespaces(model):
        names = names.replace(" st ", " netns st ")
        shown |= {"netns"}
    names = f"host {names}" if model.hosts else names
    shown |= {"host"} if model.hosts else set()
    cells = _WIDER if least >= 200 else _NARROWER if least < 120 else {}
    return tuple((FIELDS[n], cells.get(n, FIELDS[n].width)) for n in names.split() if n in shown)


def _has_namespaces(model: Model) -> bool:
    """Of several hosts each has one at least, which says no more than its name."""
    some = [h.model for h in model.hosts if h.model is not None] if model.hosts else [model]
    return any(m.totals.netns > 1 for m in some)


def fitting(
    columns: Sequence[tuple[Field, int]],
    cells: int,
    needed: Field | None = None,
    *,
    ranked: bool = False,
    added: Sequence[Field] = (),
) -> tuple[tuple[Field, int], ...]:
    """As many of the columns as so many cells have room for, a blank between two: what says least
    is left out first (ranked: the last), then what was added, WHO, WHY and what is needed at the
    end."""
    kept = list(columns)
    ids = {f.id for f, _ in kept}
    last = [f.id for f in reversed(added)]
    order = [] if ranked else [n for n in _FIRST_TO_GO if n in ids and n not in last]
    if "flow" in order and {"host", "netns"} <= ids:  # a namespace says less beside its host
        order.insert(order.index("flow"), "netns")
    ends = ("proc", "who", "why")
    order += [f.id for f, _ in reversed(kept) if f.id not in (*order, *last, *ends)]
    for name in (*order, *(n for n in last if n not in ends), "proc", "who"):
        if len(kept) < 2 or sum((w or WHY_CELLS) + 1 for _, w in kept) - 1 <= cells:
            break
        if needed is None or name != needed.id:
            kept = [c for c in kept if c[0].id != name] or kept
    return tuple(kept)


def cells_of(field: Field) -> int:
    """Cells of a column that the user chose: its title and every number of it fit."""
    if field.id == "why":
        return WHY_CELLS
    cells = 5 if field.id in EXACT else _CELLS[field.kind]
    return field.width or max(cells, len(title_of(field)), *map(len, field.words))


def title_of(field: Field) -> str:
    """The title of a column; a field without one is called by its name."""
    return field.title or field.id.upper()


@lru_cache(maxsize=512)
def reader(field: Field) -> Callable[[Row, Detail | None], Value]:
    """Reads a field of many rows, as Field.value does."""
    loc = field.loc
    if isinstance(loc, Formula):
        sign = loc.sign
        a = reader(replace(field, loc=loc.left, formula=""))
        b = reader(replace(field, loc=loc.right, formula=""))
        return lambda row, detail: combined(sign, _real(a(row, detail)), _real(b(row, detail)))
    if loc is None or loc.bit is not None or loc.base == "plane":
        return field.value
    base, get = loc.base, attrgetter(loc.member)
    need, protos, states = int(loc.need), loc.protos, loc.states
    member, absent, scale = loc.member, loc.absent, loc.scale
    whole = scale >= 1

    def read(row: Row, detail: Detail | None) -> Value:
        rec = row.rec
        proto = rec.proto
        if not protos >> proto & 1 or rec.flags & need != need:
            return None
        if proto != _UDP and not states >> rec.state & 1:
            return None
        if base == "rec":
            raw = get(rec)
        elif base == "info":
            raw = detail.tcp_info.get(member) if detail is not None else None
        else:
            raw = get(row.proc)
        if raw is None or raw == absent:
            return None
        if scale == 1.0:
            number: Value = raw
            return number
        return int(raw * scale) if whole and type(raw) is int else raw * scale

    return read


def _real(value: Value) -> float | None:
    return None if isinstance(value, str) else value


def cell(field: Field, row: Row, detail: Detail | None) -> str:
    """The text of a cell, neither padded nor cut."""
    return writer(field)(row, detail)


@lru_cache(maxsize=512)
def writer(field: Field) -> Callable[[Row, Detail | None], str]:
    """Writes a field of many rows, as cell() does."""
    if field.kind is Kind.ADDRESS:
        local = field.id == "local"
        return lambda row, detail: endpoint(row, local=local)
    read, number = reader(field), _number_writer(field)

    def write(row: Row, detail: Detail | None) -> str:
        value = read(row, detail)
        if value is None:
            return "" if _is_well(field, row) else units.ABSENT
        return value if isinstance(value, str) else number(value, row)

    return write


def _number_writer(field: Field) -> Callable[[float, Row], str]:
    if field.words:
        return lambda value, row: str(field.said(int(value)))
    if field.id in NAMES:
        mark = ":" if field.id in ("lport", "rport") else ""
        return lambda value, row: f"{mark}{int(value)}"
    if field.id in EXACT:
        return lambda value, row: str(int(value))
    if field.id == "flow":
        return _flow
    if field.id == "unread":
        return lambda value, row: units.time(value, bounded=not row.rec.flags & Flag.UNREAD_EXACT)
    form = _FORMATS.get(field.kind, units.count)  # a text is never a number
    if field.kind is Kind.TIME and isinstance(field.loc, Loc) and field.loc.base == "plane":
        return lambda value, row: units.time(value, rough=is_rough(field, row, value))
    return lambda value, row: form(value)


def _flow(value: float, row: Row) -> str:
    if not value:
        return units.bits_per_s(value)
    arrow = "↓" if row.rec.flags & _FLOW_RX else "↑"  # of the mean: this interval may be still
    return arrow + units.bits_per_s(value)


def _is_well(field: Field, row: Row) -> bool:
    """WHO and WHY without a verdict: blank is well, and – where a verdict may be missing."""
    if field.id == "who":
        return not row.untraced
    return field.id == "why"


def is_rough(field: Field, row: Row, value: float) -> bool:
    """A percentile that is the upper edge of an octave: at most twice too high."""
    loc = field.loc if isinstance(field.loc, Loc) else None
    part = loc.member.split(".") if loc and loc.base == "plane" else []
    if not part or not part[-1].startswith("p"):
        return False
    if part[0] == "wait":
        return bool(row.plane.has & PlaneHas.WAIT_OCTAVES) and value != row.plane.wait.max_ns
    return bool(row.plane.has & PlaneHas.TX_OCTAVES) and value != row.plane.tx[int(part[1])].max_ns


_FORMATS: dict[Kind, Callable[[float | None], str]] = {
    Kind.TIME: units.time,
    Kind.SIZE: units.size,
    Kind.BITRATE: units.bits_per_s,
    Kind.COUNT: units.count,
    Kind.RATE: units.rate,
    Kind.PERCENT: units.percent,
    Kind.RATIO: units.ratio,
}


def number_text(field: Field, value: float | None, *, bounded: bool = False) -> str:
    """A number of a field that is of no one row; bounded: at least so much."""
    if field.words and value is not None:
        return str(field.said(int(value)))
    if field.id in EXACT and value is not None:
        return str(int(value))
    if field.kind is not Kind.TIME:
        return _FORMATS[field.kind](value)
    loc = field.loc
    part = loc.member.split(".")[-1] if isinstance(loc, Loc) and loc.base == "plane" else ""
    return units.time(value, bounded=bounded, rough=bool(part) and part.startswith("p"))


def level_sign(row: Row) -> str:
    """`!` unwell, `▲` watch, blank."""
    return _LEVEL_SIGNS[min(row.rec.level, 2)]


def endpoint(row: Row, local: bool, *, with_device: bool = True) -> str:
    """addr:port, [addr]:port of IPv6, addr%dev of a bound socket; `*` for no remote end."""
    rec = row.rec
    if not local and not row.has_remote:
        return "*"
    addr, port = (row.local_addr, rec.sport) if local else (row.remote_addr, rec.dport)
    scoped = f"{addr}%{row.dev or rec.ifindex}" if rec.ifindex and with_device else addr
    return f"[{scoped}]:{port}" if rec.family == AF_INET6 else f"{scoped}:{port}"


def to_ascii(text: str) -> str:
    """The same in ASCII: our own signs by their stand-ins, foreign letters as `?`."""
    if text.isascii():
        return text
    return text.translate(_GLYPHS).encode("ascii", "replace").decode()


def cut(text: str, width: int, field: Field) -> str:
    """At most `width` characters: a pid, a port and both ends of a path survive."""
    if len(text) <= width or width < 1:
        return text
    if field.id == "proc" and "/" in text:
        name, _, pid = text.rpartition("/")
        for number in (pid, pid.partition("+")[0]):
            keep = width - len(number) - 2
            if keep >= 0:
                return f"{name[:keep]}…/{number}"
    if field.kind is Kind.ADDRESS or field.id in ("container", "cgroup"):
        head = (width - 1) * 2 // 5
        return f"{text[:head]}…{text[-(width - 1 - head) :]}"
    return text[: width - 1] + "…"
