"""Keys pressed while a long sweep is under way are answered at once; what is read follows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from nettop.model.types import Model, Row
from nettop.text.keys import ACTIONS
from tests.fakes import FakeFeed
from tests.tui.conftest import Running

FOLLOWS = "the rest follows: the sockets are being read"


class Sweeping(FakeFeed):
    sweeping = False

    def one_tick(self) -> AbstractContextManager[Model | None]:
        return nullcontext(None if self.sweeping else self._model)


async def test_the_cursor_moves_and_the_panes_follow(running: Running) -> None:
    feed = Sweeping()
    async with running(feed=feed) as screen:
        await screen.press("down")
        first = screen.main.table.cursor
        assert screen.main.panes[0].data.cookies == (first,)
        feed.sweeping = True
        await screen.press("down")
        second = screen.main.table.cursor
        assert second != first
        assert screen.lines[4].startswith("▌")
        assert screen.main.panes[0].data.cookies == (first,), "one tick's, and its title says whose"
        await screen.press("v")
        assert "closed" not in screen.text
        assert screen.main.panes[2].data.views == screen.main.views
        feed.sweeping = False
        feed.publish()
        await screen.settle()
        assert screen.main.panes[0].data.cookies == (second,)


async def test_the_detail_of_a_socket(running: Running) -> None:
    feed = Sweeping()
    async with running(feed=feed) as screen:
        await screen.press("down")
        feed.sweeping = True
        await screen.press("enter")
        assert FOLLOWS in screen.text
        assert "bytes_sent" in screen.text
        feed.sweeping = False
        feed.publish()
        await screen.settle()
        assert FOLLOWS not in screen.text
        feed.sweeping = True
        await screen.press("right")  # the same socket: nothing is asked anew
        assert FOLLOWS not in screen.text
        await screen.press("down")
        assert FOLLOWS in screen.text


async def test_groups_at_hand_stay(running: Running) -> None:
    feed = Sweeping()
    async with running(feed=feed) as screen:
        await screen.press("t")
        before = screen.main.groups.groups
        feed.sweeping = True
        screen.main.refresh_all()
        assert screen.main.groups.groups is before
        await screen.press("t")
        assert screen.main.groups.groups is not before
        assert screen.main.groups.groups


class Starting(FakeFeed):
    """The first sweep is under way."""

    begun = False

    def start(self, on_model: Callable[[], None]) -> None:
        self.on_model = on_model

    def latest(self) -> Model | None:
        return super().latest() if self.begun else None

    def one_tick(self) -> AbstractContextManager[Model | None]:
        return nullcontext(self._model if self.begun else None)

    def count(self) -> int:
        return super().count() if self.begun else 0

    def window(self, offset: int, rows: int) -> list[Row]:
        return super().window(offset, rows) if self.begun else []


async def test_there_is_a_picture_before_the_first_tick_and_keys_do_no_harm(
    running: Running,
) -> None:
    feed = Starting()
    async with running(feed=feed) as screen:
        assert screen.lines[0] == "nettop"
        assert "reading sockets" in screen.text
        for action in sorted(set(ACTIONS.values()) - {"quit", "suspend"}):
            screen.main.act(action)
            await screen.pilot.pause()
            top: Any = screen.app.screen
            if top is not screen.main:
                top.leave()
                await screen.pilot.pause()
            screen.main._close_filter()
        await screen.settle()
        main: Any = screen.main
        main.do_reset()
        feed.begun = True
        feed.publish()
        await screen.settle()
        assert "reading sockets" not in screen.text
        assert len(main.table.rows) > 3
