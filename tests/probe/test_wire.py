"""What probe and reflect say to each other, byte by byte."""

from __future__ import annotations

import struct

import pytest

from nettop.probe.wire import (
    ANSWER,
    LEAST_BYTES,
    MOST_BYTES,
    REQUEST,
    STAMPED_BYTES,
    FarTimes,
    Header,
    answer,
    header_of,
    request,
    times_of,
)

TIMES = FarTimes(7, 5_000, 10**18, 10**18 + 1, 10**18 + 2, 41, 10**18 + 3, 10**18 + 4)
SESSION = 0x0123456789ABCDEF


def test_the_layout() -> None:
    """A contract with other versions: numbers big-endian, at these offsets."""
    raw = answer(Header(REQUEST, 42, SESSION, 128), TIMES)
    assert raw[:10] == b"nettopRF" + bytes([1, ANSWER])
    assert struct.unpack_from("!HIQI", raw, 10) == (0, 42, SESSION, 128)
    assert struct.unpack_from("!5QI", raw, 32) == (*TIMES[:5], 41)
    assert struct.unpack_from("!QQ", raw, 80) == TIMES[6:]
    assert raw[96:] == bytes(32)
    assert (LEAST_BYTES, STAMPED_BYTES) == (32, 96)


@pytest.mark.parametrize("size", [LEAST_BYTES, 95, 96, 97, 1400, MOST_BYTES])
def test_an_answer_is_as_long_as_its_request(size: int) -> None:
    raw = request(42, SESSION, size)
    head = header_of(raw)
    assert head == Header(REQUEST, 42, SESSION, size)
    assert len(raw) == size
    back = answer(head, TIMES)
    assert len(back) == size
    assert header_of(back) == Header(ANSWER, 42, SESSION, size)
    assert times_of(back) == (TIMES if size >= STAMPED_BYTES else None)
    assert times_of(raw) is None


def test_unknown_times_stay_unknown() -> None:
    times = TIMES._replace(
        clock_error_ns=None, arrived_ns=None, told_sched_ns=None, told_snd_ns=None
    )
    assert times_of(answer(Header(REQUEST, 1, SESSION, 96), times)) == times
    assert times_of(answer(Header(REQUEST, 1, SESSION, 96), None)) is None


def test_numbers_wrap_at_32_bits() -> None:
    head = header_of(request((1 << 32) + 5, SESSION, 64))
    assert head is not None
    assert head.seq == 5


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"N"), (8, b"\x02"), (9, b"\x00"), (9, b"\x03"), (24, struct.pack("!I", 31)),
     (24, struct.pack("!I", MOST_BYTES + 1))],
)  # fmt: skip
def test_what_is_no_message(at: int, value: bytes) -> None:
    raw = request(42, SESSION, 64)
    assert header_of(raw[:at] + value + raw[at + len(value) :]) is None


def test_cut_messages() -> None:
    raw = answer(Header(REQUEST, 42, SESSION, 96), TIMES)
    assert all(header_of(raw[:n]) is None for n in range(LEAST_BYTES))
    assert all(times_of(raw[:n]) is None for n in range(STAMPED_BYTES))
