"""Connections whose sends are stamped, for the tests of the TX stages."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from nettop.collect import PollOptions
from nettop.model.types import Plane
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions, stages
from nettop.sources.cgroups import Reached, find_mount
from nettop.sources.mounts import read_mounts
from tests.integration.namespaces import inside, run

SO_COOKIE, SO_TIMESTAMPING, SO_TIMESTAMPNS, TCP_QUICKACK = 57, 37, 35, 12
# The contract: within 3 % or 50 µs; on a machine that is emulated 10 % or 2 ms.
EMULATED = "NETTOP_EMULATED" in os.environ
REL, ABS_NS = (0.1, 2_000_000) if EMULATED else (0.03, 50_000)
MS = 1_000_000


def near(ns: float) -> object:
    return pytest.approx(ns, rel=REL, abs=ABS_NS)


def cookie_of(sock: socket.socket) -> int:
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), "little")


def cgroup_root() -> str:
    root = find_mount(read_mounts())
    assert root is not None, "no cgroup v2 is mounted"
    return root


@contextmanager
def feed_of(*names: str, every: int | None = None) -> Iterator[LiveFeed]:
    options = PollOptions(netns=names, rows_all=True, planes=PlaneOptions(tx_sample=every))
    with closing(LiveFeed(options)) as feed:
        status = {s.name: s for s in feed._collector.planes.statuses()}["stages"]
        assert feed._collector.planes.stages is not None, status.reason
        feed.tick()
        yield feed


def connection(
    client_in: str, server_in: str, host: str = "127.0.0.1", *, nodelay: bool = True
) -> tuple[socket.socket, socket.socket]:
    """A connected pair: the end that sends, the end that receives."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with inside(server_in, lambda: socket.create_server((host, 0), family=family)) as server:
        sender = inside(client_in, lambda: socket.socket(family))
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
        sender.connect(server.getsockname()[:2])
        receiver, _ = server.accept()
        receiver.settimeout(5)
        return sender, receiver


def select(feed: LiveFeed, *socks: socket.socket) -> None:
    """From here on their sends are stamped."""
    feed.select_tx([cookie_of(s) for s in socks])
    feed.tick()
    feed.tick()  # fine buckets are read once before they tell an interval


def sent(feed: LiveFeed, sock: socket.socket) -> Plane:
    """What the interval that ends now says of this socket."""
    feed.tick()
    row = feed.find(cookie_of(sock))
    assert row is not None
    return row.plane


def take(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(sock.recv(size))


@contextmanager
def plane_of(root: str | None = None) -> Iterator[stages.StagesPlane]:
    plane, status = stages.open_plane(Reached(root or cgroup_root()), None)
    assert plane is not None, status.reason
    try:
        yield plane
    finally:
        plane.close(lambda walk: walk(-1))


@contextmanager
def inside_walk(name: str) -> Iterator[stages.Walks]:
    fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        yield lambda walk: walk(fd)
    finally:
        os.close(fd)


def flag_set(name: str, sock: socket.socket) -> bool:
    """Whether a socket's SK_BPF_CB_FLAGS is set, asked through a plane of its own."""
    with plane_of() as probe:
        probe.select([cookie_of(sock)])
        with inside_walk(name) as walks:
            probe.apply(walks)
            found = probe.foreign
            probe.close(walks)
    assert found in (0, 1)
    return bool(found)


RATE, BURST = 1_000_000, 2048  # bytes/s, bytes


@contextmanager
def shaped(name: str, *, latency: str = "400ms", rate: int = RATE) -> Iterator[None]:
    """A token bucket on v0: what exceeds BURST leaves at that rate."""
    run("tc", "-n", name, "qdisc", "add", "dev", "v0", "root", "tbf",
        "rate", f"{rate * 8}bit", "burst", f"{BURST}b", "latency", latency)  # fmt: skip
    try:
        yield
    finally:
        run("tc", "-n", name, "qdisc", "del", "dev", "v0", "root")


@contextmanager
def stacked(veth: tuple[str, str]) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection that leaves through macvlan over v0."""
    first, second = veth
    run("ip", "-n", first, "link", "add", "m1", "link", "v0", "type", "macvlan", "mode", "bridge")
    run("ip", "-n", first, "addr", "add", "10.8.0.1/24", "dev", "m1")
    run("ip", "-n", first, "link", "set", "m1", "up")
    run("ip", "-n", second, "addr", "add", "10.8.0.2/24", "dev", "v0")
    try:
        sender, receiver = connection(first, second, "10.8.0.2")
        with sender, receiver:
            yield sender, receiver
    finally:
        run("ip", "-n", first, "link", "del", "m1")
        run("ip", "-n", second, "addr", "del", "10.8.0.2/24", "dev", "v0")


@contextmanager
def unreachable(veth: tuple[str, str]) -> Iterator[None]:
    """10.9.0.2 is nobody's address meanwhile: what is sent there is lost.

    The neighbour stays known afterwards: what waits for one to be found has not left yet.
    """
    mac = run("ip", "netns", "exec", veth[1], "cat", "/sys/class/net/v0/address").strip()
    run("ip", "-n", veth[0], "neigh", "replace", "10.9.0.2", "lladdr", mac, "dev", "v0")
    run("ip", "-n", veth[1], "addr", "del", "10.9.0.2/24", "dev", "v0")
    try:
        yield
    finally:
        run("ip", "-n", veth[1], "addr", "add", "10.9.0.2/24", "dev", "v0")


class Wire:
    """Times of data out and ACKs in, of one connection, from a packet socket."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock.setblocking(False)
        self._port = 0

    def watch(self, sock: socket.socket) -> None:
        time.sleep(0.1)  # stamping on reception is switched on late
        self._port = sock.getsockname()[1]
        self.seen()

    def seen(self) -> tuple[list[int], list[int]]:
        out: list[int] = []
        back: list[int] = []
        while True:
            try:
                data, control, _, _ = self._sock.recvmsg(2000, 100)
            except BlockingIOError:
                return out, back
            source, target = struct.unpack_from("!HH", data, 20)
            second, nano = struct.unpack("qq", control[0][2])
            total = struct.unpack_from("!H", data, 2)[0]
            payload = total - 20 - (data[32] >> 4) * 4
            if source == self._port and payload:
                out.append(second * 1_000_000_000 + nano)
            elif target == self._port and not payload:
                back.append(second * 1_000_000_000 + nano)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()
