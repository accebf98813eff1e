"""The rows of the live table: columns that a user chose, groups, events of a file."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nettop.feed import Grouping
from nettop.model.types import Flag, Group, Level, Row, Verdict
from nettop.text import units
from nettop.text.fields import FIELDS
from nettop.tui.widgets.group_table import GroupTable
from nettop.tui.widgets.room import STEP_LINES
from tests.fakes import FakeFeed
from tests.tui.conftest import Running, Screen


async def test_fields_of_tcp_info_have_values_and_titles(running: Running) -> None:
    columns = tuple(FIELDS[name] for name in ("cookie", "rto", "snd_wnd", "total_retrans"))
    async with running(columns=columns) as screen:
        assert screen.lines[2].split() == ["COOKIE", "RTO", "SND_WND", "TOTAL_RETRANS"]
        row = next(r for r in screen.feed.window(0, 20) if FIELDS["rto"].value(
            r, screen.feed.detail(r.cookie)))  # fmt: skip
        detail = screen.feed.detail(row.cookie)
        assert detail is not None
        cells = next(cells for line in screen.lines if str(row.cookie) in (cells := line.split()))
        assert cells[-1] == units.count(detail.tcp_info["total_retrans"])
        assert "–" not in cells
        assert "…" not in " ".join(cells)


async def test_the_picker_names_fields_without_a_title(running: Running) -> None:
    async with running(columns=(FIELDS["proc"], FIELDS["rto"])) as screen:
        await screen.press("c")
        assert "[x] RTO " in screen.text


async def test_details_are_asked_only_for_columns_that_need_them(running: Running) -> None:
    feed = FakeFeed()
    asked: list[int] = []
    detail = feed.detail

    def counted(cookie: int) -> Any:
        asked.append(cookie)
        return detail(cookie)

    feed.detail = counted  # type: ignore[method-assign]
    async with running(feed=feed) as screen:
        asked.clear()
        screen.main.table.redraw()
        assert asked == []


async def test_a_group_says_how_its_worst_was_measured(running: Running) -> None:
    async with running() as screen:
        await screen.press("t")
        groups = screen.main.query_one(GroupTable)
        group = replace(groups.groups[0], verdict=Verdict.UNREAD, verdict_value=12_400.0)
        find = screen.feed.find

        def flagged(flags: Flag) -> None:
            def found(cookie: int) -> Row | None:
                row = find(cookie)
                assert row is not None
                row.rec = row.rec._replace(flags=int(flags))
                return row

            screen.feed.find = found  # type: ignore[method-assign]

        flagged(Flag.OLDEST_UNREAD)
        assert groups._line(group, None, selected=False)[-1][0].endswith("unread ≥12s")
        flagged(Flag.OLDEST_UNREAD | Flag.UNREAD_EXACT)
        assert groups._line(group, None, selected=False)[-1][0].endswith("unread 12.4s")


async def test_a_group_whose_level_sinks_says_what_it_was(running: Running) -> None:
    async with running() as screen:
        await screen.press("t")
        groups = screen.main.query_one(GroupTable)
        find = screen.feed.find

        def sinking(cookie: int) -> Row | None:
            row = find(cookie)
            assert row is not None
            row.rec = row.rec._replace(
                verdicts=0, level=int(Level.UNWELL), verdict=int(Verdict.LOSS), verdict_since_s=5
            )
            return row

        screen.feed.find = sinking  # type: ignore[method-assign]
        for level, said in ((Level.UNWELL, "was loss"), (Level.WATCH, "was loss"), (Level.OK, "")):
            group = replace(groups.groups[0], verdict=None, who=None, level=level)
            line = "".join(text for text, _ in groups._line(group, None, selected=False))
            assert line.rstrip().endswith(said)
            assert ("was" in line) == bool(said)


def _feed_with_events() -> tuple[FakeFeed, list[Row]]:
    feed = FakeFeed()
    rows = feed.window(0, 3)
    told = tuple(
        {"at": f"2026-01-01T10:00:0{i}.000000000Z", "type": "drop", "cookie": row.cookie,
         "text": f"event of socket {i}"} for i, row in enumerate(rows)
    )  # fmt: skip
    feed._model = replace(feed._model, file_events=(*told, {"type": "drop", "text": "of nobody"}))
    return feed, rows


async def _paged(screen: Screen) -> str:
    """All that the detail shows from where it stands on."""
    seen = [screen.text]
    for _ in range(12):
        await screen.press("pagedown")
        seen.append(screen.text)
    return "\n".join(seen)


async def test_of_a_file_a_socket_has_its_own_events(running: Running) -> None:
    feed, _ = _feed_with_events()
    async with running(80, 24, feed=feed) as screen:
        await screen.press("4")
        for text in ("socket 0", "socket 1", "socket 2", "of nobody"):
            assert text in screen.text, "of all sockets all events"
        await screen.press("down")
        assert "event of socket 0" in screen.text
        assert "socket 1" not in screen.text
        assert "of nobody" not in screen.text
        await screen.press("enter")
        seen = await _paged(screen)
        assert "event of socket 0" in seen
        assert "socket 1" not in seen
        await screen.press("down", *["pageup"] * 12)
        assert "event of socket 1" in await _paged(screen)
        await screen.press("escape", "home", "x", "x")
        assert "event of socket 0" in screen.text
        assert "event of socket 1" in screen.text
        assert "socket 2" not in screen.text
        await screen.press("X", "down", "down", "down")
        assert "the file has no event of it" in screen.text


async def test_a_column_without_a_value_gives_its_place(running: Running) -> None:
    feed = FakeFeed()
    window, containers = feed.window, False

    def contained(offset: int, rows: int) -> list[Row]:
        some = window(offset, rows)
        for row in some:
            row.container = "web-1" if containers else None
        return some

    feed.window = contained  # type: ignore[method-assign]
    async with running(200, 55, feed=feed) as screen:
        assert "CONTAINER" not in screen.lines[2]
        assert "MINRTT" in screen.lines[2], "another one stands there"
        containers = True
        feed.publish()
        await screen.settle()
        assert "CONTAINER" in screen.lines[2]
        assert "web-1" in screen.lines[3], "in the same picture"
        containers = False
        feed.publish()
        await screen.settle()
        assert "CONTAINER" in screen.lines[2], "once there, it stays"


async def test_a_pane_at_full_size_has_no_titles_of_the_table(running: Running) -> None:
    async with running() as screen:
        assert "PROC" in screen.lines[2]
        await screen.press("z")
        assert "3 TCP health" in screen.lines[2]
        assert "PROC" not in screen.text
        assert not any(digit in screen.lines[-1][-10:] for digit in "0123456789"), "of no row"
        await screen.press("down", "down")
        assert screen.lines[-1].endswith(f"2 of {screen.feed.count()}")
        await screen.press("z")
        assert "PROC" in screen.lines[2]
        assert f"/{screen.feed.count()}" in screen.lines[-1]


async def test_panes_have_the_room_that_groups_do_not_need(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(120, 50) as screen:
        flat = screen.main.pane_box.size.height
        await screen.press("t", "t", "t")
        groups, panes = screen.main.query_one(GroupTable), screen.main.pane_box
        needed = groups.lines_needed
        assert panes.size.height > flat
        assert needed <= groups.size.height < needed + STEP_LINES
        assert any("the worst: iperf3/20696" in text for text in screen.lines)

        # More groups move what stands below them once; fewer do not.
        feed, some = screen.feed, screen.feed.groups
        more: list[Group] = []
        monkeypatch.setattr(feed, "groups", lambda by: [*some(by), *more])
        more = [replace(some(Grouping.REMOTE)[-1], title=f"more {n}") for n in range(9)]
        screen.main.refresh_all()
        await screen.press("down")
        high = groups.size.height
        assert high >= needed + len(more)
        assert any("more 8" in text for text in screen.lines)
        more = []
        screen.main.refresh_all()
        await screen.press("up")
        assert groups.size.height == high
        await screen.press("t", "t")
        assert groups.size.height < high, "another grouping"
        await screen.press("T", "T", "escape")
        assert panes.size.height == flat


async def test_panes_have_the_room_that_few_sockets_do_not_need(running: Running) -> None:
    async with running(120, 50) as screen:
        table, panes = screen.main.table, screen.main.pane_box
        many, usual = screen.feed.count(), panes.size.height  # more than there is room for
        await screen.press("slash", *"iperf3")
        await screen.pilot.pause(0.3)
        assert screen.feed.count() < many
        assert panes.size.height == usual, "while it is written nothing moves"
        await screen.press("enter")
        few = screen.feed.count()
        assert 0 < few <= table.size.height < few + STEP_LINES
        assert panes.size.height > usual
        assert all(row in table.rows for row in screen.feed.window(0, few))
        await screen.press("escape")
        assert panes.size.height == usual


async def test_of_two_groups_that_are_compared_no_line_is_blank(running: Running) -> None:
    async with running(120, 50) as screen:
        await screen.press("t", "t", "t", "x", "down", "x")
        groups = screen.main.query_one(GroupTable)
        assert groups.size.height == groups.lines_needed, "all of them are seen"
        assert any("3 TCP health A against B" in text or "against" in text for text in screen.lines)


async def test_what_a_column_is_can_be_read_whole(running: Running) -> None:
    for width, height in ((80, 24), (120, 40)):
        async with running(width, height) as screen:
            await screen.press("c", *"retr/s")
            shown = " ".join(screen.lines).replace("…", " ").split()
            assert [w for w in FIELDS["retr/s"].help.split() if w not in shown] == [], width
            await screen.press(*["backspace"] * 6, *"cwnd")
            assert not any(text.split("│")[1:2] == [" … "] for text in screen.lines)
