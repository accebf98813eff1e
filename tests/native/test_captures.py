"""Dumps that a kernel really sent: every socket arrives in the table, none is malformed."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest

from nettop.model.types import Proto, Row
from tests.feeding import FedEngine as Engine

CAPTURES = Path(__file__).resolve().parents[1] / "data" / "netlink"
PROTOS = {"tcp": Proto.TCP, "udp": Proto.UDP, "mptcp": Proto.MPTCP}
SECOND_NS = 1_000_000_000
LISTEN, ESTABLISHED, FIN_WAIT2, TIME_WAIT, CLOSE_WAIT = 10, 1, 5, 6, 8


def messages(raw: bytes) -> list[tuple[int, int, int]]:
    """State, cookie and inode of every inet_diag message, read without the helper."""
    out, at = [], 0
    while at < len(raw):
        length, kind = struct.unpack_from("<IH", raw, at)
        if kind != 3:
            low, high = struct.unpack_from("<II", raw, at + 60)
            out.append((raw[at + 17], low | high << 32, struct.unpack_from("<I", raw, at + 84)[0]))
        at += length + 3 & ~3
    return out


def load(name: str) -> tuple[list[Row], bytes]:
    raw = (CAPTURES / f"{name}.bin").read_bytes()
    engine = Engine()
    engine.config.udp = engine.config.mptcp = engine.config.rows_all = 1
    engine.configure()
    engine.feed_begin(SECOND_NS)
    engine.feed(1, PROTOS[name.split("-")[0]], raw)
    totals = engine.feed_end(SECOND_NS)
    assert (totals.malformed, totals.duplicates, totals.failed) == (0, 0, 0)
    n = engine.order(None, True, 1000, False)
    return engine.window(0, n), raw


@pytest.mark.parametrize("name", sorted(p.stem for p in CAPTURES.glob("*.bin")))
def test_every_socket_arrives(name: str) -> None:
    rows, raw = load(name)
    expected = Counter(messages(raw))
    assert sum(expected.values()) > 0
    assert Counter((r.rec.state, r.rec.cookie, r.rec.inode) for r in rows) == expected


def test_conditions_of_the_captured_connections() -> None:
    rows, _ = load("tcp-legacy")
    states = Counter(r.rec.state for r in rows)
    assert states[FIN_WAIT2] == states[CLOSE_WAIT] == states[TIME_WAIT] == 1
    assert [r.rec.rqueue for r in rows if r.rec.state == ESTABLISHED and r.rec.rqueue] == [5000]
    # One connection was never accepted: it waits in its listener's queue and has no inode.
    assert [r.rec.rqueue for r in rows if r.rec.state == LISTEN and r.rec.rqueue] == [1]
    assert sum(r.rec.state == ESTABLISHED and not r.rec.inode for r in rows) == 1
    assert "reno" in {r.cong for r in rows}


def test_captured_datagrams_were_dropped() -> None:
    for name in ("udp-inet", "udp-inet6"):
        rows, _ = load(name)
        assert sum(r.rec.drops > 0 for r in rows) == 1
