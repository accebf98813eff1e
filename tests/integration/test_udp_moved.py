"""What UDP sockets move, against what the program itself counts and what the host does."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from nettop.collect import PollOptions
from nettop.model.types import PlaneHas, UdpMoved
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from nettop.text.fields import FIELDS
from tests.integration.namespaces import inside, needs_root
from tests.integration.test_wait import Pair, row_of

pytestmark = needs_root
ROLL_S = 0.1  # a shorter interval has no rates
Ends = tuple[socket.socket, socket.socket]


@pytest.fixture(scope="module")  # each test has sockets of its own
def feed(space: str) -> Iterator[LiveFeed]:
    planes = PlaneOptions(bpf_budget_pct=100)
    with closing(LiveFeed(PollOptions(netns=(space,), rows_all=True, planes=planes))) as made:
        made.tick()
        yield made


@pytest.fixture
def udp(space: str) -> Iterator[Ends]:
    """Who sends, who reads."""
    peer, late = inside(space, lambda: [socket.socket(type=socket.SOCK_DGRAM) for _ in "ab"])
    with peer, late:
        late.bind(("127.0.0.1", 0))
        late.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        peer.connect(late.getsockname())
        yield peer, late


def snmp(name: str, space: str) -> dict[str, int]:
    def read() -> list[list[str]]:
        lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
        return [line.split()[1:] for line in lines if line.startswith(f"{name}:")]

    names, values = inside(space, read)
    return dict(zip(names, map(int, values), strict=True))


def moved(feed: LiveFeed, sock: socket.socket) -> UdpMoved:
    plane = row_of(feed, sock).plane
    assert plane.has & PlaneHas.UDP
    return plane.udp


def test_every_datagram_is_counted(space: str, feed: LiveFeed, udp: Ends) -> None:
    peer, late = udp
    sizes = [0, 1, 100, 1400, 9000] * 40
    feed.tick()
    before = snmp("Udp", space)
    for size in sizes:
        peer.send(b"x" * size)
        late.recv(65536)
    with suppress(BlockingIOError):
        late.recv(10, socket.MSG_DONTWAIT)
    after = snmp("Udp", space)
    time.sleep(ROLL_S)
    feed.tick()
    sent, read = moved(feed, peer), moved(feed, late)
    assert (sent.tx_datagrams, sent.tx_bytes, sent.rx_bytes) == (200, sum(sizes), 0)
    assert (read.rx_datagrams, read.rx_bytes, read.tx_datagrams) == (200, sum(sizes), 0)
    assert after["InDatagrams"] - before["InDatagrams"] == read.rx_datagrams
    assert after["OutDatagrams"] - before["OutDatagrams"] == sent.tx_datagrams
    row = row_of(feed, late)
    seconds = read.over_ns / 1e9
    assert FIELDS["rx"].value(row) == pytest.approx(sum(sizes) / seconds, rel=1e-3)
    assert FIELDS["rx.dgrams/s"].value(row) == pytest.approx(200 / seconds, rel=1e-3)
    assert FIELDS["tx"].value(row) == 0
    time.sleep(ROLL_S)
    totals = feed.tick().totals
    assert totals.rx_bytes_per_s == 0
    assert FIELDS["rx"].value(row_of(feed, late)) == 0, "nothing moved, which is known"


def test_a_socket_of_ipv6_that_sends_to_ipv4_counts_once(
    space: str, feed: LiveFeed, udp: Ends
) -> None:
    (both,) = inside(space, lambda: [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)])
    with both:
        host, port = udp[1].getsockname()
        feed.tick()
        both.sendto(b"x" * 70, (f"::ffff:{host}", port))
        assert udp[1].recv(100) == b"x" * 70
        feed.tick()
        assert (moved(feed, both).tx_datagrams, moved(feed, both).tx_bytes) == (1, 70)
        assert (moved(feed, udp[1]).rx_datagrams, moved(feed, udp[1]).rx_bytes) == (1, 70)


def test_what_is_only_looked_at_or_refused_is_not(feed: LiveFeed, udp: Ends) -> None:
    peer, late = udp
    late.setblocking(False)
    feed.tick()
    for _ in range(3):
        with suppress(BlockingIOError):
            late.recv(10)
    peer.send(b"x" * 50)
    late.recv(10, socket.MSG_PEEK)
    with suppress(OSError):
        peer.send(b"x" * 70_000)
    feed.tick()
    assert moved(feed, peer).tx_bytes == 50
    row = row_of(feed, late)
    assert row.plane.udp.rx_datagrams == 0
    late.recv(10)  # cut short: the program got ten
    feed.tick()
    assert (moved(feed, late).rx_datagrams, moved(feed, late).rx_bytes) == (1, 10)


def test_totals_and_sums_hold_them(feed: LiveFeed, udp: Ends) -> None:
    peer, late = udp
    feed.tick()
    for _ in range(100):
        peer.send(b"x" * 1000)
        late.recv(2000)
    time.sleep(ROLL_S)
    model = feed.tick()
    seconds = moved(feed, late).over_ns / 1e9
    assert model.totals.rx_bytes_per_s == pytest.approx(100_000 / seconds, rel=1e-3)
    assert model.totals.tx_bytes_per_s == pytest.approx(100_000 / seconds, rel=1e-3)


def test_a_reader_that_never_catches_up_has_a_standing_queue(feed: LiveFeed, udp: Ends) -> None:
    """Ten datagrams are always unread: each waits for ten rounds of 10 ms."""
    peer, late = udp
    for _ in range(10):
        peer.send(b"x")
    began = time.monotonic_ns()
    for _ in range(40):
        time.sleep(0.01)
        peer.send(b"x")
        late.recv(10)
    feed.tick()
    standing = FIELDS["standing"].value(row_of(feed, late))
    assert isinstance(standing, int)
    assert 100e6 <= standing <= time.monotonic_ns() - began
    for _ in range(10):
        late.recv(10)
    feed.tick()
    assert FIELDS["standing"].value(row_of(feed, late)) is None


def test_a_burst_that_is_read_to_its_end_does_not_stand(space: str, feed: LiveFeed) -> None:
    """It is late each time, and its queue is empty in between: a burst, no standing queue."""
    with closing(Pair(space)) as pair:
        for _ in range(5):
            for _ in range(3):
                pair.peer.sendall(b"x" * 10)
            time.sleep(0.05)
            pair.late.recv(1000)
        pair.peer.sendall(b"x")
        feed.tick()
        assert FIELDS["standing"].value(row_of(feed, pair.late)) is None
        for _ in range(20):
            time.sleep(0.01)
            pair.peer.sendall(b"x" * 10)
            pair.late.recv(5)
        feed.tick()
        assert FIELDS["standing"].value(row_of(feed, pair.late)) is not None
