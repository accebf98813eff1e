"""Frames give back the very bytes that were packed, and refuse what no packer wrote."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nettop.engine import lib
from nettop.engine.frames import Packer, Section, Sections, sections_of
from tests import netlink

CAPTURES = sorted((Path(__file__).parents[1] / "data" / "netlink").glob("*.bin"))
NLMSG_DONE = 3
INET_DIAG_INFO = 2
LISTEN = 10
AGES = (44, 52, 56)  # of tcp_info: last_data_sent, last_data_recv, last_ack_recv
TCP = lib.NT_PROTO_TCP


def raw_of(sections: Sequence[Section]) -> bytes:
    out = Sections()
    for section in sections:
        out.add(section)
    return out.to_bytes()


def messages_of(dump: bytes) -> list[bytes]:
    """Without numbers of the dump and without its end, as frames keep them."""
    messages, at = [], 0
    while at < len(dump):
        n, kind = struct.unpack_from("<IH", dump, at)
        step = (n + 3) & ~3
        message = bytearray(dump[at : at + step])
        message[8:12] = bytes(4)
        if kind != NLMSG_DONE:
            messages.append(bytes(message))
        at += step
    return messages


def info_at(message: bytes | bytearray) -> int | None:
    at = 16 + 72
    while at + 4 <= len(message):
        n, kind = struct.unpack_from("<HH", message, at)
        if kind == INET_DIAG_INFO:
            return at + 4
        at += (n + 3) & ~3
    return None


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def older(message: bytes, ms: int) -> bytes:
    """The same socket later, when nothing happened meanwhile."""
    out = bytearray(message)
    info = info_at(message)
    if info is not None and message[17] != LISTEN:
        for age in AGES:
            (before,) = struct.unpack_from("<I", out, info + age)
            struct.pack_into("<I", out, info + age, before + ms)
    if message[18]:  # a timer runs
        (left,) = struct.unpack_from("<I", out, 16 + 52)
        struct.pack_into("<I", out, 16 + 52, (left - ms) % 2**32)
    return bytes(out)


def dump(at_ns: int, messages: Sequence[bytes], proto: int = TCP) -> list[Section]:
    """Two reads."""
    half = len(messages) // 2
    return [
        Section(at_ns, lib.NT_S_DIAG, 7, proto, b"".join(messages[:half])),
        Section(at_ns + 1000, lib.NT_S_DIAG, 7, proto, b"".join(messages[half:])),
    ]


@pytest.fixture
def tcp_messages() -> list[bytes]:
    path = next(p for p in CAPTURES if p.name == "tcp-legacy.bin")
    messages = messages_of(path.read_bytes())
    assert any(info_at(m) for m in messages)
    return messages


@pytest.mark.parametrize("path", CAPTURES, ids=lambda p: p.stem)
def test_real_dumps_come_back_whole(path: Path) -> None:
    proto = {"tcp": TCP, "udp": lib.NT_PROTO_UDP}.get(path.stem.split("-")[0], lib.NT_PROTO_MPTCP)
    packer, unpacker = Packer(), Packer()
    messages = messages_of(path.read_bytes())
    for tick in range(3):
        sections = dump(tick * 10**9, [older(m, tick * 1004) for m in messages], proto)
        raw = raw_of(sections)
        assert list(sections_of(unpacker.unpack(packer.pack(raw)))) == sections


def test_idle_sockets_take_next_to_nothing(tcp_messages: list[bytes]) -> None:
    packer = Packer()
    many: list[bytes] = []
    for i in range(1000):
        for message in tcp_messages:
            changed = bytearray(message)
            struct.pack_into("<Q", changed, 16 + 4 + 40, i * 1000 + len(many))
            many.append(bytes(changed))
    packer.pack(raw_of(dump(0, many)))
    frame = packer.pack(raw_of(dump(10**9, [older(m, 1000) for m in many])))
    assert len(frame) < len(many)


def test_sockets_come_go_change_and_move(tcp_messages: list[bytes]) -> None:
    packer, unpacker = Packer(), Packer()
    changed = bytearray(tcp_messages[1])
    changed[-1] ^= 0xFF
    longer = tcp_messages[2] + b"\x04\x00\xff\x00"
    ticks = [
        tcp_messages,
        tcp_messages[1:],
        [tcp_messages[0], *tcp_messages[2:]],
        [*tcp_messages[2:], tcp_messages[0], bytes(changed)],
        [longer, *reversed(tcp_messages)],
        [],
        tcp_messages,
    ]
    for number, messages in enumerate(ticks):
        sections = dump(number * 10**9, messages)
        assert list(sections_of(unpacker.unpack(packer.pack(raw_of(sections))))) == sections


def test_room_of_the_largest_dump_does_not_go_round(tcp_messages: list[bytes]) -> None:
    """Each of many small dumps would else come to hold as much as the one large one."""
    packer, unpacker = Packer(), Packer()
    large = netlink.message(netlink.SOCK_DIAG_BY_FAMILY, bytes(4 << 20), seq=0)
    begun = resident_bytes()
    for tick in range(30):
        sections = dump(tick, [large])
        for netns in range(40):
            sections.append(Section(tick, lib.NT_S_DIAG, netns, TCP, tcp_messages[0]))
        raw = raw_of(sections)
        assert unpacker.unpack(packer.pack(raw)) == raw
    # Before and after of the packer, and of the unpacker, and what is made on the way.
    assert resident_bytes() - begun < 15 * len(large)


def test_one_age_that_goes_its_own_way_is_kept(tcp_messages: list[bytes]) -> None:
    packer, unpacker = Packer(), Packer()
    later = [bytearray(older(m, 1000)) for m in tcp_messages]
    for message in later:
        info = info_at(message)
        if info is not None:
            struct.pack_into("<I", message, info + AGES[1], 3)
    for number, messages in enumerate([tcp_messages, [bytes(m) for m in later]]):
        sections = dump(number, messages)
        assert list(sections_of(unpacker.unpack(packer.pack(raw_of(sections))))) == sections


def test_a_frame_without_the_one_before_is_refused(tcp_messages: list[bytes]) -> None:
    packer = Packer()
    packer.pack(raw_of(dump(0, tcp_messages)))
    frame = packer.pack(raw_of(dump(1, tcp_messages)))
    with pytest.raises(ValueError, match="no frame"):
        Packer().unpack(frame)


def test_a_key_frame_needs_none_before(tcp_messages: list[bytes]) -> None:
    packer = Packer()
    packer.pack(raw_of(dump(0, tcp_messages)))
    packer.reset()
    sections = dump(1, tcp_messages)
    assert list(sections_of(Packer().unpack(packer.pack(raw_of(sections))))) == sections


def test_a_frame_that_would_fill_the_memory_is_refused() -> None:
    frame = Packer().pack(raw_of([Section(0, lib.NT_S_DUMP, 0, 0, bytes(1 << 20))]))
    assert len(frame) < 100
    with pytest.raises(ValueError, match="no frame"):
        Packer().unpack(frame, most=1 << 19)


sections_strategy = st.lists(
    st.builds(
        Section,
        at_ns=st.integers(0, 2**63),
        kind=st.sampled_from([1, 3, 4, 5, 63, lib.NT_S_RECORDS, 77, 2**31 - 1]),
        netns=st.integers(0, 2),
        arg=st.sampled_from([0, 1, 7, 8, 16, 24]),
        body=st.binary(max_size=96),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=100)
@given(ticks=st.lists(sections_strategy, max_size=5))
def test_any_sections_come_back(ticks: list[list[Section]]) -> None:
    packer, unpacker = Packer(), Packer()
    for sections in ticks:
        raw = raw_of(sections)
        assert unpacker.unpack(packer.pack(raw)) == raw


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damaged_frames_are_refused_or_read(data: st.DataObject) -> None:
    path = next(p for p in CAPTURES if p.name == "tcp-legacy.bin")
    messages = messages_of(path.read_bytes())
    packer, unpacker = Packer(), Packer()
    unpacker.unpack(packer.pack(raw_of(dump(0, messages))))
    frame = bytearray(packer.pack(raw_of(dump(1, [older(m, 5) for m in messages[1:]]))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(frame)))
    try:
        raw = unpacker.unpack(bytes(frame[:cut]), most=1 << 20)
    except ValueError:
        raw = b""
    assert sum(len(s.body) for s in sections_of(raw)) <= 1 << 20
