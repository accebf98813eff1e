"""Control data byte by byte: every layout, and every way in which it can be wrong."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

import pytest

from nettop.engine.stamps import parse
from nettop.model.stamps import ERROR_TEXTS, Stamp, StampError, StampType

SOL_SOCKET, SOL_IP, SOL_IPV6, SOL_PACKET = 1, 0, 41, 263
TIMESTAMP_OLD, TIMESTAMPNS_OLD, TIMESTAMPING_OLD = 29, 35, 37
OPT_STATS, PKTINFO = 54, 58
TIMESTAMP_NEW, TIMESTAMPNS_NEW, TIMESTAMPING_NEW = 63, 64, 65
RECVERR, RECVERR6, PACKET_TX = 11, 25, 16
LONG = ctypes.sizeof(ctypes.c_long)
WORD = {8: "q", 4: "i"}[LONG]
S = 1_000_000_000


def cmsg(level: int, kind: int, payload: bytes, *, length: int | None = None) -> bytes:
    """struct cmsghdr of a 64-bit or 32-bit host, its data, and padding to a long."""
    size = LONG + 8 + len(payload)
    head = struct.pack({8: "=Q", 4: "=I"}[LONG], size if length is None else length)
    return head + struct.pack("=ii", level, kind) + payload + bytes(-size % LONG)


def stamped(kind: int, *times: tuple[int, int]) -> bytes:
    word = "q" if kind == TIMESTAMPING_NEW else WORD
    parts = [part for time in times for part in time]
    return cmsg(SOL_SOCKET, kind, struct.pack(f"={len(parts)}{word}", *parts))


def error_of(level: int, kind: int, info: int, key: int, *, origin: int = 4, no: int = 42) -> bytes:
    return cmsg(level, kind, struct.pack("=IBBBBII", no, origin, 0, 0, 0, info, key) + bytes(16))


def parsed(control: bytes, *, flags: int = 0) -> Stamp:
    stamp = parse(control, flags)
    assert stamp.errors == 0
    return stamp


@pytest.mark.parametrize("kind", [TIMESTAMPING_OLD, TIMESTAMPING_NEW])
def test_three_times_of_which_one_is_unused(kind: int) -> None:
    stamp = parsed(stamped(kind, (1_700_000_000, 123_456_789), (9, 9), (37, 5)))
    assert stamp.software_ns == 1_700_000_000 * S + 123_456_789
    assert stamp.hardware_ns == 37 * S + 5
    assert (stamp.legacy_ns, stamp.type, stamp.key, stamp.stats) == (None,) * 4


@pytest.mark.parametrize("kind", [TIMESTAMPING_OLD, TIMESTAMPING_NEW])
def test_an_empty_slot_is_no_time(kind: int) -> None:
    stamp = parsed(stamped(kind, (5, 1), (0, 0), (0, 0)))
    assert (stamp.software_ns, stamp.hardware_ns) == (5 * S + 1, None)
    stamp = parsed(stamped(kind, (0, 0), (0, 0), (7, 0)))
    assert (stamp.software_ns, stamp.hardware_ns) == (None, 7 * S)


@pytest.mark.parametrize(
    ("kind", "word", "unit"),
    [(TIMESTAMP_OLD, WORD, 1000), (TIMESTAMP_NEW, "q", 1000),
     (TIMESTAMPNS_OLD, WORD, 1), (TIMESTAMPNS_NEW, "q", 1)],
)  # fmt: skip
def test_one_time_in_its_unit(kind: int, word: str, unit: int) -> None:
    payload = struct.pack(f"=2{word}", 1_700_000_000, 999_999)
    assert parsed(cmsg(SOL_SOCKET, kind, payload)).legacy_ns == 1_700_000_000 * S + 999_999 * unit


@pytest.mark.parametrize(
    ("level", "kind"), [(SOL_IP, RECVERR), (SOL_IPV6, RECVERR6), (SOL_PACKET, PACKET_TX)]
)
@pytest.mark.parametrize("info", list(StampType))
def test_a_stamp_of_something_sent(level: int, kind: int, info: StampType) -> None:
    time = stamped(TIMESTAMPING_NEW, (5, 0), (0, 0), (0, 0))
    for control in (
        time + error_of(level, kind, info, 0xFFFFFFFE),
        error_of(level, kind, info, 0xFFFFFFFE) + time,
    ):
        stamp = parsed(control, flags=0x2000)
        assert (stamp.type, stamp.key, stamp.software_ns) == (info, 0xFFFFFFFE, 5 * S)
        assert stamp.errno is None


def test_an_answer_of_the_network_is_no_stamp() -> None:
    stamp = parsed(error_of(SOL_IP, RECVERR, 0, 9, origin=2, no=errno.ECONNREFUSED))
    assert (stamp.errno, stamp.type, stamp.key) == (errno.ECONNREFUSED, None, None)


def test_a_stamp_type_of_the_future_is_named_not_guessed() -> None:
    stamp = parse(error_of(SOL_IP, RECVERR, 4, 9))
    assert (stamp.errors, stamp.type, stamp.key) == (StampError.UNKNOWN, None, None)


def test_where_a_hardware_stamp_was_taken() -> None:
    stamp = parsed(cmsg(SOL_SOCKET, PKTINFO, struct.pack("=4I", 3, 1514, 0, 0)))
    assert (stamp.if_index, stamp.wire_bytes) == (3, 1514)


STATS = {
    1: ("busy_us", "Q", 1 << 40), 2: ("rwnd_limited_us", "Q", 2), 3: ("sndbuf_limited_us", "Q", 3),
    4: ("data_segs_out", "Q", 4), 5: ("total_retrans", "Q", 5), 6: ("pacing_rate", "Q", 1 << 50),
    7: ("delivery_rate", "Q", 7), 8: ("snd_cwnd", "I", 8), 9: ("reordering", "I", 9),
    10: ("min_rtt_us", "I", 10), 11: ("recur_retrans", "B", 200),
    12: ("delivery_rate_app_lmt", "B", 1), 13: ("sndq_size", "I", 13), 14: ("ca_state", "B", 3),
    15: ("snd_ssthresh", "I", 0x7FFFFFFF), 16: ("delivered", "I", 16),
    17: ("delivered_ce", "I", 17), 18: ("bytes_sent", "Q", 18), 19: ("bytes_retrans", "Q", 19),
    20: ("dsack_dups", "I", 20), 21: ("reord_seen", "I", 21), 22: ("srtt_us", "I", 22),
    23: ("timeout_rehash", "H", 60000), 24: ("bytes_notsent", "I", 24),
    25: ("edt_ns", "Q", 1 << 60),
    26: ("ttl", "B", 64), 27: ("rehash", "I", 27),
}  # fmt: skip


def attribute(kind: int, payload: bytes) -> bytes:
    size = 4 + len(payload)
    return struct.pack("=HH", size, kind) + payload + bytes(-size % 4)


def stats(*kinds: int) -> bytes:
    out = b"".join(attribute(k, struct.pack("=" + STATS[k][1], STATS[k][2])) for k in kinds)
    return cmsg(SOL_SOCKET, OPT_STATS, out)


def test_every_statistic_at_its_width() -> None:
    stamp = parsed(stats(*STATS))
    assert stamp.stats == {name: value for name, _, value in STATS.values()}


def test_statistics_that_did_not_come_are_absent() -> None:
    assert parsed(stats(8, 23)).stats == {"snd_cwnd": 8, "timeout_rehash": 60000}
    assert parsed(cmsg(SOL_SOCKET, OPT_STATS, b"")).stats == {}


def test_attributes_of_the_future_are_passed_over() -> None:
    more = attribute(99, b"xyz") + attribute(8, struct.pack("=I", 3)) + attribute(0, b"")
    assert parsed(cmsg(SOL_SOCKET, OPT_STATS, more)).stats == {"snd_cwnd": 3}


@pytest.mark.parametrize(
    "payload",
    [attribute(8, b"abc"), struct.pack("=HH", 3, 8), struct.pack("=HHI", 12, 8, 5), b"\x08",
     attribute(8, bytes(4)) + b"ab"],
    ids=["narrow", "length below its header", "beyond the message", "a rest", "a rest behind one"],
)  # fmt: skip
def test_malformed_statistics_are_none(payload: bytes) -> None:
    stamp = parse(cmsg(SOL_SOCKET, OPT_STATS, payload))
    assert stamp.errors == StampError.STATS
    assert not stamp.stats or stamp.stats == {"snd_cwnd": 0}


@pytest.mark.parametrize(
    ("kind", "bytes_needed"),
    [(TIMESTAMP_OLD, 2 * LONG), (TIMESTAMP_NEW, 16), (TIMESTAMPNS_OLD, 2 * LONG),
     (TIMESTAMPNS_NEW, 16), (TIMESTAMPING_OLD, 6 * LONG), (TIMESTAMPING_NEW, 48), (PKTINFO, 16)],
)  # fmt: skip
def test_a_short_record_is_no_value(kind: int, bytes_needed: int) -> None:
    for size in range(bytes_needed):
        stamp = parse(cmsg(SOL_SOCKET, kind, b"\1" + bytes(size - 1) if size else b""))
        assert stamp.errors == StampError.SHORT
        assert stamp._replace(errors=StampError(0)) == parse(b"")
    assert parse(cmsg(SOL_SOCKET, kind, b"\1" + bytes(bytes_needed - 1))).errors == 0


def test_a_short_error_is_no_stamp() -> None:
    whole = struct.pack("=IBBBBII", 42, 4, 0, 0, 0, 1, 7)
    for size in range(16):
        assert parse(cmsg(SOL_IP, RECVERR, whole[:size])).errors == StampError.SHORT
    assert parsed(cmsg(SOL_IP, RECVERR, whole)).key == 7


@pytest.mark.parametrize("times", [(-1, 0), (5, -1), (5, S), (1 << 62, 0), (18446744073, 0)])
def test_what_is_no_time(times: tuple[int, int]) -> None:
    for slot in range(3):
        all_three = [(1, 1)] * 3
        all_three[slot] = times
        stamp = parse(stamped(TIMESTAMPING_NEW, *all_three))
        assert stamp.errors == StampError.VALUE
        assert (stamp.software_ns, stamp.hardware_ns) == (None, None)
    stamp = parse(cmsg(SOL_SOCKET, TIMESTAMPNS_NEW, struct.pack("=2q", *times)))
    assert (stamp.errors, stamp.legacy_ns) == (StampError.VALUE, None)


def test_a_microsecond_too_many() -> None:
    bad = cmsg(SOL_SOCKET, TIMESTAMP_NEW, struct.pack("=2q", 5, 1_000_000))
    assert parse(bad).errors == StampError.VALUE


def test_unknown_types_are_counted_and_passed_over() -> None:
    control = cmsg(SOL_SOCKET, 99, b"abcd") + cmsg(SOL_IP, 8, bytes(12))
    control += stamped(TIMESTAMPING_NEW, (5, 0), (0, 0), (0, 0))
    stamp = parse(control)
    assert (stamp.errors, stamp.software_ns) == (StampError.UNKNOWN, 5 * S)


def test_cut_control_data_says_so() -> None:
    whole = stamped(TIMESTAMPING_NEW, (5, 0), (0, 0), (0, 0))
    stamp = parse(whole, socket.MSG_CTRUNC)
    assert (stamp.errors, stamp.software_ns) == (StampError.TRUNCATED, 5 * S)
    assert parse(b"", socket.MSG_CTRUNC).errors == StampError.TRUNCATED


def test_a_cut_list_keeps_what_was_whole() -> None:
    first = stamped(TIMESTAMPING_NEW, (5, 0), (0, 0), (0, 0))
    second = error_of(SOL_IP, RECVERR, 1, 7)
    for size in range(1, len(second)):
        stamp = parse(first + second[:size])
        assert stamp.errors == StampError.LENGTH
        assert (stamp.software_ns, stamp.key) == (5 * S, None)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 1 << 20, (1 << (8 * LONG)) - 1])
def test_a_length_that_leads_nowhere(length: int) -> None:
    stamp = parse(cmsg(SOL_SOCKET, TIMESTAMPING_NEW, b"", length=length))
    assert stamp.errors == StampError.LENGTH
    assert stamp.software_ns is None


def test_no_control_data_is_no_stamp_and_no_error() -> None:
    stamp = parsed(b"")
    assert stamp.software_ns is None
    assert stamp.queue_wait_ns is None


def test_a_clock_set_back_tells_no_wait() -> None:
    stamp = parse(stamped(TIMESTAMPING_NEW, (5, 0), (0, 0), (0, 0)))
    assert stamp._replace(read_ns=5 * S + 7).queue_wait_ns == 7
    assert stamp._replace(read_ns=5 * S - 1).queue_wait_ns is None


def test_every_error_has_its_words() -> None:
    assert set(ERROR_TEXTS) == set(StampError)
