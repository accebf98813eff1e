"""Every key on the screens and dialogs where it may be pressed, and what answered: golden/keys.txt.

NETTOP_GOLDEN=1 writes the sheet anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from textual import events

from nettop.clocks import watch
from nettop.feed import Grouping
from nettop.text.keys import KEYS, written
from nettop.tui.panes.views import EVENTS, HEATMAP, USUAL, WAITS, Views
from nettop.tui.screens.format import FormatScreen
from nettop.tui.screens.moment import MomentScreen
from nettop.tui.screens.row_keys import Rows
from tests.tui.test_clocks import FakeObserver

Running = Callable[..., AbstractAsyncContextManager[Any]]
SHEET = Path(__file__).parent / "golden" / "keys.txt"
# The process would stop or end, or hardware is asked: other tests press these.
LEFT_OUT = ("suspend", "quit")
UNKNOWN = ("f9", "K", "5", "at")
CHARACTERS = {"at": "@"}
EVENTS_KEYS = ("down", "up", "pagedown", "pageup", "end", "home", "v", "z", "escape")
# Letters are text in most dialogs.
DIALOG_KEYS = ("down", "up", "pagedown", "pageup", "home", "end", "left", "enter", "tab", "space",
               "x", "plus", "backspace", "ctrl+u", "ctrl+r", "f9", "at", "escape")  # fmt: skip
CLOCKS_KEYS = ("down", "up", "pagedown", "pageup", "g", "G", "C", "question_mark", "x", "f9", "at",
               "escape")  # fmt: skip
DIALOGS: dict[str, Callable[[Any], object]] = {
    "sort": lambda main: main.do_sort(),
    "columns": lambda main: main.do_columns(),
    "actions": lambda main: main.do_palette(),
    "cost": lambda main: main.do_cost(),
    "filter": lambda main: main.do_filter(),
    "time": lambda main: main.app.push_screen(MomentScreen("5m", str)),
    "format": lambda main: main.app.push_screen(FormatScreen(str)),
}
HEATMAP_KEYS = ("left", "right", "plus", "minus", "down", "v", "z", "escape")
THERE = "is there already"
FITS, EMPTY = "all of it is shown", "nothing is written"
SILENT = {
    **{("events", key): FITS for key in ("down", "up", "pagedown", "pageup", "end", "home")},
    **{("cost", key): FITS
       for key in ("down", "up", "pagedown", "pageup", "home", "end", "space")},
    **{(place, key): THERE for place in ("clocks", "columns", "actions")
       for key in ("up", "pageup", "home")},
    **{(place, key): EMPTY for place in ("sort", "columns", "actions", "time", "filter")
       for key in ("backspace", "ctrl+u")},
    **{("filter", key): EMPTY for key in ("down", "up", "home", "end", "left", "ctrl+r")},
    ("clocks", "g"): THERE,
    ("table", "up"): THERE, ("table", "3"): THERE, ("table", "escape"): THERE,
    ("groups", "up"): THERE, ("groups", "pageup"): THERE, ("groups", "3"): THERE,
    ("socket", "pageup"): THERE, ("socket", "g"): THERE,
    ("help", "up"): THERE, ("help", "pageup"): THERE, ("help", "g"): THERE,
}  # fmt: skip


def key_of(name: str) -> events.Key:
    character = CHARACTERS.get(name, name if len(name) == 1 else None)
    symbols = {"question_mark": "?", "slash": "/", "colon": ":", "plus": "+", "minus": "-",
               "less_than_sign": "<", "greater_than_sign": ">", "left_square_bracket": "[",
               "right_square_bracket": "]", "left_curly_bracket": "{",
               "right_curly_bracket": "}", "space": " "}  # fmt: skip
    return events.Key(name, symbols.get(name, character))


class Sheet:
    """Presses a key in a place, and says what became different."""

    def __init__(self, screen: Any) -> None:
        self.screen, self.app, self.main = screen, screen.app, screen.app.main
        self.drawn = 0
        self.place, self.moved = "", True

    def state(self) -> dict[str, Any]:
        main, top = self.main, self.app.screen
        text, _ = main.current_message
        opened = getattr(top, "cookie", None)
        return {
            "": f"opens {type(top).__name__}" if top is not main else "back in the table",
            "says": text,
            "foot": getattr(top, "notice", ""),
            "lines from": getattr(top, "top", 0),
            "field": f"{getattr(top, 'chosen', 0)}" if getattr(top, "explains", False) else "",
            "entry": getattr(top, "at", 0) if top is not main else 0,
            "columns": len(getattr(top, "on", ())),
            "typed": getattr(top, "typed", ""),
            "written": getattr(top, "_text", main.filter_line.text),
            "mistake": getattr(top, "_mistake", ""),
            "line says": main.filter_line._notice,
            "its cursor": main.filter_line.at,
            "socket": self.screen.feed.position(opened) if opened else None,
            "by": main.grouping.name.lower(),
            "pane": main.pane_number,
            "full size": main.zoomed,
            "views": " ".join(filter(None, main.views.names)),
            "heat": f"{main.views.heat.span_s} s, cursor {main.views.heat.cursor}",
            "sort": f"{main.sort.field.id if main.sort.field else 'unwell'}"
                    f" {'▼' if main.sort.descending else '▲'}",
            "order held": main.held,
            "paused": main.paused,
            "rows": main.rows.value,
            "marked": len(main.table.marked),
            "compared": len(main.groups.compared),
            "line": main.table.cursor_at,
            "chosen": main.table.follow,
            "group": main.groups.at,
            "columns moved": main.column_shift,
            "filter line": bool(main.filter_line.display),
            "by number": self.app.numeric,
            "drawn anew": self.drawn,
            "waits for g": main._g_at > 0,
        }  # fmt: skip

    async def put_back(self, place: str) -> None:
        main = self.main
        while self.app.screen is not main:
            self.app.pop_screen()
        if main.filter_line.display:
            main.filter_line.press(events.Key("escape", None))
        main.do_reset()
        main.paused = main.held = False
        main.table.marked.clear()
        main.groups.compared.clear()
        main.groups.at = 0
        main.groups._keys.clear()
        main.pane_number, main.views, main.opened = 3, USUAL, None
        main.rows, main.message, main._g_at, self.app.numeric = Rows.USUAL, None, 0.0, False
        self.app.interval_s, main.bell = 1.0, None
        main.table.move_to(2)
        if place == "table":
            main.table.to_top()
        elif place == "groups":
            main._group(Grouping.PROCESS)
        elif place == "heatmap":
            main.views = Views((HEATMAP, "", "", ""))
            main.pane_number, main.zoomed = WAITS, True
        elif place == "events":
            main.pane_number, main.zoomed = EVENTS, True
        elif place == "clocks":
            main.do_clocks()
        elif place in DIALOGS:
            DIALOGS[place](main)
        elif place == "socket":
            main.do_open()
        elif place == "help":
            main.do_help()
        main.message = None
        if self.app.screen is not main or place == "events":
            main._arrange()
            await self.screen.pilot.pause()

    async def press(self, place: str, name: str) -> str:
        if self.moved or self.place != place:
            await self.put_back(place)
        self.place, self.main.message, self.app.screen.notice = place, None, ""
        before = self.state()
        self.app.screen.press(key_of(name))
        after = self.state()
        words = []
        for what in before:
            old, new = before[what], after[what]
            if old == new:
                continue
            if what == "lines from":  # how far depends on how much there is
                words.append("scrolled")
            elif isinstance(new, bool) and new:
                words.append(what)
            elif isinstance(new, bool):
                words.append(f"no longer {what}")
            else:
                words.append(f"{what} {new}".strip())
        changed = {what for what in before if before[what] != after[what]}
        self.moved = bool(changed - {"says", "foot"})
        return ", ".join(words)


async def test_every_key_answers_everywhere(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = []
    monkeypatch.setattr(watch, "Observer", type("Observer", (FakeObserver,), {"asked": []}))
    async with running(readonly=True) as screen:
        sheet = Sheet(screen)

        def draw_all() -> None:
            sheet.drawn += 1

        monkeypatch.setattr(screen.app, "draw_all", draw_all)
        monkeypatch.setattr(screen.app, "copy_to_clipboard", lambda text: None)
        names = [k.names[0] for k in KEYS if k.names and k.action not in LEFT_OUT]
        some = {"heatmap": HEATMAP_KEYS, "events": EVENTS_KEYS, "clocks": CLOCKS_KEYS}
        some |= dict.fromkeys(DIALOGS, DIALOG_KEYS)
        for place in ("table", "groups", "socket", "help", *some):
            for name in some.get(place, (*names, *UNKNOWN)):
                answer = await sheet.press(place, name)
                answer = answer or SILENT.get((place, name), "")
                lines.append(
                    f"{place:<8} {written(name, CHARACTERS.get(name)):<6} {answer}".rstrip()
                )
    text = "\n".join(lines) + "\n"
    if os.environ.get("NETTOP_GOLDEN"):
        SHEET.write_text(text)
    assert [each for each in lines if len(each.split()) < 3] == [], "these answer nothing"
    assert text == SHEET.read_text()
