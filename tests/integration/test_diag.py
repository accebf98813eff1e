"""The diag plane against the kernel: which sockets are listed, and what is said if a dump fails."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from nettop.collect import PollOptions
from nettop.model.types import Proto, Row
from nettop.planes import PlaneOptions
from nettop.poller import LiveFeed
from tests.integration.namespaces import inside, namespace, needs_root, run

pytestmark = needs_root

IPPROTO_MPTCP = 262
NO_BPF = PlaneOptions(bpf=False)


@pytest.fixture
def space() -> Iterator[str]:
    with namespace() as name:
        yield name


def rows_of(feed: LiveFeed) -> list[Row]:
    feed.tick()
    return list(feed.window(0, feed.count()))


def mptcp_pair(stack: ExitStack, name: str, host: str) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    make = partial(socket.socket, family, socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener, client = (stack.enter_context(inside(name, make)) for _ in range(2))
    listener.bind((host, 0))
    listener.listen(9)
    client.connect(listener.getsockname()[:2])
    server, _ = listener.accept()
    return client, stack.enter_context(server)


@pytest.mark.skipif(not Path("/proc/sys/net/mptcp").exists(), reason="a kernel without MPTCP")
@pytest.mark.needs_tools("ss")
def test_mptcp_sockets_are_those_of_ss(space: str) -> None:
    with ExitStack() as stack:
        for host in ("127.0.0.1", "::1"):
            client, _ = mptcp_pair(stack, space, host)
            client.sendall(b"x" * 700)
        said = run("ip", "netns", "exec", space, "ss", "-HManeO").splitlines()
        options = PollOptions(netns=(space,), rows_all=True, planes=NO_BPF)
        feed = stack.enter_context(closing(LiveFeed(options)))
        rows = {r.cookie: r for r in rows_of(feed) if r.proto == Proto.MPTCP}
        assert len(said) == 6
        for line in said:
            found = re.search(r"sk:([0-9a-f]+)", line)
            assert found is not None
            row = rows.pop(int(found[1], 16))
            state, rqueue, wqueue, local, remote, *_ = line.split()
            assert {"ESTAB": "ESTABLISHED"}.get(state, state) == row.state_name
            assert (int(rqueue), int(wqueue)) == (row.rec.rqueue, row.rec.wqueue)
            assert local.endswith(f":{row.rec.sport}")
            assert remote.endswith(f":{row.rec.dport or '*'}")
        assert not rows
        model = feed.latest()
        assert model is not None
        assert model.totals.mptcp == 6
