"""What stands on the screen: golden texts with their colours, degraded states, hostile names.

NETTOP_GOLDEN=1 writes the golden files anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.style import Style

from nettop.model.cost import Cost
from nettop.tui.app import NettopApp, ScreenOptions, exit_code, run_app
from nettop.tui.screens.main import MainScreen
from nettop.tui.widgets.lines import LineWidget
from tests.fakes import FakeFeed
from tests.tui.conftest import Running, Screen

GOLDEN = Path(__file__).parent / "golden"


def _mark(style: Style | None) -> str:
    """One letter for how a cell looks: . plain, d dim, b bold, r reversed, c another colour."""
    if style is None:
        return "."
    if style.reverse:
        return "r"
    name = "" if style.color is None or style.color.is_default else style.color.name
    if name and name != "bright_black":
        return name[0].upper() if style.bold else name[0]
    if style.dim or name:
        return "d"
    return "b" if style.bold else "."


def painted(screen: Screen) -> str:
    """The lines, each with the looks of its cells below it."""
    out = []
    for strip in screen.app.screen._compositor.render_strips():
        text, looks = "", ""
        for segment in strip:
            text += segment.text
            looks += _mark(segment.style) * len(segment.text)
        looks = "".join(m if t != " " else " " for t, m in zip(text, looks, strict=True))
        out += [text.rstrip(), f"~{looks}".rstrip().rstrip("~")]
    return "\n".join(out) + "\n"


def golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("NETTOP_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; NETTOP_GOLDEN=1 writes it anew"


VIEWS: dict[str, tuple[int, int, tuple[str, ...], dict[str, Any]]] = {
    "main-80x24": (80, 24, (), {}),
    "main-120x40": (120, 40, (), {}),
    "main-200x55": (200, 55, (), {}),
    "ascii-120x40": (120, 40, (), {"ascii": True}),
    "mono-120x40": (120, 40, (), {"color": False}),
    "marked-paused-120x40": (120, 40, ("down", "x", "x"), {}),
    "group-remote-120x40": (120, 40, ("t", "t", "t"), {}),
    "detail-120x40": (120, 40, ("down", "enter"), {}),
    "detail-80x24": (80, 24, ("down", "enter"), {}),
    "filter-error-120x40": (120, 40, ("slash", *"srtt >> 5ms and pid = 1"), {}),
    "help-120x40": (120, 40, ("question_mark",), {}),
    "sort-120x40": (120, 40, ("s",), {}),
}


@pytest.mark.parametrize("name", VIEWS)
async def test_golden(running: Running, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a slow machine the table would narrow between two letters of a filter.
    monkeypatch.setattr("nettop.tui.screens.filter_keys.TYPED_S", 60.0)
    width, height, keys, options = VIEWS[name]
    async with running(width, height, **options) as screen:
        await screen.press(*keys)
        lines = screen.lines
        assert len(lines) == height
        assert max(map(len, lines)) <= width
        if options.get("ascii"):
            assert screen.text.isascii()
        text = painted(screen)
        if options.get("color") is False:
            marks = "".join(text.splitlines()[1::2])
            assert set(marks) <= set("~ .dbr"), "no colour at all"
        golden(name, text)


async def test_without_privilege(running: Running) -> None:
    feed = FakeFeed()
    feed.without_privilege()
    async with running(feed=feed) as screen:
        await screen.press("down")
        assert "needs CAP_BPF and CAP_PERFMON" in screen.text.replace("\n", " ") or (
            "needs CAP_BPF" in screen.text
        )
        assert "sudo nettop" in screen.text
        assert "nettop doctor" in screen.text
        assert "RXW99" not in screen.lines[2], "a column without its plane is left out"
        golden("unprivileged-120x40", painted(screen))


async def test_stretched_and_lost_are_said(running: Running) -> None:
    async with running(200, 40) as screen:
        cost = Cost(30.0, 300.0, 7, 3, 10**8, 5e5, None, 4.0, "a poll takes 300 ms: every 4 s")
        cost = replace(cost, lost_by_plane={"wait": 0, "events": 5})
        screen.feed.publish(cost=cost)
        await screen.settle()
        assert "a poll takes 300 ms" in screen.lines[1]
        assert "events lost 5  2 records lost  3 ticks missed in 1m" in screen.lines[1]
        assert "4.0s" in screen.lines[1]


async def test_an_error_of_the_poller_ends_the_app(running: Running) -> None:
    async with running() as screen:
        screen.feed.error = RuntimeError("the poller died")
        assert screen.feed.on_model is not None
        screen.feed.on_model()
        await screen.pilot.pause()
        assert screen.app.return_value == 1
        assert screen.app.failure is screen.feed.error


def test_a_crash_of_the_screen_does_not_end_with_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = NettopApp.run

    def broken(*_: Any) -> None:
        raise RuntimeError("a screen that cannot be drawn")

    monkeypatch.setattr(NettopApp, "run", lambda app, **options: run(app, headless=True, **options))
    monkeypatch.setattr(MainScreen, "show_model", broken)
    assert run_app(FakeFeed(), ScreenOptions()) == 1
    assert "cannot be drawn" in capsys.readouterr().err


def test_the_exit_code_is_the_screens_own_or_textuals() -> None:
    assert exit_code(0, 0) == exit_code(None, None) == 0
    assert exit_code(143, 0) == 143
    assert exit_code(None, 1) == exit_code(0, 1) == 1


@pytest.mark.parametrize(
    "size", [(1, 1), (10, 3), (59, 12), (60, 11), (60, 12), (100, 16), (300, 90), (80, 200)]
)
async def test_any_size(running: Running, size: tuple[int, int]) -> None:
    async with running(*size) as screen:
        await screen.press("down", "enter", "escape", "t", "t", "question_mark", "escape")
        assert len(screen.lines) == size[1]


async def test_a_storm_of_resizes(running: Running) -> None:
    async with running() as screen:
        for width, height in ((80, 24), (1, 1), (200, 60), (20, 90), (120, 40)):
            await screen.pilot.resize_terminal(width, height)
        await screen.settle()
        assert "PROC" in screen.lines[2]


async def test_dialogs_in_a_terminal_that_gets_narrow(running: Running) -> None:
    async with running() as screen:
        for key in ("s", "c", "J", "P", "colon", "question_mark", "B"):
            await screen.press(key)
            for width, height in ((36, 20), (20, 12), (2, 2), (120, 40)):
                await screen.pilot.resize_terminal(width, height)
            await screen.settle()
            await screen.press("escape", "escape")
        assert "PROC" in screen.lines[2]


async def test_hostile_names_do_not_reach_the_terminal(running: Running) -> None:
    hostile = "\x1b[31m\x07ev\u202eil\n"
    feed = FakeFeed()
    window = feed.window

    def renamed(offset: int, rows: int) -> list[Any]:
        shown = window(offset, rows)
        for row in shown:
            row.user = row.cgroup = hostile
        return shown

    feed.window = renamed  # type: ignore[method-assign]
    feed._model = replace(feed._model, host=hostile)
    async with running(feed=feed) as screen:
        for line in screen.lines:
            assert not any(ord(c) < 32 or c in "\x7f\u202e" for c in line), repr(line)


async def test_nothing_changed_paints_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as screen:
        painted_regions = []
        refresh = LineWidget.refresh

        def count(self: LineWidget, *regions: Any, **options: Any) -> Any:
            painted_regions.append((self.id, regions))
            return refresh(self, *regions, **options)

        monkeypatch.setattr(LineWidget, "refresh", count)
        screen.feed.publish()
        await screen.settle()
        assert painted_regions == []


async def test_only_what_changed_is_painted(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as screen:
        rows: list[int] = []
        refresh = LineWidget.refresh

        def count(self: LineWidget, *regions: Any, **options: Any) -> Any:
            rows.extend(y for r in regions for y in range(r.y, r.bottom) if self.id == "table")
            return refresh(self, *regions, **options)

        monkeypatch.setattr(LineWidget, "refresh", count)
        window = screen.feed.window

        def changed(offset: int, n: int) -> list[Any]:
            shown = window(offset, n)
            shown[4].rec = shown[4].rec._replace(rqueue=777)
            return shown

        monkeypatch.setattr(screen.feed, "window", changed)
        screen.feed.publish()
        await screen.settle()
        assert rows == [4]


async def test_what_is_below_another_screen_paints_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as screen:
        await screen.press("down", "enter")
        painted_widgets = []
        refresh = LineWidget.refresh

        def count(self: LineWidget, *regions: Any, **options: Any) -> Any:
            painted_widgets.append(self.id)
            return refresh(self, *regions, **options)

        monkeypatch.setattr(LineWidget, "refresh", count)
        totals = replace(screen.feed.latest().totals, tcp=4711)  # type: ignore[union-attr]
        screen.feed.publish(totals=totals)
        await screen.settle()
        assert set(painted_widgets) <= {"detail"}
        await screen.press("escape")
        assert "4711" in screen.lines[0]


async def test_of_a_screen_that_is_too_small_only_that_is_said(running: Running) -> None:
    async with running() as screen:
        for size in ((40, 10), (30, 6), (59, 24), (80, 11)):
            await screen.pilot.resize_terminal(*size)
            await screen.settle()
            said = [text.strip() for text in screen.lines if text.strip()]
            assert said == ["nettop needs 60x12"], size
        await screen.pilot.resize_terminal(120, 40)
        await screen.settle()
        assert "PROC" in screen.lines[2]
        assert "! " in screen.lines[3], "all is back"
        assert "help" in screen.lines[-1]
