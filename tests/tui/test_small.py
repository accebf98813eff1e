"""No terminal is too small: a window that is dragged shut passes through every size."""

from __future__ import annotations

import pytest

from nettop.tui.widgets.lines import rows_of
from tests.tui.conftest import Running

FILTERED = ("slash", *"comm=a", "enter")
# What keys open, each from the table on.
OPENED = (
    (), ("question_mark",), ("slash",), (*FILTERED, "slash"), ("slash", *"srtt"), ("s",), ("c",),
    ("enter",), ("enter", "i"), ("t",), ("1",), ("2",), ("3",), ("4",), ("4", "v"), ("v",), ("x",),
    ("C",), ("P",), ("J",), ("B",),
)  # fmt: skip
SIZES = (1, 1), (1, 40), (2, 40), (5, 40), (61, 2)


@pytest.mark.parametrize("keys", OPENED, ids=lambda keys: "-".join(keys) or "table")
async def test_every_screen_at_every_small_size(running: Running, keys: tuple[str, ...]) -> None:
    async with running() as screen:
        await screen.press(*keys)
        for width, height in SIZES:
            await screen.pilot.resize_terminal(width, height)
            await screen.pilot.press("down")
        await screen.pilot.resize_terminal(120, 40)
        await screen.press("escape", "escape", "escape")
        assert screen.app.return_code in (None, 0)
        assert "nettop" in screen.text


@pytest.mark.parametrize("width", [-6, 0, 1])
def test_text_has_rows_where_there_is_no_room(width: int) -> None:
    assert rows_of("no room", width) == [*"noroom"]
