"""Elements of `sockets` as C writes them: the program, by the same tables as jsonout.

Rows with a verdict, with several holders, or with a name that is more than plain ASCII are
refused by it, and jsonout.socket_object writes them. tests/unit/test_jsonrows.py compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Protocol

from nettop.engine.emitter import Emitter, Program, Where, place
from nettop.engine.handle import PackedRows
from nettop.engine.wire import ATTRS, MEMINFO, SKMEM
from nettop.export import jsonout
from nettop.export.distributions import DIST_NUMBERS
from nettop.model.tcpinfo import ABSENT, LISTEN_FIELDS, TCP_INFO, InfoField, in_order
from nettop.model.types import (
    TCP_LISTEN,
    TCP_STATES,
    Detail,
    Flag,
    Owner,
    PlaneHas,
    Proto,
    Row,
    Split,
    Stage,
    UdpMoved,
)
from nettop.text.fields import DERIVED, TCP_ALIVE

NETNS, USER, CGROUP, CONTAINER, DEVICE, CONG = range(1, 7)  # kinds of names
_TCP, _UDP = 1 << Proto.TCP, 1 << Proto.UDP
_VEGAS, _DCTCP, _BBR = 3, 9, 16


class PackedRowSource(Protocol):
    """Rows as C has them, and what is said of a single one."""

    packed: Iterator[PackedRows]

    @property
    def tail(self) -> tuple[InfoField, ...]:
        """Layout of tcp_info's last word on the kernel that sent it."""

    def unpack(self, packed: PackedRows, at: int) -> tuple[Row, Detail | None]:
        """With its names."""


def packed_texts(
    source: PackedRowSource, owners: jsonout.Owners, *, lines: bool
) -> Iterator[bytes | memoryview]:
    """Elements of sockets, with what stands between them; a piece is good until the next one.

    Args:
        owners: all processes that hold a socket.
    """
    rows = JsonRows(source, owners)
    between, first = jsonout.between(lines=lines), True
    for packed in source.packed:
        yield from rows.texts(packed, between, first=first)
        first = False


class JsonRows:
    """Elements of sockets of one host."""

    def __init__(self, source: PackedRowSource, owners: jsonout.Owners) -> None:
        """owners: all processes that hold a socket."""
        self._source, self._owners = source, owners
        self._emitter = Emitter(program(source.tail))

    def texts(
        self, packed: PackedRows, between: bytes, *, first: bool = True
    ) -> Iterator[bytes | memoryview]:
        """As Emitter.texts."""

        def names(at: int) -> Iterator[tuple[int, int, bytes]]:
            return _names(self._source.unpack(packed, at)[0])

        def refused(at: int) -> bytes:
            socket = self._source.unpack(packed, at)
            return jsonout.socket_text(*socket, self._owners).encode("ascii")

        return self._emitter.texts(packed, between, first=first, names=names, refused=refused)


def _names(row: Row) -> Iterator[tuple[int, int, bytes]]:
    rec = row.rec
    for kind, number, key, text in (
        (NETNS, rec.netns, "netns_name", row.netns_name),
        (USER, rec.uid, "user", row.user),
        (CGROUP, rec.cgroup_id, "cgroup", row.cgroup),
        (CONTAINER, rec.cgroup_id, "container", row.container),
        (DEVICE, rec.netns | rec.ifindex << 32, "dev", row.dev),
        (CONG, rec.cong_id, "cong", row.cong),
    ):
        yield kind, number, f'"{key}":{jsonout.encode(text)}'.encode("ascii") if text else b""


@lru_cache(maxsize=16)
def program(tail: tuple[InfoField, ...]) -> Program:
    """An element of sockets, its keys in the order of jsonout.socket_object."""
    p = Program()
    _refuse_others(p)
    p.open("{")
    p.number('"netns":', "rec.netns")
    p.name(NETNS, "rec.netns")
    p.number('"cookie":', "rec.cookie")
    p.word('"proto":', "rec.proto", _quoted(jsonout.PROTOS))
    p.word('"family":', "rec.family", _quoted(jsonout.FAMILIES))
    p.word('"state":', "rec.state", _quoted(TCP_STATES))
    for end, address, port in (
        ("local", "rec.src", "rec.sport"),
        ("remote", "rec.dst", "rec.dport"),
    ):
        p.address(f'"{end}":{{"addr":"', address)
        p.number('","port":', port, element=False)
        p.literal("}", element=False)
    _owner(p)
    p.number('"uid":', "rec.uid")
    p.name(USER, "rec.uid")
    _unless_zero(p, '"inode":', "rec.inode")
    some = p.if_not("rec.cgroup_id", 0)
    p.name(CGROUP, "rec.cgroup_id")
    p.number('"cgroup_id":', "rec.cgroup_id")
    p.name(CONTAINER, "rec.cgroup_id")
    p.end(some)
    some = p.if_not("rec.ifindex", 0)
    p.number('"ifindex":', "rec.ifindex")
    p.name(DEVICE, place("rec.netns")._replace(size=8))  # and ifindex behind it
    p.end(some)
    some = p.if_not("rec.cong_id", 0)
    p.name(CONG, "rec.cong_id")
    p.end(some)
    p.number('"rqueue":', "rec.rqueue")
    p.number('"wqueue":', "rec.wqueue")
    some = p.if_not("rec.timer", 0)
    p.word('"timer":{"kind":', "rec.timer", _quoted(jsonout.TIMERS))
    p.number(',"retrans":', "rec.timer_retrans", element=False)
    p.literal("}", element=False)
    p.end(some)
    for flag, text in ((Flag.NEW, "first_interval"), (Flag.MISSED, "missed")):
        some = p.if_any("rec.flags", flag)
        p.literal(f'"{text}":true')
        p.end(some)
    _detail(p)
    some = p.if_any("rec.flags", Flag.SKMEM)
    p.number('"drops":', "rec.drops")
    p.end(some)
    _interval(p)
    p.open('"derived":{')
    for f in DERIVED:
        assert f.loc is not None
        p.term(f'"{f.csv_name}":', f.loc)
    p.close(unless_empty=True)
    p.word('"level":', "rec.level", _quoted(jsonout.LEVELS))
    some = p.if_not("rec.level", 0)
    _unless_zero(p, '"strength":', "rec.strength")
    p.end(some)
    p.literal('"verdicts":[]')
    _planes(p)
    _tcp_info(p, tail)
    _memory(p)
    p.close()
    return p


def _quoted(words: Mapping[int, str]) -> dict[int, str]:
    return {int(number): f'"{word}"' for number, word in words.items()}


def _within(member: str, offset: int, size: int) -> Where:
    """A number in bytes that the kernel sent."""
    at = place(member)
    return at._replace(offset=at.offset + offset, size=size)


def _unless_zero(p: Program, text: str, member: str) -> None:
    some = p.if_not(member, 0)
    p.number(text, member)
    p.end(some)


def _refuse_others(p: Program) -> None:
    """Rows whose words are Python's alone; before anything is written."""
    some = p.if_not("rec.verdicts", 0)
    p.refuse()
    p.end(some)
    some = p.if_not("rec.level", 0)
    p.refuse()
    p.end(some)
    some = p.if_not("proc.more", 0)
    p.refuse()
    p.end(some)
    known = p.if_detail()
    some = p.if_not("detail.ulp.0", 0)
    p.refuse()
    p.end(some)
    for kind, least in ((_VEGAS, 16), (_BBR, 20)):
        of_kind = p.if_one_of("detail.cong_info_type", 1 << kind)
        short = p.if_one_of("detail.cong_info_len", sum(1 << n for n in range(1, least)))
        p.refuse()
        p.end(short)
        p.end(of_kind)
    p.end(known)


def _owner(p: Program) -> None:
    held = p.if_not("proc.pid", 0)
    p.number('"procs":[{"pid":', "proc.pid")
    p.comm(',"comm":')
    p.number(',"fd":', "proc.fd", element=False)
    p.literal("}]", element=False)
    none = p.otherwise(held)
    known = p.if_not("proc.owner", Owner.UNKNOWN)
    other = p.if_not("proc.owner", Owner.PROC)
    p.word('"owner":', "proc.owner", _quoted({int(o): w for o, w in jsonout.OWNERS.items()}))
    p.end(other)
    p.end(known)
    p.end(none)


def _detail(p: Program) -> None:
    """tcp_info_len, cong_info and attrs; the other parts stand last."""
    known = p.if_detail()
    tcp = p.if_one_of("rec.proto", _TCP)
    info = p.if_any("rec.flags", Flag.INFO)
    _unless_zero(p, '"tcp_info_len":', "detail.info_len")
    p.end(info)
    p.end(tcp)
    _cong_info(p)
    p.open('"attrs":{')
    for name, bit in ATTRS.items():
        some = p.if_any("detail.has", bit)
        p.number(f'"{name}":', f"detail.{name}")
        p.end(some)
    p.close(unless_empty=True)
    p.end(known)


def _cong_info(p: Program) -> None:
    layouts: dict[int, tuple[int, tuple[tuple[str, int, int], ...]]] = {
        _VEGAS: (16, (("vegas_enabled", 0, 4), ("vegas_rttcnt", 4, 4), ("vegas_rtt", 8, 4),
                      ("vegas_minrtt", 12, 4))),
        _DCTCP: (16, (("dctcp_enabled", 0, 2), ("dctcp_ce_state", 2, 2), ("dctcp_alpha", 4, 4),
                      ("dctcp_ab_ecn", 8, 4), ("dctcp_ab_tot", 12, 4))),
        _BBR: (20, (("bbr_min_rtt", 8, 4), ("bbr_pacing_gain", 12, 4), ("bbr_cwnd_gain", 16, 4),
                    ("bbr_bw", 0, 8))),
    }  # fmt: skip
    for kind, (least, members) in layouts.items():
        of_kind = p.if_one_of("detail.cong_info_type", 1 << kind)
        whole = p.if_least("detail.cong_info_len", least)
        p.open('"cong_info":{')
        for name, offset, size in members:
            p.number(f'"{name}":', _within("detail.cong_info", offset, size))
        p.close()
        p.end(whole)
        p.end(of_kind)


def _interval(p: Program) -> None:
    known = p.if_any("rec.flags", Flag.RATES)
    p.open('"rates":{')
    tcp = p.if_one_of("rec.proto", _TCP)
    alive = p.if_one_of("rec.state", TCP_ALIVE)
    _moved(p)
    p.real('"retrans_per_s":', "rec.retrans_per_s")
    some = p.if_any("rec.flags", Flag.RETR_PCT)
    p.real('"retr_pct":', "rec.retr_pct")
    p.end(some)
    p.end(alive)
    p.end(tcp)
    udp = p.if_one_of("rec.proto", _UDP)
    some = p.if_any("rec.flags", Flag.MOVED)
    _moved(p)
    p.end(some)
    p.end(udp)
    some = p.if_any("rec.flags", Flag.SKMEM)
    p.real('"drops_per_s":', "rec.drops_per_s")
    p.end(some)
    p.close(unless_empty=True)
    p.end(known)
    some = p.if_any("rec.flags", Flag.LIMITED)
    p.open('"limited":{')
    for name in ("rwnd", "sndbuf", "cwnd", "in_flight", "idle"):
        p.share(f'"{name}":', f"rec.lim_{name}_pct")
    p.close()
    p.end(some)


def _moved(p: Program) -> None:
    for name in ("tx_bytes_per_s", "rx_bytes_per_s", "flow_bytes_per_s"):
        p.real(f'"{name}":', f"rec.{name}")
    received = p.if_any("rec.flags", Flag.FLOW_RX)
    p.literal('"flow_received":true')
    sent = p.otherwise(received)
    p.literal('"flow_received":false')
    p.end(sent)


def _dist(p: Program, place: str) -> None:
    """As distributions.dist_object."""
    p.number('"count":', f"{place}.count")
    some = p.if_not(f"{place}.count", 0)
    for name in DIST_NUMBERS:
        p.number(f'"{name}":', f"{place}.{name}")
    p.end(some)


def _planes(p: Program) -> None:
    """As distributions.put_planes."""
    p.open('"rx_wait":{')
    has = p.if_any("plane.has", PlaneHas.WAIT)
    _dist(p, "plane.wait")
    octaves = p.if_any("plane.has", PlaneHas.WAIT_OCTAVES)
    some = p.if_not("plane.wait.count", 0)
    p.literal('"octaves":true')
    p.end(some)
    p.end(octaves)
    _unless_zero(p, '"bounded_samples":', "plane.wait_bounded")
    _unless_zero(p, '"approx_samples":', "plane.wait_approx")
    p.end(has)
    unread = p.if_any("rec.flags", Flag.OLDEST_UNREAD)
    exact = p.if_any("rec.flags", Flag.UNREAD_EXACT)
    p.number('"oldest_unread_ns":', "plane.oldest_unread_ns")
    bound = p.otherwise(exact)
    _million(p, '"oldest_unread_ns":', "rec.oldest_unread_ms")
    p.literal('"bounded":true')
    p.end(bound)
    some = p.if_any("rec.flags", Flag.UNREADABLE)
    p.literal('"readable":false')
    p.end(some)
    p.end(unread)
    some = p.if_any("rec.flags", Flag.WAIT_UNTRACED)
    p.literal('"traced":false')
    p.end(some)
    traced = p.if_not("plane.has", 0)
    some = p.if_any("plane.has", PlaneHas.SPLIT)
    p.open('"split":{')
    for name in Split._fields:
        p.number(f'"{name}":', f"plane.split.{name}")
    p.close()
    p.end(some)
    some = p.if_not("plane.standing_ms", 0)
    _million(p, '"standing_ns":', "plane.standing_ms")
    p.end(some)
    p.end(traced)
    _wait_method(p)
    p.close(unless_empty=True)
    some = p.if_any("plane.has", PlaneHas.UDP)
    timed = p.if_not("plane.udp.over_ns", 0)
    p.open('"udp":{')
    for name in UdpMoved._fields:
        p.number(f'"{name}":', f"plane.udp.{name}")
    p.close()
    p.end(timed)
    p.end(some)
    some = p.if_any("plane.has", PlaneHas.TX)
    _tx(p)
    p.end(some)


def _million(p: Program, text: str, member: str) -> None:
    """A number in ms, as ns."""
    some = p.if_not(member, 0)
    p.number(text, member)
    p.literal("000000", element=False)
    none = p.otherwise(some)
    p.literal(f"{text}0")
    p.end(none)


def _wait_method(p: Program) -> None:
    """Where rx_wait has anything."""
    traced = p.if_any("plane.has", PlaneHas.WAIT)
    probe = p.if_any("plane.has", PlaneHas.WAIT_PROBE)
    p.literal('"method":"tcp_probe"')
    exact = p.otherwise(probe)
    p.literal('"method":"exact"')
    p.end(exact)
    others = [p.otherwise(traced)]
    polled = p.if_any("rec.flags", Flag.OLDEST_UNREAD | Flag.WAIT_UNTRACED)
    p.literal('"method":"poll"')
    others.append(p.otherwise(polled))
    known = p.if_not("plane.has", 0)
    split = p.if_any("plane.has", PlaneHas.SPLIT)
    p.literal('"method":"poll"')
    others.append(p.otherwise(split))
    standing = p.if_not("plane.standing_ms", 0)
    p.literal('"method":"poll"')
    p.end(standing)
    p.end(known)
    for end in others:
        p.end(end)


def _tx(p: Program) -> None:
    p.open('"tx":{')
    for stage in Stage:
        place = f"plane.tx.{int(stage)}"
        some = p.if_not(f"{place}.count", 0)
        p.open(f'"{stage.name.lower()}":{{')
        _dist(p, place)
        if stage is Stage.NIC:
            p.number('"bar_ns":', "plane.tx_nic_bar_ns")
        p.close()
        p.end(some)
    some = p.if_any("plane.has", PlaneHas.TX_OCTAVES)
    p.literal('"octaves":true')
    p.end(some)
    for name in ("sends", "incomplete", "open", "resent"):
        p.number(f'"{name}":', f"plane.tx_{name}")
    path = p.if_any("plane.has", PlaneHas.TX_PATH)
    p.literal('"method":"tracepoints"')
    other = p.otherwise(path)
    p.literal('"method":"bpf_timestamping"')
    p.end(other)
    p.close()


def _tcp_info(p: Program, tail: tuple[InfoField, ...]) -> None:
    """As jsonout.tcp_info_object."""
    tcp = p.if_one_of("rec.proto", _TCP)
    info = p.if_any("rec.flags", Flag.INFO)
    p.open('"tcp_info":{')
    known = p.if_detail()
    listens = p.if_one_of("rec.state", 1 << TCP_LISTEN)
    by_name = {item.name: item for item in TCP_INFO}
    for name in sorted(LISTEN_FIELDS):
        _member(p, by_name[name])
    others = p.otherwise(listens)
    for item in in_order(tail):
        _member(p, item)
    p.end(others)
    unknown = p.otherwise(known)
    _gauges(p)
    p.end(unknown)
    p.close()
    p.end(info)
    p.end(tcp)


def _member(p: Program, item: InfoField) -> None:
    long = p.if_least("detail.info_len", item.offset + item.size)
    where = _within("detail.info", item.offset, item.size)
    where = where._replace(shift=item.bit, width=item.width)
    absent = ABSENT.get(item.name)
    some = p.if_not(where, absent) if absent is not None else None
    p.number(f'"{item.name}":', where)
    if some is not None:
        p.end(some)
    p.end(long)


def _gauges(p: Program) -> None:
    p.number('"state":', "rec.state")
    other = p.if_not("rec.state", TCP_LISTEN)
    for name, member in (
        ("ca_state", "ca_state"), ("retransmits", "retransmits"), ("backoff", "backoff"),
        ("lost", "lost"), ("rttvar", "rttvar_us"), ("snd_cwnd", "snd_cwnd"),
        ("total_retrans", "total_retrans"),
    ):  # fmt: skip
        p.number(f'"{name}":', f"rec.{member}")
    _unless_zero(p, '"rtt":', "rec.rtt_us")
    some = p.if_not("rec.min_rtt_us", ABSENT["min_rtt"])
    p.number('"min_rtt":', "rec.min_rtt_us")
    p.end(some)
    p.end(other)


def _memory(p: Program) -> None:
    known = p.if_detail()
    for key, names in (("skmem", SKMEM), ("meminfo", MEMINFO)):
        p.open(f'"{key}":{{')
        for at, name in enumerate(names):
            long = p.if_least(f"detail.{key}_len", 4 * (at + 1))
            p.number(f'"{name}":', f"detail.{key}.{at}")
            p.end(long)
        p.close(unless_empty=True)
    p.end(known)
