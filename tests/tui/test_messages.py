"""What keys say: in the status line, however long, and on the detail screen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from nettop.text.ss_command import ss_command
from nettop.tui.header import shortened
from tests.fakes import FakeFeed
from tests.tui.conftest import Running, Screen

DEEP = "wrote /srv/user/" + "deep/" * 40 + "nettop-web-1.json"


async def exported(screen: Screen, home: Path) -> Path:
    """The file that a press of e wrote, once it is said."""
    for _ in range(50):
        await screen.settle()
        if list(home.glob("nettop-*.json")) and "wrote" in (screen.main.message or [""])[0]:
            break
    await screen.settle()
    return next(home.glob("nettop-*.json"))


def test_of_a_path_both_ends_stay() -> None:
    text = shortened(DEEP, 79)
    assert len(text) == 79
    assert text.startswith("wrote /srv/user/deep")
    assert text.endswith("deep/nettop-web-1.json")
    assert "…" in text


def test_of_other_messages_the_beginning_stays() -> None:
    text = shortened("filter, column 9: retr/s is " + "x" * 90, 60)
    assert text == "filter, column 9: retr/s is " + "x" * 31 + "…"
    assert shortened("short", 5) == "short"


@pytest.mark.parametrize("text", ["漢字" * 60, "wrote /" + "漢字" * 60, "", "abc", "/" * 50])
@pytest.mark.parametrize("cells", [-14, 0, 1, 2, 5, 40])
def test_a_message_never_takes_more_cells(text: str, cells: int) -> None:
    assert cell_len(shortened(text, cells)) <= max(0, cells)


@pytest.mark.parametrize("length", [78, 79, 80, 81, 300])
async def test_a_long_message_is_cut_not_dropped(running: Running, length: int) -> None:
    async with running(80, 24) as screen:
        screen.main.say("m" * length)
        await screen.settle()
        assert screen.lines[1].lstrip().startswith("m" * 70)
        assert ("…" in screen.lines[1]) == (length >= 80)


async def test_the_detail_copies_its_own_socket(running: Running) -> None:
    async with running() as screen:
        rows = screen.feed.window(0, 60)
        await screen.press("enter", "y")
        assert screen.app.clipboard == ss_command(rows[0])
        assert screen.app.clipboard in screen.lines[-2]
        await screen.press(*["down"] * 40, "y")
        assert screen.app.clipboard == ss_command(rows[40]), "outside the table's window"
        assert screen.app.clipboard in screen.lines[-2]


async def test_the_detail_says_what_was_exported(running: Running, home: Path) -> None:
    async with running() as screen:
        await screen.press("enter", "right", "e")
        path = await exported(screen, home)
        assert path.name in screen.lines[-2]


async def test_while_a_file_is_written_the_screen_says_so_and_answers(
    running: Running, home: Path
) -> None:
    go_on = threading.Event()

    class Slow(FakeFeed):
        def rows_all(self, **options: Any) -> Iterator[Any]:
            rows = super().rows_all(**options)
            yield next(rows)
            assert go_on.wait(10)
            yield from rows

    async with running(feed=Slow()) as screen:
        try:
            await screen.press("E")
            assert "writing…" in screen.lines[1]
            await screen.press("E", "down", "down")
            assert "writing…" in screen.lines[1]
            assert not list(home.glob("nettop-*.json"))
        finally:
            go_on.set()
        path = await exported(screen, home)
        assert str(path) in screen.text
        assert screen.feed.asked.count(("rows_all", True)) == 1
        assert list(home.glob("nettop-*")) == [path]


async def test_a_message_goes_away(running: Running) -> None:
    async with running() as screen:
        await screen.press("enter", "right")
        told = screen.lines[-2]
        await screen.press("y")
        assert screen.lines[-2] != told
        text, role, _ = screen.main.message
        screen.main.message = (text, role, 0.0)
        screen.feed.publish()
        await screen.settle()
        assert screen.lines[-2] == told


async def test_a_message_leaves_room_for_what_is_paused(running: Running) -> None:
    async with running(80, 24) as screen:
        screen.main.say("m" * 200)
        await screen.press("space")
        assert " PAUSED " in screen.lines[1]
        assert "mmm" in screen.lines[1]
        await screen.press("space")
        assert "PAUSED" not in screen.lines[1]
