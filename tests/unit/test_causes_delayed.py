"""A round trip that its own host's queue and the peer's delayed ACK make long together."""

from __future__ import annotations

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.types import Proto, Verdict
from tests.feeding import FedEngine
from tests.netlink import connection, done
from tests.unit.test_causes import ROUTE, SECOND, Host, candidate


@pytest.mark.parametrize(
    ("few", "srtt_ms", "queue_ms", "explains"),
    [
        (1, 61, 20, True),  # 60 over its minimum, of which 40 may be the peer's delayed ACK
        (0, 61, 20, False),  # many at a time are acknowledged at once
        (0, 61, 31, True),
        (1, 101, 26, False),  # less than half of the 60 that no delayed ACK explains
        (1, 101, 32, True),
        (1, 41, 8, False),  # and never less than a quarter of all
    ],
)
def test_the_delayed_ack_of_few_segments_is_not_for_the_queue_to_explain(
    few: int, srtt_ms: int, queue_ms: int, explains: bool
) -> None:
    one = candidate(Verdict.RTT, Verdict.QDISC, rtt_us=srtt_ms * 1000, few=few, qdisc_count=5,
                    qdisc_sum_ns=5 * queue_ms * 10**6)  # fmt: skip
    found = Host(routes=ROUTE).tick(one).get(1)
    assert (found is not None and found.rule == "own_queue") == explains
    if found is not None and explains and queue_ms * 2 < srtt_ms - 1:
        assert "of which the peer's delayed ACK may be 40.0ms" in found.evidence[0].says


def test_who_sends_few_segments() -> None:
    """By the last message of a socket: those on their way, or that the program had no more."""
    for unacked, app_limited, few in ((2, 0, 1), (3, 0, 0), (30, 1, 1)):
        engine = FedEngine()
        for at in range(100, 103):
            info = {"rtt": 90_000, "min_rtt": 1000, "bytes_acked": at * 1000, "unacked": unacked}
            info["delivery_rate_app_limited"] = app_limited
            raw = connection(1, 280, None, state=1, **info) + done()
            engine.feed_begin(at * SECOND)
            engine.feed(1, Proto.TCP, raw)
            engine.feed_end(at * SECOND)
        (one,) = engine.candidates(4)
        assert one.few == few, (unacked, app_limited)
