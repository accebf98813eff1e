"""The nearest tick in which something changed, of all sockets and of some."""

from __future__ import annotations

import pytest

from nettop import changes
from nettop.changes import QUIET_TICKS, Changes, EventRuns


@pytest.fixture
def index() -> Changes:
    made = Changes()
    for seq, cookies in ((2, {7}), (3, set()), (5, {7, 8}), (9, {9})):
        made.add(seq, cookies)
    return made


@pytest.mark.parametrize(
    ("seq", "cookies", "before", "after"),
    [
        (5, None, 2, 9),
        (6, None, 5, 9),
        (2, None, None, 5),
        (9, None, 5, None),
        (9, {7}, 5, None),
        (5, {8}, None, None),
        (1, {8, 9}, None, 5),
        (6, {9}, None, 9),
        (6, set(), None, None),
    ],
)
def test_the_nearest(
    index: Changes, seq: int, cookies: set[int] | None, before: int | None, after: int | None
) -> None:
    assert index.previous_change(seq, cookies) == before
    assert index.next_change(seq, cookies) == after


def test_what_is_forgotten(index: Changes) -> None:
    index.forget_before(5)
    assert index.previous_change(9) == 5
    assert index.previous_change(5) is None


def test_room_ends_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_A_TICK", 3)
    monkeypatch.setattr(changes, "MOST_SOCKETS", 6)
    made = Changes()
    for seq in (1, 2, 3):
        made.add(seq, set(range(5)), left_out=1)
    assert [(t.seq, len(t.cookies), t.left_out) for t in made.after(0)] == [(2, 3, 3), (3, 3, 3)]


def edges(ticks: dict[int, set[tuple[int, int]]], end: int) -> list[tuple[int, set[int]]]:
    """Of events by tick, where the index stops, all ticks until end taken."""
    runs, index = EventRuns(), Changes()
    for seq in range(1, end + 1):
        for change in runs.take(seq, ticks.get(seq, set())):
            index.add(*change[:3])
    return [(tick.seq, set(tick.cookies)) for tick in index.after(0)]


def test_events_that_go_on_are_no_change() -> None:
    steady = {seq: {(7, 3)} for seq in range(10, 40)}
    assert edges(steady, 60) == [(10, {7}), (40, {7})], "where they began, and the first without"
    assert edges(steady, 39 + QUIET_TICKS - 1) == [(10, {7})], "it is not known yet"


def test_another_type_and_another_socket_are_a_change() -> None:
    ticks = {seq: {(7, 3)} for seq in range(10, 40)}
    ticks[20] = {(7, 3), (7, 5)}
    ticks[25] = {(7, 3), (8, 3)}
    assert edges(ticks, 42) == [(10, {7}), (20, {7}), (25, {8})], "one tick has no end of its own"


def test_a_short_silence_does_not_end_a_run() -> None:
    ticks = {seq: {(7, 3)} for seq in (1, 1 + QUIET_TICKS - 1, 2 * QUIET_TICKS - 1)}
    assert edges(ticks, 2 * QUIET_TICKS) == [(1, {7})]
    ticks = {seq: {(7, 3)} for seq in (1, 1 + QUIET_TICKS)}
    assert edges(ticks, 20) == [(1, {7}), (1 + QUIET_TICKS, {7})]


def test_events_that_are_not_named_begin_and_end_as_well() -> None:
    runs = EventRuns()
    found = [c for seq in range(1, 20) for c in runs.take(seq, (), 9 if 3 <= seq < 6 else 0)]
    assert [(c.seq, bool(c.left_out)) for c in found] == [(3, True), (6, True)]


def test_what_is_known_late_stands_in_its_place(index: Changes) -> None:
    index.add(4, {3})
    index.add(5, {7, 3}, left_out=1)
    assert [(t.seq, set(t.cookies), t.left_out) for t in index.after(0)] == [
        (2, {7}, 0), (4, {3}, 0), (5, {3, 7, 8}, 1), (9, {9}, 0),
    ]  # fmt: skip
