"""Writes netlink/*.bin: the kernel's own answers about sockets that this script opens.

Everything happens on loopback inside a network namespace made for the purpose, so that no
address or socket of the machine is stored. Needs root. Each file is one dump as received; the
part of its name before the dot or the dash is the protocol.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent / "netlink"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
NETLINK_SOCK_DIAG = 4
TCPDIAG_GETSOCK = 18
SOCK_DIAG_BY_FAMILY = 20
REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
IPPROTO_MPTCP = 262
INET_DIAG_REQ_PROTOCOL = 3
ALL = 0xFFFFFFFF
LISTEN = 1 << 10


def enter_new_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def connect(
    family: int, address: str, proto: int = 0, target: str | None = None
) -> list[socket.socket]:
    """A listener, a client and its accepted end."""
    listener = socket.socket(family, socket.SOCK_STREAM, proto)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(target is None))
    listener.bind((address, 0))
    listener.listen(5)
    port = listener.getsockname()[1]
    client_family = socket.AF_INET if target else family
    client = socket.socket(client_family, socket.SOCK_STREAM, proto)
    client.connect((target or address, port))
    accepted, _ = listener.accept()
    return [listener, client, accepted]


def open_sockets() -> list[socket.socket]:
    """Sockets in as many conditions as loopback gives."""
    keep: list[socket.socket] = []

    unread = connect(socket.AF_INET, "127.0.0.1")
    unread[1].sendall(b"x" * 5000)
    keep += unread

    waiting = socket.socket()
    waiting.connect(unread[0].getsockname())  # established, never accepted
    keep.append(waiting)

    for name in ("reno", "bbr", "dctcp", "vegas"):
        pair = connect(socket.AF_INET, "127.0.0.1")
        with contextlib.suppress(OSError):  # not every kernel has them all
            pair[1].setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        for _ in range(20):
            pair[1].sendall(b"y" * 20_000)
            got = 0
            while got < 20_000:
                got += len(pair[2].recv(65536))
        keep += pair

    marked = connect(socket.AF_INET, "127.0.0.1")
    marked[1].setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 7)
    marked[1].setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x28)
    marked[1].setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 3)
    keep += marked

    keep += connect(socket.AF_INET6, "::1")
    keep += connect(socket.AF_INET6, "::", target="127.0.0.1")  # IPv4-mapped

    half = connect(socket.AF_INET, "127.0.0.1")
    half[1].shutdown(socket.SHUT_WR)  # FIN_WAIT2 here, CLOSE_WAIT there
    keep += half

    gone = connect(socket.AF_INET, "127.0.0.1")
    gone[1].close()
    gone[2].close()  # TIME_WAIT
    keep.append(gone[0])

    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        receiver = socket.socket(family, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        receiver.bind((address, 0))
        sender = socket.socket(family, socket.SOCK_DGRAM)
        sender.connect(receiver.getsockname())
        for _ in range(40):  # more than fits: drops
            sender.send(b"z" * 500)
        keep += [receiver, sender]

    with contextlib.suppress(OSError):  # kernels without MPTCP
        keep += connect(socket.AF_INET, "127.0.0.1", IPPROTO_MPTCP)
    return keep


def request(kind: int, body: bytes) -> bytes:
    return struct.pack("<IHHII", 16 + len(body), kind, REQUEST_DUMP, 1, 0) + body


def legacy(states: int) -> bytes:
    """struct inet_diag_req: IPv4 and IPv6 in one walk."""
    return request(
        TCPDIAG_GETSOCK, struct.pack("<BBBB48xII", socket.AF_INET, 0, 0, 0xFF, states, 0)
    )


def by_family(family: int, proto: int, states: int = ALL) -> bytes:
    """struct inet_diag_req_v2; protocols beyond a byte go into an attribute."""
    body = struct.pack("<BBBBI48x", family, proto if proto < 256 else 0, 0xFF, 0, states)
    if proto > 255:
        body += struct.pack("<HHI", 8, INET_DIAG_REQ_PROTOCOL, proto)
    return request(SOCK_DIAG_BY_FAMILY, body)


def dump(message: bytes) -> bytes:
    """Everything that the kernel answers, to the end of the dump."""
    out = b""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as s:
        s.sendto(message, (0, 0))
        while True:
            raw = s.recv(1 << 17)
            out += raw
            at = 0
            while at < len(raw):
                length, kind = struct.unpack_from("<IH", raw, at)
                if kind == NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("<i", raw, at + 16)[0], "dump")
                if kind == NLMSG_DONE:
                    return out
                at += length + 3 & ~3


def main() -> int:
    if os.geteuid() != 0:
        print("capture_netlink: needs root to make a network namespace", file=sys.stderr)
        return 1
    enter_new_namespace()
    keep = open_sockets()
    dumps = {
        "tcp-legacy": legacy(ALL),
        "tcp-listen": legacy(LISTEN),
        "tcp-inet": by_family(socket.AF_INET, socket.IPPROTO_TCP),
        "tcp-inet6": by_family(socket.AF_INET6, socket.IPPROTO_TCP),
        "udp-inet": by_family(socket.AF_INET, socket.IPPROTO_UDP),
        "udp-inet6": by_family(socket.AF_INET6, socket.IPPROTO_UDP),
        "mptcp-inet": by_family(socket.AF_INET, IPPROTO_MPTCP),
    }
    HERE.mkdir(exist_ok=True)
    for name, message in dumps.items():
        raw = dump(message)
        (HERE / f"{name}.bin").write_bytes(raw)
        print(f"{name}.bin: {len(raw)} bytes")
    for s in keep:
        s.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
