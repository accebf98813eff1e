"""A link between two namespaces that holds every packet for a while: tun devices and a thread.

How long a packet really took is asked of the kernel, which stamps it as it leaves the one device
and as it comes in at the other: a thread that is late, on a busy machine, is part of the answer.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.integration.namespaces import inside, namespace, run

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
MOST_BYTES = 65536
SO_TIMESTAMPNS = 35


class Relay:
    """Passes packets on after delay_ns each way; `shape` may drop, repeat or hold one longer."""

    def __init__(self, first: int, second: int, delay_ns: int) -> None:
        self.delay_ns = delay_ns
        # From a packet's number to how often and how much later it is passed on.
        self.shape: Callable[[int], list[int]] = lambda _number: [0]
        self._fds = (first, second)
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="relay")
        self._thread.start()

    def _run(self) -> None:
        due: list[tuple[int, int, int, bytes]] = []
        number = 0
        while True:
            left = max(0, due[0][0] - time.monotonic_ns()) / 1e9 if due else None
            ready, _, _ = select.select([*self._fds, self._wake], [], [], left)
            now = time.monotonic_ns()
            if self._wake in ready:
                return
            for fd in ready:
                packet = os.read(fd, MOST_BYTES)
                to = self._fds[1] if fd == self._fds[0] else self._fds[0]
                for later_ns in self.shape(number):
                    at = now + self.delay_ns + later_ns
                    heapq.heappush(due, (at, number, to, packet))
                number += 1
            while due and due[0][0] <= time.monotonic_ns():
                _, _, to, packet = heapq.heappop(due)
                os.write(to, packet)

    def close(self) -> None:
        os.write(self._woken, b"x")
        self._thread.join()
        for fd in (*self._fds, self._wake, self._woken):
            os.close(fd)


class Tap:
    """The packets of t0 in this namespace, each with the kernel's stamp."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.sock.bind(("t0", 3))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setblocking(False)
        self._left: dict[bytes, int] = {}
        self._came: dict[bytes, int] = {}

    def read(self) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """When packets left, when they came in."""
        while True:
            try:
                packet, control, _, address = self.sock.recvmsg(MOST_BYTES, 100)
            except BlockingIOError:
                return self._left, self._came
            second, nano = struct.unpack("qq", control[0][2])
            times = self._left if address[2] == socket.PACKET_OUTGOING else self._came
            times.setdefault(packet, second * 1_000_000_000 + nano)


def crossings(here: Tap, there: Tap, least_bytes: int) -> list[int]:
    """How long packets of at least that size took from here to there, in their order."""
    left, _ = here.read()
    _, came = there.read()
    return [came[p] - at for p, at in left.items() if len(p) >= least_bytes and p in came]


@contextmanager
def tapped(*names: str) -> Iterator[list[Tap]]:
    taps = [inside(name, Tap) for name in names]
    try:
        yield taps
    finally:
        for tap in taps:
            tap.sock.close()


def _tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


@contextmanager
def relayed(delay_ns: int) -> Iterator[tuple[str, str, Relay]]:
    """Two namespaces, 10.7.0.1 and 10.7.0.2, and the relay between them."""
    with namespace() as a, namespace() as b:
        fds = [inside(name, lambda: _tun("t0")) for name in (a, b)]
        for name, last, other in ((a, "1", "2"), (b, "2", "1")):
            run("ip", "-n", name, "addr", "add", f"10.7.0.{last}", "peer", f"10.7.0.{other}",
                "dev", "t0")  # fmt: skip
            run("ip", "-n", name, "link", "set", "t0", "up")
        relay = Relay(fds[0], fds[1], delay_ns)
        try:
            yield a, b, relay
        finally:
            relay.close()
