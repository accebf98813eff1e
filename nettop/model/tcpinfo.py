"""struct tcp_info by offset, as include/uapi/linux/tcp.h grew it; parsed by length.

A field exists in an attribute only if offset + size fits the length that the kernel sent
(104 bytes before 3.15 … 280 since 6.18); longer, unknown tails are ignored.

To add a member: one line below, in any order. Column, sort key, filter name, CSV, detail, JSON
and their help follow. Where C reads it too, its offset is in enum nt_info (nt_wire.cdef.h), which
tests/unit/test_tcpinfo.py compares.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import NamedTuple

from nettop.model.types import CA_STATES

G, C, S = "gauge", "counter", "static"  # a counter is cumulative since the connection began


class InfoField(NamedTuple):
    """One member: `bit` and `width` are set for bit fields within the byte at `offset`."""

    name: str  # the kernel's, without tcpi_
    offset: int
    size: int
    unit: str  # us ms bytes bytes_per_s packets count flag state bits
    kind: str
    group: str  # where the detail screen puts it
    help: str
    absent: int | None = None  # raw value that means unknown
    bit: int = 0
    width: int = 0
    words: tuple[str, ...] = ()  # what 0, 1 … are called


def _f(
    name: str,
    offset: int,
    size: int,
    unit: str,
    kind: str,
    group: str,
    text: str,
    absent: int | None = None,
    bit: int = 0,
    width: int = 0,
    words: tuple[str, ...] = (),
) -> InfoField:
    if words:
        text = f"{text}: {' '.join(f'{n} {word}' for n, word in enumerate(words))}"
    return InfoField(name, offset, size, unit, kind, group, text, absent, bit, width, words)


U32_MAX = 0xFFFFFFFF
U64_MAX = 0xFFFFFFFFFFFFFFFF

# fmt: off
TCP_INFO: tuple[InfoField, ...] = (
    _f("state", 0, 1, "state", G, "option", "TCP state number"),
    _f("ca_state", 1, 1, "state", G, "cong", "state of loss recovery",
       words=tuple(CA_STATES.values())),
    _f("retransmits", 2, 1, "count", G, "time", "time-outs in a row of the head segment"),
    _f("probes", 3, 1, "count", G, "time", "unanswered window or keepalive probes"),
    _f("backoff", 4, 1, "count", G, "time", "how often the RTO was doubled"),
    _f("options", 5, 1, "bits", S, "option", "1 timestamps 2 SACK 4 wscale 8 ECN 16 ECN seen "
       "32 SYN data 64 µs timestamps 128 fast-open child"),
    _f("snd_wscale", 6, 1, "count", S, "option", "peer's window shift", bit=0, width=4),
    _f("rcv_wscale", 6, 1, "count", S, "option", "our window shift", bit=4, width=4),
    _f("delivery_rate_app_limited", 7, 1, "flag", G, "cong",
       "delivery_rate was measured while the program had too little to send", bit=0, width=1),
    _f("fastopen_client_fail", 7, 1, "count", S, "option",
       "why fast open failed, as client", bit=1, width=2,
       words=("unspecified", "no cookie", "data not acked", "SYN resent")),
    _f("rto", 8, 4, "us", G, "time", "retransmission time-out (jiffies)"),
    _f("ato", 12, 4, "us", G, "time", "delayed-ACK time-out (jiffies)"),
    _f("snd_mss", 16, 4, "bytes", G, "option", "segment size when sending"),
    _f("rcv_mss", 20, 4, "bytes", G, "option", "segment size received, estimated"),
    _f("unacked", 24, 4, "packets", G, "loss", "in flight; of a listener its accept queue"),
    _f("sacked", 28, 4, "packets", G, "loss", "in flight and SACKed; of a listener its limit"),
    _f("lost", 32, 4, "packets", G, "loss", "marked lost now, not a total"),
    _f("retrans", 36, 4, "packets", G, "loss", "resent and still outstanding"),
    _f("fackets", 40, 4, "packets", G, "loss", "always 0 since 4.15"),
    _f("last_data_sent", 44, 4, "ms", G, "time", "since data was last sent"),
    _f("last_ack_sent", 48, 4, "ms", G, "time", "always 0"),
    _f("last_data_recv", 52, 4, "ms", G, "time", "since data last came"),
    _f("last_ack_recv", 56, 4, "ms", G, "time", "since an ACK last came"),
    _f("pmtu", 60, 4, "bytes", G, "option", "path MTU"),
    _f("rcv_ssthresh", 64, 4, "bytes", G, "bytes", "limit of our window's growth"),
    _f("rtt", 68, 4, "us", G, "time", "smoothed round-trip time (SRTT)", absent=0),
    _f("rttvar", 72, 4, "us", G, "time", "mean deviation of the round-trip time"),
    _f("snd_ssthresh", 76, 4, "packets", G, "cong", "slow start ends here", absent=0x7FFFFFFF),
    _f("snd_cwnd", 80, 4, "packets", G, "cong", "congestion window"),
    _f("advmss", 84, 4, "bytes", S, "option", "segment size that we announced"),
    _f("reordering", 88, 4, "packets", G, "cong", "distance tolerated before loss is assumed"),
    _f("rcv_rtt", 92, 4, "us", G, "time", "round-trip time seen by the receiver", absent=0),
    _f("rcv_space", 96, 4, "bytes", G, "bytes", "receive-window target of auto-tuning"),
    _f("total_retrans", 100, 4, "packets", C, "loss",
       "resent since the connection began, and tries that this host refused"),
    _f("pacing_rate", 104, 8, "bytes_per_s", G, "cong", "pacing rate", absent=U64_MAX),
    _f("max_pacing_rate", 112, 8, "bytes_per_s", G, "cong", "SO_MAX_PACING_RATE", absent=U64_MAX),
    _f("bytes_acked", 120, 8, "bytes", C, "bytes", "sent and acknowledged"),
    _f("bytes_received", 128, 8, "bytes", C, "bytes", "received in order"),
    _f("segs_out", 136, 4, "packets", C, "bytes", "segments sent, pure ACKs too"),
    _f("segs_in", 140, 4, "packets", C, "bytes", "segments received"),
    _f("notsent_bytes", 144, 4, "bytes", G, "bytes", "written by the program, not yet sent"),
    _f("min_rtt", 148, 4, "us", G, "time", "windowed minimum round-trip time", absent=U32_MAX),
    _f("data_segs_in", 152, 4, "packets", C, "bytes", "segments with payload received"),
    _f("data_segs_out", 156, 4, "packets", C, "bytes", "segments with payload sent, resent too"),
    _f("delivery_rate", 160, 8, "bytes_per_s", G, "cong", "goodput, last measured", absent=0),
    _f("busy_time", 168, 8, "us", C, "limits", "with data outstanding, the two below included"),
    _f("rwnd_limited", 176, 8, "us", C, "limits", "held back by the peer's window"),
    _f("sndbuf_limited", 184, 8, "us", C, "limits", "held back by the send buffer"),
    _f("delivered", 192, 4, "packets", C, "cong", "delivered, counted from 1 for the SYN"),
    _f("delivered_ce", 196, 4, "packets", C, "cong", "of these, marked by ECN"),
    _f("bytes_sent", 200, 8, "bytes", C, "bytes", "payload sent, resent included"),
    _f("bytes_retrans", 208, 8, "bytes", C, "loss", "payload resent"),
    _f("dsack_dups", 216, 4, "count", C, "loss",
       "duplicates reported by the peer: resent for nothing"),
    _f("reord_seen", 220, 4, "count", C, "cong", "reordering events"),
    _f("rcv_ooopack", 224, 4, "packets", C, "loss", "received out of order"),
    _f("snd_wnd", 228, 4, "bytes", G, "bytes", "peer's receive window"),
    _f("rcv_wnd", 232, 4, "bytes", G, "bytes", "our receive window, as announced"),
    _f("rehash", 236, 4, "count", C, "cong", "path re-selections (PLB or time-out)"),
    _f("total_rto", 240, 2, "count", C, "loss", "retransmission time-outs"),
    _f("total_rto_recoveries", 242, 2, "count", C, "loss", "recoveries from them"),
    _f("total_rto_time", 244, 4, "ms", C, "loss", "time spent in them"),
    _f("received_ce", 248, 4, "packets", C, "option", "received with an ECN mark"),
    _f("delivered_e1_bytes", 252, 4, "bytes", C, "option", "AccECN: sent as ECT(1), delivered"),
    _f("delivered_e0_bytes", 256, 4, "bytes", C, "option", "AccECN: sent as ECT(0), delivered"),
    _f("delivered_ce_bytes", 260, 4, "bytes", C, "option", "AccECN: delivered with a mark"),
    _f("received_e1_bytes", 264, 4, "bytes", C, "option", "AccECN: received as ECT(1)"),
    _f("received_e0_bytes", 268, 4, "bytes", C, "option", "AccECN: received as ECT(0)"),
    _f("received_ce_bytes", 272, 4, "bytes", C, "option", "AccECN: received with a mark"),
)

# Raw values that mean unknown, by member: the only place that has them.
ABSENT: dict[str, int] = {item.name: item.absent for item in TCP_INFO if item.absent is not None}

# The last word of the 280-byte struct has two layouts of the same length: which one holds
# is known only from the running kernel's BTF (member tcpi_ecn_mode) or its version.
TAIL_6_18: tuple[InfoField, ...] = (
    _f("accecn_fail_mode", 276, 2, "bits", G, "option", "AccECN: why it was given up"),
    _f("accecn_opt_seen", 278, 2, "count", G, "option", "AccECN option as received"),
)
TAIL_7_0: tuple[InfoField, ...] = (
    _f("ecn_mode", 276, 1, "count", S, "option", "kind of ECN",
       bit=0, width=2, words=("off", "RFC 3168", "AccECN", "pending")),
    _f("accecn_opt_seen", 276, 1, "count", G, "option", "AccECN option as received",
       bit=2, width=2, words=("no", "empty", "counters", "failed")),
    _f("accecn_fail_mode", 276, 1, "bits", G, "option",
       "1 ACE sent 2 ACE received 4 option sent 8 option received", bit=4, width=4),
    _f("options2", 277, 3, "bits", S, "option", "further options"),
)
# fmt: on

# Fields that a kernel fills in for a listener; the others are zero there and mean nothing.
LISTEN_FIELDS = frozenset(
    {"state", "pacing_rate", "max_pacing_rate", "reordering", "snd_cwnd", "unacked", "sacked"}
)

_FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def check_field(item: InfoField) -> None:
    """
    Raises:
        ValueError: no kernel has such a member.
    """
    placed = item.offset >= 0 and (item.size == 3 or item.size in _FORMATS)
    bits = item.bit >= 0 and item.width >= 0 and item.bit + item.width <= 8 * item.size
    if not (placed and bits and _NAME.fullmatch(item.name)):
        raise ValueError("a member of tcp_info lies where none can")


def read_field(raw: bytes, length: int, item: InfoField) -> int | None:
    """The raw value, or None where the kernel sent too little."""
    if item.offset + item.size > length:
        return None
    if item.size == 3:
        return int.from_bytes(raw[item.offset : item.offset + 3], "little")
    value: int = struct.unpack_from(_FORMATS[item.size], raw, item.offset)[0]
    if item.width:
        value = value >> item.bit & ((1 << item.width) - 1)
    return value


@lru_cache(maxsize=64)
def _plan(
    length: int, tail: tuple[InfoField, ...]
) -> tuple[struct.Struct, tuple[str, ...], tuple[InfoField, ...]]:
    """One unpacking for all whole members of a length, and the members that are bits or overlap."""
    whole, bits, fmt, at = [], [], "<", 0
    for item in in_order(tail):
        if item.offset + item.size > length:
            continue
        if _alone(item) or item.offset < at:
            bits.append(item)
            continue
        fmt += f"{item.offset - at}x{_FORMATS[item.size][1]}"
        at = item.offset + item.size
        whole.append(item.name)
    return struct.Struct(fmt), tuple(whole), tuple(bits)


def _alone(item: InfoField) -> bool:
    """Is not read with the others."""
    return bool(item.width) or item.size == 3


def in_order(tail: tuple[InfoField, ...] = ()) -> list[InfoField]:
    """All members as decode() has them: whole ones by offset, then bits."""
    items = sorted((*TCP_INFO, *tail), key=lambda item: item.offset)
    return sorted(items, key=_alone)


def decode(raw: bytes, length: int, tail: tuple[InfoField, ...] = ()) -> dict[str, int]:
    """All fields that the kernel sent, by name, in the kernel's unit.

    Args:
        raw: the attribute's payload (little endian), at least `length` bytes.
        length: how many bytes the kernel sent.
        tail: TAIL_6_18, TAIL_7_0, or nothing when the layout is not known.
    """
    plan, names, bits = _plan(length, tail)
    out: dict[str, int] = dict(zip(names, plan.unpack_from(raw), strict=True))
    for item in bits:
        value = read_field(raw, length, item)
        if value is not None:
            out[item.name] = value
    return out
