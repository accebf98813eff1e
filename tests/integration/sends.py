"""Connections whose sends are stamped, for the tests of the TX stages."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from nettop.collect import PollOptions
from nettop.model.types import Plane
from nettop.planes import PlaneOptions, stages
from nettop.poller import LiveFeed
from nettop.sources.cgroups import find_mount
from nettop.sources.mounts import read_mounts
from tests.integration.namespaces import inside

SO_COOKIE, SO_TIMESTAMPING, SO_TIMESTAMPNS, TCP_QUICKACK = 57, 37, 35, 12
REL, ABS_NS = 0.03, 50_000  # the contract: within 3 % or 50 µs
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
    plane, status = stages.open_plane(root or cgroup_root(), None)
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
