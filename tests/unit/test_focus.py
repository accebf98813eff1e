"""Sockets in focus change from one read to the next, all 256 of them if need be."""

from __future__ import annotations

import struct

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine import lib
from tests.feeding import FedEngine

FINE, MOST = 2048, 256


def read(engine: FedEngine, at: int, counts: dict[int, int]) -> None:
    """counts: of deliveries so far in one bucket, by cookie."""
    head = struct.pack("<QQIIIIII", 0, 0, at, at, 0, 0, 1, 0)
    engine._section(lib.NT_S_WAIT, 0, 0, head + bytes(8 * FINE))
    records = [
        struct.pack("<QI", cookie, n) + bytes(4 * (FINE - 1)) for cookie, n in counts.items()
    ]
    engine._section(lib.NT_S_WAIT_FOCUS, 0, 8 + 4 * FINE, b"".join(records))


def test_others_take_the_places_of_all_that_were_in_focus() -> None:
    engine = FedEngine()
    read(engine, 1, dict.fromkeys(range(1, MOST + 1), 5))
    second = dict.fromkeys(range(200, 200 + MOST), 7)
    read(engine, 2, second)
    counts = {}
    for cookie in (200, MOST, MOST + 1, 199 + MOST):
        waits = engine.rx_wait([cookie])
        assert waits is not None
        counts[cookie] = waits.dist.count
    assert counts == {200: 2, MOST: 2, MOST + 1: 7, 199 + MOST: 7}
    gone = engine.rx_wait([1])
    assert gone is None or gone.dist.count == 0


def test_more_than_there_is_room_for_is_refused() -> None:
    engine = FedEngine()
    with pytest.raises(OSError, match="Protocol error"):
        read(engine, 1, dict.fromkeys(range(1, MOST + 2), 1))


@pytest.mark.parametrize("first_read", [1, 7])
def test_what_left_and_came_back_between_two_reads_begins_anew(first_read: int) -> None:
    engine = FedEngine()
    read(engine, first_read, {1: 500})
    read(engine, first_read + 1, {1: 516})
    read(engine, first_read + 2, {1: 3})
    counted = [engine.rx_wait([1], run=run) for run in (False, True)]
    assert [waits.dist.count for waits in counted if waits is not None] == [3, 3]
