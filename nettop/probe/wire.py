"""What probe and reflect say to each other: pure functions over bytes.

A request is a header of 32 bytes and zeros up to its size. The answer has the same size: the header
with its kind changed and, where there is room, the far side's times behind it, in ns of its
CLOCK_REALTIME. All numbers are big-endian; a time of 0 is not known.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"nettopRF"
GREETING = b"nettop-reflect/1\n"  # what a TCP reflector says first
REQUEST, ANSWER = 1, 2
_VERSION = 1
_HEADER = struct.Struct("!8sBBHIQII")
_TIMES = struct.Struct("!QQQQQIIQQ")
LEAST_BYTES = _HEADER.size
STAMPED_BYTES = _HEADER.size + _TIMES.size  # from this size on an answer has room for times
MOST_BYTES = 60_000
_NOT_SYNCED = (1 << 64) - 1


class Header(NamedTuple):
    kind: int
    seq: int
    session: int
    size: int  # of the whole message


class FarTimes(NamedTuple):
    """The far side's clocks: ns of its CLOCK_REALTIME."""

    boot: int  # the same number: the same running kernel, so the same clock
    clock_error_ns: int | None  # how far its clock may be off; None: it is not synchronised
    arrived_ns: int | None  # the kernel's stamp of the request
    read_ns: int  # when reflect had it
    send_ns: int  # when it sent this answer
    told_seq: int  # the answer whose stamps follow: an earlier one
    told_sched_ns: int | None
    told_snd_ns: int | None


def request(seq: int, session: int, size: int) -> bytes:
    """A request of `size` bytes, at least LEAST_BYTES."""
    return _header(REQUEST, seq, session, size) + bytes(size - _HEADER.size)


def answer(head: Header, times: FarTimes | None) -> bytes:
    """The answer to a request; times are left out where there is no room."""
    out = _header(ANSWER, head.seq, head.session, head.size)
    if times is not None and head.size >= STAMPED_BYTES:
        error = _NOT_SYNCED if times.clock_error_ns is None else times.clock_error_ns
        out += _TIMES.pack(
            times.boot, error, times.arrived_ns or 0, times.read_ns, times.send_ns,
            times.told_seq, 0, times.told_sched_ns or 0, times.told_snd_ns or 0,
        )  # fmt: skip
    return out + bytes(head.size - len(out))


def _header(kind: int, seq: int, session: int, size: int) -> bytes:
    return _HEADER.pack(MAGIC, _VERSION, kind, 0, seq & 0xFFFFFFFF, session, size, 0)


def header_of(data: bytes) -> Header | None:
    """The header, or None if these bytes are no message of ours."""
    if len(data) < _HEADER.size:
        return None
    magic, version, kind, _flags, seq, session, size, _pad = _HEADER.unpack_from(data)
    if magic != MAGIC or version != _VERSION or kind not in (REQUEST, ANSWER):
        return None
    if not LEAST_BYTES <= size <= MOST_BYTES:
        return None
    return Header(kind, seq, session, size)


def times_of(data: bytes) -> FarTimes | None:
    """The far side's times of an answer; None: a plain echo, or no room."""
    if len(data) < STAMPED_BYTES or data[9] != ANSWER:
        return None
    boot, error, arrived, read, send, seq, _pad, sched, snd = _TIMES.unpack_from(data, _HEADER.size)
    if not read or not send:
        return None
    return FarTimes(
        boot, None if error == _NOT_SYNCED else error, arrived or None, read, send, seq,
        sched or None, snd or None,
    )  # fmt: skip
