"""RX queue wait with known answers: real sockets, readers that are late by so much."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from nettop.collect import PollOptions
from nettop.engine import lib
from nettop.model.types import Dist, Flag, PlaneHas, Row, Verdict
from nettop.poller import LiveFeed
from nettop.sources import RX_METHODS, PlaneOptions
from nettop.sources.wait import JUDGED_S
from tests.integration.bpfobjects import held, left_of, until
from tests.integration.namespaces import inside, namespace, needs_root, run
from tests.integration.namespaces import pair as veth_pair
from tests.integration.sends import ABS_NS, REL, cookie_of, near

pytestmark = needs_root
# The sleep itself ends late by what the scheduler takes, which the test measures, so that only
# nettop's own error is judged.


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    with namespace() as name:
        yield name


@pytest.fixture
def feed(space: str) -> Iterator[LiveFeed]:
    # No budget: the tests load the plane more than it may be loaded.
    planes = PlaneOptions(bpf_budget_pct=100)
    with closing(LiveFeed(PollOptions(netns=(space,), rows_all=True, planes=planes))) as made:
        status = {s.name: s for s in made._collector.planes.statuses()}["wait"]
        assert status.state != "off", status.reason
        assert status.method in (RX_METHODS[lib.NT_WAIT_EXACT], RX_METHODS[lib.NT_WAIT_FENTRY])
        made.tick()
        yield made


class Pair:
    """A connection over loopback in a namespace; `late` is the end that reads late."""

    def __init__(self, name: str, host: str = "127.0.0.1", family: int = socket.AF_INET) -> None:
        def connect() -> tuple[socket.socket, socket.socket]:
            with socket.create_server((host, 0), family=family) as server:
                client = socket.socket(family)
                client.connect(server.getsockname()[:2])
                return client, server.accept()[0]

        self.peer, self.late = inside(name, connect)
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self.peer.close()
        self.late.close()


@pytest.fixture
def pair(space: str) -> Iterator[Pair]:
    with closing(Pair(space)) as made:
        yield made


def row_by(feed: LiveFeed, cookie: int) -> Row:
    row = feed.find(cookie)
    assert row is not None
    return row


def row_of(feed: LiveFeed, sock: socket.socket) -> Row:
    return row_by(feed, cookie_of(sock))


def waited(feed: LiveFeed, sock: socket.socket) -> Dist:
    """The wait of this socket in the interval that ends now."""
    feed.tick()
    return row_of(feed, sock).plane.wait


def in_focus(feed: LiveFeed, *socks: socket.socket) -> None:
    """From the next interval on these sockets have fine buckets, and each socket is traced: after
    much load fewer are, until an interval with less was judged."""
    status = feed.tick().source("wait")
    end = time.monotonic() + 20
    while status is not None and "to spare CPU" in (status.reason or ""):
        assert time.monotonic() < end, status.reason
        time.sleep(2 * JUDGED_S)
        status = feed.tick().source("wait")
    feed.set_focus([cookie_of(s) for s in socks])
    feed.tick()


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_several_writes_and_one_late_reader(
    space: str, feed: LiveFeed, seconds: float, host: str
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(Pair(space, host, family)) as pair:
        in_focus(feed, pair.late)
        sent = []
        for _ in range(3):
            pair.peer.sendall(b"x" * 500)
            sent.append(time.monotonic_ns())
            time.sleep(seconds)
        pair.late.recv(65536)
        now = time.monotonic_ns()
        dist = waited(feed, pair.late)
    waits = [now - at for at in sent]
    assert dist.count == 3
    assert dist.sum_ns == near(sum(waits))
    assert dist.max_ns == near(max(waits))
    assert dist.p50_ns == near(sorted(waits)[1])
    assert dist.p99_ns == dist.max_ns, "below a hundred samples the longest"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(("datagrams", "gap"), [(5, 0.02), (200, 0.001)])
def test_a_burst_of_datagrams(
    space: str, feed: LiveFeed, host: str, datagrams: int, gap: float
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    late, peer = inside(space, lambda: [socket.socket(family, socket.SOCK_DGRAM) for _ in "ab"])
    with late, peer:
        late.bind((host, 0))
        in_focus(feed, late)
        sent = []
        for _ in range(datagrams):
            peer.sendto(b"x" * 100, late.getsockname()[:2])
            sent.append(time.monotonic_ns())
            time.sleep(gap)
        waits = []
        for at in sent:
            late.recv(1000)
            waits.append(time.monotonic_ns() - at)
        plane = (feed.tick(), row_of(feed, late).plane)[1]
    assert plane.wait.count == datagrams
    assert plane.wait_bounded == 0
    assert plane.wait.sum_ns == pytest.approx(sum(waits), rel=REL, abs=ABS_NS * datagrams)
    assert plane.wait.max_ns == near(max(waits))
    assert (plane.wait_approx > 0) == (datagrams > 16), "between noted ones time is shared out"


def test_a_queue_that_begins_anywhere(space: str, feed: LiveFeed) -> None:
    """The ring's entries are shared by powers of two of datagrams, whatever number is the first."""
    late, peer = inside(space, lambda: [socket.socket(type=socket.SOCK_DGRAM) for _ in "ab"])
    with late, peer:
        late.bind(("127.0.0.1", 0))
        in_focus(feed, late)
        for _ in range(3):
            peer.sendto(b"x", late.getsockname())
            late.recv(10)
        sent = []
        for n in range(40):
            peer.sendto(b"x", late.getsockname())
            sent.append(time.monotonic_ns())
            time.sleep(0.005)
            if n in (15, 32, 39):
                before = time.monotonic_ns()
                feed.tick()
                oldest_ns = row_of(feed, late).plane.oldest_unread_ns
                at_ns = (before + time.monotonic_ns()) / 2 - oldest_ns
                slack = (time.monotonic_ns() - before) / 2 + ABS_NS
                assert at_ns == pytest.approx(sent[0], abs=slack)
        feed.tick()
        waits = []
        for at in sent:
            late.recv(10)
            waits.append(time.monotonic_ns() - at)
        dist = waited(feed, late)
    assert dist.count == 40
    assert dist.max_ns == near(max(waits))
    assert dist.sum_ns == pytest.approx(sum(waits), rel=REL, abs=ABS_NS * 40)


def test_a_reader_that_spins(space: str, feed: LiveFeed) -> None:
    """It has most datagrams before their notice: they have not waited since the one before."""
    late, peer = inside(space, lambda: [socket.socket(type=socket.SOCK_DGRAM) for _ in "ab"])
    with late, peer:
        late.bind(("127.0.0.1", 0))
        in_focus(feed, late)
        late.setblocking(False)
        child = os.fork()
        if not child:
            left = 200
            while left:
                with suppress(BlockingIOError):
                    late.recv(10)
                    left -= 1
            os._exit(0)
        for _ in range(200):
            peer.sendto(b"x", late.getsockname())
            time.sleep(0.005)
        os.waitpid(child, 0)
        dist = waited(feed, late)
    assert 150 < dist.count <= 200
    assert dist.p90_ns < 4_000_000


def test_the_end_of_datagrams_is_none(space: str, feed: LiveFeed) -> None:
    late, peer = inside(space, lambda: [socket.socket(type=socket.SOCK_DGRAM) for _ in "ab"])
    with late, peer:
        late.bind(("127.0.0.1", 0))
        peer.connect(late.getsockname())
        late.connect(peer.getsockname())
        in_focus(feed, late)
        peer.send(b"x")
        late.recv(10)
        assert waited(feed, late).count == 1
        late.shutdown(socket.SHUT_RD)
        time.sleep(0.1)
        assert late.recv(10) == b""
        assert waited(feed, late).count == 0


def test_an_urgent_byte_is_taken_otherwise(pair: Pair, feed: LiveFeed) -> None:
    pair.peer.send(b"x", socket.MSG_OOB)
    time.sleep(0.02)
    assert pair.late.recv(1, socket.MSG_OOB) == b"x"
    pair.late.setblocking(False)
    with suppress(BlockingIOError):
        pair.late.recv(10)
    feed.tick()
    assert not row_of(feed, pair.late).plane.oldest_unread_ns


def test_waitall_counts_each_part_from_its_own_copy(pair: Pair, feed: LiveFeed) -> None:
    child = os.fork()
    if not child:
        pair.late.recv(2000, socket.MSG_WAITALL)
        os._exit(0)
    time.sleep(0.05)
    pair.peer.sendall(b"a" * 1000)
    time.sleep(0.1)
    pair.peer.sendall(b"b" * 1000)
    os.waitpid(child, 0)
    dist = waited(feed, pair.late)
    assert dist.count == 2
    assert dist.max_ns < 20_000_000, "a blocked reader takes the first half at once"


def test_splice(pair: Pair, feed: LiveFeed) -> None:
    pair.peer.sendall(b"x" * 3000)
    sent = time.monotonic_ns()
    time.sleep(0.05)
    r, w = os.pipe()
    assert os.splice(pair.late.fileno(), w, 3000) == 3000
    now = time.monotonic_ns()
    os.close(r)
    os.close(w)
    dist = waited(feed, pair.late)
    assert dist.count == 1
    assert dist.sum_ns == near(now - sent)


def test_a_segment_read_in_two_calls_ends_with_its_last_byte(pair: Pair, feed: LiveFeed) -> None:
    pair.peer.sendall(b"x" * 1000)
    sent = time.monotonic_ns()
    time.sleep(0.01)
    pair.late.recv(400)
    assert waited(feed, pair.late).count == 0
    assert row_of(feed, pair.late).plane.has & PlaneHas.UNREAD
    time.sleep(0.05)
    pair.late.recv(600)
    now = time.monotonic_ns()
    dist = waited(feed, pair.late)
    assert (dist.count, dist.sum_ns) == (1, near(now - sent))


def test_looking_is_not_taking(pair: Pair, feed: LiveFeed) -> None:
    pair.late.setblocking(False)
    for _ in range(100):
        with suppress(BlockingIOError):
            pair.late.recv(10)
    pair.peer.sendall(b"x" * 100)
    time.sleep(0.02)
    pair.late.recv(100, socket.MSG_PEEK)
    select.select([pair.late], [], [])
    assert waited(feed, pair.late).count == 0
    pair.late.recv(100)
    dist = waited(feed, pair.late)
    assert dist.count == 1
    assert dist.max_ns > 20_000_000


def test_looking_at_datagrams_is_not_taking(space: str, feed: LiveFeed) -> None:
    """Also with no room for a byte, and of one that has none."""
    late, peer = inside(space, lambda: [socket.socket(type=socket.SOCK_DGRAM) for _ in "ab"])
    with late, peer:
        late.bind(("127.0.0.1", 0))
        in_focus(feed, late)
        for data in (b"x", b"", b"y"):
            peer.sendto(data, late.getsockname())
            sent = time.monotonic_ns()
            time.sleep(0.02)
            for room in (0, 10):
                late.recv(room, socket.MSG_PEEK)
            assert waited(feed, late).count == 0
            late.recv(10)
            wait = time.monotonic_ns() - sent
            dist = waited(feed, late)
            assert dist.count == 1
            assert dist.max_ns == near(wait)


def test_data_before_accept_counts_its_time_in_the_queue(space: str, feed: LiveFeed) -> None:
    server = inside(space, lambda: socket.create_server(("127.0.0.1", 0)))
    with server, inside(space, lambda: socket.create_connection(server.getsockname())) as client:
        client.sendall(b"hello")
        sent = time.monotonic_ns()
        time.sleep(0.08)
        late, _ = server.accept()
        with late:
            late.recv(100)
            now = time.monotonic_ns()
            dist = waited(feed, late)
        listener = row_of(feed, server).plane.wait
    assert (dist.count, dist.sum_ns) == (1, near(now - sent))
    assert (listener.count, listener.sum_ns) == (1, dist.sum_ns), "summed on the listener too"


def test_a_fin_alone_is_neither_sample_nor_unread(pair: Pair, feed: LiveFeed) -> None:
    pair.peer.sendall(b"x")
    pair.late.recv(1)
    feed.tick()
    pair.peer.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    assert waited(feed, pair.late).count == 0
    row = row_of(feed, pair.late)
    assert not row.plane.has & PlaneHas.UNREAD
    assert not row.flags & Flag.OLDEST_UNREAD


def test_oldest_unread_grows_while_the_program_sleeps(pair: Pair, feed: LiveFeed) -> None:
    feed.tick()
    pair.peer.sendall(b"x" * 5000)
    sent = time.monotonic_ns()
    for _ in range(3):
        time.sleep(0.15)
        least = time.monotonic_ns() - sent
        feed.tick()
        most = time.monotonic_ns() - sent
        plane = row_of(feed, pair.late).plane
        assert least <= plane.oldest_unread_ns + ABS_NS <= most + 2 * ABS_NS
        assert not plane.has & PlaneHas.UNREAD_BOUND
    row = row_of(feed, pair.late)
    assert row.flags & Flag.UNREAD_EXACT
    assert Verdict.UNREAD in row.verdicts
    pair.late.recv(65536)
    feed.tick()
    assert not row_of(feed, pair.late).flags & Flag.OLDEST_UNREAD


def test_stuck_before_nettop_came_is_a_lower_bound(space: str, pair: Pair) -> None:
    pair.peer.sendall(b"x" * 5000)
    time.sleep(0.3)
    with closing(LiveFeed(PollOptions(netns=(space,), rows_all=True))) as feed:
        began = time.monotonic_ns()
        feed.tick()
        time.sleep(0.1)
        feed.tick()
        row = row_of(feed, pair.late)
        assert row.flags & Flag.OLDEST_UNREAD
        assert not row.flags & Flag.UNREAD_EXACT
        # The kernel's last_data_recv knows more than the moment nettop came.
        assert row.rec.oldest_unread_ms >= 390
        pair.late.recv(65536)
        feed.tick()
        plane = row_of(feed, pair.late).plane
        assert (plane.wait.count, plane.wait_bounded) == (1, 1)
        assert plane.wait.max_ns <= time.monotonic_ns() - began + 100_000_000


def test_datagrams_from_before_nettop_are_bounded(space: str) -> None:
    late, peer = inside(
        space, lambda: [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab"]
    )
    with late, peer:
        late.bind(("127.0.0.1", 0))
        for _ in range(3):
            peer.sendto(b"old", late.getsockname())
        with closing(LiveFeed(PollOptions(netns=(space,), rows_all=True))) as feed:
            feed.tick()
            peer.sendto(b"new", late.getsockname())
            sent = time.monotonic_ns()
            time.sleep(0.05)
            for _ in range(4):
                late.recv(10)
            now = time.monotonic_ns()
            feed.tick()
            plane = row_of(feed, late).plane
    assert (plane.wait.count, plane.wait_bounded) == (4, 3)
    assert plane.wait.max_ns >= now - sent


def test_a_million_datagrams_and_a_spinning_reader(space: str, feed: LiveFeed) -> None:
    """No drift: a reader that is faster than the notice of its datagram must not shift pairs."""
    late, peer = inside(
        space, lambda: [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in "ab"]
    )
    with late, peer:
        late.bind(("127.0.0.1", 0))
        late.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        late.setblocking(False)
        child = os.fork()
        if not child:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with suppress(BlockingIOError):
                    if late.recv(1 if end % 2 else 2) == b"END":
                        break
                    if late.recv(10) == b"END":
                        break
            os._exit(0)
        address = late.getsockname()
        payloads = [b"xyz", b"", b"x" * 100]
        for i in range(1_000_000):
            peer.sendto(payloads[i % 3], address)
        for _ in range(10):
            peer.sendto(b"END", address)
            time.sleep(0.05)
            if os.waitpid(child, os.WNOHANG)[0]:
                break
        with suppress(ChildProcessError, ProcessLookupError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        with suppress(BlockingIOError):
            while True:
                late.recv(10)
        late.setblocking(True)
        feed.tick()  # the load of the flood is judged, and with the next tick acted on
        time.sleep(2 * JUDGED_S)
        in_focus(feed, late)
        waits = []
        for _ in range(20):
            peer.sendto(b"slow", address)
            sent = time.monotonic_ns()
            time.sleep(0.005)
            late.recv(10)
            waits.append(time.monotonic_ns() - sent)
        plane = (feed.tick(), row_of(feed, late).plane)[1]
        assert plane.wait.count == 20
        assert plane.wait.sum_ns == near(sum(waits))
        assert plane.wait.max_ns == near(max(waits))
        for _ in range(20):
            peer.sendto(b"fast", address)
            late.recv(10)
        dist = waited(feed, late)
        assert dist.count == 20
        assert dist.max_ns < 5_000_000, "what is read at once has not waited"


def unread_bytes(sock: socket.socket) -> int:
    room = bytearray(4)
    fcntl.ioctl(sock, termios.FIONREAD, room)
    return int.from_bytes(room, sys.byteorder)


def test_a_megabyte_that_lay_for_a_while(feed: LiveFeed) -> None:
    """Hundreds of deliveries in a ring of sixteen: merged, none counted for too little."""
    with veth_pair() as (first, second):
        for name in (first, second):
            run("ip", "-n", name, "link", "set", "v0", "mtu", "1500", "gso_max_segs", "1")
        with closing(LiveFeed(PollOptions(netns=(second,), rows_all=True))) as far:
            server = inside(second, lambda: socket.create_server(("10.9.0.2", 0)))
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            client = inside(first, lambda: socket.create_connection(server.getsockname()))
            late, _ = server.accept()
            with server, client, late:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
                far.tick()
                in_focus(far, late)
                began = time.monotonic_ns()
                left = 1_000_000
                client.sendall(b"x" * left)
                while unread_bytes(late) < left:
                    pass
                came = time.monotonic_ns()
                time.sleep(0.2)
                while left:
                    left -= len(late.recv(left))
                now = time.monotonic_ns()
                plane = (far.tick(), row_of(far, late).plane)[1]
    assert plane.wait.count > 50
    slack = (came - began) + (now - came) * REL + 3_000_000
    assert plane.wait.max_ns == pytest.approx(now - began, abs=slack)
    assert plane.wait.p50_ns == pytest.approx(now - came, abs=slack)
    assert plane.wait.sum_ns / plane.wait.count == pytest.approx(now - came, abs=slack)


@pytest.mark.parametrize("last", [1, 2, 5])
def test_a_full_ring_keeps_the_newest(pair: Pair, feed: LiveFeed, last: int) -> None:
    """What came last, long after the rest, is counted from when it came; the rest is merged."""
    sent = []
    for n in range(15 + last):
        time.sleep(0.6 if n == 15 else 0.005)
        pair.peer.sendall(b"x" * 100)
        sent.append(time.monotonic_ns())
    time.sleep(0.005)
    pair.late.recv(65536)
    now = time.monotonic_ns()
    dist = waited(feed, pair.late)
    waits = [now - at for at in sent]
    assert dist.count == 15 + last
    assert dist.max_ns == near(max(waits))
    assert dist.sum_ns == near(sum(waits))


def test_what_a_traced_socket_costs(pair: Pair, feed: LiveFeed) -> None:
    before = feed.detail(cookie_of(pair.late))
    pair.peer.sendall(b"x")
    pair.late.recv(1)
    feed.tick()
    feed.tick()
    detail = feed.detail(cookie_of(pair.late))
    assert detail is not None
    base = before.skmem["optmem"] if before else 0
    limit = int(Path("/proc/sys/net/core/optmem_max").read_text())
    charged = detail.skmem["optmem"] - base
    # The waits and the events of a socket together.
    assert 0 < charged <= limit * 0.05


def test_a_socket_with_little_option_memory_is_not_traced(space: str, feed: LiveFeed) -> None:
    """440 bytes would be more than a twentieth of what its program may use."""
    sysctl = "net.core.optmem_max"
    run("ip", "netns", "exec", space, "sysctl", "-qw", f"{sysctl}=8000")
    try:
        with closing(Pair(space)) as made:
            feed.tick()
            made.peer.sendall(b"x")
            time.sleep(0.01)
            made.late.recv(1)
            assert waited(feed, made.late).count == 0
            assert not row_of(feed, made.late).plane.has & PlaneHas.WAIT
        status = {s.name: s for s in feed._collector.planes.statuses()}["wait"]
        assert status.state == "partial"
        assert "option memory (net.core.optmem_max)" in (status.reason or "")
    finally:
        run("ip", "netns", "exec", space, "sysctl", "-qw", f"{sysctl}=131072")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_nothing_remains(end: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "nettop", "--ndjson", "-d", "0.2"], stdout=subprocess.PIPE
    )
    with child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline()
            ids = held(child.pid)
            assert all(left_of(ids).values())
            child.send_signal(end)
            child.communicate(timeout=60)
            until(lambda: not any(left_of(ids).values()))
        finally:
            child.kill()
