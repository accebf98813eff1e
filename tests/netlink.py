"""Builds sock_diag messages byte by byte, as any kernel from 3.14 to 7.x sends them."""

from __future__ import annotations

import socket
import struct
from typing import Any

from nettop.model.tcpinfo import TCP_INFO

NLMSG_DONE = 3
NLMSG_ERROR = 2
SOCK_DIAG_BY_FAMILY = 20
ATTR = {"meminfo": 1, "info": 2, "vegas": 3, "cong": 4, "tos": 5, "tclass": 6, "skmeminfo": 7,
        "shutdown": 8, "dctcp": 9, "mark": 15, "bbr": 16, "class_id": 17, "ulp": 19,
        "cgroup_id": 21, "sockopt": 22}  # fmt: skip
STATES = {"ESTABLISHED": 1, "SYN_SENT": 2, "SYN_RECV": 3, "FIN_WAIT1": 4, "FIN_WAIT2": 5,
          "TIME_WAIT": 6, "CLOSE": 7, "CLOSE_WAIT": 8, "LAST_ACK": 9, "LISTEN": 10,
          "CLOSING": 11}  # fmt: skip
_FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
_INFO = {item.name: item for item in TCP_INFO}


def attribute(kind: int, payload: bytes) -> bytes:
    """One netlink attribute with its padding."""
    raw = struct.pack("<HH", 4 + len(payload), kind) + payload
    return raw + bytes(-len(raw) % 4)


def tcp_info(length: int = 280, **fields: int) -> bytes:
    """struct tcp_info of a kernel that knows `length` bytes of it."""
    raw = bytearray(max(length, 280))
    for name, value in fields.items():
        item = _INFO[name]
        if item.width:
            raw[item.offset] |= value << item.bit
        else:
            struct.pack_into(_FORMATS[item.size], raw, item.offset, value)
    return bytes(raw[:length])


_MPTCP_INFO = {"subflows": (0, 1), "rcv_nxt": (32, 8), "last_data_recv": (88, 4)}


def mptcp_info(length: int = 96, **fields: int) -> bytes:
    """struct mptcp_info of a kernel that knows `length` bytes of it."""
    raw = bytearray(96)
    for name, value in fields.items():
        offset, size = _MPTCP_INFO[name]
        struct.pack_into(_FORMATS[size], raw, offset, value)
    return bytes(raw[:length])


def skmeminfo(drops: int = 0, rmem: int = 0, wmem_queued: int = 0) -> bytes:
    return struct.pack("<9I", rmem, 131072, 0, 131072, 0, wmem_queued, 0, 0, drops)


def _address(text: str) -> tuple[int, bytes]:
    if ":" in text:
        return socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text)
    return socket.AF_INET, socket.inet_pton(socket.AF_INET, text) + bytes(12)


def diag(
    cookie: int,
    *,
    state: int | str = "ESTABLISHED",
    src: str = "10.0.0.1",
    sport: int = 443,
    dst: str = "10.0.0.2",
    dport: int = 50000,
    rqueue: int = 0,
    wqueue: int = 0,
    uid: int = 0,
    inode: int = 1000,
    timer: int = 0,
    timer_retrans: int = 0,
    info: bytes | None = None,
    cong: str | None = None,
    attrs: dict[str, bytes] | None = None,
    family: int | None = None,
    ifindex: int = 0,
) -> bytes:
    """One inet_diag message with its header."""
    src_family, src_raw = _address(src)
    _, dst_raw = _address(dst)
    number = STATES[state] if isinstance(state, str) else state
    body = struct.pack("<BBBB", family or src_family, number, timer, timer_retrans)
    body += struct.pack(">HH", sport, dport) + src_raw + dst_raw
    body += struct.pack("<III", ifindex, cookie & 0xFFFFFFFF, cookie >> 32)
    body += struct.pack("<IIIII", 0, rqueue, wqueue, uid, inode)
    if info is not None:
        body += attribute(ATTR["info"], info)
    if cong is not None:
        body += attribute(ATTR["cong"], cong.encode() + b"\0")
    for name, payload in (attrs or {}).items():
        body += attribute(ATTR[name], payload)
    return message(SOCK_DIAG_BY_FAMILY, body)


def message(kind: int, body: bytes, seq: int = 1) -> bytes:
    raw = struct.pack("<IHHII", 16 + len(body), kind, 2, seq, 0) + body
    return raw + bytes(-len(raw) % 4)


def done(error: int = 0) -> bytes:
    return message(NLMSG_DONE, struct.pack("<i", error))


def mptcp(cookie: int, info_length: int = 96, skmem: bytes | None = None, **given: Any) -> bytes:
    """As connection(), of an MPTCP socket."""
    inner = {k: given.pop(k) for k in list(given) if k in _MPTCP_INFO}
    attrs = {"skmeminfo": skmem if skmem is not None else skmeminfo()}
    return diag(cookie, info=mptcp_info(info_length, **inner), attrs=attrs, **given)


def connection(
    cookie: int, info_length: int = 280, skmem: bytes | None = None, **given: Any
) -> bytes:
    """A TCP socket: names of tcp_info go there, the others to the message itself."""
    outer = {k: given.pop(k) for k in list(given) if k not in _INFO or k == "state"}
    attrs = {"skmeminfo": skmem if skmem is not None else skmeminfo()}
    return diag(cookie, info=tcp_info(info_length, **given), attrs=attrs, **outer)
