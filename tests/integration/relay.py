"""A link between two namespaces that holds every packet for a while: tun devices and a thread."""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.integration.namespaces import inside, namespace, run

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
MOST_BYTES = 65536


class Relay:
    """Passes packets on after delay_ns each way; `shape` may drop, repeat or hold one longer."""

    def __init__(self, first: int, second: int, delay_ns: int) -> None:
        self.delay_ns = delay_ns
        # From a packet's number to how often and how much later it is passed on.
        self.shape: Callable[[int], list[int]] = lambda _number: [0]
        self.held_ns: list[int] = []  # how long each packet really was held
        self._fds = (first, second)
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run, name="relay")
        self._thread.start()

    def _run(self) -> None:
        due: list[tuple[int, int, int, int, bytes]] = []
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
                    heapq.heappush(due, (at, number, now, to, packet))
                number += 1
            while due and due[0][0] <= time.monotonic_ns():
                _, _, came, to, packet = heapq.heappop(due)
                os.write(to, packet)
                self.held_ns.append(time.monotonic_ns() - came)

    def close(self) -> None:
        os.write(self._woken, b"x")
        self._thread.join()
        for fd in (*self._fds, self._wake, self._woken):
            os.close(fd)


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
