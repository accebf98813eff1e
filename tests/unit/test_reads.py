"""From when on what a program reads is late: by the waits of an interval and what they cost."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine import lib
from nettop.model.types import Proto, Verdict
from tests.feeding import FedEngine
from tests.netlink import connection, done, skmeminfo

SECOND, MS = 10**9, 10**6
FINE, OCTAVES = 2048, 32


def octave(ns: int) -> int:
    return min(OCTAVES - 1, max(0, ns.bit_length() - 6))


def verdicts_after(intervals: Sequence[Sequence[float]]) -> list[Verdict]:
    """Of a socket whose deliveries waited so many milliseconds, a list an interval."""
    engine = FedEngine()
    total_ns = count = 0
    octaves = [0] * OCTAVES
    for at, waits_ms in enumerate(intervals, 1):
        waits = [int(ms * MS) for ms in waits_ms]
        engine.now_ns = now_ns = (100 + at) * SECOND
        total_ns, count = total_ns + sum(waits), count + len(waits)
        for ns in waits:
            octaves[octave(ns)] += 1
        head = struct.pack("<QQIIIIII", total_ns, max(waits), at, at, 0, 0, 1, 0)
        engine._section(lib.NT_S_WAIT, 0, 0, head + bytes(8 * FINE))
        record = struct.pack(
            f"<4Q4I{OCTAVES}I", 1, total_ns, max(waits), 0, count, 0, 0, 0, *octaves
        )
        engine._section(lib.NT_S_WAIT_SOCKETS, 0, len(record), record)
        engine.feed_begin(now_ns)
        engine.feed(1, Proto.TCP, connection(1, 280, skmeminfo(), inode=77) + done())
        engine.feed_end(now_ns)
    row = engine.find(1)
    assert row is not None
    assert row.plane.wait.count == len(intervals[-1])
    return row.verdicts


@pytest.mark.parametrize(
    ("waits_ms", "late"),
    [
        ([0.1] * 19 + [90], False),  # one in twenty: 4.6 ms in the mean
        ([0.1] * 18 + [90, 30], True),
        ([0.1] * 3 + [90], False),  # four say nothing
        ([0.1] * 4 + [90], True),
        ([21.0] * 5, True),
        ([0.1] * 95 + [30] * 5, True),  # of a hundred the p99 is more than the longest
        ([0.1] * 105 + [5.0] * 15, False),
    ],
)
def test_of_few_deliveries_a_single_late_one_is_no_verdict(
    waits_ms: list[float], *, late: bool
) -> None:
    said = verdicts_after([[0.1] * 20, waits_ms, waits_ms, waits_ms])
    assert said == ([Verdict.READS] if late else [])
