"""What time-outs in a row may say beyond that nothing answers."""

from __future__ import annotations

from typing import Any

import pytest

from nettop.model.types import Because, Verdict
from nettop.text.explain import Explanation, explain
from tests.export.make import make_model, make_row


def said(**changes: Any) -> Explanation:
    of: dict[str, Any] = {
        "because": Because.RTO, "verdict_value": 6.0, "retransmits": 6, "backoff": 6,
        "wqueue": 20_000, "bytes_acked": 101, "bytes_received": 400,
    }  # fmt: skip
    row = make_row(verdicts=1 << Verdict.RTO, verdict=Verdict.RTO, verdict2=Verdict.RTO,
                   **{**of, **changes})  # fmt: skip
    return explain(row, None, make_model(), None)


@pytest.mark.parametrize(("backoff", "answers"), [(6, False), (5, False), (3, True), (0, True)])
def test_a_router_that_answers_takes_the_backoff_back(backoff: int, answers: bool) -> None:
    text = said(backoff=backoff)
    assert ("ICMP" in text.evidence) == answers
    assert ("not distinguishable" in text.evidence) != answers


@pytest.mark.parametrize(
    ("changes", "large"),
    [
        ({}, True),
        ({"bytes_acked": 90_000}, False),  # large ones passed before
        ({"bytes_received": 0}, False),  # nothing came since the handshake
        ({"wqueue": 400}, False),  # what has no answer is small
        ({"because": Because.SYN}, False),
        ({"retransmits": 1}, False),
    ],
)
def test_a_path_that_swallows_large_packets(changes: dict[str, Any], *, large: bool) -> None:
    text = said(**changes)
    assert ("MTU" in text.evidence) == large
    assert ("-M do" in text.next_step) == large
