"""Which end of a dropped packet is the local one, where no socket says so."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from nettop.ffi import ffi, lib
from nettop.ffi.engine import Engine
from nettop.model.events import Event, EventType, event_line
from nettop.planes.events import EventsPlane, open_plane
from tests.integration.namespaces import inside, needs_root, run
from tests.integration.sends import cookie_of

pytestmark = needs_root


def inode_of(name: str) -> int:
    return Path(f"/run/netns/{name}").stat().st_ino


@pytest.fixture
def plane(veth: tuple[str, str]) -> Iterator[EventsPlane]:
    made, status = open_plane(confined=True)
    assert made is not None, status.reason
    with closing(made):
        made.watch([inode_of(name) for name in veth])
        made.read()
        yield made


def drop_of(plane: EventsPlane, name: str) -> Event:
    """The newest in a namespace."""
    plane.read()
    found = [e for e in plane.recent(types=[EventType.DROP]) if e.netns == inode_of(name)]
    assert found
    return found[0]


def ends_of(event: Event) -> tuple[str, str]:
    return event.local.rsplit(":", 1)[0], event.remote.rsplit(":", 1)[0]


@pytest.mark.parametrize(
    ("v", "a", "b"), [("4", "10.9.0.1", "10.9.0.2"), ("6", "fd00::1", "fd00::2")]
)
def test_a_dropped_packet_has_its_ends_the_right_way_round(
    veth: tuple[str, str], plane: EventsPlane, v: str, a: str, b: str
) -> None:
    """Going out from a socket that nobody has named, or from the kernel's own; and coming in."""
    near, far = veth
    family = socket.AF_INET6 if v == "6" else socket.AF_INET
    tables = "ip6tables" if v == "6" else "iptables"
    here, there = (f"[{a}]", f"[{b}]") if v == "6" else (a, b)

    def refusing(name: str, chain: str, *rule: str) -> list[str]:
        run("ip", "netns", "exec", name, tables, "-A", chain, *rule, "-j", "DROP")
        return ["ip", "netns", "exec", name, tables, "-F"]

    clean = refusing(near, "OUTPUT", "-p", "udp")
    with inside(near, lambda: socket.socket(family, socket.SOCK_DGRAM)) as sock:
        with suppress(PermissionError):
            sock.sendto(b"x", (b, 9))
        event = drop_of(plane, near)
        assert not event.cookie
        assert ends_of(event) == (here, there)
        assert (event.sport, event.dport) == (sock.getsockname()[1], 9)
        run(*clean)
        clean = refusing(far, "INPUT", "-p", "udp")
        sock.sendto(b"x", (b, 9))
        event = drop_of(plane, far)
        assert ends_of(event) == (there, here)
        assert (event.sport, event.dport) == (9, sock.getsockname()[1])
        assert event_line(event, event.at_ns).split()[2:5] == [event.remote, "→", event.local]
    run(*clean)
    clean = refusing(far, "OUTPUT", "-p", "tcp", "--tcp-flags", "RST", "RST")
    with inside(near, lambda: socket.socket(family)) as sock:
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.connect((b, 9))
        event = drop_of(plane, far)
        assert ends_of(event) == (there, here)
        assert (event.sport, event.dport) == (9, sock.getsockname()[1])
    run(*clean)


def test_a_packet_that_no_inet_socket_sent_is_on_its_way_out(
    veth: tuple[str, str], plane: EventsPlane
) -> None:
    near, _ = veth
    run("tc", "-n", near, "qdisc", "add", "dev", "v0", "root", "tbf",
        "rate", "8kbit", "burst", "100b", "limit", "100b")  # fmt: skip
    header = struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 1028, 1, 0, 64, 17, 0,
                         socket.inet_aton("10.9.0.1"), socket.inet_aton("10.9.0.2"),
                         1111, 2222, 1008, 0)  # fmt: skip
    try:
        sock = inside(near, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
        with sock, suppress(OSError):
            sock.sendto(header + bytes(1000), ("v0", 0x0800, 0, 0, b"\xff" * 6))
        event = drop_of(plane, near)
        assert (event.local, event.remote) == ("10.9.0.1:1111", "10.9.0.2:2222")
        assert event_line(event, event.at_ns).split()[2:5] == [event.local, "→", event.remote]
    finally:
        run("tc", "-n", near, "qdisc", "del", "dev", "v0", "root")


# --- by kinds of reasons, for the engine's verdicts ---

IP_MINTTL, SO_ATTACH_FILTER = 21, 26


class BpfProgram(ctypes.Structure):
    _fields_ = (("n", ctypes.c_ushort), ("code", ctypes.c_char_p))


def attach_filter(sock: socket.socket, keeps: int) -> None:
    """A socket filter that keeps so many bytes of each packet; of 0 it refuses them."""
    program = BpfProgram(1, struct.pack("HBBI", 6, 0, 0, keeps))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


def damaged(near: str, sport: int, dport: int) -> None:
    """A datagram with a checksum that is not its own, to the other end; of a short one the kernel
    drops without looking whose it is."""
    packet = struct.pack("!BBHHHBBH4s4sHHHH", 0x45, 0, 228, 1, 0, 64, 17, 0,
                         socket.inet_aton("10.9.0.1"), socket.inet_aton("10.9.0.2"),
                         sport, dport, 208, 0xBEEF)  # fmt: skip
    with inside(near, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)) as raw:
        raw.sendto(packet + bytes(200), ("10.9.0.2", 0))


def test_drops_of_a_socket_are_known_by_kind(veth: tuple[str, str]) -> None:
    near, far = veth
    with ExitStack() as stack:
        plane, status = open_plane(confined=True)
        assert plane is not None, status.reason
        stack.enter_context(closing(plane))
        plane.watch([inode_of(name) for name in veth])
        engine = Engine()

        def socket_in(name: str, kind: int = socket.SOCK_DGRAM) -> socket.socket:
            sock = stack.enter_context(inside(name, lambda: socket.socket(socket.AF_INET, kind)))
            if name == far:
                sock.bind(("10.9.0.2", 0))
            return sock

        sender, filtered, full, bare = socket_in(near), *(socket_in(far) for _ in range(3))
        hardened, plain = (socket_in(far, socket.SOCK_STREAM) for _ in range(2))
        attach_filter(filtered, 0)
        attach_filter(bare, 65535)  # before it runs checksums are verified, else when it is read
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hardened.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)
        for sock in (hardened, plain):
            sock.listen(1)
        plane.read(engine)
        for _ in range(7):
            sender.sendto(b"x", filtered.getsockname())
        for _ in range(50):
            sender.sendto(b"x" * 1000, full.getsockname())
        for _ in range(3):
            damaged(near, 1234, bare.getsockname()[1])
        client = socket_in(near, socket.SOCK_STREAM)
        client.settimeout(0.1)
        with suppress(TimeoutError):
            client.connect(hardened.getsockname())
        plane.read(engine)

        def kinds(sock: socket.socket) -> dict[int, int]:
            counts = ffi.new("struct nt_drop_counts *")
            lib.nt_engine_drops(engine.handle, cookie_of(sock), counts)
            return {kind: n for kind, n in enumerate(counts.packets) if n}

        assert kinds(filtered) == {lib.NT_DROP_POLICY: 7}
        ((kind, n),) = kinds(full).items()
        assert kind == lib.NT_DROP_QUEUE
        assert 0 < n < 50
        assert kinds(bare) == {lib.NT_DROP_CHECKSUM: 3}
        assert kinds(hardened) == {lib.NT_DROP_POLICY: 1}
        assert kinds(plain) == {}
        plane.read(engine)
        assert kinds(filtered) == {}, "of the interval"
