"""One element of a snapshot's sockets as struct nt_row and struct nt_detail."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from msgspec import Struct

from nettop.engine import ffi
from nettop.engine.wire import EMPTY_REC, pack_row
from nettop.export.distributions import plane_of
from nettop.export.jsonout import FAMILIES, LEVELS, OWNERS, PROTOS, TIMERS
from nettop.export.values import (
    Bad,
    integer,
    mapping,
    number,
    objects,
    optional_number,
    optional_text,
    sequence,
    text,
    word,
)
from nettop.model.tcpinfo import ABSENT, TAIL_6_18, TAIL_7_0, TCP_INFO, InfoField
from nettop.model.types import (
    AF_INET,
    TCP_LISTEN,
    TCP_STATES,
    Because,
    Flag,
    Owner,
    Proc,
    Proto,
    Verdict,
    Who,
)
from nettop.text.fields import TCP_ALIVE
from nettop.text.verdicts import CAUSES, VERDICTS, named, verdict_words
from nettop.text.words import WHO_NUMBERS

_FAMILY = {name: number for number, name in FAMILIES.items()}
_PROTO = {name: number for number, name in PROTOS.items()}
_STATE = {name: number for number, name in TCP_STATES.items()}
_LEVEL = {name: number for number, name in LEVELS.items()}
_TIMER = {name: number for number, name in TIMERS.items()}
_OWNER = {name: owner for owner, name in OWNERS.items()}

_CAUSE = {name: because for because, name in CAUSES.items()}
# What WHY begins with, by what.
_WAS = {
    verdict_words(verdict, 1.0, because).split(" ", 1)[0]: (int(verdict), int(because))
    for verdict, spec in reversed(VERDICTS.items())
    for because in (*spec.causes, Because.PLAIN)
}

_MEMORY: dict[str, tuple[str, ...]] = {
    "skmem": ("rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued",
              "optmem", "backlog", "drops"),
    "meminfo": ("rmem", "wmem", "fmem", "tmem"),
}  # fmt: skip
_ATTRS = {"tos": (1, 8), "tclass": (2, 8), "shutdown": (4, 8), "v6only": (8, 8), "mark": (16, 32),
          "class_id": (32, 32), "sockopt": (64, 16)}  # fmt: skip
_CONG_INFO = {
    3: ("vegas_enabled", "vegas_rttcnt", "vegas_rtt", "vegas_minrtt"),
    16: ("bbr_bw", "bbr_min_rtt", "bbr_pacing_gain", "bbr_cwnd_gain"),
    9: ("dctcp_enabled", "dctcp_ce_state", "dctcp_alpha", "dctcp_ab_ecn", "dctcp_ab_tot"),
}
_INFO_ROOM = ffi.sizeof(ffi.typeof("struct nt_detail").fields[-1][1].type)
_TAIL_NAMES_7_0 = {f.name for f in TAIL_7_0} - {f.name for f in TAIL_6_18}
# What a record says of itself with NT_F_INFO, so it must be in tcp_info.
_GAUGES = frozenset({"snd_cwnd", "lost"})


# Members of the record that are copies of tcp_info's.
COPIES = {
    "rtt_us": "rtt", "rttvar_us": "rttvar", "min_rtt_us": "min_rtt", "snd_cwnd": "snd_cwnd",
    "lost": "lost", "ca_state": "ca_state", "retransmits": "retransmits", "backoff": "backoff",
    "bytes_sent": "bytes_sent", "bytes_acked": "bytes_acked", "bytes_received": "bytes_received",
    "bytes_retrans": "bytes_retrans", "total_retrans": "total_retrans",
    "dsack_dups": "dsack_dups", "total_rto": "total_rto",
}  # fmt: skip


class Hole(Struct, frozen=True):
    """Members of tcp_info that the file leaves out though its length covers them."""

    names: frozenset[str]
    length_known: bool


class Packed(Struct):
    """One socket, and what its records cannot hold."""

    row: bytes
    detail: bytes
    cookie: int
    inode: int
    uid: int
    user: str | None
    netns: int
    netns_name: str | None
    ifindex: int
    dev: str | None
    cgroup_id: int
    cgroup: str | None
    container: str | None
    holders: list[Proc]
    hole: Hole | None
    tail: tuple[InfoField, ...] | None


def pack_socket(source: Mapping[str, Any], where: str) -> Packed:
    """Checks and packs.

    Args:
        source: the JSON object.
        where: its place for messages, ending in a dot.

    Raises:
        Bad: with the place.
    """
    proto = word(source, "proto", _PROTO, where)
    state = word(source, "state", _STATE, where)
    rec: dict[str, Any] = {
        "cookie": integer(source, "cookie", where, 64),
        "cgroup_id": integer(source, "cgroup_id", where, 64, 0),
        "netns": integer(source, "netns", where, 32),
        "ifindex": integer(source, "ifindex", where, 32, 0),
        "uid": integer(source, "uid", where, 32),
        "inode": integer(source, "inode", where, 32, 0),
        "family": word(source, "family", _FAMILY, where),
        "proto": proto,
        "state": state,
        "rqueue": integer(source, "rqueue", where, 32, 0),
        "wqueue": integer(source, "wqueue", where, 32, 0),
        "min_rtt_us": ABSENT["min_rtt"],
    }
    if not rec["cookie"]:
        raise Bad(f"{where}cookie", "is 0")
    for end, addr_name, port_name in (("local", "src", "sport"), ("remote", "dst", "dport")):
        inner = mapping(source, end, where)
        rec[addr_name] = _address(inner, f"{where}{end}.", rec["family"])
        rec[port_name] = integer(inner, "port", f"{where}{end}.", 16)
    timer = mapping(source, "timer", where)
    if timer:
        rec["timer"] = _timer(timer, f"{where}timer.")
        rec["timer_retrans"] = integer(timer, "retrans", f"{where}timer.", 8, 0)
    holders = _holders(source, where)
    more = max(0, len(holders) - 1) + integer(source, "procs_more", where, 16, 0)
    rec["owners"] = min(more, 0xFFFF)
    flags = Flag.MATCH
    if source.get("first_interval") is True:
        flags |= Flag.NEW
    if source.get("missed") is True:
        flags |= Flag.MISSED
    detail = ffi.new("struct nt_detail *")
    detail.cookie = rec["cookie"]
    hole, tail = None, None
    info = mapping(source, "tcp_info", where)
    if info and proto == Proto.TCP:
        hole, tail, whole = _put_info(detail, source, info, where, state)
        _gauges(rec, info)
        if whole:
            flags |= Flag.INFO
        if info.get("delivery_rate_app_limited"):
            flags |= Flag.APP_LIMITED
    _put_memory(detail, source, where)
    _put_attrs(detail, source, where)
    cong = optional_text(source, "cong", where)
    if cong:
        detail.cong = _bytes(cong, 15)
    flags |= _put_interval(rec, source, where)
    if source.get("drops") is not None:
        rec["drops"] = integer(source, "drops", where, 32)
        flags |= Flag.SKMEM
    _put_verdicts(rec, source, where)
    plane, plane_flags = plane_of(source, where)
    flags |= plane_flags
    rec["oldest_unread_ms"] = min(plane.oldest_unread_ns // 1_000_000, 0xFFFFFFFF)
    rec["flags"] = int(flags)
    no_holder = Proc(0, 0, _owner(source, where), 0, "")
    proc = holders[0]._replace(more=more) if holders else no_holder
    return Packed(
        row=pack_row(EMPTY_REC._replace(**rec), proc, plane),
        detail=bytes(ffi.buffer(detail)),
        cookie=rec["cookie"],
        inode=rec["inode"],
        uid=rec["uid"],
        user=optional_text(source, "user", where),
        netns=rec["netns"],
        netns_name=optional_text(source, "netns_name", where),
        ifindex=rec["ifindex"],
        dev=optional_text(source, "dev", where),
        cgroup_id=rec["cgroup_id"],
        cgroup=optional_text(source, "cgroup", where),
        container=optional_text(source, "container", where),
        holders=holders,
        hole=hole,
        tail=tail,
    )


def _address(source: Mapping[str, Any], where: str, family: int) -> bytes:
    value = text(source, "addr", where)
    try:
        packed = (IPv4Address if family == AF_INET else IPv6Address)(value).packed
    except AddressValueError:
        raise Bad(f"{where}addr", "is no numeric address of its family") from None
    return packed.ljust(16, b"\0")


def _timer(source: Mapping[str, Any], where: str) -> int:
    value = text(source, "kind", where)
    if value in _TIMER:
        return _TIMER[value]
    if value.isascii() and value.isdigit() and int(value[:4]) < 256:
        return int(value)
    raise Bad(f"{where}kind", f"is none of {', '.join(_TIMER)}")


def _holders(source: Mapping[str, Any], where: str) -> list[Proc]:
    out = []
    for at, item in enumerate(objects(source, "procs", where)):
        place = f"{where}procs[{at}]."
        pid = integer(item, "pid", place, 31)
        if not pid:
            raise Bad(f"{place}pid", "is 0")
        comm = _bytes(optional_text(item, "comm", place) or "", 15).decode()
        out.append(Proc(pid, integer(item, "fd", place, 32, 0), Owner.PROC, 0, comm))
    return out


def _owner(source: Mapping[str, Any], where: str) -> Owner:
    return Owner(word(source, "owner", _OWNER, where)) if "owner" in source else Owner.UNKNOWN


def _bytes(value: str, most: int) -> bytes:
    """UTF-8 cut between two characters."""
    return value.encode("utf-8", "replace")[:most].decode("utf-8", "ignore").encode()


def _put_info(
    detail: Any, source: Mapping[str, Any], info: Mapping[str, Any], where: str, state: int
) -> tuple[Hole | None, tuple[InfoField, ...] | None, bool]:
    """Writes the attribute; returns its holes, its tail, and whether the gauges are in it."""
    place = f"{where}tcp_info."
    tail: tuple[InfoField, ...] | None = None
    if not _TAIL_NAMES_7_0.isdisjoint(info):
        tail = TAIL_7_0
    elif not {f.name for f in TAIL_6_18}.isdisjoint(info):
        tail = TAIL_6_18
    items = (*TCP_INFO, *(tail or ()))
    length = integer(source, "tcp_info_len", where, 16, 0)
    known = length > 0
    if not known:
        length = max((f.offset + f.size for f in items if f.name in info), default=0)
    raw = bytearray(_INFO_ROOM)
    missing = []
    for item in items:
        end = item.offset + item.size
        value = info.get(item.name)
        if value is not None and value >> (item.width or item.size * 8):
            raise Bad(f"{place}{item.name}", "is no number of its width")
        if end > length or end > _INFO_ROOM:
            continue
        if value is None:
            absent = ABSENT.get(item.name)
            if absent is None:
                missing.append(item.name)
                continue
            value = absent
        if item.width:
            value = value << item.bit | int.from_bytes(raw[item.offset : end], "little")
        raw[item.offset : end] = value.to_bytes(item.size, "little")
    detail.info_len = length
    ffi.memmove(detail.info, bytes(raw), _INFO_ROOM)
    if state == TCP_LISTEN:
        return (None if known else Hole(frozenset(), False)), tail, True
    hole = Hole(frozenset(missing), known) if missing or not known else None
    return hole, tail, _GAUGES.isdisjoint(missing)


def _gauges(rec: dict[str, Any], info: Mapping[str, int]) -> None:
    """Members of the record that follow from tcp_info; their ranges were checked."""
    for member, name in COPIES.items():
        if name in info:
            rec[member] = info[name]
    for member, name in (
        ("busy_ms", "busy_time"), ("rwnd_limited_ms", "rwnd_limited"),
        ("sndbuf_limited_ms", "sndbuf_limited"),
    ):  # fmt: skip
        if name in info:
            rec[member] = info[name] // 1000 & 0xFFFFFFFF


def _put_memory(detail: Any, source: Mapping[str, Any], where: str) -> None:
    for key, members in _MEMORY.items():
        values = mapping(source, key, where)
        n = 0
        for at, name in enumerate(members):
            if name not in values:
                break
            getattr(detail, key)[at] = integer(values, name, f"{where}{key}.", 32)
            n = at + 1
        setattr(detail, f"{key}_len", n * 4)
    values = mapping(source, "cong_info", where)
    place = f"{where}cong_info."
    for kind, names in _CONG_INFO.items():
        if not values or names[0] not in values:
            continue
        words = [integer(values, name, place, 64 if name == "bbr_bw" else 32, 0) for name in names]
        if kind == 16:
            words[:1] = [words[0] & 0xFFFFFFFF, words[0] >> 32]
        elif kind == 9:
            words[:2] = [(words[0] & 0xFFFF) | (words[1] & 0xFFFF) << 16]
        for at, value in enumerate(words):
            detail.cong_info[at] = value
        detail.cong_info_type = kind
        detail.cong_info_len = 4 * len(words)


def _put_attrs(detail: Any, source: Mapping[str, Any], where: str) -> None:
    attrs = mapping(source, "attrs", where)
    place = f"{where}attrs."
    has = 0
    for name, (bit, bits) in _ATTRS.items():
        if name in attrs:
            setattr(detail, name, integer(attrs, name, place, bits))
            has |= bit
    detail.has = has
    ulp = optional_text(attrs, "ulp", place)
    if ulp:
        ffi.memmove(detail.ulp, _bytes(ulp, 6).ljust(6, b"\0"), 6)


def _put_interval(rec: dict[str, Any], source: Mapping[str, Any], where: str) -> Flag:
    flags = Flag(0)
    rates = mapping(source, "rates", where)
    place = f"{where}rates."
    alive = rec["proto"] == Proto.TCP and TCP_ALIVE >> rec["state"] & 1
    needed = ("tx_bytes_per_s", "rx_bytes_per_s", "retrans_per_s") if alive else ()
    if rates and all(name in rates for name in needed):
        flags |= Flag.RATES
        known = rec["proto"] == Proto.UDP or mapping(source, "tcp_info", where)
        if known and "tx_bytes_per_s" in rates and "rx_bytes_per_s" in rates:
            flags |= Flag.MOVED
        moved = () if needed else ("tx_bytes_per_s", "rx_bytes_per_s")
        for name in (*needed, *moved, "flow_bytes_per_s", "drops_per_s"):
            rec[name] = optional_number(rates, name, place) or 0.0
        # A file of before does not say it; this interval's rates then do.
        received = rates.get("flow_received", rec["rx_bytes_per_s"] > rec["tx_bytes_per_s"])
        if received:
            flags |= Flag.FLOW_RX
        if rates.get("retr_pct") is not None:
            rec["retr_pct"] = number(rates, "retr_pct", place)
            flags |= Flag.RETR_PCT
    limited = mapping(source, "limited", where)
    if limited:
        flags |= Flag.LIMITED
        for name in ("rwnd", "sndbuf", "cwnd", "in_flight", "idle"):
            share = number(limited, name, f"{where}limited.")
            if not 0 <= share <= 1:
                raise Bad(f"{where}limited.{name}", "is no share from 0 to 1")
            rec[f"lim_{name}_pct"] = round(share * 100)
    return flags


def _put_verdicts(rec: dict[str, Any], source: Mapping[str, Any], where: str) -> None:
    if "level" in source:
        rec["level"] = word(source, "level", _LEVEL, where)
    rec["strength"] = integer(source, "strength", where, 8, 0)
    details = objects(source, "verdict_details", where)
    if not details:
        was = _WAS.get(optional_text(source, "was", where) or "")
        if was is not None:
            rec["verdict"], rec["because"] = was
            rec["verdict_since_s"] = 1  # when is of that engine alone
        return
    mask = 0
    detailed = {text(item, "name", f"{where}verdict_details.") for item in details}
    last = -1
    for at, name in enumerate(sequence(source, "verdicts", where)):
        if type(name) is not str:
            raise Bad(f"{where}verdicts[{at}]", "is no text")
        if name in detailed:
            continue
        # Behind the worst two they stand by number, which distinguishes those of one name.
        verdict = next((v for v in sorted(named(name)) if v > last), None)
        if verdict is not None:
            mask |= 1 << verdict
            last = verdict
    known: list[tuple[Verdict, float, int, int]] = []
    for at, item in enumerate(details):
        place = f"{where}verdict_details[{at}]."
        for verdict in named(text(item, "name", place), item.get("of"))[:1]:
            who = WHO_NUMBERS.get(text(item, "who", place), int(Who.UNKNOWN))
            because = int(_CAUSE.get(optional_text(item, "cause", place) or "", Because.PLAIN))
            known.append((verdict, number(item, "value", place), who, because))
            mask |= 1 << verdict
    if not known:
        return
    rec["verdicts"] = mask
    second = known[1] if len(known) > 1 else known[0]
    for end, (verdict, value, who, because) in (("", known[0]), ("2", second)):
        rec[f"verdict{end}"], rec[f"verdict{end}_value"] = int(verdict), value
        rec[f"who{end}"], rec[f"because{end}"] = who, because
