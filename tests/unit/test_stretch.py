"""Which ticks of a recording a stretch of time has."""

from __future__ import annotations

import pytest

from nettop.commands.replay import stretch
from nettop.options import Options
from nettop.store.source import FrameInfo
from nettop.stretches import ticks_between
from nettop.times import Moment, moment
from nettop.warm import WARM_UP_NS, start_of

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


# Ticks of seconds 100 to 109, and after a gap of an hour those of 3700 to 3709.
GAP_ENDS_S = 3709
GAPPED = [
    FrameInfo(i, s * S, s * S, i in (1, 11))
    for i, s in enumerate((*range(100, 110), *range(3700, 3710)), 1)
]


def at(second: float) -> Moment:
    return Moment(f"{second:g}", before_end_s=GAP_ENDS_S - second)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("since", "until", "seqs", "said"),
    [
        (104, 3703, (5, 14), []),
        (105.5, None, (7, 20), []),
        # Before the first, after the last.
        (40, 105, (1, 6), ["--from 40: ", "1m00s later"]),
        (105, 4000, (6, 20), ["--to 4000: ", "4m51s earlier"]),
        (20, 30, (1, 1), ["--from 20 --to 30: ", "1m10s later"]),
        # In the gap: the nearest, and how far it is.
        (120, 140, (10, 10), ["--from 120 --to 140: ", "11.0s earlier"]),
        (3600, 3690, (11, 11), ["--from 3600 --to 3690: ", "10.0s later"]),
        (3800, 3900, (20, 20), ["--from 3800 --to 3900: ", "1m31s earlier"]),
        (3600, None, (11, 20), ["--from 3600: ", "1m40s later"]),
        (None, 200, (1, 10), ["--to 200: ", "1m31s earlier"]),
    ],
)
def test_a_time_without_a_tick_has_the_nearest_and_its_distance(
    since: float | None, until: float | None, seqs: tuple[int, int], said: list[str]
) -> None:
    heard: list[str] = []
    first, last = ticks_between(
        GAPPED, None if since is None else at(since), None if until is None else at(until),
        heard.append,
    )  # fmt: skip
    assert (first.seq, last.seq) == seqs
    assert len(heard) == len(said) // 2
    for text, (begins, ends) in zip(heard, zip(said[::2], said[1::2], strict=True), strict=True):
        assert text.startswith(f"{begins}no tick of that time; the nearest is of ")
        assert text.endswith(ends)


@pytest.mark.pure
def test_ticks_that_are_far_apart_are_no_gap() -> None:
    frames = [FrameInfo(i, i * 60 * S, i * 60 * S, i == 1) for i in range(1, 62)]
    heard: list[str] = []
    first, last = ticks_between(frames, moment("-90"), None, heard.append)
    assert (first.seq, last.seq, heard) == (60, 61, [])


@pytest.mark.pure
@pytest.mark.parametrize("step_s", [0, -3600, 3600])
def test_what_warms_up_a_tick_is_found_whatever_the_clock_did(step_s: int) -> None:
    frames = [
        FrameInfo(i, (NOON + i + (step_s if i > 200 else 0)) * S, i * S, i % 60 == 1)
        for i in range(1, 300)
    ]
    assert start_of(frames, frames[204]).seq == 181
    assert start_of(frames, frames[185]).seq == 121  # 181 is too near
    assert start_of(frames, frames[3]).seq == 1
    assert WARM_UP_NS == 15 * S


@pytest.mark.pure
def test_nothing_of_a_boot_before_warms_up_a_tick() -> None:
    frames = [FrameInfo(i, i * S, (5000 + i if i <= 100 else i) * S, i % 50 == 1)
              for i in range(1, 130)]  # fmt: skip
    assert start_of(frames, frames[103]).seq == 101
