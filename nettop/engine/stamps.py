"""Control messages of own sockets: the helper's calls and its packed records as typed ones."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

from nettop.engine import check, ffi, lib
from nettop.engine.wire import layout
from nettop.model.stamps import Sent, Stamp, StampError, StampHas, StampType

_names, _format = layout("nt_stamp")
_STAMP = struct.Struct(_format)
_stat_names, _stat_format = layout("nt_stamp_stats")
_STATS = struct.Struct(_stat_format)
_AF_INET = 2
MOST_STAMPS = 64  # taken off the error queue in one call

# Number of the attribute (enum tcp_nla of include/uapi/linux/tcp.h) to its member's name.
_STAT_OF = {
    1: "busy_us", 2: "rwnd_limited_us", 3: "sndbuf_limited_us", 4: "data_segs_out",
    5: "total_retrans", 6: "pacing_rate", 7: "delivery_rate", 8: "snd_cwnd", 9: "reordering",
    10: "min_rtt_us", 11: "recur_retrans", 12: "delivery_rate_app_lmt", 13: "sndq_size",
    14: "ca_state", 15: "snd_ssthresh", 16: "delivered", 17: "delivered_ce", 18: "bytes_sent",
    19: "bytes_retrans", 20: "dsack_dups", 21: "reord_seen", 22: "srtt_us", 23: "timeout_rehash",
    24: "bytes_notsent", 25: "edt_ns", 26: "ttl", 27: "rehash",
}  # fmt: skip


def stamp_of(raw: bytes, at: int = 0) -> Stamp:
    """struct nt_stamp; what it does not have is None."""
    m: dict[str, Any] = dict(zip(_names, _STAMP.unpack_from(raw, at), strict=True))
    has = StampHas(m["has"])
    stats = None
    if has & StampHas.STATS:
        values = dict(zip(_stat_names, _STATS.unpack(m["stats"]), strict=True))
        known = values.pop("has")
        stats = {name: values[name] for bit, name in _STAT_OF.items() if known >> bit & 1}
    return Stamp(
        software_ns=m["software_ns"] if has & StampHas.SOFTWARE else None,
        hardware_ns=m["hardware_ns"] if has & StampHas.HARDWARE else None,
        legacy_ns=m["legacy_ns"] if has & StampHas.LEGACY else None,
        read_ns=m["read_ns"],
        read_mono_ns=m["read_mono_ns"],
        type=StampType(m["type"]) if has & StampHas.KEY else None,
        key=m["key"] if has & StampHas.KEY else None,
        errno=m["errno_told"] if has & StampHas.ICMP else None,
        if_index=m["if_index"] if has & StampHas.PKTINFO else None,
        wire_bytes=m["wire_bytes"] if has & StampHas.PKTINFO else None,
        stats=stats,
        errors=StampError(m["errors"]),
        msg_flags=m["msg_flags"],
        sender=m["from"][: m["from_len"]],
    )


def parse(control: bytes, msg_flags: int = 0) -> Stamp:
    """The control data of one message, as recvmsg(2) gives it."""
    out = ffi.new("struct nt_stamp *")
    check(lib.nt_stamps_parse(control, len(control), msg_flags, out), "control messages")
    return stamp_of(bytes(ffi.buffer(out)))


def enable(fd: int, flags: int) -> None:
    """Sets SOF_TIMESTAMPING_* flags on a socket of one's own."""
    check(lib.nt_stamps_enable(fd, flags), "SO_TIMESTAMPING")


class Buffers:
    """Room for one message and for the stamps of one call; for one thread."""

    def __init__(self, most_bytes: int = 65536) -> None:
        self._data = ffi.new("uint8_t[]", most_bytes)
        self._most = most_bytes
        self._one = ffi.new("struct nt_stamp *")
        self._many = ffi.new("struct nt_stamp[]", MOST_STAMPS)
        self._taken = ffi.new("uint32_t *")
        self._sent = ffi.new("struct nt_sent *")

    def recv(self, fd: int, most_bytes: int, flags: int) -> tuple[bytes, Stamp]:
        """One message without waiting; BlockingIOError if there is none."""
        n = _checked(
            lib.nt_stamps_recv(fd, self._data, min(most_bytes, self._most), flags, self._one)
        )
        return self._message(n)

    def drain(self, fd: int) -> list[Stamp]:
        """What lies on the error queue, at most MOST_STAMPS."""
        n = _checked(lib.nt_stamps_drain(fd, self._many, MOST_STAMPS))
        return list(self._stamps(n))

    def wait(
        self, fd: int, deadline_ns: int, *, for_stamps: bool
    ) -> tuple[tuple[bytes, Stamp] | None, list[Stamp]]:
        """A message, or None once CLOCK_MONOTONIC is at the deadline (with for_stamps: or
        stamps came, or a signal), and the stamps that were on the error queue."""
        n = lib.nt_stamps_await(
            fd, max(deadline_ns, 0), for_stamps, self._data, self._most, self._one,
            self._many, MOST_STAMPS, self._taken,
        )  # fmt: skip
        stamps = list(self._stamps(self._taken[0]))
        if n in (-_EAGAIN, -_EINTR):
            return None, stamps
        return self._message(_checked(n)), stamps

    def send(self, fd: int, data: bytes, flags: int, to: bytes, tx_flags: int) -> tuple[int, Sent]:
        """Bytes that were taken, and the clocks around the call."""
        address = ffi.from_buffer(to) if to else ffi.NULL
        n = lib.nt_stamps_send(
            fd, ffi.from_buffer(data), len(data), flags, address, len(to), tx_flags, self._sent
        )
        s = self._sent
        return _checked(n), Sent(s.before_ns, s.before_mono_ns, s.after_mono_ns)

    def _message(self, n: int) -> tuple[bytes, Stamp]:
        data = bytes(ffi.buffer(self._data, min(n, self._most)))
        return data, stamp_of(bytes(ffi.buffer(self._one)))

    def _stamps(self, n: int) -> Iterator[Stamp]:
        raw = bytes(ffi.buffer(self._many, n * _STAMP.size))
        return (stamp_of(raw, i * _STAMP.size) for i in range(n))


_EAGAIN, _EINTR = 11, 4


def _checked(n: int) -> int:
    """As socket methods do: BlockingIOError, ConnectionRefusedError and so on."""
    if n < 0:
        raise OSError(-n, os.strerror(-n))
    return n


assert _STAMP.size == ffi.sizeof("struct nt_stamp")
assert _STATS.size == ffi.sizeof("struct nt_stamp_stats")
