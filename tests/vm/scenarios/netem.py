"""Networks of known delay, loss, reordering and duplication, which only guests have (sch_netem)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from nettop.collect import PollOptions
from nettop.model.types import Row, Stage
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions, stages
from tests.integration.namespaces import pair, run
from tests.integration.sends import connection, cookie_of, select

stages.SETTLE_S = stages.WALK_EVERY_S = 0.0  # a selection is put in force by the next tick


@contextmanager
def _network(*netem: str, back: bool = False) -> Iterator[tuple[str, str]]:
    """Two namespaces; what the first sends (back: the second) passes netem, packet by packet."""
    with pair() as (a, b):
        for name in (a, b):
            run("ip", "-n", name, "link", "set", "v0", "gso_max_segs", "1")
        run("tc", "-n", b if back else a, "qdisc", "add", "dev", "v0", "root", "netem",
            "limit", "10000", *netem)  # fmt: skip
        yield a, b


@contextmanager
def _traced(a: str, b: str) -> Iterator[tuple[LiveFeed, socket.socket, socket.socket]]:
    """A connection from a to b whose waits and sends are measured."""
    planes = PlaneOptions(bpf_budget_pct=100)
    with ExitStack() as stack:
        sender, receiver = connection(a, b, "10.9.0.2")
        stack.enter_context(sender)
        stack.enter_context(receiver)
        options = PollOptions(netns=(a, b), rows_all=True, planes=planes)
        feed = stack.enter_context(closing(LiveFeed(options)))
        feed.tick()
        select(feed, sender)
        yield feed, sender, receiver


def _row(feed: LiveFeed, sock: socket.socket) -> Row:
    row = feed.find(cookie_of(sock))
    assert row is not None
    return row


def _told(feed: LiveFeed, sender: socket.socket, receiver: socket.socket) -> dict[str, Any]:
    """What nettop says of both ends, in ns and counts."""
    out, back = _row(feed, sender), _row(feed, receiver)
    detail = feed.detail(cookie_of(sender))
    assert detail is not None
    methods = {s.name: s.method if s.state != "off" else None
               for s in feed._collector.planes.statuses()}  # fmt: skip
    return {
        "srtt_us": detail.tcp_info["rtt"],
        "total_retrans": detail.tcp_info["total_retrans"],
        "bytes_acked": detail.tcp_info["bytes_acked"],
        "bytes_received": (feed.detail(cookie_of(receiver)) or detail).tcp_info["bytes_received"],
        "wait": [back.plane.wait.count, back.plane.wait.p50_ns, back.plane.wait.p99_ns],
        "ack": [out.plane.tx[Stage.ACK].count, out.plane.tx[Stage.ACK].p50_ns] if out.plane.tx
        else [0, 0],
        "methods": methods,
    }  # fmt: skip


def _retrans_segs(name: str) -> int:
    """RetransSegs of /proc/net/snmp in a namespace."""
    lines = run("ip", "netns", "exec", name, "cat", "/proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(dict(zip(names, values, strict=True))["RetransSegs"])


def delay() -> dict[str, Any]:
    """30 ms on the way back; the reader reads at once."""
    with _network("delay", "30ms", back=True) as (a, b), _traced(a, b) as (feed, sender, receiver):
        for _ in range(15):
            sender.send(b"x" * 100)
            assert len(receiver.recv(100)) == 100
            time.sleep(0.05)
        feed.tick()
        return _told(feed, sender, receiver)


def _bulk(a: str, b: str, size: int) -> dict[str, Any]:
    with _traced(a, b) as (feed, sender, receiver):
        writer = threading.Thread(target=sender.sendall, args=(b"x" * size,))
        writer.start()
        left = size
        receiver.settimeout(30)
        while left:
            left -= len(receiver.recv(min(left, 1 << 16)))
        writer.join()
        time.sleep(0.2)
        feed.tick()
        told = _told(feed, sender, receiver)
        told["retrans_segs"] = _retrans_segs(a)
        told["size"] = size
        return told


def loss() -> dict[str, Any]:
    """2 % of the packets are lost."""
    with _network("delay", "5ms", "loss", "2%") as (a, b):
        return _bulk(a, b, 1_000_000)


def reorder() -> dict[str, Any]:
    """5 % of the packets overtake the others by 20 ms."""
    with _network("delay", "20ms", "reorder", "5%") as (a, b):
        return _bulk(a, b, 500_000)


def duplicate() -> dict[str, Any]:
    """5 % of the packets come twice."""
    with _network("delay", "5ms", "duplicate", "5%") as (a, b):
        return _bulk(a, b, 1_000_000)
