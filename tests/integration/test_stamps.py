"""Stamps of own sockets: which come, under which keys, and what they measure."""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from nettop.engine.stamps import enable
from nettop.stamps import Flag, Flight, Flights, Stamp, StampedSocket, StampError, StampType
from tests.integration.namespaces import inside, needs_root, run
from tests.integration.sends import (
    ABS_NS,
    BURST,
    MS,
    RATE,
    REL,
    SO_TIMESTAMPNS,
    connection,
    near,
    shaped,
    unreachable,
)

SCHED, SND, ACK = StampType.SCHED, StampType.SND, StampType.ACK
SO_TIMESTAMP, SO_TIMESTAMPING = 29, 37
TCP_CORK = 3
IPPROTO_UDP, UDP_SEGMENT = 17, 103
HOSTS = {"lo": ("127.0.0.1", "::1"), "veth": ("10.9.0.2", "fd00::2"),
         "macvlan": ("10.8.0.2", "fd08::2")}  # fmt: skip


@pytest.fixture(scope="module")
def macvlan(veth: tuple[str, str]) -> Iterator[tuple[str, str]]:
    first, second = veth
    run("ip", "-n", first, "link", "add", "m1", "link", "v0", "type", "macvlan", "mode", "bridge")
    run("ip", "-n", first, "link", "set", "m1", "up")
    for name, dev, last in ((first, "m1", "1"), (second, "v0", "2")):
        run("ip", "-n", name, "addr", "add", f"10.8.0.{last}/24", "dev", dev)
        run("ip", "-n", name, "addr", "add", f"fd08::{last}/64", "dev", dev, "nodad")
    try:
        yield veth
    finally:
        run("ip", "-n", first, "link", "del", "m1")
        run("ip", "-n", second, "addr", "del", "10.8.0.2/24", "dev", "v0")
        run("ip", "-n", second, "addr", "del", "fd08::2/64", "dev", "v0")


def datagrams(
    client_in: str, server_in: str, host: str = "127.0.0.1"
) -> tuple[socket.socket, socket.socket]:
    """Two UDP sockets, connected to each other."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = inside(server_in, lambda: socket.socket(family, socket.SOCK_DGRAM))
    server.bind((host, 0))
    client = inside(client_in, lambda: socket.socket(family, socket.SOCK_DGRAM))
    client.connect(server.getsockname()[:2])
    server.connect(client.getsockname()[:2])
    return client, server


@contextmanager
def both(
    proto: str, device: str, version: int, veth: tuple[str, str]
) -> Iterator[tuple[socket.socket, socket.socket]]:
    host = HOSTS[device][version == 6]
    where = (veth[0], veth[0]) if device == "lo" else veth
    a, b = connection(*where, host) if proto == "tcp" else datagrams(*where, host)
    with a, b:
        yield a, b


def collected(sock: StampedSocket, wanted: int, *, seconds: float = 2.0) -> list[Stamp]:
    """So many stamps, and those that come with them in the next 20 ms."""
    out: list[Stamp] = []
    end = time.monotonic() + seconds
    while len(out) < wanted and time.monotonic() < end:
        out += sock.stamps()
        time.sleep(0.001)
    time.sleep(0.02)
    out += sock.stamps()
    assert not sock.errors
    return out


def kinds(stamps: list[Stamp]) -> Counter[tuple[int | None, StampType | None]]:
    return Counter((s.key, s.type) for s in stamps)


@needs_root
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("device", ["lo", "veth", "macvlan"])
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_the_stages_of_a_device(
    proto: str, device: str, version: int, macvlan: tuple[str, str]
) -> None:
    """As KERNEL says: SCHED once per device, SND once, ACK of TCP alone."""
    with both(proto, device, version, macvlan) as (a, b):
        sender = StampedSocket(a)
        receiver = StampedSocket(b)
        time.sleep(0.1)  # stamping on reception is switched on late
        a.send(b"wakes the neighbour") if device != "lo" else None
        if device != "lo":
            time.sleep(0.05)
            b.recv(100)
            sender.stamps()
            sender = StampedSocket(a)
        per_send = {SCHED: 2 if device == "macvlan" else 1, SND: 1}
        if proto == "tcp":
            per_send[ACK] = 1
        sizes = (1, 100, 1400)
        keys = []
        waits = []
        for size in sizes:
            sent = sender.send(b"x" * size)
            keys.append(sent.key)
            message, _ = receiver.wait(1)
            assert message is not None
            assert len(message.data) == size
            waits.append(message.queue_wait_ns)
        stamps = collected(sender, len(sizes) * sum(per_send.values()))
    assert kinds(stamps) == {(key, kind): n for key in keys for kind, n in per_send.items()}
    assert keys == ([0, 100, 1500] if proto == "tcp" else [0, 1, 2])
    for key in keys:
        order = sorted((s.software_ns or 0, s.type) for s in stamps if s.key == key)
        assert order[0][1] is SCHED
        assert order[-1][1] is (ACK if proto == "tcp" else SND)
    assert all(wait is not None and 0 <= wait < 500 * MS for wait in waits)


@needs_root
@pytest.mark.parametrize("size", [1, 2, 999, 1448, 1449, 20_000, 60_000])
def test_one_triple_for_a_write_of_any_size(size: int, veth: tuple[str, str]) -> None:
    a, b = connection(*veth, "10.9.0.2")
    with a, b:
        sender = StampedSocket(a)
        sent = sender.send(b"x" * size)
        left = size
        while left:
            left -= len(b.recv(left))
        stamps = collected(sender, 3)
    assert sent.taken == size
    assert sent.key == size - 1
    assert kinds(stamps) == {(size - 1, kind): 1 for kind in (SCHED, SND, ACK)}


@needs_root
def test_corked_writes_have_the_stamps_of_the_last(space: str) -> None:
    a, b = connection(space, space)
    with a, b:
        sender = StampedSocket(a)
        flights = Flights(is_stream=True)
        a.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 1)
        for size in (10, 20, 30):
            sent = sender.send(b"x" * size)
            assert sent.key is not None
            flights.sent(sent.key, sent.clocks)
        a.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 0)
        stamps = collected(sender, 3)
        assert len(b.recv(100)) == 60
    assert kinds(stamps) == {(59, kind): 1 for kind in (SCHED, SND, ACK)}
    done = flights.take(stamps)
    assert [(f.key, f.joined) for f in done] == [(9, True), (29, True), (59, False)]
    assert (len(flights), flights.strays) == (0, 0)


@needs_root
def test_keys_count_from_here_though_bytes_are_unacknowledged(veth: tuple[str, str]) -> None:
    """OPT_ID_TCP: the base is what was written, not what was acknowledged."""
    a, b = connection(*veth, "10.9.0.2")
    with a, b:
        a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with unreachable(veth):
            a.send(b"x" * 5000)
            sender = StampedSocket(a)
            assert sender.flags & Flag.OPT_ID_TCP
            assert sender.send(b"y" * 10).key == 9
        left = 5010
        b.settimeout(5)
        while left:
            left -= len(b.recv(left))
        stamps = collected(sender, 3)
    assert {s.key for s in stamps} == {9}
    assert ACK in {s.type for s in stamps}


@needs_root
def test_keys_where_the_kernel_counts_from_the_first_unacknowledged_byte(
    veth: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before Linux 6.2."""

    def refusing(fd: int, flags: int) -> None:
        if flags & Flag.OPT_ID_TCP:
            raise OSError(errno.EINVAL, "unknown flag")
        enable(fd, flags)

    monkeypatch.setattr("nettop.stamps.socket.enable", refusing)
    a, b = connection(*veth, "10.9.0.2")
    with a, b:
        with unreachable(veth):
            a.send(b"x" * 5000)
            sender = StampedSocket(a)
            assert not sender.flags & Flag.OPT_ID_TCP
            assert sender.send(b"y" * 10).key == 5009
        b.settimeout(5)
        left = 5010
        while left:
            left -= len(b.recv(left))
        stamps = collected(sender, 3)
    assert {s.key for s in stamps} == {5009}


@needs_root
def test_a_retransmission_repeats_sched_and_snd(veth: tuple[str, str]) -> None:
    a, b = connection(*veth, "10.9.0.2")
    with a, b:
        sender = StampedSocket(a)
        flights = Flights(is_stream=True)
        with unreachable(veth):
            sent = sender.send(b"x" * 100)
            assert sent.key is not None
            flights.sent(sent.key, sent.clocks)
            time.sleep(0.7)
        b.settimeout(5)
        assert len(b.recv(100)) == 100
        stamps = collected(sender, 5)
    count = kinds(stamps)
    assert count[99, ACK] == 1
    assert count[99, SND] == count[99, SCHED] >= 3
    (flight,) = flights.take(stamps)
    assert len(flight.snds_ns) == count[99, SND]
    assert flight.ack_ns is not None
    assert flight.snds_ns[-1] - flight.snds_ns[0] > 400 * MS
    assert flight.snds_ns[-1] == flight.left_before(flight.ack_ns)


@needs_root
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_single_sends_can_ask_for_stamps(proto: str, space: str) -> None:
    with both(proto, "lo", 4, (space, space)) as (a, b):
        sender = StampedSocket(a, send=False)
        sends = [sender.send(b"x" * 10, stamped=i % 3 == 0) for i in range(9)]
        b.recv(100)
        stamps = collected(sender, 6 + 3 * (proto == "tcp"))
    keys = [sent.key for sent in sends]
    expected = [9, 39, 69] if proto == "tcp" else [0, 1, 2]
    assert [k for k in keys if k is not None] == expected
    wanted = (SCHED, SND, ACK) if proto == "tcp" else (SCHED, SND)
    assert kinds(stamps) == {(key, kind): 1 for key in expected for kind in wanted}


@needs_root
def test_statistics_come_with_every_stamp(space: str) -> None:
    a, b = connection(space, space)
    with a, b:
        sender = StampedSocket(a, stats=True)
        for size in (1000, 500):
            sender.send(b"x" * size)
            b.recv(2000)
        stamps = collected(sender, 6)
    acks = [s.stats for s in stamps if s.type is ACK]
    assert [stats["bytes_sent"] for stats in acks if stats] == [1000, 1500]
    assert all(s.stats and s.stats["snd_cwnd"] >= 2 and s.stats["srtt_us"] > 0 for s in stamps)
    assert all(stats and stats["ttl"] == 64 for stats in acks)


@needs_root
def test_a_segmented_datagram_is_one(space: str) -> None:
    a, b = datagrams(space, space)
    with a, b:
        a.setsockopt(IPPROTO_UDP, UDP_SEGMENT, 100)
        sender = StampedSocket(a)
        sender.send(b"x" * 1000)
        stamps = collected(sender, 2)
    assert kinds(stamps) == {(0, SCHED): 1, (0, SND): 1}


@needs_root
def test_a_refused_datagram_does_not_shift_the_keys(space: str) -> None:
    a, b = datagrams(space, space)
    with a, b:
        sender = StampedSocket(a)
        assert sender.send(b"x").key == 0
        with pytest.raises(OSError, match="Message too long"):
            sender.send(b"x" * 70_000)
        sender.stamps()
        sent = sender.send(b"x")
        stamps = collected(sender, 2)
    assert {s.key for s in stamps} == {sent.key}


@needs_root
@pytest.mark.parametrize("how", ["flag", "timeout"])
def test_datagrams_without_room_use_up_no_keys(how: str, veth: tuple[str, str]) -> None:
    """A full send buffer, while what filled it is still in the queue of the device."""
    a, b = datagrams(*veth, "10.9.0.2")
    a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    if how == "timeout":
        a.settimeout(1)
    flights = Flights(is_stream=False)
    sends: list[Flight] = []
    refused = 0
    with a, b, shaped(veth[0]):
        sender = StampedSocket(a)
        while len(sends) < 60:
            try:
                sent = sender.send(b"x" * 1000, flags=socket.MSG_DONTWAIT * (how == "flag"))
            except BlockingIOError:
                refused += 1
                time.sleep(0.0002)
                continue
            assert sent.key is not None
            sends.append(flights.sent(sent.key, sent.clocks))
            flights.take(sender.stamps())
        time.sleep(0.1)
        flights.take(collected(sender, 0))
    assert refused > 10
    assert (len(flights), flights.strays) == (60, 0)
    for flight in sends:
        assert flight.sched_ns is not None
        assert (len(flight.scheds_ns), len(flight.snds_ns)) == (1, 1)
        took_ns = flight.clocks.after_mono_ns - flight.clocks.before_mono_ns
        assert -ABS_NS <= flight.sched_ns - flight.clocks.before_ns <= took_ns + ABS_NS


@needs_root
@pytest.mark.parametrize("delay_ms", [1, 10, 100])
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_queue_wait_of_a_late_reader(proto: str, delay_ms: int, space: str) -> None:
    with both(proto, "lo", 4, (space, space)) as (a, b):
        receiver = StampedSocket(b)
        time.sleep(0.1)
        waits = []
        for _ in range(11 if delay_ms < 100 else 3):
            a.send(b"x")
            sent = time.monotonic_ns()
            time.sleep(delay_ms / 1000)
            before = time.monotonic_ns() - sent
            message = receiver.recv()
            after = time.monotonic_ns() - sent
            assert message.queue_wait_ns is not None
            waits.append((before, message.queue_wait_ns, after))
    for before, wait, after in waits:
        assert before * (1 - REL) - ABS_NS <= wait <= after * (1 + REL) + ABS_NS


@needs_root
@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_the_queue_of_a_device(proto: str, veth: tuple[str, str]) -> None:
    """SCHED to SND is size over rate: a token bucket that was used up by its burst."""
    size = 9000 if proto == "tcp" else 1400
    with both(proto, "veth", 4, veth) as (a, b), shaped(veth[0]):
        b.settimeout(5)
        sender = StampedSocket(a)
        flights = Flights(is_stream=proto == "tcp")
        waits = []
        for _ in range(7):
            pause = time.monotonic()
            n = 1 if proto == "tcp" else 5
            sent = [sender.send(b"x" * size) for _ in range(n)]
            known = [flights.sent(s.key, s.clocks) for s in sent if s.key is not None]
            left = size * n
            while left:
                left -= len(b.recv(65536))
            flights.take(collected(sender, 2 * n + (proto == "tcp")))
            waits.append(known)
            time.sleep(max(0.0, 0.06 - (time.monotonic() - pause)))
        mss = a.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) if proto == "tcp" else 0
    wire = size + -(-size // mss) * (1514 - mss) if proto == "tcp" else 5 * (size + 42)
    last = sorted(_qdisc(group[-1]) for group in waits)
    assert last[len(last) // 2] == near((wire - BURST) / RATE * 1e9)


def _qdisc(flight: Flight) -> int:
    assert flight.sched_ns is not None
    assert flight.snd_ns is not None
    return flight.snd_ns - flight.sched_ns


# --- what the kernel's rxtimestamp and txtimestamp selftests assert ---


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("option", "value", "legacy", "software"),
    [(SO_TIMESTAMP, 1, True, False), (SO_TIMESTAMPNS, 1, True, False),
     (SO_TIMESTAMPING, Flag.RX_SOFTWARE, False, False),
     (SO_TIMESTAMPING, Flag.RX_SOFTWARE | Flag.SOFTWARE, False, True),
     (SO_TIMESTAMPING, Flag.SOFTWARE | Flag.OPT_RX_FILTER, False, False),
     (SO_TIMESTAMPING, Flag.RX_HARDWARE | Flag.RAW_HARDWARE | Flag.OPT_RX_FILTER, False, False),
     (SO_TIMESTAMPING, 0, False, False)],
)  # fmt: skip
def test_which_options_stamp_what_is_received(
    proto: str, version: int, option: int, value: int, legacy: bool, software: bool
) -> None:
    host = HOSTS["lo"][version == 6]
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with ExitStack() as stack:
        if proto == "tcp":
            server = stack.enter_context(socket.create_server((host, 0), family=family))
            a = stack.enter_context(socket.create_connection(server.getsockname()[:2]))
            b = stack.enter_context(server.accept()[0])
        else:
            b = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            b.bind((host, 0))
            a = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            a.connect(b.getsockname()[:2])
        receiver = StampedSocket(b, receive=False, send=False)
        enable(b.fileno(), 0)
        b.setsockopt(socket.SOL_SOCKET, option, int(value))
        time.sleep(0.1)
        before = time.time_ns()
        a.send(b"x" * 10)
        time.sleep(0.01)
        message = receiver.recv()
    stamp = message.stamp
    assert (stamp.legacy_ns is not None, stamp.software_ns is not None) == (legacy, software)
    assert stamp.hardware_ns is None
    assert not stamp.errors
    for ns in (stamp.legacy_ns, stamp.software_ns):
        assert ns is None or before - 1000 <= ns <= stamp.read_ns  # µs of SO_TIMESTAMP


@needs_root
def test_a_full_receive_buffer_drops_stamps_which_are_missed(space: str) -> None:
    """Unread stamps use up the receive buffer: some are lost, and their sends stay open."""
    a, b = datagrams(space, space)
    with a, b:
        a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4608)
        sender = StampedSocket(a)
        flights = Flights(is_stream=False)
        for _ in range(40):
            sent = sender.send(b"x")
            assert sent.key is not None
            flights.sent(sent.key, sent.clocks)
        time.sleep(0.02)
        flights.take(sender.stamps())
        half = [f for f in flights.older_than(time.monotonic_ns()) if f.snd_ns is None]
    assert 0 < len(half) < 40
    assert len(flights) == 0


def test_what_is_not_read_is_counted() -> None:
    """Another option's control message beside the stamp."""
    with ExitStack() as stack:
        a, b = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in "ab")
        b.bind(("127.0.0.1", 0))
        receiver = StampedSocket(b)
        b.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        time.sleep(0.1)
        for _ in range(3):
            a.sendto(b"x", b.getsockname())
        time.sleep(0.01)
        assert all(receiver.recv().stamp.software_ns for _ in range(3))
    assert receiver.errors == {StampError.UNKNOWN: 3}


@needs_root
@pytest.mark.parametrize("kind", ["raw", "packet"])
def test_raw_and_packet_sockets(kind: str, space: str) -> None:
    """Their stamps come by other control messages; keys count datagrams."""

    def opened() -> socket.socket:
        if kind == "packet":
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            sock.bind(("lo", 0x0800))
            return sock
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
        sock.connect(("127.0.0.1", 0))
        return sock

    with inside(space, opened) as sock:
        sender = StampedSocket(sock, receive=False)
        for size in (20, 500):
            sender.send(b"E" + b"x" * size)
        stamps = collected(sender, 4)
    assert kinds(stamps) == {(key, kind): 1 for key in (0, 1) for kind in (SCHED, SND)}
