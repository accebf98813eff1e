"""MPTCP sockets, whose reads nothing traces: those that are read, and those that are not."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.collect import PollOptions
from nettop.findings.look import Look
from nettop.findings.plain import text_of
from nettop.findings.values import Report
from nettop.model.types import Flag, Row, Verdict
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from nettop.text.words import who_text
from tests.integration.namespaces import namespace, needs_root
from tests.integration.sends import cookie_of
from tests.integration.test_diag import mptcp_pair

pytestmark = [
    needs_root,
    pytest.mark.skipif(not Path("/proc/sys/net/mptcp").exists(), reason="a kernel without MPTCP"),
]


@pytest.fixture
def space() -> Iterator[str]:
    with namespace() as name:
        yield name


def looked(space: str, late: socket.socket, seconds: float, *, bpf: bool) -> tuple[Row, Report]:
    """The socket in the last tick of those seconds, and what nettop why says of them."""
    options = PollOptions(netns=(space,), planes=PlaneOptions(bpf=bpf))
    with closing(LiveFeed(options)) as feed:
        look, end = Look(), time.monotonic() + seconds
        while time.monotonic() < end:
            look.take(feed.tick(), feed)
            time.sleep(0.5)
        row = feed.find(cookie_of(late))
        assert row is not None
        return row, look.report()


def busy(stop: threading.Event, what: Callable[[], object], gap_s: float) -> None:
    while not stop.wait(gap_s):
        what()


@pytest.mark.parametrize("bpf", [False, True])
def test_one_that_is_never_read_is_found(space: str, bpf: bool) -> None:
    with ExitStack() as stack:
        client, late = mptcp_pair(stack, space, "127.0.0.1")
        client.sendall(b"x" * 1000)
        sent = time.monotonic()
        row, report = looked(space, late, 2, bpf=bpf)
        most_ms = (time.monotonic() - sent) * 1e3
        assert row.verdicts == [Verdict.UNREAD]
        assert (who_text(row), row.flags & Flag.UNREAD_EXACT) == ("app?", 0)
        assert most_ms - 1000 < row.rec.oldest_unread_ms <= most_ms
        (finding,) = report.findings
        assert finding.worst.row.cookie == row.cookie
        assert "of memory unread for at least" in " ".join(text_of(report).split())
        assert not [e for e in finding.worst.said.proof if e.source == "split"], "it is not seen"
        late.recv(4096)
        row, _ = looked(space, late, 0.1, bpf=bpf)
        assert not row.flags & Flag.OLDEST_UNREAD


def test_one_that_gets_little_at_a_time_is_found(space: str) -> None:
    with ExitStack() as stack:
        client, late = mptcp_pair(stack, space, "127.0.0.1")
        stop = threading.Event()
        sender = threading.Thread(target=busy, args=(stop, lambda: client.send(b"x" * 100), 0.05))
        sender.start()
        stack.callback(sender.join)
        stack.callback(stop.set)
        row, report = looked(space, late, 7, bpf=False)
        assert row.verdicts == [Verdict.UNREAD]
        assert who_text(row) == "app?"
        assert row.rec.oldest_unread_ms < 200, "more is not proved"
        assert "it grows by all that comes" in " ".join(text_of(report).split())


def test_one_that_is_read_is_well(space: str) -> None:
    """Also where it holds something whenever one looks."""
    with ExitStack() as stack:
        client, late = mptcp_pair(stack, space, "127.0.0.1")
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stop = threading.Event()
        threads = [
            threading.Thread(target=busy, args=(stop, lambda: client.send(b"x" * 100), 0.005)),
            threading.Thread(target=busy, args=(stop, lambda: os.read(late.fileno(), 65536), 0.02)),
        ]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(client.send, b"the end")  # wakes the reader, which then sees the event
        stack.callback(stop.set)
        row, report = looked(space, late, 6, bpf=True)
        assert row.verdicts == []
        assert not [f for f in report.findings if f.worst.verdict == Verdict.UNREAD]
        assert "reads of MPTCP sockets are not traced" in str(report.unknown)
