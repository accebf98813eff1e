"""The rows of the live table: columns that a user chose, groups, events of a file."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nettop.model.types import Flag, Row, Verdict
from nettop.text import units
from nettop.text.fields import FIELDS
from nettop.tui.widgets.group_table import GroupTable
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
    for _ in range(9):
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
        await screen.press("down", *["pageup"] * 9)
        assert "event of socket 1" in await _paged(screen)
        await screen.press("escape", "home", "x", "x")
        assert "event of socket 0" in screen.text
        assert "event of socket 1" in screen.text
        assert "socket 2" not in screen.text
        await screen.press("X", "down", "down", "down")
        assert "the file has no event of it" in screen.text
