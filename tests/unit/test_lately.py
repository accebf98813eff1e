"""The header says what was lost recently: `events lost 21062` an hour after is no news."""

from __future__ import annotations

from nettop.model.cost import Cost
from nettop.tui.lately import Lately


def lost(events: int, ticks: int = 0, interval_s: float = 1.0) -> Cost:
    return Cost(
        lost_events=events, missed_ticks=ticks, interval_s=interval_s,
        lost_by_plane={"events": events},
    )  # fmt: skip


def test_what_was_lost_is_said_for_a_minute() -> None:
    lately = Lately()
    assert lately.texts(lost(0), 0.0) == ()
    assert lately.texts(lost(157), 1.0) == ("events lost 157 in 1m",)
    for at_s in range(2, 61):
        assert lately.texts(lost(157), float(at_s)) == ("events lost 157 in 1m",)
    assert lately.texts(lost(157), 62.0) == ()
    assert lately.texts(lost(160, 1), 63.0) == ("events lost 3", "1 tick missed in 1m")


def test_what_the_first_tick_lost_is_recent() -> None:
    assert Lately().texts(lost(9), 5.0) == ("events lost 9 in 1m",)


def test_the_same_tick_asked_again_grows_old() -> None:
    """While paused, say."""
    lately, cost = Lately(), lost(9)
    assert lately.texts(cost, 0.0)
    assert lately.texts(cost, 59.0)
    assert lately.texts(cost, 61.0) == ()


def test_what_was_lost_while_nobody_looked_is_not_recent() -> None:
    lately = Lately()
    lately.texts(lost(1), 0.0)
    assert lately.texts(lost(500), 600.0) == ()
    assert lately.texts(lost(502), 601.0) == ("events lost 2 in 1m",)


def test_of_a_long_interval_the_last_is_recent() -> None:
    lately = Lately()
    lately.texts(lost(0, interval_s=3600), 0.0)
    assert lately.texts(lost(4, interval_s=3600), 3600.0) == ("events lost 4 in 1h00m",)
    assert lately.texts(lost(4, interval_s=3600), 7200.0) == ()


def test_a_host_that_left_takes_its_count_along() -> None:
    lately = Lately()
    for at_s in range(62):
        lately.texts(Cost(lost_events=50), float(at_s))
    assert lately.texts(Cost(lost_events=20), 62.0) == ()
