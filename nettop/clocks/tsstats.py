"""How many transmit stamps a driver delivered and lost (ETHTOOL_MSG_TSINFO_GET, netlink)."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from msgspec import Struct

# linux/netlink.h, genetlink.h, ethtool_netlink.h
NETLINK_GENERIC = 16
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 3, 1, 2
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF
TSINFO_GET = 25
TSINFO_HEADER, TSINFO_STATS = 1, 6
HEADER_DEV_NAME, HEADER_FLAGS = 2, 3
FLAG_STATS = 4
TX_PKTS, TX_LOST, TX_ERR = 1, 2, 3
_HEADER_BYTES = 20  # nlmsghdr and genlmsghdr
_ANSWER_S = 1.0


class TxStats(Struct, frozen=True):
    """Since the driver was loaded."""

    delivered: int
    lost: int
    errors: int


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each whole attribute."""
    at = 0
    while at + 4 <= len(raw):
        length, kind = struct.unpack_from("=HH", raw, at)
        if length < 4 or at + length > len(raw):
            return
        yield kind & NLA_TYPE_MASK, raw[at + 4 : at + length]
        at += (length + 3) & ~3


def request(family: int, command: int, payload: bytes) -> bytes:
    head = struct.pack("=IHHII", _HEADER_BYTES + len(payload), family, NLM_F_REQUEST, 1, 0)
    return head + struct.pack("=BBH", command, 1, 0) + payload


def body(answer: bytes) -> bytes | None:
    """The attributes of an answer; None if it is an error or too short."""
    if len(answer) < _HEADER_BYTES:
        return None
    length, kind = struct.unpack_from("=IH", answer)
    if kind == NLMSG_ERROR or not _HEADER_BYTES <= length <= len(answer):
        return None
    return answer[_HEADER_BYTES:length]


def parse(answer: bytes) -> TxStats | None:
    """Of ETHTOOL_MSG_TSINFO_GET_REPLY; None if the driver counts nothing."""
    raw = body(answer)
    nested = dict(attributes(raw)).get(TSINFO_STATS) if raw is not None else None
    if not nested:
        return None
    found = {k: int.from_bytes(v, "little" if _LITTLE else "big")
             for k, v in attributes(nested) if len(v) in (4, 8)}  # fmt: skip
    if TX_PKTS not in found:
        return None
    return TxStats(found[TX_PKTS], found.get(TX_LOST, 0), found.get(TX_ERR, 0))


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def read(name: str) -> TxStats | None:
    """None where the kernel or the driver does not count."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock:
            sock.settimeout(_ANSWER_S)
            sock.bind((0, 0))
            ask = attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0")
            sock.send(request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, ask))
            found = dict(attributes(body(sock.recv(65536)) or b""))
            family = struct.unpack("=H", found[CTRL_ATTR_FAMILY_ID])[0]
            header = attribute(HEADER_DEV_NAME, os.fsencode(name) + b"\0")
            header += attribute(HEADER_FLAGS, struct.pack("=I", FLAG_STATS))
            payload = attribute(TSINFO_HEADER | NLA_F_NESTED, header)
            sock.send(request(family, TSINFO_GET, payload))
            return parse(sock.recv(65536))
    except (OSError, KeyError, struct.error):
        return None
