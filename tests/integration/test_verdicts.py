"""Verdicts over real sockets in namespaces made for the test: who is accused, and of what."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from nettop.collect import PollOptions
from nettop.model.explain import explain
from nettop.model.types import Level, Row, Verdict
from nettop.model.words import who_text, why_text
from nettop.planes import PlaneOptions
from nettop.poller import LiveFeed
from tests.integration.namespaces import inside, needs_root, pair, run
from tests.integration.sends import connection, cookie_of, shaped

pytestmark = needs_root

NO_BPF = PlaneOptions(bpf=False)
SO_SNDBUFFORCE = 32
NOBODY = "10.9.0.77"  # a neighbour whose packets end in the other namespace


def looked_at(name: str, *socks: socket.socket, looks: int = 3) -> list[Row]:
    """The sockets as a nettop shows them that has just come, after a few quick looks."""
    with closing(LiveFeed(PollOptions(netns=(name,), planes=NO_BPF))) as feed:
        feed.tick()
        for _ in range(looks - 1):
            time.sleep(0.12)
            feed.tick()
        rows = [feed.find(cookie_of(sock)) for sock in socks]
    assert all(rows)
    return [row for row in rows if row is not None]


def sentence(row: Row) -> str:
    """The evidence in words; the sockets' details are not needed for what is asked here."""
    return explain(row, None, None, None).evidence  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cut() -> Iterator[tuple[str, list[socket.socket]]]:
    """Four seconds after a path was cut: a sender, a connect(), an idle one with keepalive."""
    with pair() as (here, there), ExitStack() as stack:
        sender, receiver = connection(here, there, "10.9.0.2")
        idle, other = connection(here, there, "10.9.0.2")
        connecting = inside(here, lambda: socket.socket(socket.AF_INET))
        for sock in (sender, receiver, idle, other, connecting):
            stack.enter_context(sock)
        sender.sendall(b"x" * 1000)
        receiver.recv(1000, socket.MSG_WAITALL)
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        idle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        idle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        idle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 100)
        run("ip", "-n", here, "neigh", "add", NOBODY, "lladdr", "02:00:00:00:00:77", "dev", "v0")
        run("ip", "-n", there, "addr", "del", "10.9.0.2/24", "dev", "v0")
        connecting.setblocking(False)
        with pytest.raises(BlockingIOError):
            connecting.connect((NOBODY, 443))
        sender.sendall(b"x" * 10_000)
        time.sleep(4.3)
        yield here, [sender, connecting, idle]


def test_what_nobody_answers_is_said_also_between_two_time_outs(
    cut: tuple[str, list[socket.socket]],
) -> None:
    """Backoff makes them rare, and nettop may come late; the state lasts."""
    here, socks = cut
    sender, connecting, idle = looked_at(here, *socks)
    for row, word in ((sender, "RTO"), (connecting, "SYN"), (idle, "keepal")):
        assert row.verdicts[:1] == [Verdict.RTO], word
        assert (why_text(row) or "").startswith(f"{word} x")
        assert who_text(row) == "net"
        assert row.level is Level.UNWELL
        assert "this end cannot tell" in sentence(row), sentence(row)


def test_one_look_is_enough_where_the_number_itself_spans_more(
    cut: tuple[str, list[socket.socket]],
) -> None:
    here, socks = cut
    for row in looked_at(here, *socks, looks=1):
        assert row.verdicts[:1] == [Verdict.RTO], why_text(row)


def test_an_idle_connection_is_not_judged_by_its_last_exchange() -> None:
    """A few messages wait 0.14 s each behind 140 KB at 1 MB/s; afterwards nobody knows the path."""
    with pair() as (here, there), shaped(here):
        sender, receiver = connection(here, there, "10.9.0.2")
        bulk = inside(here, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with sender, receiver, bulk:
            bulk.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)
            for _ in range(6):
                for _ in range(100):
                    bulk.sendto(bytes(1400), ("10.9.0.2", 9))
                sender.sendall(b"x")
                receiver.recv(1)
            time.sleep(0.1)
            (row,) = looked_at(here, sender)
    assert row.rec.rtt_us > row.rec.min_rtt_us + 45_000, "the exchanges were not slow"
    assert row.verdicts == []
