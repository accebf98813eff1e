"""Every key of the registry has an effect that can be seen."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from textual import events

from nettop.feed import Grouping
from nettop.text.fields import FIELDS
from nettop.text.keys import ACTIONS, KEYS
from nettop.tui.screens.filter_keys import TYPED_S
from nettop.tui.screens.help import keys_of
from nettop.tui.screens.main import MainScreen
from nettop.tui.screens.row_keys import Rows
from tests.tui.conftest import Running, Screen


def test_every_key_has_an_action() -> None:
    missing = [name for name, action in ACTIONS.items() if not hasattr(MainScreen, f"do_{action}")]
    assert missing == []
    assert len({name for key in KEYS for name in key.names}) == sum(len(k.names) for k in KEYS)


async def test_moving(running: Running) -> None:
    async with running() as screen:
        order = [row.cookie for row in screen.feed.window(0, 100)]

        def cursor() -> int:
            return order.index(screen.main.table.cursor)

        await screen.press("down")
        first = cursor()
        await screen.press("j", "j")
        assert cursor() == first + 2
        await screen.press("k", "up")
        assert cursor() == first
        await screen.press("pagedown")
        assert cursor() > first + 10
        await screen.press("pageup")
        assert cursor() == first
        await screen.press("G")
        assert cursor() == len(order) - 1
        await screen.press("home")
        assert screen.main.table.offset_row == 0
        await screen.press("end")
        assert cursor() == len(order) - 1
        await screen.press("g", "g")
        assert screen.main.table.offset_row == 0


async def test_filter(running: Running) -> None:
    async with running() as screen:
        everything = screen.feed.count()
        await screen.press("slash", *"comm = nginx")
        assert "filter comm = nginx" in screen.text
        await screen.press("enter")
        assert screen.feed.count() == 12 < everything
        assert "filter comm = nginx" in screen.lines[1]
        assert "1-12/12" in screen.lines[-1]
        await screen.press("escape")
        assert screen.feed.count() == everything


async def test_a_broken_filter_keeps_the_one_in_force(running: Running) -> None:
    async with running() as screen:
        everything = screen.feed.count()
        await screen.press("slash", *"srtt >> 5ms and pid = 3")
        caret = next(line for line in screen.lines if "^" in line)
        # Under the second >, behind the label.
        assert caret.index("^") == len("filter ") + len("srtt >")
        await screen.press("enter")
        assert "^" in screen.text, "Enter does not take it"
        await screen.press("f9")
        assert "no key F9 here" in screen.text
        await screen.press("escape")
        assert screen.feed.count() == everything
        assert "filter none" in screen.lines[1]


async def typed(screen: Screen, *keys: str) -> None:
    """Keys that come in one read, so that none waits for what those before it do."""
    for key in keys:
        screen.app.post_message(events.Key(key, key if len(key) == 1 else None))
    await screen.settle()
    await screen.settle()


@pytest.mark.parametrize(
    ("keys", "screens"),
    [
        (("c", "s"), ["ColumnsScreen"]),  # s is none of its keys
        (("c", "c", "s", "s", "s"), ["ColumnsScreen"]),
        (("s", "enter", "enter"), ["DetailScreen"]),
        (("question_mark", "q"), []),
        (("question_mark", "escape", "P"), ["CostScreen"]),
        (("enter", "escape", "escape"), []),
        (("enter", "question_mark", "question_mark", "escape"), []),
        (("enter", "question_mark", "c", "down"), ["DetailScreen", "HelpScreen"]),
        (("P", "P", "q"), []),
        (("slash", "s", "escape", "s"), ["SortScreen"]),
        (("slash", "enter", "c"), ["ColumnsScreen"]),
        (("t", "enter", "enter"), ["DetailScreen"]),
    ],
)
async def test_keys_in_one_go_act_one_after_the_other(
    running: Running, keys: tuple[str, ...], screens: list[str]
) -> None:
    async with running() as screen:
        await typed(screen, *keys)
        stack = screen.app.screen_stack
        assert stack[1] is screen.main
        assert [type(s).__name__ for s in stack[2:]] == screens


@pytest.mark.parametrize("keys", [("q", "q"), ("question_mark", "q", "q"), ("c", "ctrl+c", "q")])
async def test_what_follows_the_end_is_lost(running: Running, keys: tuple[str, ...]) -> None:
    async with running() as screen:
        await typed(screen, *keys, "s", "escape", "escape")
        assert screen.app.return_value == 0


async def test_a_filter_typed_ahead_and_pasted(running: Running) -> None:
    async with running() as screen:
        screen.app.post_message(events.Key("slash", "/"))
        screen.app.post_message(events.Paste("comm = nginx"))
        await typed(screen, "enter", "down", "x")
        assert screen.feed.count() == 12
        assert len(screen.main.table.marked) == 1


async def test_filters_are_remembered(running: Running) -> None:
    async with running() as screen:
        await screen.press("slash", *"rtt > 1ms", "enter")
        await screen.press("slash", "ctrl+u", "up")
        assert "filter rtt > 1ms" in screen.lines[1]
        await screen.press("escape")
    async with running() as again:
        await again.press("slash", "up", "enter")
        assert "filter rtt > 1ms" in again.lines[1], "also by the next nettop"


async def test_filter_completes(running: Running) -> None:
    async with running() as screen:
        await screen.press("slash", *"minr", "tab")
        assert screen.lines[1] == "filter minrtt"


async def test_the_table_narrows_while_a_filter_is_typed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as screen:
        everything, stamped = screen.feed.count(), list[int]()
        iperf3 = sum("iperf3" in row.proc.comm for row in screen.feed.window(0, everything))
        assert 0 < iperf3 != 12
        monkeypatch.setattr(screen.feed, "select_tx", stamped.extend)

        async def narrows(to: int) -> None:
            while screen.feed.count() != to:  # the test's own limit ends it
                await asyncio.sleep(0.02)
                await screen.settle()

        await screen.press("slash", *"NGIN")
        await narrows(12)
        assert screen.main.filter_text is None
        assert stamped == [], "no send is stamped of what was not chosen"
        screen.app.post_message(events.Paste(" or srtt >"))  # at once: parts of it are filters
        await asyncio.sleep(2 * TYPED_S)
        await screen.settle()
        assert screen.feed.count() == 12, "what is no filter yet changes nothing"
        await screen.press("ctrl+u", *"iperf3 srt")
        await narrows(iperf3)
        await screen.press("escape")
        assert screen.feed.count() == everything


async def test_values_complete_too(running: Running) -> None:
    async with running() as screen:
        await screen.press("slash", *"comm = ngi", "tab")
        assert screen.lines[1] == "filter comm = nginx"
        await screen.press("ctrl+u", *"not ngi", "tab")
        assert screen.lines[1] == "filter not nginx"
        await screen.press("enter")
        assert screen.main.filter_text == "not nginx"


async def test_a_pasted_filter_goes_to_the_cursor(running: Running) -> None:
    async with running() as screen:
        await screen.press("slash", *"( )", "left")
        screen.app.post_message(events.Paste("state\testablished\n and\x07  dport = :443\n"))
        await screen.settle()
        assert screen.lines[1] == "filter ( state established and dport = :443)"
        await screen.press("space", "enter")
        assert screen.main.filter_text == "( state established and dport = :443 )"


async def test_sort(running: Running) -> None:
    async with running() as screen:
        await screen.press("s", *"srtt", "enter")
        assert "sort srtt" in screen.lines[1]
        values = [FIELDS["srtt"].value(row) or -1 for row in screen.feed.window(0, 50)]
        assert values == sorted(values, reverse=True)
        await screen.press("S")
        known = [v for row in screen.feed.window(0, 50) if (v := FIELDS["srtt"].value(row))]
        assert known == sorted(known)
        before = screen.main.sort.field
        await screen.press("greater_than_sign")
        assert screen.main.sort.field is not before
        await screen.press("less_than_sign")
        assert screen.main.sort.field is before


async def test_hold(running: Running) -> None:
    async with running() as screen:
        await screen.press("o")
        assert "held" in screen.lines[1]
        assert screen.feed.asked[-1] == ("hold", True)
        await screen.press("o")
        assert screen.feed.asked[-1] == ("hold", False)


async def test_groups_and_into_one(running: Running) -> None:
    async with running() as screen:
        seen = []
        for _ in range(8):
            await screen.press("t")
            seen.append(screen.main.grouping)
            assert f"by {screen.main.grouping.name.lower()}" in screen.lines[1]
            count = len(screen.main.groups.groups)
            assert screen.lines[-1].endswith(f" {count} group{'s' * (count != 1)}")
        assert set(seen) == set(Grouping) - {Grouping.NONE, Grouping.HOST}
        await screen.press("T")
        assert screen.main.grouping is seen[-2]
        await screen.press("t", "t")
        assert screen.main.grouping is Grouping.NONE
        await screen.press("t")
        nginx = next(i for i, g in enumerate(screen.main.groups.groups) if "nginx" in g.title)
        await screen.press(*["down"] * nginx, "enter")
        assert screen.main.grouping is Grouping.NONE
        assert {row.proc.comm for row in screen.feed.window(0, 50)} == {"nginx"}
        once = screen.main.filter_text
        await screen.press("t", "enter")
        assert screen.main.filter_text == once
        await screen.press("escape", "escape")
        await screen.press("t", "t", "enter", "escape", "escape", "escape")
        assert screen.main.grouping.name == "PROCESS", "where Enter was pressed"
        assert "nginx" in screen.main.groups.selected.title
        assert len({row.proc.comm for row in screen.feed.window(0, 90)}) > 3
        await screen.press("escape")
        assert screen.main.grouping is Grouping.NONE


async def test_sends_of_the_groups_beside_the_chosen_one_are_stamped_too(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as screen:
        asked: list[set[int]] = []
        monkeypatch.setattr(screen.feed, "select_tx", lambda some: asked.append(set(some)))
        await screen.press("t")
        shown = screen.main.groups.groups[: screen.main.groups.size.height]
        assert len(shown) > 3
        for group in shown:
            first = screen.feed.members(Grouping.PROCESS, group.worst_cookie, most=8)
            assert asked[-1] >= set(first)
        assert len(asked[-1]) <= 256


async def test_enter_that_came_as_a_line_feed_is_enter(running: Running) -> None:
    """Typed before the screen was there: the terminal makes a line feed of it until it is raw."""
    async with running() as screen:
        await typed(screen, "j", "ctrl+j")
        assert type(screen.app.screen).__name__ == "DetailScreen"
        await typed(screen, "escape", "slash", "t", "c", "p", "ctrl+j")
        assert screen.main.filter_text == "tcp"


async def test_titles_of_groups_stand_over_their_cells_at_once(running: Running) -> None:
    async with running() as screen:
        await typed(screen, "t")
        titles = screen.lines[2]
        assert "RETR%" in titles
        first = screen.lines[3]
        at = titles.index(" WHO")
        end = titles.index("SRTT50") + len("SRTT50")
        assert first[end - 1] in "s–"
        assert first[at] == " "
        assert first[at + 1] != " "


async def test_groups_are_sorted_by_the_columns_beside(running: Running) -> None:
    async with running() as screen:
        groups = screen.main.groups
        await screen.press("t", "greater_than_sign")
        assert "groups by SOCKS" in screen.lines[1]
        assert "SOCKS▼" in screen.lines[2]
        counts = [group.sockets for group in groups.groups]
        assert counts == sorted(counts, reverse=True)
        await screen.press("less_than_sign")
        assert "worst" in screen.lines[1]
        await screen.pilot.click("#titles", offset=(screen.lines[2].index("UNW"), 0))
        await screen.settle()
        assert groups.groups[0].unwell == max(group.unwell for group in groups.groups)
        await screen.press("t")
        assert groups.sort is None


async def test_two_groups_are_compared(running: Running) -> None:
    async with running() as screen:
        assert "x mark" in screen.lines[-1]
        await screen.press("t")
        assert "x compare" in screen.lines[-1]
        await screen.press("x")
        assert "A: x on another" in screen.lines[1]
        await screen.press("down", "x")
        assert [text[:3] for text in screen.lines[3:5]] == ["A! ", "▌!B"], "and the cursor"
        assert "A against B" in screen.text
        health = next(text for text in screen.lines if "3 TCP health" in text)
        assert "60 s" not in health, "no past of groups is shown"
        assert any(text.split()[-2:] == ["A", "B"] for text in screen.lines), "both stand there"
        assert not screen.main.table.marked
        await screen.press("X")
        assert " against " not in screen.text


async def test_marks(running: Running) -> None:
    async with running() as screen:
        await screen.press("down", "x", "x", "x")
        assert len(screen.main.table.marked) == 3
        assert "* 3 marked" in screen.lines[-1]
        assert "3 marked" in screen.text
        await screen.press("X")
        assert "marked" not in screen.text


async def test_marks_go_on_from_the_first_line(running: Running) -> None:
    async with running() as screen:
        order = [row.cookie for row in screen.feed.window(0, 3)]
        await screen.press("x", "x")
        assert list(screen.main.table.marked) == order[:2]
        assert screen.main.table.cursor == order[2]


async def test_pause(running: Running) -> None:
    async with running() as screen:
        await screen.press("space")
        assert "PAUSED" in screen.lines[1]
        assert "go on" in screen.lines[-1]
        assert screen.feed.asked[-1] == ("paused", True)
        await screen.press("p")
        assert "PAUSED" not in screen.text
        assert screen.feed.asked[-1] == ("paused", False)


async def test_detail_and_back(running: Running) -> None:
    async with running() as screen:
        await screen.press("slash", *"comm = nginx", "enter", "down", "enter")
        for name in ("rtt", "snd_cwnd", "total_retrans", "bytes_acked", "rcv_ooopack"):
            assert f" {name} " in screen.text, name
        assert "nginx/" in screen.lines[1]
        await screen.press("right")
        assert any("tcpi_" in line for line in screen.lines[-2:])
        was = screen.lines[1]
        await screen.press("down")
        assert screen.lines[1] != was
        await screen.press("escape")
        assert screen.lines[2].split()[:2] == ["PROC", "LPORT"]


async def test_panes(running: Running) -> None:
    async with running(80, 24) as screen:
        for key, title in (("1", "RX queue wait"), ("2", "TX stages"), ("3", "TCP health"),
                           ("4", "events")):  # fmt: skip
            await screen.press(key)
            assert f"{key} {title}" in screen.text
        await screen.press("tab")
        assert "1 RX queue wait" in screen.text
        height = screen.main.pane_box.size.height
        await screen.press("z")
        assert screen.main.pane_box.size.height > height
        await screen.press("escape")
        assert screen.main.pane_box.size.height == height


async def test_no_full_size_where_panes_have_no_room(running: Running) -> None:
    async with running(80, 14) as screen:
        before = screen.lines[2:]
        await screen.press("z")
        assert screen.lines[2:] == before
        assert "panes need 16 lines" in screen.lines[1]
    async with running(80, 24) as screen:
        await screen.press("z")
        await screen.pilot.resize_terminal(80, 14)
        await screen.settle()
        assert screen.main.table.display


async def test_views_of_the_rx_pane(running: Running) -> None:
    async with running() as screen:
        await screen.press("1")
        assert "p50" in screen.text
        await screen.press("v")
        assert any("1 RX queue wait heatmap" in text for text in screen.lines)
        assert "░1  ▒5  ▓25  █125" in screen.text, "its legend is whole"
        await screen.press("z", "left", "left", "plus")
        assert "at the cursor" in screen.text
        assert "-10m" in screen.text
        assert screen.main.views.heat.cursor == 1
        await screen.press("z", "left")
        assert screen.main.views.heat.cursor == 1, "elsewhere these keys have their own work"
        await screen.press("v")
        assert "99.9" in screen.text
        await screen.press("v")
        assert "p50" in screen.text


async def test_columns(running: Running) -> None:
    async with running() as screen:
        titles = screen.lines[2].split()
        await screen.press("c")
        assert "columns" in screen.text
        await screen.press("down", "down", "space", "enter")
        assert screen.lines[2].split() != titles
        await screen.press("c", *"tx.ack.p99", "space", "enter")
        assert "TX.ACK.P99" in screen.lines[2], "found by its name"
        await screen.press("c", "r", "ctrl+u", "ctrl+r")
        assert screen.lines[2].split() == titles


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
async def test_others_give_way_to_a_chosen_column(running: Running, width: int) -> None:
    """It was left out, and a message said so: `no room for DROPS`."""
    async with running(width, 30) as screen:
        usual = screen.lines[2].split()
        for title in ("DROPS", "DROP/s"):
            keys = ("slash" if c == "/" else c for c in title.lower())
            await screen.press("c", *keys, "space", "enter")
            assert title in screen.lines[2]
        shown = screen.lines[2].split()
        assert shown[-4:] == ["DROPS", "DROP/s", "WHO", "WHY"]
        gone = [title for title in usual if title not in shown]
        assert not {"PROC", "WHO", "WHY"} & {*gone}
        if width == 120:
            assert "gave way" in screen.lines[1]
            assert gone[0] in screen.lines[1]
        await screen.press("r")
        assert screen.lines[2].split() == usual


async def test_a_chosen_column_without_room_is_said(running: Running) -> None:
    async with running(60, 24) as screen:
        await screen.press("c", *"cookie", "space", "ctrl+u", *"inode", "space")
        await screen.press("ctrl+u", *"rport", "space", "enter")
        assert "COOKIE" not in screen.lines[2]
        assert "COOKIE: → moves to them" in screen.lines[1]
        for _ in range(6):
            await screen.press("right")
        assert "COOKIE" in screen.lines[2]


async def test_interval(running: Running) -> None:
    async with running() as screen:
        await screen.press("plus")
        assert screen.feed.asked[-1] == ("interval", 2.0)
        await screen.press("minus")
        assert screen.feed.asked[-1] == ("interval", 1.0)
        await screen.press("d")
        assert screen.feed.asked[-1] == ("interval", 2.0)
        assert "interval 2 s" in screen.lines[1]


@pytest.mark.parametrize(("key", "sockets"), [("e", 12), ("E", None)])
async def test_export(running: Running, home: Path, key: str, sockets: int | None) -> None:
    async with running() as screen:
        everything = screen.feed.count()
        await screen.press("slash", *"comm = nginx", "enter", key)
        for _ in range(50):
            await screen.settle()
            if "wrote" in screen.text:
                break
        (path,) = home.glob("nettop-*.json")
        await screen.settle()
        assert str(path) in screen.text, "the path is shown"
        assert len(json.loads(path.read_text())["sockets"]) == (sockets or everything)
        assert path.stat().st_mode & 0o777 == 0o600


async def test_readonly_exports_nothing(running: Running, home: Path) -> None:
    async with running(readonly=True) as screen:
        await screen.press("e")
        await screen.settle()
        assert "read-only" in screen.lines[1]
        assert not list(home.glob("nettop-*"))


async def test_copy_gives_an_ss_command(running: Running) -> None:
    async with running() as screen:
        await screen.press("down", "y")
        assert "ss -" in screen.lines[1]


async def test_help_names_every_key(running: Running) -> None:
    async with running(120, 60) as screen:
        await screen.press("question_mark")
        shown = screen.text
        for _ in range(6):
            await screen.press("pagedown")
            shown += screen.text
        listed = [each for group in {key.group for key in KEYS} for each in keys_of(group, KEYS)]
        for _, text in listed:
            assert text.split(":")[0][:30] in shown, text
        written = {word for keys, _ in listed for word in keys.split()}
        for key in KEYS:  # of one without a key the palette knows
            assert {*key.shown.split()} <= written, key
        await screen.press("escape")
        assert "PROC" in screen.lines[2]


async def test_reset_clear_and_redraw(running: Running) -> None:
    async with running() as screen:
        await screen.press("slash", *"comm = nginx", "enter", "t", "r")
        assert screen.main.grouping is Grouping.NONE
        assert "filter none" in screen.lines[1]
        await screen.press("ctrl+r")
        assert screen.feed.asked[-1] == ("clear", None)
        before = screen.text
        await screen.press("ctrl+l")
        assert screen.text == before


async def test_names_or_numbers(running: Running) -> None:
    async with running() as screen:
        row = next(r for r in screen.feed.window(0, 50) if r.user and r.netns_name)
        columns = tuple(FIELDS[name] for name in ("cookie", "user", "netns"))
        screen.app.set_columns(columns)
        screen.main.refresh_all()
        await screen.settle()

        def shown() -> list[str]:
            cells = next(line.split() for line in screen.lines if str(row.cookie) in line)
            return cells[cells.index(str(row.cookie)) + 1 :]

        names = shown()
        await screen.press("n")
        assert shown() == [str(row.rec.uid), str(row.rec.netns)] != names
        assert "by number" in screen.lines[1]
        await screen.press("n")
        assert shown() == names


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_quit(running: Running, key: str) -> None:
    async with running() as screen:
        await screen.pilot.press(key)
        await screen.pilot.pause()
        assert screen.app.return_value == 0


async def test_a_goes_round_to_the_rows_and_the_socket_that_one_came_from(running: Running) -> None:
    async with running() as screen:
        main = screen.main
        await screen.press("down", "down")
        chosen = main.table.chosen
        for rows, kept in ((Rows.ALL, True), (Rows.LISTENERS, False), (Rows.USUAL, True)):
            await screen.press("a")
            assert main.rows is rows
            assert (main.table.selected is not None and main.table.chosen == chosen) is kept
        await screen.press("u", "a", "a", "a")
        assert main.rows is Rows.UDP, "not another set of rows than it began with"
        await screen.press("u")
        assert main.table.selected is not None
        assert main.table.chosen == chosen


async def test_groups_of_nothing_say_why_and_how_to_leave(running: Running) -> None:
    async with running() as screen:
        await screen.press("slash", *"comm = nonesuch", "enter", "t")
        assert "no socket passes the filter: Esc leaves the groups, again clears it" in screen.text
        await screen.press("escape")
        assert "no socket passes the filter: Esc clears it" in screen.text
        await screen.press("escape", "t")
        assert "no socket passes" not in screen.text


async def test_pages_of_a_socket_leave_no_line_out(running: Running) -> None:
    async with running(80, 24) as screen:
        await screen.press("down", "enter")
        detail: Any = screen.app.screen
        row = screen.feed.find(detail.cookie)
        content = detail._content(row, detail._data.detail, detail._data, 80)
        texts = ["".join(text for text, _ in parts).rstrip() for parts in content]
        seen = [*screen.lines]
        while "↓ more" in screen.lines[-1]:
            assert len(seen) < 24 * len(texts)
            await screen.press("pagedown")
            seen += screen.lines
        assert [text for text in texts if text not in seen] == []
