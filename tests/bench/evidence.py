"""What evidence beside the sockets costs: CPU of a tick by part, and bytes of a frame.

python -m tests.bench.evidence [SOCKETS]: so many idle ones, then some of them with data unread.
"""

from __future__ import annotations

import json
import resource
import socket
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import wraps
from typing import Any

from nettop.collect import MOST_ASKED_OF, PollOptions
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions, hostnet
from nettop.sources.evidence import HostEvidence
from nettop.sources.threads import MOST_PROCESSES
from nettop.store.facts import changes, plain_of
from tests.integration.namespaces import inside, namespace

TICKS = 12


def timed(call: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    """The same, its CPU noted in ms."""

    @wraps(call)
    def run(*args: Any, **more: Any) -> Any:
        begun = time.thread_time_ns()
        out = call(*args, **more)
        into.append((time.thread_time_ns() - begun) / 1e6)
        return out

    return run


def measure(feed: LiveFeed, what: str) -> None:
    collector = feed._collector
    made: Any = HostEvidence()
    parts: dict[str, list[float]] = {}
    for name in ("_softnet", "_pressure", "_devices", "_qdiscs", "read"):
        setattr(made, name, timed(getattr(made, name), parts.setdefault(name.strip("_"), [])))
    for name in ("read", "cgroups"):
        key = "threads" if name == "read" else name
        call = getattr(made._threads, name)
        setattr(made._threads, name, timed(call, parts.setdefault(key, [])))
    counters: list[float] = []
    sick: list[float] = []
    bytes_: list[int] = []
    before: dict[str, Any] = {}
    deriver, engine = collector.deriver, collector.engine
    causes: dict[str, list[float]] = {}
    for owner, name in (
        (deriver, "_judge_by"), (engine, "candidates"), (engine, "late"), (engine, "causes"),
        (deriver._finder, "tick"),
    ):  # fmt: skip
        key = "finder" if name == "tick" else name.strip("_")
        setattr(owner, name, timed(getattr(owner, name), causes.setdefault(key, [])))
    for _ in range(TICKS):
        feed.tick()
        read = timed(hostnet.read, counters)
        of = {netns: read(files).evidence for netns, files in collector._fds.items()}
        pids = timed(collector.engine.sick_pids, sick)(MOST_PROCESSES + 1)
        asked = engine.candidates(MOST_ASKED_OF, late=made.last.queue_stands)
        evidence = made.read(of, time.monotonic_ns(), collector._fds, pids, asked)
        plain = plain_of(evidence)
        bytes_.append(len(json.dumps(changes(before, plain))))
        before = plain
        time.sleep(1)
    print(f"{what}: {len(pids)} processes looked at, {len(evidence.processes)} read")
    parts = {"counters": counters, "sick": sick, **parts}
    parts |= causes
    total = statistics.median(parts["read"]) + statistics.median(sick)
    for name, values in parts.items():
        if values:
            print(f"  {name:10} {statistics.median(values):7.3f} ms, most {max(values):7.3f}, "
                  f"{len(values)} reads")  # fmt: skip
    print(f"  {'in sum':10} {total:7.3f} ms a tick, without counters and causes; JSON: "
          f"{statistics.median(bytes_[1:]):.0f} bytes a tick, first {bytes_[0]}")  # fmt: skip


def main(sockets: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * sockets + 500), most))
    with namespace() as name, ExitStack() as stack:
        server = stack.enter_context(
            inside(name, lambda: socket.create_server(("127.0.0.1", 0), backlog=4096))
        )

        def connect() -> list[tuple[socket.socket, socket.socket]]:
            made = []
            for _ in range(sockets // 2):
                client = socket.create_connection(server.getsockname())
                made.append((client, server.accept()[0]))
            return made

        pairs = inside(name, connect)
        for pair in pairs:
            stack.callback(pair[0].close)
            stack.callback(pair[1].close)
        options = PollOptions(netns=(name,), planes=PlaneOptions(bpf=False))
        feed = stack.enter_context(closing(LiveFeed(options)))
        measure(feed, f"{sockets} sockets, all well")
        for client, _ in pairs[:500]:
            client.sendall(b"x")
        for _ in range(4):
            time.sleep(1)
            feed.tick()
        measure(feed, "500 of them with data unread")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
