"""What metrics count of a socket: those members of its packed row, and no others."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from nettop.engine import check, ffi, lib
from nettop.engine.handle import Engine
from nettop.engine.wire import ROW_SIZE

AT_ONCE = 256  # rows that are copied together
OCTAVES = struct.Struct("<32I")


class Counted(NamedTuple):
    """Members of struct nt_rec, nt_proc and nt_plane, in the order of struct nt_row."""

    cookie: int
    cgroup_id: int
    src: bytes
    dst: bytes
    sport: int
    dport: int
    netns: int
    family: int
    proto: int  # Proto
    state: int
    flags: int  # Flag
    rqueue: int
    wqueue: int
    rtt_us: int
    bytes_sent: int
    bytes_acked: int
    bytes_received: int
    bytes_retrans: int
    busy_ms: int
    rwnd_limited_ms: int
    sndbuf_limited_ms: int
    total_retrans: int
    drops: int
    lim_cwnd_pct: int
    oldest_unread_ms: int
    lim_at_ms: int
    pid: int
    owner: int  # Owner
    comm: bytes
    wait_count: int
    wait_sum_ns: int
    wait_octaves: bytes
    oldest_unread_ns: int
    has: int  # PlaneHas
    udp_rx_bytes: int
    udp_tx_bytes: int


_CODES = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "uint64_t": "Q"}
_NESTED = {
    "wait_count": ("wait", "count"),
    "wait_sum_ns": ("wait", "sum_ns"),
    "udp_rx_bytes": ("udp", "rx_bytes"),
    "udp_tx_bytes": ("udp", "tx_bytes"),
}
_PROC = ("pid", "owner", "comm")
_FIRST_OF_PLANE = Counted._fields.index("wait_count")


def _place(at: int, name: str) -> tuple[int, str]:
    """Where a member lies in struct nt_row, and its format."""
    owner = "plane" if at >= _FIRST_OF_PLANE else "proc" if name in _PROC else "rec"
    path, kind = _NESTED.get(name, (name,)), ffi.typeof(f"struct nt_{owner}")
    offset = ffi.offsetof("struct nt_row", owner) + ffi.offsetof(kind, *path)
    for member in path:
        kind = dict(kind.fields)[member].type
    primitive = kind.kind == "primitive" and kind.cname in _CODES
    return offset, _CODES[kind.cname] if primitive else f"{ffi.sizeof(kind)}s"


def _format(places: Iterable[tuple[int, str]]) -> str:
    out, at = "<", 0
    for offset, code in places:
        out += f"{offset - at}x{code}"
        at = offset + struct.calcsize(f"<{code}")
    return f"{out}{ROW_SIZE - at}x"


def _span(first: str, last: str) -> tuple[int, str]:
    """All that lies from one member to another, as bytes."""
    begin, (end, code) = _PLACES[first][0], _PLACES[last]
    return begin, f"{end + struct.calcsize(code) - begin}s"


_PLACES = {name: _place(at, name) for at, name in enumerate(Counted._fields)}
_ROW = struct.Struct(_format(_PLACES.values()))
# By these it is seen whether there is news of a socket: to name all members takes longer.
_BRIEF = struct.Struct(_format((
    _PLACES["cookie"], _span("rqueue", "drops"), _PLACES["lim_cwnd_pct"],
    _PLACES["oldest_unread_ms"], _PLACES["lim_at_ms"], _span("pid", "comm"), _PLACES["wait_count"],
    _PLACES["udp_rx_bytes"], _PLACES["udp_tx_bytes"],
)))  # fmt: skip
Steady = tuple[bytes, bytes]  # of a row: its queues and counters, its holder


class Known(Protocol):
    """What a caller keeps of a socket."""

    steady: Steady | None  # of the row that it took last; None: each row is news
    lim_at_ms: int  # as of the row; set here where it is no news


K = TypeVar("K", bound=Known)


class News(NamedTuple):
    """A row with anything to count."""

    row: tuple[Any, ...]  # members of Counted
    steady: Steady


def counted(engine: Engine, known: Mapping[int, K]) -> tuple[list[News], list[K]]:
    """Every socket in the engine's order, as it is now.

    Args:
        known: by cookie.

    Returns:
        Those with news, and of the others what is known.
    """
    rows = ffi.new("struct nt_row[]", AT_ONCE)
    raw, offset = memoryview(ffi.buffer(rows)), 0  # nothing is copied but what is kept
    news: list[News] = []
    quiet: list[K] = []  # no tuples: many of those keep the collector of garbage busy
    get = known.get
    while n := check(lib.nt_window(engine.handle, offset, AT_ONCE, rows), "reading rows"):
        at = 0
        for cookie, numbers, cwnd, unread, lim_at, holder, waits, rx, tx in _BRIEF.iter_unpack(
            raw[: n * ROW_SIZE]
        ):
            one, steady = get(cookie), (numbers, holder)
            if (
                one is not None and one.steady == steady
                and not (cwnd or unread or waits or rx or tx)
            ):  # fmt: skip
                one.lim_at_ms = lim_at
                quiet.append(one)
            else:
                news.append(News(_ROW.unpack_from(raw, at), steady))
            at += ROW_SIZE
        offset += n
    return news, quiet
