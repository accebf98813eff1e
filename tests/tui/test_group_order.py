"""In which order groups stand: chosen, held, and given back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from nettop.feed import Grouping
from nettop.groups import ManyGroups
from nettop.tui.group_lines import COLUMNS, columns_of, name_cells
from nettop.tui.screens import sort_keys

Running = Callable[..., AbstractAsyncContextManager[Any]]


def turned(screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the feed has its groups the other way round in every further tick."""
    feed = screen.feed
    seqs: dict[int, int] = {}
    groups = feed.groups

    def other(grouping: Grouping) -> Any:
        found = groups(grouping)
        assert isinstance(found, ManyGroups)
        seqs.setdefault(feed.latest().seq, len(seqs))
        back = seqs[feed.latest().seq] % 2 == 0
        return found.in_order(range(len(found))[::-1]) if back else found

    monkeypatch.setattr(feed, "groups", other)


def names(screen: Any) -> list[str]:
    return [group.title for group in screen.main.groups.groups]


async def test_held_groups_keep_their_places(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as screen:
        await screen.press("t")
        screen.main.groups.sort_by(COLUMNS[0])  # many are equal: the feed's order shows
        before = names(screen)
        turned(screen, monkeypatch)
        screen.feed.publish()
        await screen.settle()
        assert names(screen) != before, "they change places when they are not held"
        held = names(screen)
        await screen.press("o")
        for _ in range(3):
            screen.feed.publish()
            await screen.settle()
            assert names(screen) == held
        await screen.press("o")
        orders = set()
        for _ in range(2):
            screen.feed.publish()
            await screen.settle()
            orders.add(tuple(names(screen)))
        assert len(orders) == 2


async def test_groups_stand_still_while_the_cursor_moves(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sort_keys, "HOLD_S", 0.5)
    async with running() as screen:
        await screen.press("t")
        screen.main.groups.sort_by(COLUMNS[0])
        turned(screen, monkeypatch)
        await screen.press("down")
        before = names(screen)
        screen.feed.publish()
        await screen.settle()
        assert names(screen) == before
        await screen.pilot.pause(0.7)
        assert not screen.main.groups.held


async def test_the_usual_view_holds_no_order(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as screen:
        held: list[bool] = []
        monkeypatch.setattr(screen.feed, "hold_order", held.append)
        await screen.press("o")
        assert held == [True]
        assert " held" in screen.lines[1]
        await screen.press("r")
        assert held[-1] is False, "what is not said to be held is not held"
        assert " held" not in screen.lines[1]


async def test_s_sorts_groups_by_any_column(running: Running) -> None:
    async with running() as screen:
        groups = screen.main.groups
        await screen.press("t", "s")
        assert "sort by" in screen.text
        assert "segments resent per second" in screen.text
        assert "RETR/s" not in screen.lines[2], "at this width it has no room"
        await screen.press("r", "e", "t", "r", "slash", "s", "enter")
        assert groups.sort.title == "RETR/s"
        assert "groups by RETR/s" in screen.lines[1]
        assert "RETR/s" in screen.lines[2], "what they are sorted by shows"
        rates = [group.retrans_per_s for group in groups.groups]
        known = [rate for rate in rates if rate is not None]
        assert known == sorted(known, reverse=True)
        assert rates[: len(known)] == known, "what is not known is last"
        await screen.press("S")
        assert "the smallest first" in screen.lines[1]
        rates = [group.retrans_per_s for group in groups.groups]
        assert rates[: len(known)] == sorted(known)
        await screen.press("s", "enter")
        assert [group.retrans_per_s for group in groups.groups][: len(known)] == known


@pytest.mark.parametrize("name", ["cgroup", "remote port", "program"])
async def test_a_grouping_is_found_by_its_word(running: Running, name: str) -> None:
    async with running() as screen:
        await screen.press("colon", *("space" if c == " " else c for c in name), "enter")
        assert screen.main.grouping is Grouping[name.replace(" ", "_").upper()]


@pytest.mark.parametrize("grouping", [g for g in Grouping if g])
def test_the_column_of_the_order_shows_at_every_width(grouping: Grouping) -> None:
    for width in range(60, 241):
        usual = columns_of(grouping, width)
        for sort in columns_of(grouping, 240):
            shown = columns_of(grouping, width, sort)
            assert sort in shown
            assert shown == usual if sort in usual else set(shown) <= {*usual, sort}
            cells = sum(column.cells + 1 for column in shown) + name_cells(grouping, width, sort)
            assert cells <= max(
                width, sum(column.cells + 1 for column in usual) + name_cells(grouping, width)
            )
