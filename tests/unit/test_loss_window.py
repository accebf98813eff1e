"""When what was lost in the last seconds is told."""

from __future__ import annotations

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.types import Proto
from tests.feeding import FedEngine
from tests.netlink import connection, done

S = 10**9


@pytest.mark.parametrize(
    ("again", "after"),
    [
        ([0, 2, 1], 2),  # in two intervals, of the window that the share is of
        ([0, 0, 3, 0], 3),  # one burst, which may be of a moment, is told an interval later
        ([0, 1, 1, 1], 3),  # three say enough, in one interval or in several
    ],
)
def test_losses_in_two_intervals_need_not_come_in_a_third(again: list[int], after: int) -> None:
    engine, told, resent = FedEngine(), [], 0
    for n, more in enumerate([0, *again, 0]):
        resent += more
        engine.feed_begin((10 + n) * S)
        message = connection(1, bytes_sent=n * 100_000, bytes_retrans=resent * 1448,
              total_retrans=resent, data_segs_out=n * 70)  # fmt: skip
        engine.feed(7, Proto.TCP, message + done())
        engine.feed_end((10 + n) * S)
        row = engine.find(1)
        assert row is not None
        told.append(bool(row.verdicts))
    assert told.index(True) == after + 1
