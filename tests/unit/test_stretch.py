"""Which ticks of a recording a stretch of time has."""

from __future__ import annotations

import pytest

from nettop.commands.replay import stretch
from nettop.options import Options
from nettop.store.source import FrameInfo
from nettop.times import moment

S = 10**9
NOON = 1_800_000_000 * S


@pytest.mark.pure
@pytest.mark.parametrize(("step_s", "expected"), [(0, 8), (-3600, 8), (3600, 8), (-9, 8)], ids=str)
def test_before_the_end_is_near_the_end_whatever_the_clock_did(step_s: int, expected: int) -> None:
    frames = [
        FrameInfo(i, NOON + (i + (step_s if i > 5 else 0)) * S, i * S, i == 1) for i in range(1, 11)
    ]
    options = Options(since=moment("-2"))
    first, last = stretch(frames, options, one=False)
    assert (first.seq, last.seq) == (expected, 10)
