"""What metrics count of a socket: those members of its packed row, and no others."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

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


def _format() -> str:
    out, at = "<", 0
    for offset, code in (_place(i, name) for i, name in enumerate(Counted._fields)):
        out += f"{offset - at}x{code}"
        at = offset + struct.calcsize(f"<{code}")
    return f"{out}{ROW_SIZE - at}x"


_ROW = struct.Struct(_format())


def counted(engine: Engine) -> Iterator[tuple[Any, ...]]:
    """Members of Counted, of every socket in the engine's order, as it is now."""
    rows = ffi.new("struct nt_row[]", AT_ONCE)
    raw, offset = ffi.buffer(rows), 0
    while n := check(lib.nt_window(engine.handle, offset, AT_ONCE, rows), "reading rows"):
        # Few sockets are looked at closely: to name the members of all takes half of the time.
        yield from _ROW.iter_unpack(raw[: n * ROW_SIZE])
        offset += n
