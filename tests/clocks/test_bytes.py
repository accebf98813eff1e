"""Requests and answers of the kernel's clock interfaces, byte by byte."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from nettop.clocks.interfaces import CAPABILITIES, RX_FILTERS, TX_TYPES, words
from nettop.engine import ffi, lib

EBADMSG, EINVAL = 74, 22
PRECISE, EXTENDED, BASIC = 0, 1, 2
LENGTHS = {PRECISE: 64, EXTENDED: 1216, BASIC: 832}
S = 1_000_000_000


def moment(sec: int, nsec: int, reserved: int = 0) -> bytes:
    return struct.pack("<qII", sec, nsec, reserved)


def parse(method: int, raw: bytes) -> tuple[int, Any]:
    ret = ffi.new("struct nt_phc_read *")
    return lib.nt_phc_parse(method, raw, len(raw), ret), ret


def samples(read: Any) -> list[tuple[int, int, int]]:
    return [(s.sys_ns, s.phc_ns, s.width_ns) for s in read.samples[0 : read.n]]


@pytest.mark.parametrize(
    ("method", "direction", "number"), [(PRECISE, 3, 8), (EXTENDED, 3, 9), (BASIC, 1, 5)]
)
def test_ioctls_are_those_of_the_kernel(method: int, direction: int, number: int) -> None:
    expected = direction << 30 | LENGTHS[method] << 16 | ord("=") << 8 | number
    assert lib.nt_phc_ioctl(method) == expected
    assert lib.nt_phc_ioctl(3) == 0


def test_requests() -> None:
    raw = ffi.new("uint8_t[]", b"\xff" * 1216)
    assert lib.nt_phc_request(EXTENDED, 25, 4, raw) == 1216
    assert bytes(ffi.buffer(raw, 1216)) == struct.pack("<Ii", 25, 4) + bytes(1208)
    assert lib.nt_phc_request(BASIC, 3, 4, raw) == 832
    # BASIC has no clock to choose: the word is reserved.
    assert bytes(ffi.buffer(raw, 832)) == struct.pack("<I", 3) + bytes(828)
    assert lib.nt_phc_request(PRECISE, 25, 0, raw) == 64
    assert bytes(ffi.buffer(raw, 64)) == bytes(64)
    for method, count in ((EXTENDED, 0), (EXTENDED, 26), (BASIC, 0), (BASIC, 26), (3, 1)):
        assert lib.nt_phc_request(method, count, 0, raw) == -EINVAL


def test_precise() -> None:
    # device, sys_realtime, sys_monoraw, reserved
    raw = moment(5, 7) + moment(2, 9) + moment(1, 1) + bytes(16)
    result, read = parse(PRECISE, raw)
    assert result == 0
    assert samples(read) == [(2 * S + 9, 5 * S + 7, 0)]


def test_extended() -> None:
    rows = [moment(10, 100) + moment(47, 5) + moment(10, 400),
            moment(10, 999_999_999) + moment(-1, 500) + moment(11, 2)]  # fmt: skip
    raw = struct.pack("<Ii8x", 2, 1) + b"".join(rows)
    result, read = parse(EXTENDED, raw.ljust(1216, b"\xee"))
    assert result == 0
    assert samples(read) == [
        (10 * S + 100, 47 * S + 5, 300),
        (10 * S + 999_999_999, -S + 500, 3),
    ]
    assert (read.n, read.unusable, read.clockid) == (2, 0, 1)


def test_basic_shares_the_ends_of_its_windows() -> None:
    times = [moment(1, 0), moment(9, 1), moment(1, 50), moment(9, 2), moment(1, 70)]
    raw = struct.pack("<I12x", 2) + b"".join(times)
    result, read = parse(BASIC, raw.ljust(832, b"\0"))
    assert result == 0
    assert samples(read) == [(S, 9 * S + 1, 50), (S + 50, 9 * S + 2, 20)]


@pytest.mark.parametrize("method", [PRECISE, EXTENDED, BASIC])
def test_an_answer_that_is_too_short_is_refused(method: int) -> None:
    full = struct.pack("<I12x", 1).ljust(LENGTHS[method], b"\0")
    assert parse(method, full)[0] == 0
    for n in (0, 1, 16, LENGTHS[method] - 1):
        assert parse(method, full[:n])[0] == -EBADMSG
    assert parse(3, full)[0] == -EBADMSG


@pytest.mark.parametrize("method", [EXTENDED, BASIC])
@pytest.mark.parametrize("count", [0, 26, 0xFFFFFFFF])
def test_a_count_that_cannot_be_is_refused(method: int, count: int) -> None:
    assert parse(method, struct.pack("<I", count).ljust(1216, b"\0"))[0] == -EBADMSG


@pytest.mark.parametrize(
    "row",
    [
        moment(1, S) + moment(1, 0) + moment(1, 0),
        moment(1, 0) + moment(1, 0xFFFFFFFF) + moment(1, 0),
        moment(1, 0) + moment(1, 0) + moment(1, S),
        moment(2, 0) + moment(1, 0) + moment(1, 999_999_999),
        moment(2**62, 0) + moment(1, 0) + moment(2**62, 0),
        moment(1, 0) + moment(-(2**62), 0) + moment(1, 0),
    ],
    ids=["sys nsec", "phc nsec", "end nsec", "ends before it begins", "too late", "too early"],
)
def test_a_sample_that_is_no_time_is_left_out_and_counted(row: bytes) -> None:
    good = moment(3, 0) + moment(4, 0) + moment(3, 10)
    raw = struct.pack("<I12x", 3) + good + row + good
    result, read = parse(EXTENDED, raw.ljust(1216, b"\0"))
    assert result == 0
    assert samples(read) == [(3 * S, 4 * S, 10)] * 2
    assert read.unusable == 1


def test_caps() -> None:
    ret = ffi.new("struct nt_phc_caps *")
    raw = struct.pack("<9i", 62_499_999, 1, 2, 3, 1, 4, 1, 1, 500) + b"\xff" * 44
    assert lib.nt_phc_parse_caps(raw, 80, ret) == 0
    assert [getattr(ret, name) for name, _ in ffi.typeof("struct nt_phc_caps").fields] == [
        62_499_999, 1, 2, 3, 1, 4, 1, 1, 500,
    ]  # fmt: skip
    assert lib.nt_phc_parse_caps(raw, 79, ret) == -EBADMSG


def test_ts_info() -> None:
    ret = ffi.new("struct nt_ts_info *")
    raw = struct.pack("<IIiI12xI12x", 0x41, 0x5F, 3, 0b1011, 0b11)
    assert len(raw) == 44
    assert lib.nt_ts_info_parse(raw, 44, ret) == 0
    assert (ret.so_timestamping, ret.phc_index) == (0x5F, 3)
    assert (ret.tx_types, ret.rx_filters) == (0b1011, 0b11)
    assert lib.nt_ts_info_parse(raw, 43, ret) == -EBADMSG
    none = struct.pack("<IIi", 0x41, 0x18, -1).ljust(44, b"\0")
    assert lib.nt_ts_info_parse(none, 44, ret) == 0
    assert ret.phc_index == -1


def test_words_are_the_kernels_and_new_bits_are_told() -> None:
    # As in linux/net_tstamp.h.
    assert CAPABILITIES.index("hardware-transmit") == 0
    assert CAPABILITIES.index("hardware-raw-clock") == 6
    assert CAPABILITIES.index("completion-transmit") == 18
    assert (TX_TYPES.index("on"), TX_TYPES.index("onestep-p2p")) == (1, 3)
    assert (RX_FILTERS.index("all"), RX_FILTERS.index("ptpv2-event")) == (1, 12)
    assert RX_FILTERS.index("ntp-all") == 15
    assert words(0b101, TX_TYPES) == ("off", "onestep-sync")
    assert words(1 << 31 | 1, TX_TYPES) == ("off", "bit-31")
