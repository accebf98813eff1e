"""TX stages with known answers: queues of known rate, late ACKs, lost links."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

import pytest

from nettop.engine import check, ffi, lib
from nettop.model.types import Dist, NicStage, PlaneHas, Stage, Verdict
from nettop.poller import LiveFeed
from nettop.sources.nics import Placed
from nettop.stamps import Flight, Flights, StampedSocket
from nettop.text.evidence import STAMPED_BY_ITSELF
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

SO_SNDBUFFORCE = 32
pytestmark = [needs_root, pytest.mark.usefixtures("at_once")]


@pytest.mark.parametrize("host", ["10.9.0.2", "fd00::2"])
@pytest.mark.parametrize("size", [6000, 9000, 12000])
def test_qdisc_is_size_over_rate(veth: tuple[str, str], host: str, size: int) -> None:
    sender, receiver = connection(*veth, host)
    with sender, receiver, shaped(veth[0]), feed_of(veth[0]) as feed:
        select(feed, sender)
        for _ in range(11):
            sender.sendall(b"x" * size)
            take(receiver, size)
            time.sleep(0.05)  # the bucket fills again
        plane = sent(feed, sender)
    mss = 1448 if "." in host else 1428
    segments = -(-size // mss)
    wire = size + segments * (1514 - mss)
    qdisc = plane.tx[Stage.QDISC]
    assert (plane.tx_sends, qdisc.count) == (11, 11)
    assert qdisc.p50_ns == near((wire - BURST) / RATE * 1e9)
    assert plane.tx[Stage.TCP].p50_ns < 1 * MS
    assert plane.tx[Stage.ACK].p50_ns < 1 * MS


def test_it_begins_by_itself_where_it_decides_a_verdict(veth: tuple[str, str]) -> None:
    """The own queue stands, so that the round trip is long; the sender's stages say where."""
    sender, receiver = connection(*veth, "10.9.0.2")
    with sender, receiver, shaped(veth[0]):
        pour = threading.Thread(target=poured, args=(sender,), daemon=True)
        drain = threading.Thread(target=drained, args=(receiver,), daemon=True)
        with feed_of(veth[0]) as feed:
            pour.start()
            drain.start()
            for _ in range(60):
                time.sleep(0.25)
                model = feed.tick()
                row = feed.find(cookie_of(sender))
                assert row is not None
                if row.plane.tx[Stage.QDISC].count and row.verdicts[:1] == [Verdict.QDISC]:
                    break
            status = model.source("stages")
            assert status is not None
            assert (status.reason or "").startswith(f"{STAMPED_BY_ITSELF} 1 socket")
            assert row is not None
            assert row.plane.tx[Stage.QDISC].count
            assert row.verdicts[:1] == [Verdict.QDISC]
        assert not flag_set(veth[0], sender)
        sender.shutdown(socket.SHUT_RDWR)
        pour.join(5)
        drain.join(5)


def poured(sender: socket.socket) -> None:
    with suppress(OSError):
        while True:
            sender.sendall(b"x" * 3000)


def drained(receiver: socket.socket) -> None:
    while receiver.recv(1 << 16):
        pass


def test_congestion_window_is_the_tcp_stage(veth: tuple[str, str]) -> None:
    """100 kB through an initial window of ten: the last byte waits in TCP, not in the qdisc."""
    sender, receiver = connection(*veth, "10.9.0.2")
    with sender, receiver, shaped(veth[0]), feed_of(veth[0]) as feed:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        select(feed, sender)
        began = time.monotonic_ns()
        sender.sendall(b"x" * 100_000)
        copied = time.monotonic_ns()
        take(receiver, 100_000)
        ended = time.monotonic_ns()
        time.sleep(0.01)
        plane = sent(feed, sender)
    tcp, qdisc = plane.tx[Stage.TCP].max_ns, plane.tx[Stage.QDISC].max_ns
    assert plane.tx_sends == 1
    assert tcp > 20 * MS
    # To the receiver's last byte: copy, the wait in TCP and the wait in the queue.
    assert plane.tx[Stage.COPY].max_ns <= copied - began
    assert plane.tx[Stage.COPY].max_ns + tcp + qdisc == pytest.approx(
        ended - began, rel=REL, abs=500_000
    )


def test_delayed_ack(apart: tuple[socket.socket, socket.socket], veth: tuple[str, str]) -> None:
    """Against the packets on the link, stamped by the kernel on their way out and in."""
    sender, receiver = apart
    with feed_of(veth[0]) as feed, inside(veth[0], Wire) as wire:
        receiver.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 0)
        select(feed, sender)
        wire.watch(sender)
        for _ in range(5):
            receiver.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 0)
            sender.sendall(b"x" * 100)
            time.sleep(0.1)
        out, back = wire.seen()
        plane = sent(feed, sender)
    assert plane.tx_sends == len(out) == len(back) == 5
    acks = sorted(b - a for a, b in zip(out, back, strict=True))
    ack = plane.tx[Stage.ACK]
    assert ack.max_ns > 30 * MS, "nothing was delayed"
    assert ack.p50_ns == near(acks[2])
    assert ack.max_ns == near(acks[-1])
    assert ack.sum_ns == pytest.approx(sum(acks), rel=REL, abs=5 * ABS_NS)


def test_ack_and_qdisc_together_are_the_kernels_rtt(
    apart: tuple[socket.socket, socket.socket], veth: tuple[str, str]
) -> None:
    sender, receiver = apart
    with feed_of(veth[0]) as feed:
        select(feed, sender)
        for _ in range(40):
            receiver.setsockopt(socket.IPPROTO_TCP, TCP_QUICKACK, 0)
            sender.sendall(b"x" * 100)
            time.sleep(0.06)
        plane = sent(feed, sender)
        detail = feed.detail(cookie_of(sender))
    assert detail is not None
    rtt_ns = plane.tx[Stage.ACK].p50_ns + plane.tx[Stage.QDISC].p50_ns
    # The kernel's is a mean with a memory of eight.
    assert rtt_ns == pytest.approx(detail.tcp_info["rtt"] * 1000, rel=0.1, abs=1 * MS)


def test_the_same_socket_stamps_itself(
    apart: tuple[socket.socket, socket.socket], veth: tuple[str, str]
) -> None:
    """Every other send through SO_TIMESTAMPING: both ways of stamping tell the same."""
    sender, receiver = apart
    size, n = 9000, 15
    own = StampedSocket(sender, receive=False, send=False)
    flights = Flights(is_stream=True)
    seen: list[Flight] = []
    with shaped(veth[0]), feed_of(veth[0]) as feed:
        select(feed, sender)
        for i in range(2 * n):
            stamped = own.send(b"x" * size, stamped=i % 2 == 0)
            if stamped.key is not None:
                flights.sent(stamped.key, stamped.clocks)
            take(receiver, size)
            time.sleep(0.06)  # the bucket fills again
            seen += flights.take(own.stamps())
        plane = sent(feed, sender)
    queued = sorted(f.snd_ns - f.sched_ns for f in seen if f.snd_ns and f.sched_ns)
    acked = sorted(f.ack_ns - f.snds_ns[-1] for f in seen if f.ack_ns and f.snds_ns)
    assert (len(queued), len(acked)) == (n, n)
    assert (plane.tx_sends, plane.tx[Stage.QDISC].count, plane.tx[Stage.ACK].count) == (n, n, n)
    assert plane.tx[Stage.QDISC].p50_ns == near(queued[n // 2])
    # Other sends, whose ACKs waited for a reader or did not: as the spread of one's own allows.
    assert acked[0] - ABS_NS <= plane.tx[Stage.ACK].p50_ns <= acked[-1] * (1 + REL) + ABS_NS


def test_waiting_for_buffer_space_is_told_apart_from_copying(
    ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    sender, receiver = ends
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    select(feed, sender)

    def late() -> None:
        time.sleep(0.2)
        take(receiver, 1_000_000)

    reader = threading.Thread(target=late)
    reader.start()
    began = time.monotonic_ns()
    sender.sendall(b"x" * 1_000_000)
    took = time.monotonic_ns() - began
    reader.join()
    time.sleep(0.05)
    plane = sent(feed, sender)
    copy, sndbuf = plane.tx[Stage.COPY], plane.tx[Stage.SNDBUF]
    assert (copy.count, sndbuf.count) == (1, 1)
    assert 200 * MS <= sndbuf.max_ns <= took
    assert copy.max_ns + sndbuf.max_ns == near(took)


@pytest.mark.parametrize("flags", [0, socket.MSG_DONTWAIT], ids=["blocking", "not"])
def test_a_long_copy_is_one_call(
    ends: tuple[socket.socket, socket.socket], feed: LiveFeed, flags: int
) -> None:
    """It lets the receive side catch up now and then, which is no wait for space."""
    sender, receiver = ends
    sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20)
    reader = threading.Thread(target=take, args=(receiver, 44_000_000))
    reader.start()
    select(feed, sender)
    took, data = [], b"x" * 4_000_000  # made before: its pages are no part of a send
    for _ in range(11):
        began = time.monotonic_ns()
        assert sender.send(data, flags) == len(data)
        took.append(time.monotonic_ns() - began)
    reader.join()
    time.sleep(0.05)
    plane = sent(feed, sender)
    copy = plane.tx[Stage.COPY]
    assert (copy.count, plane.tx[Stage.SNDBUF].count) == (11, 0)
    assert copy.sum_ns < sum(took)
    assert copy.p50_ns > sorted(took)[5] / 4, "the call also hands over what it copied"


def test_a_refused_send_is_not_part_of_the_next(
    ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    """EAGAIN, then time passes, then a smaller send, or the same again."""
    sender, receiver = ends
    sender.setblocking(False)
    select(feed, sender)
    for again in (50_000, 65_536):
        filled = 0
        with suppress(BlockingIOError):
            while True:
                filled += sender.send(b"x" * 65_536)
        time.sleep(0.1)
        take(receiver, filled)
        sent(feed, sender)
        began = time.monotonic_ns()
        count = sender.send(b"x" * again)
        took = time.monotonic_ns() - began
        take(receiver, count)
        time.sleep(0.05)
        plane = sent(feed, sender)
        assert plane.tx[Stage.COPY].count == 1
        assert plane.tx[Stage.COPY].max_ns <= took
        assert plane.tx[Stage.SNDBUF].count == 0


def test_no_stage_overlaps_another(
    ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    sender, receiver = ends
    select(feed, sender)
    for _ in range(50):
        sender.sendall(b"x" * 2000)
        take(receiver, 2000)
        time.sleep(0.002)
    plane = sent(feed, sender)
    parts = sum(plane.tx[s].sum_ns for s in Stage if s is not Stage.TOTAL)
    assert plane.tx[Stage.TOTAL].count == 50
    assert parts == plane.tx[Stage.TOTAL].sum_ns
    assert plane.tx[Stage.NIC] == Dist(), "no hardware stamps here"


# --- sends that do not go straight through ---


def test_corked_sends_are_counted_as_merged(
    ends: tuple[socket.socket, socket.socket], feed: LiveFeed
) -> None:
    sender, _ = ends
    select(feed, sender)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    for size in (10, 20, 30):
        sender.send(b"x" * size)
    held = sent(feed, sender)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    time.sleep(0.1)
    plane = sent(feed, sender)
    assert (held.tx_sends, held.tx_incomplete, held.tx_open) == (0, 2, 1)
    assert (plane.tx_sends, plane.tx_incomplete, plane.tx_open) == (1, 0, 0)


def test_a_peer_out_of_reach_is_retransmissions(
    apart: tuple[socket.socket, socket.socket], veth: tuple[str, str]
) -> None:
    sender, receiver = apart
    with feed_of(veth[0]) as feed:
        sender.sendall(b"x")
        take(receiver, 1)
        select(feed, sender)
        with unreachable(veth):
            before = feed.detail(cookie_of(sender))
            began = time.monotonic_ns()
            sender.sendall(b"x" * 100)
            time.sleep(1)
            gone = sent(feed, sender)
        take(receiver, 100)
        took = time.monotonic_ns() - began
        time.sleep(0.05)
        plane = sent(feed, sender)
        after = feed.detail(cookie_of(sender))
    assert before is not None
    assert after is not None
    resent = after.tcp_info["total_retrans"] - before.tcp_info["total_retrans"]
    assert resent >= 2
    assert (gone.tx_sends, gone.tx_open) == (0, 1)
    assert (plane.tx_sends, plane.tx_open) == (1, 0)
    assert plane.tx_resent == resent
    assert plane.tx[Stage.TOTAL].max_ns == pytest.approx(took, rel=REL, abs=2 * MS)
    assert plane.tx[Stage.ACK].max_ns < 100 * MS, "counts from the last departure"


def resent_later(sender: socket.socket, receiver: socket.socket, size: int) -> float:
    """A send of which the first packet does not leave this host; how long it took to arrive."""
    begun = time.monotonic_ns()
    sender.sendall(b"x" * size)
    take(receiver, size)
    took = time.monotonic_ns() - begun
    assert took > 100 * MS, "it was not sent again"
    time.sleep(0.05)
    return took


def test_the_wait_in_a_queue_does_not_span_what_it_dropped(veth: tuple[str, str]) -> None:
    sender, receiver = connection(*veth, "10.9.0.2")
    other = inside(veth[0], lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with sender, receiver, other, shaped(veth[0], latency="5ms"), feed_of(veth[0]) as feed:
        select(feed, sender)
        for _ in range(50):  # it is full: no room for so large a segment
            other.sendto(b"x" * 1000, ("10.9.0.2", 9))
        took = resent_later(sender, receiver, 1400)
        plane = sent(feed, sender)
    assert (plane.tx_sends, plane.tx_open) == (1, 0)
    assert plane.tx[Stage.QDISC].count == 0, "298 ms, where no packet waits for more than 5"
    assert plane.tx[Stage.TCP].count == 1
    assert plane.tx[Stage.TCP].max_ns < 5 * MS
    assert plane.tx[Stage.TOTAL].max_ns == pytest.approx(took, rel=REL, abs=2 * MS)


def test_the_time_in_tcp_does_not_span_what_a_firewall_dropped(veth: tuple[str, str]) -> None:
    sender, receiver = connection(*veth, "10.9.0.2")
    rule = ("OUTPUT", "-p", "tcp", "-m", "length", "--length", "500:", "-j", "DROP")
    with sender, receiver, feed_of(veth[0]) as feed:
        select(feed, sender)
        run("ip", "netns", "exec", veth[0], "iptables", "-A", *rule)
        ends = threading.Timer(0.1, run, ("ip", "netns", "exec", veth[0], "iptables", "-D", *rule))
        ends.start()
        took = resent_later(sender, receiver, 1000)
        ends.join()
        plane = sent(feed, sender)
    assert (plane.tx_sends, plane.tx_open) == (1, 0)
    assert plane.tx[Stage.TCP].count == 0
    assert plane.tx[Stage.QDISC].count == 1
    assert plane.tx[Stage.QDISC].max_ns < 50 * MS
    assert plane.tx[Stage.TOTAL].max_ns == pytest.approx(took, rel=REL, abs=2 * MS)


def test_macvlan_is_one_send(veth: tuple[str, str]) -> None:
    """A stacked device enters two queues: the stage begins with the first, nothing is resent."""
    with stacked(veth) as (sender, receiver), feed_of(veth[0]) as feed:
        select(feed, sender)
        for _ in range(10):
            sender.sendall(b"x" * 100)
            take(receiver, 100)
            time.sleep(0.002)
        plane = sent(feed, sender)
    assert (plane.tx_sends, plane.tx_resent) == (10, 0)
    assert plane.tx[Stage.QDISC].count == 10
    assert plane.tx[Stage.TOTAL].max_ns < 50 * MS


def test_sends_of_a_killed_connection_do_not_stay_open(
    apart: tuple[socket.socket, socket.socket], veth: tuple[str, str]
) -> None:
    sender, _ = apart
    with feed_of(veth[0]) as feed:
        plane = feed._collector.planes.stages
        assert plane is not None
        select(feed, sender)
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        sender.send(b"x" * 100)
        assert sent(feed, sender).tx_open == 1
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.close()
        feed.tick()
        assert plane.last is not None
        assert plane.last.sampled == 1
        assert (plane.last.done, plane.last.lost, plane.last.open) == (0, 1, 0)


# --- which sockets ---


def test_one_send_in_four_of_all_sockets(space: str) -> None:
    with feed_of(space, every=4) as feed:
        feed.tick()
        sender, receiver = connection(space, space)  # a socket that came later
        with sender, receiver:
            for _ in range(40):
                sender.sendall(b"x" * 100)
                take(receiver, 100)
            time.sleep(0.05)
            plane = sent(feed, sender)
            total = feed.tx(None, run=True)
            stamping = feed._collector.planes.stages
            assert stamping is not None
            calls = lib.nt_stages_sees_calls(stamping.handle)
    assert total is not None
    assert total[Stage.TOTAL].dist.count == 10
    assert total[Stage.COPY].dist.count == (10 if calls else 0)
    assert sum(n for _, _, n in total[Stage.ACK].buckets) == 10
    assert plane.has & PlaneHas.TX
    assert (plane.tx_sends, plane.tx_open) == (10, 0)


def test_a_send_is_stamped_only_if_its_call_was_seen(space: str) -> None:
    """Its turn comes as fewer are left out, when its call was not looked at: one later is taken."""
    with feed_of(space, every=8) as feed:
        stamping = feed._collector.planes.stages
        assert stamping is not None
        handle = stamping.handle
        if not lib.nt_stages_sees_calls(handle):
            pytest.skip("this kernel shows no calls")
        feed.tick()
        sender, receiver = connection(space, space)
        with sender, receiver:
            for left_out in (8, 4):
                why = ffi.new("char[160]")
                check(lib.nt_stages_select(handle, [], 0, 1, left_out, why, 160), "selecting")
                for _ in range(3 if left_out == 8 else 60):
                    sender.sendall(b"x" * 100)
                    take(receiver, 100)
            time.sleep(0.05)
            sent(feed, sender)
            total = feed.tx(None, run=True)
    assert total is not None
    assert total[Stage.COPY].dist.count == total[Stage.TOTAL].dist.count
    assert 0 < total[Stage.TOTAL].dist.count <= 15


def test_two_namespaces_and_only_what_is_selected(veth: tuple[str, str]) -> None:
    sender, receiver = connection(*veth, "10.9.0.2")
    idle, idle_far = connection(*veth, "10.9.0.2")
    with sender, receiver, idle, idle_far, feed_of(*veth) as feed:
        select(feed, sender, receiver)
        for _ in range(3):
            for a, b in ((sender, receiver), (receiver, sender), (idle, idle_far)):
                a.sendall(b"x" * 100)
                take(b, 100)
        time.sleep(0.1)
        feed.tick()
        rows = [feed.find(cookie_of(s)) for s in (sender, receiver, idle)]
        assert [r.plane.tx_sends if r else None for r in rows] == [3, 3, 0]
        assert [bool(r.plane.has & PlaneHas.TX) if r else None for r in rows] == [True, True, False]
        select(feed, receiver)
        assert not flag_set(veth[0], sender), "no longer selected"
        assert flag_set(veth[1], receiver)


class _Placed:
    """Instead of NICs' clocks: these times, once."""

    def __init__(self, placed: list[Placed]) -> None:
        self.placed = placed

    def tick(self, stages: object) -> NicStage:
        placed, self.placed = sorted(self.placed), []
        given = ffi.new("struct nt_stages_placed[]", [tuple(p) for p in placed])
        check(lib.nt_stages_place(stages, given, len(placed)), "placing")
        return NicStage(max((p.bar_ns for p in placed), default=0))

    def start(self) -> None:
        pass

    def stop(self, stages: object) -> None:
        pass


def test_nic_stamps_that_were_placed_are_the_nic_stage(veth: tuple[str, str]) -> None:
    """Of the interval, by socket and for the host; the guests have NICs that stamp."""
    one, other = connection(*veth, "10.9.0.2"), connection(*veth, "10.9.0.2")
    with one[0], one[1], other[0], other[1], feed_of(*veth) as feed:
        select(feed, one[0], other[0])
        stages = feed._collector.planes.stages
        assert stages is not None
        first, second = cookie_of(one[0]), cookie_of(other[0])
        times = [Placed(first, ns, 20 + ns // 1000) for ns in range(1_000, 101_000, 1_000)]
        stages._nics = _Placed([*times, Placed(second, 7 * MS, 90)])  # type: ignore[assignment]
        plane = sent(feed, one[0])
        nic, host = plane.tx[Stage.NIC], feed.tx(None, run=False)
        assert (nic.count, nic.max_ns, nic.sum_ns) == (100, 100_000, 5_050_000)
        assert nic.p50_ns == pytest.approx(50_000, rel=0.016)
        assert plane.tx_nic_bar_ns == 120
        row = feed.find(second)
        assert row is not None
        assert (row.plane.tx[Stage.NIC].p50_ns, row.plane.tx_nic_bar_ns) == (7 * MS, 90)
        assert host is not None
        assert (host[Stage.NIC].dist.count, host[Stage.NIC].dist.max_ns) == (101, 7 * MS)
        plane = sent(feed, one[0])
        assert (plane.tx[Stage.NIC].count, plane.tx_nic_bar_ns) == (0, 0)
        run = feed.tx([first], run=True)
        assert run is not None
        assert run[Stage.NIC].dist.count == 100
