"""Which end of a dropped packet is the local one, where no socket says so."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nettop.model.events import Event, EventType
from nettop.text.events import event_line
from tests.integration.namespaces import inside, needs_root, run
from tests.integration.recorder import Recorder, recorder

pytestmark = needs_root


def inode_of(name: str) -> int:
    return Path(f"/run/netns/{name}").stat().st_ino


@pytest.fixture
def plane(veth: tuple[str, str]) -> Iterator[Recorder]:
    with recorder([inode_of(name) for name in veth]) as made:
        yield made


def drop_of(plane: Recorder, name: str) -> Event:
    """The newest in a namespace, but for the kernel's own ICMPv6 (router solicitations)."""
    plane.read()
    found = [
        e
        for e in plane.recent(types=[EventType.DROP])
        if e.netns == inode_of(name) and e.proto in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)
    ]
    assert found
    return found[0]


def ends_of(event: Event) -> tuple[str, str]:
    return event.local.rsplit(":", 1)[0], event.remote.rsplit(":", 1)[0]


@pytest.mark.parametrize(
    ("v", "a", "b"), [("4", "10.9.0.1", "10.9.0.2"), ("6", "fd00::1", "fd00::2")]
)
def test_a_dropped_packet_has_its_ends_the_right_way_round(
    veth: tuple[str, str], plane: Recorder, v: str, a: str, b: str
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
    veth: tuple[str, str], plane: Recorder
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
