"""Sockets for probe and reflect: names resolved, bound, and every failure in one line."""

from __future__ import annotations

import errno
import select
import socket
import time
from typing import Any

from msgspec import Struct

from nettop.errors import NettopError
from nettop.probe.options import ProbeOptions

TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Target(Struct, frozen=True):
    """Where to probe, resolved."""

    family: int
    address: Any
    text: str  # numeric, as shown


def resolve(host: str, port: int, proto: str, family: int) -> list[Target]:
    """All addresses of a name.

    Raises:
        NettopError: it has none.
    """
    try:
        found = socket.getaddrinfo(host, port, family, TYPES[proto])
    except socket.gaierror as error:
        only = {socket.AF_INET: " with an IPv4 address", socket.AF_INET6: " with an IPv6 address"}
        raise NettopError(
            f"{host}: no such host{only.get(socket.AddressFamily(family), '') if family else ''} "
            f"({error.strerror})"
        ) from None
    except UnicodeError:
        raise NettopError(f"{host}: no such host (not a valid name)") from None
    targets = []
    for fam, _type, _proto, _name, address in found:
        shown = f"[{address[0]}]" if fam == socket.AF_INET6 else str(address[0])
        targets.append(Target(fam, address, f"{proto} {shown}:{port}"))
    return targets


def open_socket(options: ProbeOptions, target: Target) -> socket.socket:
    """Not connected yet; bound to the interface that was asked for.

    Raises:
        NettopError: no such interface, or not allowed.
    """
    sock = socket.socket(target.family, TYPES[options.proto])
    try:
        if options.interface is not None:
            _bind_to(sock, options.interface)
        if options.proto == "tcp":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_to(sock: socket.socket, interface: str) -> None:
    try:
        socket.if_nametoindex(interface)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except PermissionError:
        raise NettopError(
            f"-I {interface}: not allowed to bind to an interface (needs CAP_NET_RAW here)"
        ) from None
    except (OSError, ValueError):
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise NettopError(f"-I {interface}: no such interface (here: {known})") from None


def connect(sock: socket.socket, address: Any, deadline_ns: int) -> None:
    """connect(2) until CLOCK_MONOTONIC is at the deadline; OSError with what the kernel says."""
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code == errno.EINPROGRESS:
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        left = deadline_ns - time.monotonic_ns()
        if not poll.poll(max(0, left / 1e6)):
            code = errno.ETIMEDOUT
        else:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, why(OSError(code, "")))
    sock.setblocking(True)


def why(error: OSError) -> str:
    """The kernel's answer in words."""
    known = {
        errno.ECONNREFUSED: "connection refused: nothing listens there",
        errno.ETIMEDOUT: "no answer within the time limit",
        errno.EHOSTUNREACH: "host unreachable",
        errno.ENETUNREACH: "network unreachable: no route",
        errno.ECONNRESET: "the far end reset the connection",
        errno.EPIPE: "the far end closed the connection",
        errno.EMSGSIZE: "the message is larger than the path takes: use a smaller -s",
        errno.EACCES: "not allowed (a broadcast address, or a firewall)",
        errno.EPERM: "not allowed (a firewall)",
        errno.EADDRNOTAVAIL: "no such address here",
        errno.EADDRINUSE: "the port is in use",
    }
    return known.get(error.errno or 0, error.strerror or str(error))
