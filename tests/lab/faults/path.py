"""A path of two tun devices: a process passes packets on, late, marked, or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import mmap
import os
import random
import select
import signal
import socket
import struct
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
CLONE_NEWNET = 0x40000000
MOST_BYTES = 65536
# What one sets while it runs: offsets of doubles.
THINNED, MARKED, LOST = 0, 8, 16
MOST_THINNED = 3  # ACKs in a row


class Path:
    """delay_s each way; packets from A may be marked (CE) or lost, with a probability each, and
    ACKs from B thinned: one that waits is dropped for a newer one, up to three in a row."""

    def __init__(self, delay_s: float, first: str, second: str) -> None:
        self._set = mmap.mmap(-1, 4096)
        ready, told = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                fds = [_tun(first), _tun(second)]
                os.write(told, b"x")
                self._run(fds, delay_s)
            finally:
                os._exit(0)
        os.close(told)
        os.read(ready, 1)
        os.close(ready)

    def set(self, what: int, value: float) -> None:
        struct.pack_into("d", self._set, what, value)

    def _get(self, what: int) -> float:
        value: float = struct.unpack_from("d", self._set, what)[0]
        return value

    def _run(self, fds: list[int], delay_s: float) -> None:
        due: list[tuple[float, int, int, bytes]] = []
        number = last_ack = thinned = 0
        dropped: set[int] = set()
        while True:
            left = max(0.0, due[0][0] - time.monotonic()) if due else None
            ready, _, _ = select.select(fds, [], [], left)
            now = time.monotonic()
            for fd in ready:
                packet = os.read(fd, MOST_BYTES)
                if fd == fds[0] and not (packet := self._shaped(packet)):
                    continue
                number += 1
                if fd == fds[1] and self._get(THINNED) and _is_ack(packet):
                    waits = any(n == last_ack for _, n, _, _ in due)
                    thinned = thinned + 1 if waits and thinned < MOST_THINNED else 0
                    if thinned:
                        dropped.add(last_ack)
                    last_ack = number
                to = fds[1] if fd == fds[0] else fds[0]
                heapq.heappush(due, (now + delay_s, number, to, packet))
            while due and due[0][0] <= time.monotonic():
                _, which, to, packet = heapq.heappop(due)
                if which in dropped:
                    dropped.remove(which)
                    continue
                with contextlib.suppress(OSError):  # a device that is not up yet
                    os.write(to, packet)

    def _shaped(self, packet: bytes) -> bytes:
        """Of A; empty: it is lost."""
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return packet
        if random.random() < self._get(LOST):
            return b""
        if packet[1] & 3 in (1, 2) and random.random() < self._get(MARKED):
            return _marked(packet)
        return packet


def _is_ack(packet: bytes) -> bool:
    """A segment of TCP that only acknowledges."""
    if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
        return False
    head = 4 * (packet[0] & 15)
    data = len(packet) - head - 4 * (packet[head + 12] >> 4)
    return not data and packet[head + 13] == 0x10


def _marked(packet: bytes) -> bytes:
    """With CE in its header, whose checksum is made anew."""
    n = 4 * (packet[0] & 15)
    head = bytearray(packet[:n])
    head[1] |= 3
    head[10:12] = b"\0\0"
    total = sum(struct.unpack(f"!{n // 2}H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = struct.pack("!H", ~total & 0xFFFF)
    return bytes(head) + packet[n:]


def _tun(netns: str) -> int:
    """t0 in this namespace, which the process is in afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    space = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    if libc.setns(space, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(space)
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"t0", IFF_TUN | IFF_NO_PI))
    return fd
