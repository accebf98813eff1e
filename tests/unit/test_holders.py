"""What the threads of a socket's holder did, in sentences that are true of their interval."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nettop.model.evidence import Evidence, HostTick, Process
from nettop.model.types import PlaneHas, Split, Verdict
from nettop.text.explain import explain
from nettop.text.holders import holder_evidence
from tests.export.make import make_model
from tests.unit.test_findings import sick

S, MS = 10**9, 10**6


def said(threads: int, read: int, ran_ms: int, waited_ms: int, longest: tuple[int, int]) -> str:
    """longest: waited and ran, of the thread that waited longest, in ms; in 1.09 s."""
    of: dict[str, Any] = {
        "over_ns": 1090 * MS, "cpu_ns": ran_ms * MS, "run_delay_ns": waited_ms * MS,
        "longest_run_delay_ns": longest[0] * MS, "longest_cpu_ns": longest[1] * MS,
    }  # fmt: skip
    process = Process(threads, read, {"R": read}, **of)
    evidence = HostTick(Evidence(processes={12: process}))
    found = holder_evidence(sick(1, Verdict.UNREAD), make_model(evidence=evidence))
    assert found is not None
    assert (found.value, found.unit) == (waited_ms * MS, "ns")
    return found.says


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((1, 1, 90, 1000, (1000, 90)), "in 1.09s its thread ran 90.0ms and waited 1.00s for a CPU"),
        # Longer than there was time for: the kernel counts a wait when it is over.
        ((1, 1, 12, 1340, (1340, 12)),
         "in 1.09s its thread ran 12.0ms; waits for a CPU that ended in it took 1.34s"),
        ((4, 4, 900, 3000, (800, 250)),
         "in 1.09s its 4 threads ran 900ms and waited 3.00s for a CPU together, the one that "
         "waited longest 800ms"),
        ((4, 4, 900, 3000, (1500, 20)),
         "in 1.09s its 4 threads ran 900ms together; all their waits for a CPU that ended in it "
         "took 3.00s"),
        ((400, 32, 900, 3000, (800, 250)),
         "in 1.09s 32 of its 400 threads ran 900ms and waited 3.00s for a CPU together, the one "
         "that waited longest 800ms"),
        ((2, 2, 0, 0, (0, 0)), "in 1.09s its 2 threads neither ran nor waited for a CPU"),
    ],
)  # fmt: skip
def test_no_thread_waits_longer_than_its_interval(given: Any, text: str) -> None:
    assert said(*given) == text


@pytest.mark.parametrize(
    ("threads", "asleep_ms", "ran_ms", "repeats"),
    [(1, 1000, 0, True), (1, 1000, 3, False), (4, 1000, 0, False), (1, 100, 0, False)],
)
def test_that_a_thread_slept_is_said_once(
    threads: int, asleep_ms: int, ran_ms: int, repeats: bool
) -> None:
    """`it slept elsewhere for 1.00s; in 2.00s its thread neither ran nor waited for a CPU`."""
    split = Split(1000 * MS, 0, 0, 0, asleep_ms * MS, 0)
    row = sick(1, Verdict.UNREAD, 5000.0, rqueue=9)
    row = replace(row, plane=replace(row.plane, has=PlaneHas.WAIT | PlaneHas.SPLIT, split=split))
    process = Process(threads, threads, {"S": threads}, over_ns=S, cpu_ns=ran_ms * MS,
                      run_delay_ns=0)  # fmt: skip
    found = explain(row, None, make_model(evidence=HostTick(Evidence(processes={12: process}))), 9)
    assert "it slept elsewhere for" in found.evidence
    assert ("in 1.00s its " in found.evidence) is not repeats
    assert found.unknown == "", "what it did is known all the same"
