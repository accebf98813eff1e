"""Restarts, sleep and clocks that were set, between two ticks."""

from __future__ import annotations

import pytest

from nettop.store.gaps import Clocks, boot_id, passed, slept_ns

S = 10**9
T = 1_700_000_000 * S
BEFORE = Clocks(T, 500 * S, 40 * S, "boot-1")


@pytest.mark.parametrize(
    ("wall_s", "mono_s", "slept_s", "elapsed_s", "mark"),
    [
        (1, 1, 0, 1, None),
        (1.4, 1, 0, 1, None),
        (4, 4, 0, 4, None),
        (6, 6, 0, 6, "no tick for 6.00s"),
        (3601, 1, 0, 1, "clock set forward by 1h00m"),
        (-3599, 1, 0, 1, "clock set back by 1h00m"),
        (0, 1, 0, 1, "clock set back by 1.00s"),
        (28801, 1, 28800, 28801, "the host slept for 8h00m"),
        (28801 + 60, 1, 28800, 28801, "the host slept for 8h00m; clock set forward by 1m00s"),
        (-100, 7, 0, 7, "no tick for 7.00s; clock set back by 1m47s"),
    ],
)
def test_between_two_ticks_of_a_recorder(
    wall_s: float, mono_s: float, slept_s: float, elapsed_s: float, mark: str | None
) -> None:
    wall, mono, slept = (round(s * S) for s in (wall_s, mono_s, slept_s))
    now = Clocks(BEFORE.wall_ns + wall, BEFORE.mono_ns + mono, BEFORE.slept_ns + slept, "boot-1")
    assert passed(BEFORE, now, interval_ns=S) == (round(elapsed_s * S), mark)


def test_a_recorder_that_goes_on() -> None:
    now = Clocks(T + 90 * S, 590 * S, 40 * S, "boot-1")
    assert passed(BEFORE, now, interval_ns=S, resumed=True) == (
        90 * S, "recording goes on after 1m30s",
    )  # fmt: skip
    asleep = Clocks(T + 90 * S, 530 * S, 100 * S, "boot-1")
    gap = passed(BEFORE, asleep, interval_ns=S, resumed=True)
    assert gap.elapsed_ns == 90 * S
    assert gap.mark == "recording goes on after 1m30s; the host slept for 1m00s"


def test_a_host_that_was_restarted() -> None:
    now = Clocks(T + 3600 * S, 5 * S, 0, "boot-2")
    assert passed(BEFORE, now, interval_ns=S, resumed=True) == (
        3600 * S, "host restarted, recording goes on after 1h00m",
    )  # fmt: skip
    # Its clock was not right yet: what elapsed is not known, and not negative.
    early = Clocks(T - 10**6 * S, 5 * S, 0, "boot-2")
    assert passed(BEFORE, early, interval_ns=S, resumed=True).elapsed_ns == 0
    # Samples that say nothing of the boot.
    unknown = passed(Clocks(T, 500 * S), Clocks(T + 60 * S, 5 * S), interval_ns=0)
    assert unknown == (60 * S, "recording goes on after 1m00s")


def test_the_clocks_of_this_host() -> None:
    assert slept_ns() >= 0
    assert len(boot_id()) in (0, 36)


def test_of_a_host_whose_boot_is_not_known_nothing_is_said_that_would_need_it() -> None:
    before = Clocks(T, 500 * S)
    gone = passed(before, Clocks(T + 60 * S, 520 * S), interval_ns=S, resumed=True)
    assert gone == (60 * S, "recording goes on after 1m00s")
    forward = passed(before, Clocks(T + 61 * S, 501 * S), interval_ns=S)
    assert forward == (S, "clock set forward, or the host slept, by 1m00s")
    back = passed(before, Clocks(T - 59 * S, 501 * S), interval_ns=S)
    assert back == (S, "clock set back by 1m00s")
