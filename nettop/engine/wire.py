"""Packed records to Python values; every layout is read from the helper itself."""

from __future__ import annotations

import struct
from collections import namedtuple
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from nettop.engine import ffi, lib
from nettop.model.causes import Candidate, Cause, LateProcess, PeerKey, SlowPeer
from nettop.model.tcpinfo import TCP_INFO, InfoField, decode
from nettop.model.types import (
    NO_PLANE,
    Detail,
    Dist,
    Owner,
    Plane,
    Proc,
    Row,
    Sick,
    Split,
    Stage,
    UdpMoved,
)
from nettop.text.clean import clean
from nettop.text.fields import Field, Formula, Loc

_CODES = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "uint64_t": "Q", "float": "f",
          "double": "d", "int32_t": "i"}  # fmt: skip


def layout(name: str) -> tuple[list[str], str]:
    """Member names and struct format of a record; arrays stay bytes, padding is skipped."""
    names, fmt, at = [], "<", 0
    ctype = ffi.typeof(f"struct {name}")
    for member, info in ctype.fields:
        fmt += "x" * (info.offset - at)
        size = ffi.sizeof(info.type)
        if info.type.kind == "primitive" and info.type.cname in _CODES:
            fmt += _CODES[info.type.cname]
        else:
            fmt += f"{size}s"
        names.append(member)
        at = info.offset + size
    return names, fmt + "x" * (ffi.sizeof(ctype) - at)


_rec_names, _rec_format = layout("nt_rec")
Rec: Any = namedtuple("Rec", _rec_names)  # type: ignore[misc]  # members of struct nt_rec
REC = struct.Struct(_rec_format)
_proc_names, _proc_format = layout("nt_proc")
PROC = struct.Struct(_proc_format)
ROW_SIZE = ffi.sizeof("struct nt_row")
_PROC_AT = ffi.offsetof("struct nt_row", "proc")
_PLANE_AT = ffi.offsetof("struct nt_row", "plane")
_HAS_AT = _PLANE_AT + ffi.offsetof("struct nt_plane", "has")
_plane_names, _plane_format = layout("nt_plane")
PLANE = struct.Struct(_plane_format)
_sick_names, _sick_format = layout("nt_sick")
SICK = struct.Struct(_sick_format)
_candidate_names, _candidate_format = layout("nt_candidate")
CANDIDATE = struct.Struct(_candidate_format)
_cause_names, _cause_format = layout("nt_cause")
CAUSE = struct.Struct(_cause_format)
_late_names, _late_format = layout("nt_late")
LATE = struct.Struct(_late_format)
SLOW = struct.Struct("<16sIHBxIIII")
assert SLOW.size == ffi.sizeof("struct nt_slow_peer")
_U32 = struct.Struct("<I")
SPLIT = struct.Struct("<8Q")
assert SPLIT.size == ffi.sizeof("struct nt_split")
assert [name for name, _ in ffi.typeof("struct nt_split").fields] == [*Split._fields]
UDP = struct.Struct("<5Q")
assert UDP.size == ffi.sizeof("struct nt_udp")
assert [name for name, _ in ffi.typeof("struct nt_udp").fields] == [*UdpMoved._fields]
DIST = struct.Struct("<6Q")
assert DIST.size == ffi.sizeof("struct nt_dist")
assert tuple(_sick_names) == Sick._fields
assert tuple(_candidate_names) == Candidate._fields
assert tuple(_late_names) == LateProcess._fields
assert _cause_names == [
    "cookie",
    "value",
    "explains",
    "verdict",
    "who",
    "because",
    "imposes",
    "pad",
]
assert ROW_SIZE == _PLANE_AT + PLANE.size == _PROC_AT + PROC.size + PLANE.size

# Values of struct nt_rec for a record never seen: where to start when packing one.
EMPTY_REC = Rec._make(REC.unpack(bytes(REC.size)))


def proc_of(raw: bytes, at: int = 0) -> Proc:
    """struct nt_proc; the name loses what a terminal would obey."""
    pid, fd, owner, more, _start, comm = PROC.unpack_from(raw, at)
    return Proc(pid, fd, Owner(owner), more, clean(comm.split(b"\0", 1)[0]))


def dist_of(raw: Any, at: int = 0) -> Dist:
    """struct nt_dist."""
    return Dist(*DIST.unpack_from(raw, at))


def plane_of(raw: bytes, at: int = 0) -> Plane:
    """struct nt_plane."""
    member = dict(zip(_plane_names, PLANE.unpack_from(raw, at), strict=True))
    tx = member.pop("tx")
    wait = member.pop("wait")
    split = Split._make(SPLIT.unpack(member.pop("split")))
    udp = UdpMoved._make(UDP.unpack(member.pop("udp")))
    return Plane(
        wait=dist_of(wait),
        split=split,
        udp=udp,
        tx=tuple(dist_of(tx, i * DIST.size) for i in Stage),
        **member,
    )


def pack_cause(cause: Cause) -> bytes:
    """struct nt_cause."""
    return CAUSE.pack(
        cause.cookie, cause.value, cause.explains, cause.verdict, cause.who, cause.because,
        cause.imposes, b"",
    )  # fmt: skip


def slow_peers_of(raw: Any) -> list[SlowPeer]:
    """struct nt_slow_peer, as many as there are."""
    return [SlowPeer(PeerKey(*m[:4]), *m[4:]) for m in SLOW.iter_unpack(raw)]


def _pack_dist(dist: Dist) -> bytes:
    return DIST.pack(dist.count, dist.sum_ns, dist.p50_ns, dist.p90_ns, dist.p99_ns, dist.max_ns)


def pack_plane(plane: Plane) -> bytes:
    """The inverse of plane_of."""
    values: dict[str, Any] = {name: getattr(plane, name) for name in _plane_names}
    values["wait"] = _pack_dist(plane.wait)
    values["tx"] = b"".join(map(_pack_dist, plane.tx))
    values["split"] = SPLIT.pack(*plane.split)
    values["udp"] = UDP.pack(*plane.udp)
    return PLANE.pack(*values.values())


def rows_of(raw: bytes, count: int) -> Iterator[Row]:
    """The first `count` struct nt_row of a buffer."""
    return (row_of(raw, i) for i in range(count))


def row_of(raw: bytes, i: int) -> Row:
    """The struct nt_row number i of a buffer."""
    at = i * ROW_SIZE
    row = Row(Rec._make(REC.unpack_from(raw, at)), proc_of(raw, at + _PROC_AT))
    if _U32.unpack_from(raw, at + _HAS_AT)[0]:
        row.plane = plane_of(raw, at + _PLANE_AT)
    return row


def cookies_of(raw: bytes) -> set[int]:
    """Which sockets a buffer of struct nt_row has."""
    return {cookie for (cookie,) in struct.iter_unpack(f"<Q{ROW_SIZE - 8}x", raw)}


def pack_row(rec: Any, proc: Proc, plane: Plane = NO_PLANE) -> bytes:
    """The inverse of rows_of for one row; rec is a Rec (EMPTY_REC._replace(...))."""
    return (
        REC.pack(*rec)
        + PROC.pack(proc.pid, proc.fd, int(proc.owner), proc.more, 0, proc.comm.encode()[:15])
        + pack_plane(plane)
    )


SKMEM = ("rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem",
          "backlog", "drops")  # fmt: skip
ATTRS = {"tos": 1, "tclass": 2, "shutdown": 4, "v6only": 8, "mark": 16, "class_id": 32,
          "sockopt": 64}  # fmt: skip
MEMINFO = ("rmem", "wmem", "fmem", "tmem")
_CONG_INFO: dict[int, tuple[str, ...]] = {
    3: ("vegas_enabled", "vegas_rttcnt", "vegas_rtt", "vegas_minrtt"),
    16: ("bbr_bw_lo", "bbr_bw_hi", "bbr_min_rtt", "bbr_pacing_gain", "bbr_cwnd_gain"),
}


def _cong_info(kind: int, raw: bytes) -> dict[str, int]:
    if kind == 9 and len(raw) >= 16:
        enabled, ce_state, alpha, ab_ecn, ab_tot = struct.unpack_from("<HHIII", raw)
        return {"dctcp_enabled": enabled, "dctcp_ce_state": ce_state, "dctcp_alpha": alpha,
                "dctcp_ab_ecn": ab_ecn, "dctcp_ab_tot": ab_tot}  # fmt: skip
    words = dict(
        zip(
            _CONG_INFO.get(kind, ()),
            struct.unpack(f"<{len(raw) // 4}I", raw[: len(raw) // 4 * 4]),
            strict=False,
        )
    )
    if "bbr_bw_hi" in words:
        words["bbr_bw"] = words.pop("bbr_bw_lo") | words.pop("bbr_bw_hi") << 32
    return words


def detail_of(record: Any, tail: tuple[InfoField, ...], *, tcp: bool = True) -> Detail:
    """struct nt_detail (a cffi pointer) as named values.

    tcp: the info attribute is a tcp_info; of MPTCP it is another struct and left out.
    """
    info_len = min(record.info_len, ffi.sizeof(record.info)) if tcp else 0
    attrs: dict[str, int | str] = {}
    has = record.has
    for name, bit in ATTRS.items():
        if has & bit:
            attrs[name] = int(getattr(record, name))
    ulp = bytes(ffi.buffer(record.ulp)).split(b"\0", 1)[0]
    if ulp:
        attrs["ulp"] = clean(ulp)
    return Detail(
        cookie=int(record.cookie),
        tcp_info=decode(bytes(ffi.buffer(record.info, info_len)), info_len, tail),
        tcp_info_len=int(record.info_len) if tcp else 0,
        meminfo=dict(zip(MEMINFO, record.meminfo[0 : record.meminfo_len // 4], strict=False)),
        skmem=dict(zip(SKMEM, record.skmem[0 : record.skmem_len // 4], strict=False)),
        cong_info=_cong_info(
            record.cong_info_type, bytes(ffi.buffer(record.cong_info))[: record.cong_info_len]
        ),
        attrs=attrs,
    )


# --- where a field's number lies, as the C side wants it ---

_TYPES = {"uint8_t": lib.NT_U8, "uint16_t": lib.NT_U16, "uint32_t": lib.NT_U32,
          "uint64_t": lib.NT_U64, "float": lib.NT_F32}  # fmt: skip
_BY_SIZE = {1: lib.NT_U8, 2: lib.NT_U16, 4: lib.NT_U32, 8: lib.NT_U64}
_BASES = {"rec": lib.NT_BASE_REC, "info": lib.NT_BASE_INFO, "proc": lib.NT_BASE_PROC,
          "plane": lib.NT_BASE_PLANE}  # fmt: skip
_HOWS = {"/": lib.NT_HOW_RATIO, "+": lib.NT_HOW_SUM, "-": lib.NT_HOW_DIFFERENCE}
_INFO = {item.name: item for item in TCP_INFO}
# Text fields sort by bytes of the record or by a number that stands for them.
_TEXT_KEYS = {"proc": lib.NT_KEY_PROC, "comm": lib.NT_KEY_PROC, "remote": lib.NT_KEY_REMOTE,
              "local": lib.NT_KEY_LOCAL, "cc": lib.NT_KEY_CONG, "who": lib.NT_KEY_WHO}  # fmt: skip
TEXT_NUMBERS = {"user": "uid", "cgroup": "cgroup_id", "container": "cgroup_id", "netns": "netns",
                 "proto": "proto", "st": "state", "dev": "ifindex"}  # fmt: skip


def _fill_operand(operand: Any, loc: Loc) -> None:
    """Writes a field's place into a struct nt_operand."""
    operand.base = _BASES[loc.base]
    if loc.base == "info":
        item = _INFO[loc.member]
        operand.offset = item.offset
        operand.type = _BY_SIZE[item.size]
        if item.width:
            operand.type = lib.NT_BIT
            operand.bit = item.bit | item.width << 8
    elif loc.base == "plane":
        # "wait.p99_ns", "tx.3.p99_ns"
        path = [int(part) if part.isdigit() else part for part in loc.member.split(".")]
        operand.offset = ffi.offsetof("struct nt_plane", *path)
        operand.type = _TYPES["uint32_t" if len(path) == 1 else "uint64_t"]
    else:
        owner = "struct nt_rec" if loc.base == "rec" else "struct nt_proc"
        member = dict(ffi.typeof(owner).fields)[loc.member]
        operand.offset = member.offset
        operand.type = _TYPES[member.type.cname]
        if loc.bit is not None:
            operand.type = lib.NT_BIT
            operand.offset += loc.bit // 8
            operand.bit = loc.bit % 8 | 1 << 8
    operand.need_flags = int(loc.need)
    operand.protos = loc.protos
    operand.states = loc.states & 0xFFFFFFFF
    operand.has_absent = loc.absent is not None
    operand.absent = loc.absent or 0
    operand.scale = loc.scale


def fill_number(number: Any, loc: Loc | Formula) -> None:
    """Writes a field's place, or both of its formula, into a struct nt_term."""
    if isinstance(loc, Loc):
        _fill_operand(number.a, loc)
        return
    number.how = _HOWS[loc.sign]
    _fill_operand(number.a, loc.left)
    _fill_operand(number.b, loc.right)


def sort_number(field: Field | None) -> Any:
    """The key of nt_order; base 0 is the `unwell` order."""
    number = ffi.new("struct nt_term *")
    if field is None:
        return number
    if field.loc is not None:
        fill_number(number, field.loc)
    elif field.id in _TEXT_KEYS:
        number.a.base = lib.NT_BASE_TEXT
        number.a.offset = _TEXT_KEYS[field.id]
    elif field.id in TEXT_NUMBERS:
        _fill_operand(number.a, Loc("rec", TEXT_NUMBERS[field.id]))
    return number


@lru_cache(maxsize=16)
def numbers(fields: tuple[Field, ...]) -> Any:
    """The struct nt_term of each of these, whose numbers no holder has."""
    made = ffi.new("struct nt_term[]", len(fields))
    for one, field in zip(made, fields, strict=True):
        assert field.loc is not None
        fill_number(one, field.loc)
    return made


_FORMATS = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "uint64_t": "Q", "float": "f"}


def column_of(raw: bytes, member: str) -> Iterator[int | float]:
    """One member of the nt_rec of each of these nt_rows."""
    of = dict(ffi.typeof("struct nt_rec").fields)[member]
    behind = ROW_SIZE - of.offset - ffi.sizeof(of.type)
    one = f"<{of.offset}x{_FORMATS[of.type.cname]}{behind}x"
    return (value for (value,) in struct.iter_unpack(one, raw))
