"""Losses that this host made itself: what it dropped in one interval may be resent in the next."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import pytest

from nettop.engine import ffi, lib
from nettop.model.types import Because, Proto, Verdict
from tests.feeding import FedEngine
from tests.netlink import connection, done
from tests.unit.sections import section

REASON = 3


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


def take(engine: FedEngine, number: int, dropped: int, **info: Any) -> None:
    """An interval of the socket: so many packets of it dropped, and its tcp_info at the end."""
    engine.take(interval(number, dropped))
    engine.feed_begin(number * 10**9)
    engine.feed(1, Proto.TCP, connection(1, rto=200_000, unacked=60, **info))
    engine.feed(1, Proto.TCP, done())
    engine.feed_end(number * 10**9)


@pytest.mark.parametrize(
    ("dropped", "resent", "lost", "here"),
    [
        (
            (17, 0, 0),
            (0, 17, 0),
            (17, 0),
            True,
        ),  # dropped in the first interval, resent in the next
        ((0, 17, 0), (0, 17, 0), (), True),
        ((0, 17, 0), (0, 0, 17), (0, 17), True),
        ((0, 17, 0), (0, 17, 17), (), False),  # these are accounted for; the later ones are not
        ((51, 0, 0), (0, 17, 34), (51, 34), True),  # a long round trip: over two intervals
        ((20, 20, 0), (0, 0, 40), (20, 40), True),
        ((51, 0, 0, 0), (0, 17, 0, 34), (51, 0), False),  # TCP misses none: these are others
        ((51, 0, 0, 0), (0, 17, 0, 34), (51, 34, 34), True),
        ((20, 0, 0), (0, 17, 34), (20, 3), False),
        ((2, 0, 0), (0, 17, 0), (2,), False),
        ((0, 0, 0), (0, 17, 0), (), False),
        # A burst that was resent before the first look explains nothing that is resent after it.
        ((250, 0, 0), (250, 17, 17), (), False),
        ((0, 250, 0), (0, 210, 17, 17), (), False),
        ((0, 250, 0), (0, 210, 40), (0, 40), True),
    ],
)
def test_what_was_dropped_here_explains_what_is_resent_a_tick_later(
    dropped: tuple[int, ...], resent: tuple[int, ...], lost: tuple[int, ...], here: bool
) -> None:
    engine = FedEngine()
    sent = retrans = 0
    quiet = (0,) * 2  # a verdict holds in two intervals
    for number, (drops, again, missing) in enumerate(
        zip_longest(dropped + quiet, resent + quiet, lost, fillvalue=0), 1
    ):
        sent, retrans = sent + 60_000, retrans + again
        take(
            engine, number, drops, bytes_acked=sent, bytes_sent=sent + 1448 * retrans,
            bytes_retrans=1448 * retrans, total_retrans=retrans,
            data_segs_out=sent // 1448 + retrans, snd_cwnd=10, rtt=5000, min_rtt=4000, ca_state=3,
            lost=missing,
        )  # fmt: skip
    row = engine.find(1)
    assert row is not None
    assert row.rec.verdict == Verdict.LOSS
    assert (row.rec.because == Because.HERE) == here


def test_what_was_dropped_of_the_connection_before_is_not_of_the_next_one() -> None:
    engine = FedEngine()
    for number, drops, sent in ((1, 0, 10**6), (2, 17, 2 * 10**6), (3, 0, 1000)):
        take(
            engine, number, drops, bytes_acked=sent, bytes_sent=sent,
            data_segs_out=sent // 1448, lost=17,
        )  # fmt: skip
        row = engine.find(1)
        assert row is not None
        assert (row.rec.here_left, row.rec.lost_here_s > 0) == ((17, True) if drops else (0, False))
