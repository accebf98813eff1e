"""The screen on a feed that stands still."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from nettop.tui.app import NettopApp, ScreenOptions
from tests.fakes import FakeFeed


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the user's own is read or written."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Screen:
    """A running app with what tests look at."""

    def __init__(self, app: NettopApp, feed: FakeFeed, pilot: Pilot[int]) -> None:
        self.app, self.feed, self.pilot = app, feed, pilot

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
        await self.settle()

    async def settle(self) -> None:
        await self.pilot.pause()
        await self.pilot.pause()

    @property
    def main(self) -> Any:
        return self.app.main

    @property
    def lines(self) -> list[str]:
        """What stands on the terminal."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


Running = Callable[..., contextlib.AbstractAsyncContextManager[Screen]]


@pytest.fixture
def running() -> Running:
    @contextlib.asynccontextmanager
    async def run(
        width: int = 120, height: int = 40, *, feed: FakeFeed | None = None, **options: Any
    ) -> AsyncIterator[Screen]:
        feed = feed or FakeFeed()
        app = NettopApp(feed, ScreenOptions(**options))
        async with app.run_test(size=(width, height)) as pilot:
            screen = Screen(app, feed, pilot)
            await screen.settle()
            yield screen

    return run
