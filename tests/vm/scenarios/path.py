"""The path plane: fentry hooks, on packets stamped at their reception."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import Any

from nettop.collect import PollOptions
from nettop.model.path import Hook
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from tests.integration.namespaces import inside, pair
from tests.integration.sends import connection

LATE_S = 0.05


def late_readers() -> dict[str, Any]:
    """A TCP and a UDP reader that come 50 ms late, five times; by hook: count, p50 and max.

    `late`: at most so late was each of them, in order.
    """
    with pair() as (a, b):
        sender, receiver = connection(a, b, "10.9.0.2")
        far = inside(b, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        near = inside(a, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        planes = PlaneOptions(bpf_budget_pct=100, path=True)
        with sender, receiver, far, near, closing(LiveFeed(PollOptions(planes=planes))) as feed:
            status = {s.name: s for s in feed._collector.planes.statuses()}["path"]
            told: dict[str, Any] = {"status": [status.state, status.method, status.reason]}
            if status.state == "off":
                return told
            far.bind(("10.9.0.2", 0))
            near.connect(far.getsockname())
            time.sleep(0.2)  # the kernel switches stamping on by a work queue
            sender.send(b"x")
            near.send(b"x")
            receiver.recv(1)
            far.recv(1)
            feed.tick()
            late: dict[str, list[int]] = {"TCP_READ": [], "UDP_READ": []}
            for _ in range(5):
                for name, source, reader in (
                    ("TCP_READ", sender, receiver),
                    ("UDP_READ", near, far),
                ):
                    sent_ns = time.monotonic_ns()
                    source.send(b"x" * 100)
                    time.sleep(LATE_S)
                    reader.recv(100)
                    late[name].append(time.monotonic_ns() - sent_ns)
            told["late"] = {name: sorted(ns) for name, ns in late.items()}
            model = feed.tick()
            assert model.path is not None
            for hook, seen in model.path.items():
                d = seen.now.dist
                told[hook.name] = [d.count, d.p50_ns, d.max_ns, *seen.counts]
    return told


def stamping_ends() -> dict[str, int]:
    """Waits that a socket without a wish for stamps is told: none once the plane is closed."""
    planes = PlaneOptions(path=True)
    with closing(LiveFeed(PollOptions(planes=planes))) as feed:
        feed.tick()
        time.sleep(0.2)
        on = _stamped()
    time.sleep(0.5)
    return {"on": on, "after": _stamped(), "hooks": len(Hook)}


def _stamped() -> int:
    """Datagrams of ten that carry a stamp although nobody here asks for stamping."""
    from nettop.engine.stamps import Buffers, enable
    from nettop.stamps import Flag

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b,
    ):
        b.bind(("127.0.0.1", 0))
        enable(b.fileno(), int(Flag.SOFTWARE))  # reports stamps, does not make them
        buffers = Buffers()
        stamped = 0
        for _ in range(10):
            a.sendto(b"x", b.getsockname())
            time.sleep(0.01)
            _, stamp = buffers.recv(b.fileno(), 100, 0)
            stamped += stamp.software_ns is not None
    return stamped
