"""Losses that this host made itself: what it dropped in one interval may be resent in the next."""

from __future__ import annotations

import struct

import pytest

from nettop.engine import ffi, lib
from nettop.model.types import Because, Proto, Verdict
from tests.feeding import FedEngine
from tests.netlink import connection, done

REASON = 3


def section(kind: int, arg: int, body: bytes) -> bytes:
    return struct.pack("=QIIII", 10**8, kind, len(body), 0, arg) + body + bytes(-len(body) % 8)


def interval(number: int, dropped: int) -> bytes:
    """The events plane's interval: so many packets of the socket dropped by a qdisc."""
    head, reason = ffi.new("struct nt_events_head *"), ffi.new("struct nt_reason *")
    drop = ffi.new("struct nt_drop *")
    head.read, head.begun_ns = number, 10**8
    reason.reason, reason.count, reason.name = REASON, max(1, dropped), b"QDISC_DROP"
    drop.cookie, drop.count, drop.reason = 1, dropped, REASON
    drops = bytes(ffi.buffer(drop)) if dropped else b""
    return (
        section(lib.NT_S_EVENTS, 0, bytes(ffi.buffer(head)))
        + section(lib.NT_S_DROP_REASONS, ffi.sizeof("struct nt_reason"), bytes(ffi.buffer(reason)))
        + section(lib.NT_S_DROPS, ffi.sizeof("struct nt_drop"), drops)
    )


@pytest.mark.parametrize(
    ("dropped", "resent", "here"),
    [
        ((17, 0, 0), (0, 17, 0), True),  # dropped in the first interval, resent in the second
        ((0, 17, 0), (0, 17, 0), True),
        ((0, 17, 0), (0, 0, 17), True),
        ((0, 17, 0), (0, 17, 17), False),  # these are accounted for; the later ones are not
        ((51, 0, 0), (0, 17, 34), True),  # a long round trip: over two intervals
        ((20, 20, 0), (0, 0, 40), True),
        ((51, 0, 0, 0), (0, 17, 0, 34), False),  # nothing was resent meanwhile: these are others
        ((20, 0, 0), (0, 17, 34), False),
        ((2, 0, 0), (0, 17, 0), False),
        ((0, 0, 0), (0, 17, 0), False),
    ],
)
def test_what_was_dropped_here_explains_what_is_resent_a_tick_later(
    dropped: tuple[int, ...], resent: tuple[int, ...], here: bool
) -> None:
    engine = FedEngine()
    sent = retrans = 0
    quiet = (0,) * 2  # a verdict holds in two intervals
    for number, (drops, again) in enumerate(zip(dropped + quiet, resent + quiet, strict=True), 1):
        engine.take(interval(number, drops))
        engine.feed_begin(number * 10**9)
        sent, retrans = sent + 60_000, retrans + again
        raw = connection(
            1, bytes_acked=sent, bytes_sent=sent + 1448 * retrans, bytes_retrans=1448 * retrans,
            total_retrans=retrans, data_segs_out=sent // 1448 + retrans, snd_cwnd=10, rtt=5000,
            min_rtt=4000, ca_state=3,
        )  # fmt: skip
        engine.feed(1, Proto.TCP, raw)
        engine.feed(1, Proto.TCP, done())
        engine.feed_end(number * 10**9)
    row = engine.find(1)
    assert row is not None
    assert row.rec.verdict == Verdict.LOSS
    assert (row.rec.because == Because.HERE) == here
