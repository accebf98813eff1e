"""The mouse does what the keys do."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from nettop.commands import topics
from nettop.text.columns import GUTTER
from nettop.text.fields import FIELDS
from nettop.text.keys import MOUSE
from nettop.tui.columns import ColumnSet, field_at
from nettop.tui.footer import footer_line, key_at, key_in

Running = Callable[..., AbstractAsyncContextManager[Any]]


def test_each_cell_of_the_titles_belongs_to_its_column() -> None:
    proc, srtt, why = FIELDS["proc"], FIELDS["srtt"], FIELDS["why"]
    columns = ColumnSet(((proc, 4), (srtt, 6), (why, 12)))
    found = [field_at(columns, x) for x in range(GUTTER + 4 + 1 + 6 + 1 + 12 + 2)]
    assert found == [None] * GUTTER + [proc] * 4 + [srtt] * 7 + [why] * 13 + [None] * 2


def test_each_word_of_the_footer_is_its_key() -> None:
    keys = [("?", "help"), ("/", "filter"), ("Enter", "detail"), ("space", "pause"), ("q", "quit")]
    for width in (40, 50, 60, 120):
        text = "".join(text for text, _ in footer_line(keys, "1-24/76", width))
        for key, word in keys:
            at = text.find(f"{key} {word}")
            hit = {key_at(keys, width, x) for x in range(at, at + len(key) + 1 + len(word))}
            assert at < 0 or hit == {key}
        assert key_at(keys, width, text.index("1-24")) is None


async def test_clicks_and_the_wheel(running: Running) -> None:
    async with running(200, 55) as screen:

        async def click(where: str, x: int, y: int = 0, times: int = 1) -> None:
            await screen.pilot.click(where, offset=(x, y), times=times)
            await screen.settle()

        main = screen.main
        at = re.search("SRTT", screen.lines[2])
        assert at is not None
        await click("#titles", at.start())
        assert (main.sort.field.id, main.sort.descending) == ("srtt", True)
        await click("#titles", at.start())
        assert not main.sort.descending
        await click("#titles", screen.lines[2].index("WHO"))
        assert main.sort.field is None
        await click("#pane1", 5, 3)
        assert main.pane_number == 1
        await click("#pane4", 5, 3, times=2)
        assert main.zoomed
        await click("#pane4", 5, 3, times=2)
        assert not main.zoomed
        await click("#footer", screen.lines[-1].index("t group"))
        assert main.grouping.name == "PROCESS"
        await click("#groups", 6, 2)
        assert main.groups.at == 2
        title = main.groups.selected.title
        await click("#groups", 6, 2, times=2)
        assert not main.grouping
        assert title[:8] in screen.lines[3]
        await click("#footer", screen.lines[-1].index("? help"))
        assert "┌─ help" in screen.text
        await screen.pilot.click(offset=(1, 0))
        await screen.settle()
        assert "┌─ help" not in screen.text, "a click beside a box closes it"


async def test_lists_are_chosen_from_by_the_mouse(running: Running) -> None:
    async with running() as screen:

        async def click(text: str) -> None:
            y = next(i for i, line in enumerate(screen.lines) if f"│ {text}" in line)
            await screen.pilot.click(offset=(screen.lines[y].index(f"│ {text}") + 3, y))
            await screen.settle()

        titles = screen.lines[2].split()
        await screen.press("s")
        await click("srtt ")
        before = screen.main.sort.field
        assert before is None
        await click("srtt ")
        after = screen.main.sort.field
        assert after is not None
        assert after.id == "srtt"
        await screen.press("c")
        await click("[x] RETR/s")
        assert "[x] RETR/s" in screen.text
        await click("[x] RETR/s")
        assert "[ ] RETR/s" in screen.text
        screen.app.screen.on_mouse_scroll_up()
        await screen.press("space", "enter")
        kept = set(titles) - {"RETR/s"}
        assert len(kept - set(screen.lines[2].split())) == 1, "the wheel moved to another one"
        await screen.press("colon", *"reset")
        await click("r ")  # the only one
        assert screen.main.sort.field is None


def test_of_two_keys_that_share_a_word_the_one_that_was_hit_is_meant() -> None:
    keys = [("Esc", "back"), ("↑↓", "next socket"), ("[ ]", "tick"), ("y", "ss command")]
    text = "  ".join(f"{key} {word}" for key, word in keys)
    hit = {mark: key_in(keys, text.index(mark)) for mark in ("E", "↑", "↓", "next", "[", "]", "ti")}
    assert hit == {
        "E": "Esc", "↑": "↑", "↓": "↓", "next": "↓", "[": "[", "]": "]", "ti": "]",
    }  # fmt: skip


async def test_the_last_line_of_a_socket_and_of_a_box_is_pressed_too(running: Running) -> None:
    async with running(200, 40) as screen:

        async def click(text: str, y: int) -> None:
            await screen.pilot.click(offset=(screen.lines[y].index(text), y))
            await screen.settle()

        def edge() -> int:
            return next(i for i, text in enumerate(screen.lines) if "└─" in text)

        await screen.press("down", "enter")
        first = screen.app.screen.cookie
        await click("↓ next", 39)
        assert screen.app.screen.cookie != first
        await click("↑↓", 39)
        assert screen.app.screen.cookie == first
        await click("? help", 39)
        assert "┌─ help" in screen.text
        top = screen.app.screen.top
        await click("↓ more", edge())
        assert screen.app.screen.top > top
        await click("Esc closes", edge())
        assert "┌─ help" not in screen.text
        await click("Esc back", 39)
        assert screen.app.screen is screen.main
        await screen.press("s", "down")
        await click("Enter sort", edge())
        assert screen.main.sort.field is not None
        await screen.press("s")
        await click("Esc", edge())
        assert screen.app.screen is screen.main


async def test_what_the_header_says_is_changed_where_it_stands(running: Running) -> None:
    async with running(200, 40) as screen:

        async def click(text: str, y: int) -> None:
            await screen.pilot.click(offset=(screen.lines[y].index(text) + 1, y))
            await screen.settle()

        main = screen.main
        await screen.press("greater_than_sign", "down", "down")
        assert main.sort.field is not None
        assert main.table.cursor_at == 1
        await click("unwell", 0)
        assert main.sort.field is None
        assert (main.table.cursor_at, main.table.follow) == (0, False)
        await click("filter none", 1)
        assert main.filter_line.display
        await screen.press("escape")
        await click("sort unwell", 1)
        assert "┌─ sort by" in screen.text
        await screen.press("escape")
        await click("diag", 1)
        assert "┌─ cost and planes" in screen.text
        await screen.press("escape", "t")
        grouping = main.grouping
        await click("by process", 1)
        assert main.grouping is not grouping
        before = screen.lines
        await screen.pilot.click(offset=(110, 1))
        await screen.settle()
        assert screen.lines == before, "a gap is nothing"


async def test_what_a_click_does_is_said_where_the_keys_are(running: Running) -> None:
    topic = topics.keys()
    async with running(120, 40) as screen:
        await screen.press("question_mark")
        body = [
            "".join(text for text, _ in parts) for parts in screen.app.screen.body(100)
        ]  # fmt: skip
        for where, does in MOUSE:
            assert any(text.startswith(where) and does[:20] in text for text in body), where
            assert any(text.startswith(where) and does in text for text in topic.splitlines())
        assert max(map(len, topic.splitlines())) <= 100
