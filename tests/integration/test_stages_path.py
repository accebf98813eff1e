"""TX stages from tracepoints: datagrams, and TCP where the kernel has no BPF timestamping."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from nettop.model.types import NO_DIST, Plane, Stage
from nettop.poller import LiveFeed
from nettop.sources import stages
from tests.integration.bpfobjects import linked
from tests.integration.namespaces import inside, needs_root, run
from tests.integration.sends import (
    ABS_NS,
    BURST,
    MS,
    RATE,
    REL,
    TCP_QUICKACK,
    Wire,
    connection,
    cookie_of,
    feed_of,
    flag_set,
    near,
    select,
    sent,
    shaped,
    stacked,
    take,
    unreachable,
)

pytestmark = [needs_root, pytest.mark.usefixtures("at_once")]
UDP_SEGMENT, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 103, 32, 33


@contextmanager
def datagrams(sender_in: str, receiver_in: str, host: str) -> Iterator[socket.socket]:
    """A connected sender; what it sends is received and left there."""
    with datagram_ends(sender_in, receiver_in, host) as (sock, _):
        yield sock


@contextmanager
def datagram_ends(
    sender_in: str, receiver_in: str, host: str
) -> Iterator[tuple[socket.socket, socket.socket]]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = inside(sender_in, lambda: socket.socket(family, socket.SOCK_DGRAM))
    far = inside(receiver_in, lambda: socket.socket(family, socket.SOCK_DGRAM))
    with sock, far:
        far.bind((host, 0))
        sock.connect(far.getsockname()[:2])
        yield sock, far


# --- datagrams ---


@pytest.mark.parametrize("host", ["10.9.0.2", "fd00::2"])
def test_a_datagram_waits_for_those_before_it(veth: tuple[str, str], host: str) -> None:
    wire = 1000 + (42 if "." in host else 62)
    with datagrams(*veth, host) as sock, shaped(veth[0]), feed_of(veth[0]) as feed:
        select(feed, sock)
        at = []
        for _ in range(10):
            sock.send(b"x" * 1000)
            at.append(time.monotonic_ns())
        time.sleep(0.1)
        plane = sent(feed, sock)
        queue = run("tc", "-n", veth[0], "-s", "qdisc", "show", "dev", "v0")
    waits = [max(0, (n * wire - BURST) / RATE * 1e9 - (at[n - 1] - at[0])) for n in range(1, 11)]
    qdisc = plane.tx[Stage.QDISC]
    assert (plane.tx_sends, plane.tx_open, plane.tx_incomplete) == (10, 0, 0), queue
    assert qdisc.count == 10
    assert qdisc.max_ns == near(max(waits))
    assert qdisc.sum_ns == pytest.approx(sum(waits), rel=REL, abs=10 * ABS_NS)
    assert all(plane.tx[s] == NO_DIST for s in Stage if s is not Stage.QDISC)


def test_a_datagram_that_the_queue_drops(veth: tuple[str, str]) -> None:
    with datagrams(*veth, "10.9.0.2") as sock, shaped(veth[0], latency="2ms"):
        with feed_of(veth[0]) as feed:
            select(feed, sock)
            for _ in range(50):
                sock.send(b"x" * 1000)
            time.sleep(0.1)
            plane = sent(feed, sock)
        shown = run("tc", "-n", veth[0], "-s", "qdisc", "show", "dev", "v0")
    dropped = int(shown.split("dropped ")[1].split(",")[0])
    assert dropped > 10
    assert plane.tx_incomplete == dropped
    assert (plane.tx_sends, plane.tx_open) == (50 - dropped, 0)


@contextmanager
def over_macvlan(veth: tuple[str, str]) -> Iterator[socket.socket]:
    """A sender of datagrams that leave through m1 over v0."""
    with stacked(veth), datagrams(*veth, "10.8.0.2") as sock:
        yield sock


def test_a_datagram_through_stacked_devices_is_one_from_the_first_queue_to_the_last_driver(
    veth: tuple[str, str],
) -> None:
    wire = 1042
    with over_macvlan(veth) as sock, shaped(veth[0]), feed_of(veth[0]) as feed:
        select(feed, sock)
        at = []
        for _ in range(10):
            sock.send(b"x" * 1000)
            at.append(time.monotonic_ns())
        time.sleep(0.1)
        plane = sent(feed, sock)
    waits = [max(0, (n * wire - BURST) / RATE * 1e9 - (at[n - 1] - at[0])) for n in range(1, 11)]
    qdisc = plane.tx[Stage.QDISC]
    assert (plane.tx_sends, plane.tx_open, plane.tx_incomplete) == (10, 0, 0)
    assert qdisc.count == 10
    assert qdisc.sum_ns == pytest.approx(sum(waits), rel=REL, abs=10 * ABS_NS)


@pytest.mark.parametrize("way", ["veth", "macvlan"])
def test_a_send_in_segments_leaves_with_its_last_one(veth: tuple[str, str], way: str) -> None:
    """UDP_SEGMENT: the queue splits what is larger than its bucket, so the driver sees others."""
    wire = 1042
    sender = over_macvlan(veth) if way == "macvlan" else datagrams(*veth, "10.9.0.2")
    with sender as sock, shaped(veth[0]), feed_of(veth[0]) as feed:
        select(feed, sock)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
        for _ in range(3):
            sock.send(b"x" * 10_000)
            time.sleep(0.05)
        plane = sent(feed, sock)
        sock.send(b"x" * 500)  # of one segment
        alone = sent(feed, sock)
    assert (plane.tx_sends, plane.tx_open, plane.tx_incomplete) == (3, 0, 0)
    assert plane.tx[Stage.QDISC].p50_ns == near((10 * wire - BURST) / RATE * 1e9)
    assert (alone.tx_sends, alone.tx_open) == (1, 0)


def test_a_send_in_segments_that_the_driver_takes_whole(veth: tuple[str, str]) -> None:
    with datagrams(*veth, "10.9.0.2") as sock, feed_of(veth[0]) as feed:
        select(feed, sock)
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)
        for _ in range(200):  # more than are followed at once
            sock.send(b"x" * 5000)
        plane = sent(feed, sock)
    assert (plane.tx_sends, plane.tx_open, plane.tx_incomplete) == (200, 0, 0)


def send_in_segments(sock: socket.socket, far: socket.socket, sends: int) -> dict[int, int]:
    """So many sends of four segments; how long each took until its last segment came, if any."""
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1000)
    sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
    far.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    sent_ns = []
    for n in range(sends):
        sent_ns.append(time.monotonic_ns())
        with suppress(PermissionError):  # the firewall
            sock.send(bytes([n]) * 4000)
    far.settimeout(0.1)
    took = {}
    with suppress(TimeoutError):
        while True:
            n = far.recv(4000)[0]
            took[n] = time.monotonic_ns() - sent_ns[n]
    return took


def test_sends_in_segments_of_which_some_are_dropped(veth: tuple[str, str]) -> None:
    """The queue splits them, so that the next send may get the buffer that is free."""
    shape = shaped(veth[0], latency="20ms")
    with datagram_ends(*veth, "10.9.0.2") as (sock, far), shape, feed_of(veth[0]) as feed:
        select(feed, sock)
        took = send_in_segments(sock, far, 12)
        plane = sent(feed, sock)
    assert 4 <= len(took) < 12
    assert (plane.tx_sends, plane.tx_incomplete, plane.tx_open) == (len(took), 12 - len(took), 0)
    assert qdisc_is(plane, took)


def qdisc_is(plane: Plane, took: dict[int, int]) -> bool:
    qdisc = plane.tx[Stage.QDISC]
    assert qdisc.count == len(took)
    assert qdisc.max_ns == near(max(took.values()))
    assert qdisc.sum_ns == pytest.approx(sum(took.values()), rel=REL, abs=12 * ABS_NS)
    return True


def test_what_a_firewall_drops_is_none_of_those_that_wait(veth: tuple[str, str]) -> None:
    """It drops before the queue, from buffers whose address another send may have had."""
    rule = [
        "OUTPUT",
        "-p",
        "udp",
        "-m",
        "statistic",
        "--mode",
        "nth",
        "--every",
        "3",
        "--packet",
        "0",
        "-j",
        "DROP",
    ]
    iptables = ["ip", "netns", "exec", veth[0], "iptables"]
    shape = shaped(veth[0])
    with datagram_ends(*veth, "10.9.0.2") as (sock, far), shape, feed_of(veth[0]) as feed:
        select(feed, sock)
        run(*iptables, "-A", *rule)
        try:
            took = send_in_segments(sock, far, 18)
        finally:
            run(*iptables, "-D", *rule)
        plane = sent(feed, sock)
    assert len(took) == 12
    assert (plane.tx_sends, plane.tx_incomplete, plane.tx_open) == (12, 0, 0)
    assert qdisc_is(plane, took)


def test_more_sends_in_segments_than_have_a_place(veth: tuple[str, str]) -> None:
    shape = shaped(veth[0], rate=RATE // 4, latency="2s")
    with datagram_ends(*veth, "10.9.0.2") as (sock, far), shape, feed_of(veth[0]) as feed:
        select(feed, sock)
        took = send_in_segments(sock, far, 80)
        plane = sent(feed, sock)
    assert len(took) == 80
    assert (plane.tx_sends, plane.tx_incomplete, plane.tx_open) == (64, 0, 0)
    assert qdisc_is(plane, {n: took[n] for n in range(64)})


def test_segments_of_a_device_above(veth: tuple[str, str]) -> None:
    """A queue on macvlan splits them; the device below is given each segment once more."""
    with stacked(veth) as (tcp, _):
        run("tc", "-n", veth[0], "qdisc", "add", "dev", "m1", "root", "tbf",
            "rate", f"{RATE * 8}bit", "burst", f"{BURST}b", "latency", "400ms")  # fmt: skip
        ends = datagram_ends(*veth, "10.8.0.2")
        with ends as (sock, far), feed_of(veth[0]) as feed:
            select(feed, sock)
            took = send_in_segments(sock, far, 12)
            plane = sent(feed, sock)
        assert tcp.fileno() >= 0
    assert (plane.tx_sends, plane.tx_incomplete, plane.tx_open) == (12, 0, 0)
    assert qdisc_is(plane, took)


def test_one_datagram_in_four_of_all_sockets(space: str) -> None:
    with feed_of(space, every=4) as feed:
        feed.tick()
        with datagrams(space, space, "127.0.0.1") as sock:  # a socket that came later
            feed.tick()
            cookie_of(sock)
            for _ in range(40):
                sock.send(b"x")
            plane = sent(feed, sock)
    assert plane.tx_sends == 10
    assert plane.tx[Stage.QDISC].count == 10


def test_packets_pass_no_program_unless_datagrams_are_selected(
    space: str, ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    with datagrams(space, space, "127.0.0.1") as sock:
        select(feed, *ends)
        assert not linked(os.getpid(), "stages_queue")
        select(feed, *ends, sock)
        assert linked(os.getpid(), "stages_queue")
        select(feed, *ends)
        assert not linked(os.getpid(), "stages_queue")


# --- TCP without BPF timestamping ---


@pytest.fixture
def tracepoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a kernel that has no BPF timestamping."""
    only = partial(stages.open_plane, method="tracepoints")
    monkeypatch.setattr(stages, "open_plane", only)


@pytest.mark.usefixtures("tracepoints")
@pytest.mark.parametrize("host", ["10.9.0.2", "fd00::2"])
@pytest.mark.parametrize("size", [4500, 6000])
def test_a_segment_in_the_queue(veth: tuple[str, str], host: str, size: int) -> None:
    sender, receiver = connection(*veth, host)
    with sender, receiver, shaped(veth[0]), feed_of(veth[0]) as feed:
        select(feed, sender)
        for _ in range(11):
            sender.sendall(b"x" * size)
            take(receiver, size)
            time.sleep(0.05)
        plane = sent(feed, sender)
        status = {s.name: s for s in feed._collector.planes.statuses()}["stages"]
    mss = 1448 if "." in host else 1428
    wire = size + -(-size // mss) * (1514 - mss)
    qdisc = plane.tx[Stage.QDISC]
    assert (status.state, status.method) == ("partial", "tracepoints")
    assert (plane.tx_sends, qdisc.count, plane.tx_open) == (11, 11, 0)
    assert qdisc.p50_ns == near((wire - BURST) / RATE * 1e9)
    assert plane.tx[Stage.ACK].p50_ns < 1 * MS
    for unknown in (Stage.COPY, Stage.SNDBUF, Stage.TCP, Stage.NIC, Stage.TOTAL):
        assert plane.tx[unknown] == NO_DIST


@pytest.mark.usefixtures("tracepoints")
def test_a_late_ack_of_a_segment(
    apart: tuple[socket.socket, socket.socket], veth: tuple[str, str]
) -> None:
    sender, receiver = apart
    with feed_of(veth[0]) as feed, inside(veth[0], Wire) as wire:
        select(feed, sender)
        wire.watch(sender)
        for _ in range(5):
            receiver.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 0)
            sender.sendall(b"x" * 100)
            time.sleep(0.1)
        out, back = wire.seen()
        plane = sent(feed, sender)
        assert not flag_set(veth[0], sender), "that kernel would not know the flag"
    assert plane.tx_sends == len(out) == len(back) == 5
    acks = sorted(b - a for a, b in zip(out, back, strict=True))
    assert plane.tx[Stage.ACK].max_ns > 30 * MS
    assert plane.tx[Stage.ACK].p50_ns == near(acks[2])


@pytest.mark.usefixtures("tracepoints")
def test_a_stacked_device_is_one_departure(veth: tuple[str, str]) -> None:
    """The queue of the device below is part of the stage; nothing is resent."""
    size = 6000
    with stacked(veth) as (sender, receiver), shaped(veth[0]), feed_of(veth[0]) as feed:
        select(feed, sender)
        for _ in range(7):
            sender.sendall(b"x" * size)
            take(receiver, size)
            time.sleep(0.05)
        plane = sent(feed, sender)
        mss = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    wire = size + -(-size // mss) * (1514 - mss)
    assert (plane.tx_sends, plane.tx_resent) == (7, 0)
    assert plane.tx[Stage.QDISC].p50_ns == near((wire - BURST) / RATE * 1e9)
    assert plane.tx[Stage.ACK].p50_ns < 5 * MS


@pytest.mark.usefixtures("tracepoints")
def test_a_segment_that_leaves_again(
    apart: tuple[socket.socket, socket.socket], veth: tuple[str, str]
) -> None:
    sender, receiver = apart
    with feed_of(veth[0]) as feed:
        sender.sendall(b"x")
        take(receiver, 1)
        select(feed, sender)
        with unreachable(veth):
            before = feed.detail(cookie_of(sender))
            sender.sendall(b"x" * 100)
            time.sleep(1)
            gone = sent(feed, sender)
        take(receiver, 100)
        time.sleep(0.05)
        plane = sent(feed, sender)
        after = feed.detail(cookie_of(sender))
    assert before is not None
    assert after is not None
    resent = after.tcp_info["total_retrans"] - before.tcp_info["total_retrans"]
    assert resent >= 2
    assert (gone.tx_sends, gone.tx_open) == (0, 1)
    assert (plane.tx_sends, plane.tx_open, plane.tx_resent) == (1, 0, resent)


@pytest.mark.usefixtures("tracepoints")
def test_one_segment_in_four_of_all_sockets(space: str) -> None:
    with feed_of(space, every=4) as feed:
        feed.tick()
        sender, receiver = connection(space, space)
        with sender, receiver:
            cookie_of(sender)
            for _ in range(40):
                sender.sendall(b"x" * 100)
                take(receiver, 100)
            time.sleep(0.05)
            plane = sent(feed, sender)
    assert plane.tx_sends == 10
    assert plane.tx[Stage.ACK].count == 10
