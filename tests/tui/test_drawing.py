"""Lines that widgets draw themselves are what Textual would compose of them."""

from __future__ import annotations

from typing import Any, cast

import pytest
from rich.color import ColorSystem
from textual._compositor import CompositorUpdate

from nettop.tui.driver import TerminalDriver
from nettop.tui.painter import Cell, Painter
from nettop.tui.screens.overlay import Overlay
from tests.tui.conftest import Running, Screen

KEYS = ("down", "x", "down", "v", "t", "down", "x", "question_mark", "down", "escape",
        "t", "escape", "s", "j", "escape", "enter", "down", "escape", "z", "z")  # fmt: skip


class Counting(Painter):
    pieces = 0

    def put(self, *args: Any, **more: Any) -> None:
        self.pieces += 1
        super().put(*args, **more)


def on_painter(screen: Screen) -> Counting:
    """From now on the app draws as on a terminal, of which only the wanted picture is there."""
    driver = TerminalDriver.__new__(TerminalDriver)
    driver.__dict__.update(screen.app._driver.__dict__)
    driver._key_at, driver._paint_timer = 0.0, cast("Any", object())
    driver.write = lambda data: None  # type: ignore[method-assign]
    painter = driver.painter = Counting(ColorSystem.TRUECOLOR)
    screen.app._driver = driver
    take(painter, screen)
    return painter


def take(painter: Painter, screen: Screen) -> None:
    top = screen.app.screen
    behind = screen.app._background_screens
    whole = top._compositor.render_update(full=True, screen_stack=behind)
    painter.take(cast("CompositorUpdate", whole), (top.size.width, top.size.height), urgent=False)


def seen(painter: Painter, screen: Screen) -> list[list[Cell]]:
    """The picture, of an overlay its box."""
    top = screen.app.screen
    if not isinstance(top, Overlay):
        return painter._wanted
    x, y, width, height = top.box.region
    return [line[x : x + width] for line in painter._wanted[y : y + height]]


@pytest.mark.parametrize("options", [{}, {"color": False}, {"theme": "light", "ascii": True}])
async def test_each_picture_is_the_composed_one(running: Running, options: dict[str, Any]) -> None:
    async with running(**options) as screen:
        headless = screen.app._driver
        painter = on_painter(screen)
        try:
            for key in (None, *(KEYS[:9] if options else KEYS)):
                await screen.press(*([key] if key else []))
                screen.feed.publish()
                await screen.settle()
                composed = Painter(ColorSystem.TRUECOLOR)
                take(composed, screen)
                assert seen(painter, screen) == seen(composed, screen), key
        finally:
            screen.app._driver = headless
        assert painter.pieces > 30, "the widgets left it to Textual"
