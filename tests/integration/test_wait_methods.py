"""The methods of the RX queue wait beside each other, on a kernel that has more than one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.collect import PollOptions
from nettop.model.types import PlaneHas
from nettop.poller import LiveFeed
from nettop.sources import RX_METHODS, PlaneOptions
from tests.integration.namespaces import namespace, needs_root
from tests.integration.sends import near
from tests.integration.test_wait import Pair, in_focus, row_of, waited

pytestmark = needs_root


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    with namespace() as name:
        yield name


@pytest.fixture
def pair(space: str) -> Iterator[Pair]:
    with closing(Pair(space)) as made:
        yield made


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.1])
def test_without_sk_data_ready(space: str, pair: Pair, seconds: float) -> None:
    """The method of kernels before 6.3, on this one."""
    options = PollOptions(netns=(space,), rows_all=True, planes=PlaneOptions(rx_method="tcp_probe"))
    with closing(LiveFeed(options)) as feed:
        in_focus(feed, pair.late)
        waits, sent = [], []
        for _ in range(3):
            pair.peer.sendall(b"x" * 500)
            sent.append(time.monotonic_ns())
            time.sleep(seconds)
        pair.late.recv(65536)
        now = time.monotonic_ns()
        waits = [now - at for at in sent]
        dist = waited(feed, pair.late)
        assert dist.count == 3
        assert dist.sum_ns == near(sum(waits))
        assert dist.max_ns == near(max(waits))
        assert row_of(feed, pair.late).plane.has & PlaneHas.WAIT_PROBE
        model = feed.latest()
        assert model is not None
        status = model.source("wait")
        assert status is not None
        assert (status.state, status.method) == ("partial", "tcp_probe")


@pytest.mark.parametrize("method", RX_METHODS)
def test_what_a_reader_does_not_want_yet_does_not_wait(space: str, pair: Pair, method: str) -> None:
    """Below SO_RCVLOWAT no method counts; what makes it enough, or the end, counts it all."""
    planes = PlaneOptions(rx_method=method, bpf_budget_pct=100)
    with closing(LiveFeed(PollOptions(netns=(space,), rows_all=True, planes=planes))) as feed:
        model = feed.tick()
        status = model.source("wait")
        assert status is not None
        if status.method != method:
            pytest.skip(f"{method} cannot be loaded here: {status.reason}")
        pair.late.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
        in_focus(feed, pair.late)
        for ends in (False, True):
            pair.peer.sendall(b"x" * 500)
            time.sleep(0.1)
            if ends:
                pair.peer.close()
            else:
                pair.peer.sendall(b"x" * 500)
            readable = time.monotonic_ns()
            time.sleep(0.03)
            pair.late.recv(1000)
            now = time.monotonic_ns()
            dist = waited(feed, pair.late)
            assert (dist.count, dist.max_ns) == (1, near(now - readable)), ends
