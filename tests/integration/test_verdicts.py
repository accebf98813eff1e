"""Verdicts over real sockets in namespaces made for the test: who is accused, and of what."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from threading import Event, Thread

import pytest

from nettop.collect import PollOptions
from nettop.engine import lib
from nettop.model.types import Level, Row, Verdict
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from nettop.sources.wait import WaitPlane
from nettop.text.explain import explain
from nettop.text.words import who_text, why_text
from tests.integration.namespaces import inside, needs_root, pair, run
from tests.integration.sends import connection, cookie_of, shaped

pytestmark = needs_root

NO_BPF = PlaneOptions(bpf=False)
SO_ATTACH_FILTER, SO_SNDBUFFORCE, IP_MINTTL = 26, 32, 21
# The kernel names the socket that a dropped packet was for.
NAMES_RECEIVER = tuple(int(n) for n in os.uname().release.split(".")[:2]) >= (6, 11)
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
        assert "not distinguishable from this end" in sentence(row), sentence(row)


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


@pytest.fixture
def ends(space: str) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with ExitStack() as stack:
        made = [connection(space, space) for _ in range(3)]
        for end in made:
            for sock in end:
                stack.enter_context(sock)
        yield made


def leave(ends: list[tuple[socket.socket, socket.socket]]) -> list[socket.socket]:
    """Receivers with an urgent byte, with less than they wait for, with what they could read."""
    ends[1][1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
    ends[0][0].send(b"!", socket.MSG_OOB)
    ends[1][0].send(b"x" * 100)
    ends[2][0].send(b"x" * 100)
    return [receiver for _, receiver in ends]


@pytest.mark.parametrize("late", [True, False])
def test_what_cannot_be_read_is_not_unread(
    space: str, ends: list[tuple[socket.socket, socket.socket]], late: bool
) -> None:
    """Whether nettop sees it come or comes later."""
    if late:
        leave(ends)
        time.sleep(0.3)
    with closing(LiveFeed(PollOptions(netns=(space,)))) as feed:
        feed.tick()
        if not late:
            leave(ends)
        time.sleep(0.25)
        for _ in range(3):
            time.sleep(0.12)
            feed.tick()
        rows = [feed.find(cookie_of(receiver)) for _, receiver in ends]
    for row in rows[:2]:
        assert row is not None
        assert row.rec.rqueue > 0
        assert row.verdicts == [], why_text(row)
        assert "poll() does not call readable" in sentence(row)
    assert rows[2] is not None
    assert (rows[2].verdicts, who_text(rows[2])) == ([Verdict.UNREAD], "app")


def test_what_no_process_holds_is_unread_too(
    space: str, ends: list[tuple[socket.socket, socket.socket]]
) -> None:
    """Passed on by a program, and not yet taken by another; and not yet accepted."""
    here, there = socket.socketpair()
    with here, there, closing(LiveFeed(PollOptions(netns=(space,)))) as feed:
        server = inside(space, lambda: socket.create_server(("127.0.0.1", 0)))
        client = inside(space, lambda: socket.create_connection(server.getsockname()))
        with server, client:
            sender, receiver = ends[0]
            feed.tick()
            socket.send_fds(here, [b"x"], [receiver.fileno()])
            cookie = cookie_of(receiver)
            receiver.close()
            for sock in (sender, client):
                sock.sendall(b"x" * 100)
            time.sleep(0.25)
            for _ in range(3):
                time.sleep(0.12)
                feed.tick()
            passed_on = feed.find(cookie)
            (waits,) = (
                row for row in feed.window(0, 50) if row.rec.dport == client.getsockname()[1]
            )
    for row in (passed_on, waits):
        assert row is not None
        assert row.rec.rqueue == 100
        assert row.verdicts == [Verdict.UNREAD]


def test_polling_alone_cannot_tell_what_is_readable(
    space: str, ends: list[tuple[socket.socket, socket.socket]]
) -> None:
    receivers = leave(ends)
    time.sleep(0.3)
    for row in looked_at(space, *receivers):
        assert row.verdicts == [Verdict.UNREAD]
        assert who_text(row) == "app?"
        assert row.level is Level.WATCH


def refuse_all(sock: socket.socket) -> None:
    """A socket filter of one instruction: return 0."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    sock.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
    )


def after_drops(name: str, sock: socket.socket, send: Callable[[], None], bpf: bool) -> Row:
    """The socket after three intervals in which something was sent that it drops."""
    options = PollOptions(netns=(name,), rows_all=True, planes=PlaneOptions(bpf=bpf))
    with closing(LiveFeed(options)) as feed:
        feed.tick()
        for _ in range(3):
            send()
            time.sleep(0.15)
            feed.tick()
        row = feed.find(cookie_of(sock))
    assert row is not None
    assert row.rec.drops > 20
    return row


@pytest.mark.parametrize("bpf", [True, False])
def test_what_a_filter_refuses_is_nobodys_fault(space: str, bpf: bool) -> None:
    server, client = (
        inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
    )
    with server, client:
        server.bind(("127.0.0.1", 0))
        refuse_all(server)

        def send() -> None:
            for _ in range(20):
                client.sendto(b"x", server.getsockname())

        row = after_drops(space, server, send, bpf)
    if bpf and NAMES_RECEIVER:
        assert row.verdicts == []
    else:
        assert (row.verdicts, who_text(row)) == ([Verdict.DROPS], "?")
        assert "a socket filter" in sentence(row)


@pytest.mark.parametrize("bpf", [True, False])
def test_a_full_queue_is_the_programs(space: str, bpf: bool) -> None:
    server, client = (
        inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
    )
    with server, client:
        server.bind(("127.0.0.1", 0))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)

        def send() -> None:
            for _ in range(40):
                client.sendto(bytes(1000), server.getsockname())

        row = after_drops(space, server, send, bpf)
    assert (Verdict.DROPS in row.verdicts, row.rec.drops > 0) == (True, True)
    assert who_text(row) == "app"


@pytest.mark.parametrize("bpf", [True, False])
def test_a_listener_that_refuses_is_not_slow(space: str, bpf: bool) -> None:
    """IP_MINTTL 255 against hosts that are further away, as BGP has it."""
    server = inside(space, lambda: socket.create_server(("127.0.0.1", 0), backlog=128))
    with server, ExitStack() as stack:
        server.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)

        def send() -> None:
            for _ in range(10):
                sock = inside(space, lambda: socket.socket(socket.AF_INET))
                stack.enter_context(sock).setblocking(False)
                sock.connect_ex(server.getsockname())

        row = after_drops(space, server, send, bpf)
    assert Verdict.ACCEPT not in row.verdicts
    assert (who_text(row) or "") == ("" if bpf and NAMES_RECEIVER else "?")
    assert row.level < Level.UNWELL


def test_of_listeners_at_one_port_the_quick_one_is_not_accused(space: str) -> None:
    """Connections are counted by port: as with SO_REUSEPORT, or here by two addresses."""
    slow = inside(space, lambda: socket.create_server(("127.0.0.1", 0), backlog=8))
    port = slow.getsockname()[1]
    quick = inside(space, lambda: socket.create_server(("127.0.0.2", port), backlog=8))
    options = PollOptions(netns=(space,), rows_all=True)
    with slow, quick, ExitStack() as stack, closing(LiveFeed(options)) as feed:

        def call(host: str) -> None:
            sock = inside(space, lambda: socket.create_connection((host, port)))
            stack.enter_context(sock).sendall(b"x")

        def take(listener: socket.socket) -> None:
            with listener.accept()[0] as sock:
                sock.recv(1)

        feed.tick()
        call("127.0.0.1")
        for _ in range(4):
            call("127.0.0.1")  # which waits when one looks
            time.sleep(0.7)
            take(slow)
            call("127.0.0.2")
            take(quick)
            feed.tick()
        rows = [feed.find(cookie_of(sock)) for sock in (slow, quick)]
    assert [row.verdicts for row in rows if row] == [[Verdict.ACCEPT], []]


def raw(space: str, packet: Callable[[], bytes]) -> Callable[[], None]:
    """Sends twenty whole IPv4 packets each time."""

    def send() -> None:
        with inside(
            space, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        ) as sock:
            for _ in range(20):
                sock.sendto(packet(), ("127.0.0.1", 0))

    return send


def ip_packet(proto: int, payload: bytes) -> bytes:
    here = socket.inet_aton("127.0.0.1")
    size = 20 + len(payload)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, proto, 0, here, here) + payload


def checksum(proto: int, segment: bytes) -> int:
    pseudo = socket.inet_aton("127.0.0.1") * 2 + struct.pack(">BBH", 0, proto, len(segment))
    total: int = sum(struct.unpack(f">{(len(pseudo) + len(segment)) // 2}H", pseudo + segment))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


@pytest.mark.skipif(not NAMES_RECEIVER, reason="Linux 6.11 names the socket of a dropped packet")
def test_a_scan_is_nobodys_fault(space: str) -> None:
    """SYN and FIN in one."""
    with inside(space, lambda: socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

        def syn_fin() -> bytes:
            bare = struct.pack(">HHIIBBHHH", 9, port, 7, 0, 5 << 4, 0x03, 1024, 0, 0)
            filled = bare[:16] + struct.pack(">H", checksum(6, bare)) + bare[18:]
            return ip_packet(6, filled)

        row = after_drops(space, server, raw(space, syn_fin), True)
    assert row.verdicts == []


def once(space: str, *options: str) -> str:
    """What `nettop -1` says of a namespace where a UDP socket overflows all the time."""
    server, client = (
        inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
    )
    ended = Event()
    with server, client:
        server.bind(("127.0.0.1", 0))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)

        def flood() -> None:
            while not ended.wait(0.01):
                client.sendto(bytes(1000), server.getsockname())

        writer = Thread(target=flood)
        writer.start()
        try:
            return run(sys.executable, "-m", "nettop", "-1", "-N", space, "--no-bpf", *options)
        finally:
            ended.set()
            writer.join()


def test_one_table_after_a_second_judges(space: str) -> None:
    said = once(space, "-d", "0.6")
    assert "drops" in said
    assert "! 0 unwell  ▲ 1 watch" in said or "! 1 unwell" in said, said


def test_one_look_says_that_it_cannot(space: str) -> None:
    said = once(space)
    assert "! ≥0 unwell  ▲ ≥0 watch" in said
    assert "verdicts of one poll" in said
    assert json.loads(once(space, "--json"))["intervals"] == 0


def test_a_socket_that_is_not_traced_is_not_blank(
    space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one socket in two is traced, the others say so."""
    monkeypatch.setattr(WaitPlane, "_govern", lambda plane, tick: None)
    with ExitStack() as stack, closing(LiveFeed(PollOptions(netns=(space,)))) as feed:
        pairs = [connection(space, space) for _ in range(16)]
        for ends in pairs:
            for sock in ends:
                stack.enter_context(sock)
        plane = feed._collector.planes._wait
        assert plane is not None
        lib.nt_wait_sample(plane._w, 1)
        feed.tick()
        for sender, receiver in pairs:
            sender.send(b"x")
            receiver.recv(1)
        feed.tick()
        rows = [feed.find(cookie_of(receiver)) for _, receiver in pairs]
        traced = {bool(row.plane.wait.count): why_text(row) for row in rows if row is not None}
        assert traced == {True: None, False: "not traced"}
        lib.nt_wait_sample(plane._w, 0)
        feed.tick()
        feed.tick()
        assert {why_text(row) for row in feed.window(0, 100)} == {None}


@pytest.mark.skipif(shutil.which("iptables") is None, reason="needs iptables")
def test_what_the_own_firewall_drops_is_not_the_networks(space: str) -> None:
    sender, receiver = connection(space, space)
    with sender, receiver, closing(LiveFeed(PollOptions(netns=(space,)))) as feed:
        feed.tick()
        port = str(receiver.getsockname()[1])
        rule = ("OUTPUT", "-p", "tcp", "--dport", port, "-j", "DROP")
        run("ip", "netns", "exec", space, "iptables", "-A", *rule)
        try:
            sender.send(b"x" * 100)
            for _ in range(6):
                time.sleep(0.3)
                feed.tick()
            row = feed.find(cookie_of(sender))
        finally:
            run("ip", "netns", "exec", space, "iptables", "-D", *rule)
    assert row is not None
    assert (row.verdicts[:1], who_text(row)) == ([Verdict.RTO], "kern")
    assert "dropped on this host" in sentence(row)
