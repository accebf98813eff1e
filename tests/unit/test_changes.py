"""The nearest tick in which something changed, of all sockets and of some."""

from __future__ import annotations

import pytest

from nettop import changes
from nettop.changes import Changes


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
