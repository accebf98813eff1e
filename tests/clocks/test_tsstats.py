"""Netlink messages on delivered stamps, byte by byte; and the real kernel's answer."""

from __future__ import annotations

import socket
import struct

import pytest
from msgspec.structs import replace

from nettop.clocks import tsstats
from nettop.clocks.interfaces import Interface, Setting, judge
from nettop.clocks.tsstats import TxStats, attribute, attributes, body, parse, request


def answer(stats: bytes | None, kind: int = 21) -> bytes:
    payload = attribute(5, struct.pack("=I", 3))
    if stats is not None:
        payload += attribute(6 | 0x8000, stats)
    head = struct.pack("=IHHII", 20 + len(payload), kind, 0, 1, 99)
    return head + struct.pack("=BBH", 25, 1, 0) + payload


def test_stats_of_four_and_eight_bytes() -> None:
    mixed = (attribute(1, struct.pack("=I", 7)) + attribute(2, struct.pack("=Q", 2**40))
             + attribute(3, struct.pack("=I", 2)) + attribute(4, struct.pack("=I", 9)))  # fmt: skip
    assert parse(answer(mixed)) == TxStats(7, 2**40, 2)


def test_a_driver_that_does_not_count() -> None:
    assert parse(answer(None)) is None
    assert parse(answer(b"")) is None
    assert parse(answer(attribute(2, struct.pack("=I", 1)))) is None


def test_errors_and_broken_messages_are_nothing() -> None:
    good = answer(attribute(1, struct.pack("=I", 7)))
    assert parse(good) == TxStats(7, 0, 0)
    assert parse(answer(attribute(1, b"\1\0\0\0"), kind=2)) is None, "NLMSG_ERROR"
    for n in range(len(good)):
        assert parse(good[:n]) is None
    for value in (0, 3, 0xFFFF):
        broken = bytearray(good)
        struct.pack_into("=H", broken, 28, value)  # length of the second attribute
        assert parse(bytes(broken)) is None
    assert parse(answer(attribute(1, b"\1\2\3"))) is None


def test_attributes_end_with_what_is_whole() -> None:
    raw = attribute(1, b"abcde") + attribute(2, b"")
    assert list(attributes(raw)) == [(1, b"abcde"), (2, b"")]
    assert list(attributes(raw[:-1])) == [(1, b"abcde")]


def test_a_request_is_a_whole_message() -> None:
    raw = request(30, 25, attribute(1, b"x"))
    assert struct.unpack_from("=IHHII", raw) == (len(raw), 30, 1, 1, 0)
    assert body(raw) == attribute(1, b"x")


def test_the_kernel_understands_the_question() -> None:
    """lo has no hardware stamps to count, but TSINFO without statistics answers for it."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, tsstats.NETLINK_GENERIC) as sock:
        sock.settimeout(2)
        sock.send(request(16, 3, attribute(2, b"ethtool\0")))
        found = dict(attributes(body(sock.recv(65536)) or b""))
        if 1 not in found:
            pytest.skip("this kernel has no ethtool netlink")
        [family] = struct.unpack("=H", found[1])
        header = attribute(2, b"lo\0") + attribute(3, struct.pack("=I", tsstats.FLAG_STATS))
        sock.send(request(family, tsstats.TSINFO_GET, attribute(1 | 0x8000, header)))
        raw = sock.recv(65536)
    if struct.unpack_from("=IH", raw)[1] == tsstats.NLMSG_ERROR:
        assert struct.unpack_from("=i", raw, 16)[0] in (-95, -22), "it knows no statistics"
    else:
        header = dict(attributes(body(raw) or b""))[1]
        assert dict(attributes(header))[2] == b"lo\0"
    assert tsstats.read("lo") is None
    assert tsstats.read("nosuch0") is None


def test_what_they_mean() -> None:
    nic = Interface(
        "eth0", 2, "x", phc=0, tx_types=("off", "on"), rx_filters=("none", "all"),
        capabilities=("hardware-transmit", "hardware-receive"), setting=Setting("on", "all"),
    )  # fmt: skip
    assert judge(nic) == ()
    assert judge(replace(nic, tx_stats=TxStats(100, 0, 0))) == ()
    [some] = judge(replace(nic, tx_stats=TxStats(95, 4, 1)))
    assert (some.text[:8], some.odd) == ("5 of 100", False)
    [none] = judge(replace(nic, tx_stats=TxStats(0, 12, 0)))
    assert "12 transmit stamps were requested and none came" in none.text
    assert none.odd
