"""Programs of the scenarios: each runs in a process of its own; F[0] is 1 while the fault is on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from mmap import mmap

TCP_CONGESTION = 13
IPPROTO_MPTCP = 262


def tcp(address: str = "", *, protocol: int = 0, nodelay: bool = True, sndbuf: int = 0,
        rcvbuf: int = 0) -> socket.socket:  # fmt: skip
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM, protocol)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if sndbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
    s.setsockopt(socket.IPPROTO_TCP, TCP_CONGESTION, b"cubic")
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))
    return s


def listener(port: int, address: str = "0.0.0.0", backlog: int = 512, protocol: int = 0,
             rcvbuf: int = 0) -> socket.socket:  # fmt: skip
    s = tcp(address, protocol=protocol, rcvbuf=rcvbuf)
    s.bind((address, port))
    s.listen(backlog)
    return s


def connected(address: str, port: int, *, protocol: int = 0, sndbuf: int = 0) -> socket.socket:
    """Tries again for 4 s: the other end may not listen yet."""
    for left in range(40, -1, -1):
        s = tcp(address, protocol=protocol, sndbuf=sndbuf)
        try:
            s.connect((address, port))
        except OSError:
            s.close()
            if not left:
                raise
            time.sleep(0.1)
        else:
            return s
    raise AssertionError


def exactly(c: socket.socket, n: int) -> bytes:
    got = b""
    while len(got) < n:
        part = c.recv(n - len(got))
        if not part:
            raise EOFError
        got += part
    return got


def each(server: socket.socket, fn: Callable[[socket.socket], object]) -> None:
    """A thread for each connection."""

    def one(c: socket.socket) -> None:
        with c, contextlib.suppress(EOFError, OSError):
            fn(c)

    while True:
        c, _ = server.accept()
        threading.Thread(target=one, args=(c,), daemon=True).start()


def answer(
    F: mmap, port: int, *, request: int = 100, size: int = 200, think_s: float = 0.0,
    address: str = "0.0.0.0", protocol: int = 0,
) -> None:  # fmt: skip
    """A server: a request, a while, an answer."""

    def one(c: socket.socket) -> None:
        while True:
            exactly(c, request)
            time.sleep(think_s)
            c.sendall(b"a" * size)

    each(listener(port, address, protocol=protocol), one)


def ask(
    F: mmap, address: str, port: int, gap_s: float, *, request: int = 100, size: int = 200,
    connections: int = 1, protocol: int = 0,
) -> None:  # fmt: skip
    """Its client."""

    def one() -> None:
        s = connected(address, port, protocol=protocol)
        with contextlib.suppress(EOFError, OSError):
            while not F[1]:
                s.sendall(b"q" * request)
                exactly(s, size)
                time.sleep(gap_s)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def drain(
    F: mmap, port: int, *, read: int = 65536, sleep_s: float = 0.0, lowat: int = 0,
    after: Callable[[bytes], object] | None = None, address: str = "0.0.0.0", rcvbuf: int = 0,
) -> None:  # fmt: skip
    """Reads; under fault sleeps before each read, or works after it."""

    def one(c: socket.socket) -> None:
        if lowat:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, lowat)
        while True:
            if F[0]:
                time.sleep(sleep_s)
            data = c.recv(read)
            if not data:
                return
            if F[0] and after is not None:
                after(data)

    each(listener(port, address, rcvbuf=rcvbuf), one)


def pour(
    F: mmap, address: str, port: int, size: int, gap_s: float, *, sndbuf: int = 0,
    nodelay: bool = True, under_fault: bool = False,
) -> None:  # fmt: skip
    """Writes size bytes every gap_s; 0: as fast as it can; under_fault: then alone."""
    s = connected(address, port, sndbuf=sndbuf)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))
    data = b"x" * size
    due = time.monotonic()
    while not F[1]:
        if under_fault and not F[0]:
            time.sleep(0.02)
            continue
        s.sendall(data)
        due = max(due + gap_s, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()) if gap_s else 0)


def brief(F: mmap, address: str, port: int, per_s: float) -> None:
    """Short connections, each a request and an answer, none waits for another."""

    def one() -> None:
        with contextlib.suppress(EOFError, OSError), tcp(address) as s:
            s.settimeout(20)
            s.connect((address, port))
            s.sendall(b"q" * 100)
            exactly(s, 200)

    while not F[1]:
        threading.Thread(target=one, daemon=True).start()
        time.sleep(1 / per_s)


def serve_brief(
    F: mmap, port: int, *, backlog: int = 128, sleep_s: float = 0.0, address: str = "0.0.0.0"
) -> None:
    """Accepts one after the other; under fault late."""
    server = listener(port, address, backlog=backlog)
    while True:
        if F[0]:
            time.sleep(sleep_s)
        c, _ = server.accept()
        with c, contextlib.suppress(EOFError, OSError):
            exactly(c, 100)
            c.sendall(b"a" * 200)


def hold(F: mmap, address: str, port: int, n: int) -> None:
    """Idle connections."""
    kept = [connected(address, port) for _ in range(n)]
    for s in kept:
        s.sendall(b"q" * 100)
        exactly(s, 200)
    while not F[1]:
        time.sleep(0.5)


def flood(F: mmap, address: str, port: int, size: int) -> None:
    """Datagrams as fast as one thread sends them, under fault."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((address, port))
        data = b"u" * size
        while not F[1]:
            if not F[0]:
                time.sleep(0.05)
                continue
            for _ in range(200):
                with contextlib.suppress(OSError):
                    s.send(data)


def swallow(F: mmap, port: int) -> None:
    """Takes datagrams, answers none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("0.0.0.0", port))
        while True:
            s.recv(65536)
