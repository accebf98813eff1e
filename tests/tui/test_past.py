"""The screen in the past: it shows what it showed live, and never waits for a tick."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from nettop.lookback import LookBack
from nettop.past import PastFeed
from nettop.replay import ReplayFeed
from nettop.store.readable import ReadableFrames
from nettop.store.recording import Recording
from nettop.tui.app import NettopApp, ScreenOptions
from nettop.tui.screens.detail import DetailScreen
from nettop.tui.screens.main import MainScreen
from nettop.tui.timeline import Kept
from tests.tui.conftest import Running, Screen
from tests.tui.test_screen import golden, painted

RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"


class PlayedFeed(ReplayFeed):
    """A live feed whose ticks are those of a recording, at the test's pace."""

    live = True

    def __init__(self, recording: Recording, *, begun: bool = True) -> None:
        super().__init__(recording.samples())
        self.past = LookBack(900)
        # A live feed has histories; which sockets are looked at is known too late for the first.
        ticks = ReplayFeed(recording.samples())
        for _ in recording.frames():
            ticks.tick()
            self._focus += tuple(r.cookie for r in ticks.window(0, 99) if r.cookie)
        if begun:
            self.publish_next()

    def start(self, on_model: Any) -> None:
        self.on_model = on_model
        on_model()

    def publish_next(self) -> bool:
        sample = next(self._samples, None)
        if sample is None:
            return False
        model = self.take(sample)
        self.past.take(model, sample, self)
        if hasattr(self, "on_model"):
            self.on_model()
        return True


class PastScreen(Screen):
    """A running app whose moves are waited for."""

    async def settle(self) -> None:
        await super().settle()
        end = time.monotonic() + 20
        while self.app.timeline.moving and time.monotonic() < end:
            await self.pilot.pause(0.01)
        await super().settle()
        feed = self.app.timeline.feed
        if isinstance(feed, PastFeed):  # what is read beside
            await asyncio.to_thread(feed.settle)
            await super().settle()

    @property
    def seq(self) -> int:
        """Of the tick of the past."""
        current = self.app.timeline.current
        assert current is not None
        return current.seq

    @property
    def shown(self) -> list[str]:
        """What is said of the tick: without the lines that say which one it is, and blank ones."""
        out = []
        for at, text in enumerate(self.lines):
            if at == 1 or at >= len(self.lines) - 1 or " now" in text or not text.strip():
                continue
            out.append(re.sub(r" +", " ", text))
        return out


@contextlib.asynccontextmanager
async def looking(
    feed: Any, width: int = 120, height: int = 40, kept: Kept | None = None, **options: Any
) -> AsyncIterator[PastScreen]:
    app = NettopApp(feed, ScreenOptions(**options), kept)
    async with app.run_test(size=(width, height)) as pilot:
        screen = PastScreen(app, feed, pilot)
        await screen.settle()
        yield screen


@pytest.fixture
def recording() -> Iterator[Recording]:
    with closing(Recording(RECORDINGS / "late-reader.nettop")) as opened:
        yield opened


def replayed(recording: Recording, **options: Any) -> tuple[PastFeed, Kept]:
    source = ReadableFrames(recording)
    return PastFeed(source, seq=recording.frames()[0].seq, title="x.nettop"), Kept(
        source, **options
    )


VIEWS: dict[str, tuple[str, ...]] = {
    "marked": ("down", "x", "x", "4"),
    "filtered and sorted": ("slash", *"rcvq > 0", "enter", "s", *"rcvq", "enter", "S", "down"),
    "groups": ("t", "t", "1"),
    "zoomed": ("down", "4", "z"),
    "detail": ("down", "enter"),
}


@pytest.mark.parametrize("view", VIEWS)
async def test_what_was_live_is_there_again(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    # What will be stamped of what is chosen now is said of the present alone.
    monkeypatch.setattr(MainScreen, "selects", False)
    feed = PlayedFeed(recording)
    async with looking(feed, 130, 60) as screen:
        await screen.press(*VIEWS[view])
        live = [screen.shown]
        while feed.publish_next():
            await screen.settle()
            live.append(screen.shown)
        for seen in reversed(live[3:-1]):
            await screen.press("left_square_bracket")
            past = [text for text in screen.shown if "−" not in text or "[" in text]
            assert past == seen
        for seen in live[4:]:
            await screen.press("right_square_bracket")
            past = [text for text in screen.shown if "−" not in text or "[" in text]
            assert past == seen
        assert screen.app.timeline.away
        await screen.press("right_square_bracket")
        assert not screen.app.timeline.away, "past the newest it is live"
        assert [text for text in screen.shown if text != "live"] == live[-1]


async def test_an_export_is_of_the_tick_that_is_shown(recording: Recording, home: Path) -> None:
    feed = PlayedFeed(recording)
    async with looking(feed) as screen:
        for _ in range(3):
            feed.publish_next()
        await screen.press("e")
        await screen.app.workers.wait_for_complete()
        (file,) = home.glob("nettop-*.json")
        live = json.loads(file.read_text())
        file.unlink()
        while feed.publish_next():
            await screen.settle()
        await screen.press(*["left_square_bracket"] * 4)
        while screen.app.timeline.moving:
            await screen.settle()
        await screen.press("e")
        await screen.app.workers.wait_for_complete()
        (again,) = home.glob("nettop-*.json")
        assert again.name == file.name, "it says that moment"
        assert json.loads(again.read_text()) == live


async def test_the_past_stands_still_while_the_present_goes_on(recording: Recording) -> None:
    feed = PlayedFeed(recording)
    async with looking(feed) as screen:
        for _ in range(3):
            feed.publish_next()
        await screen.press("left_square_bracket", "left_square_bracket")
        before = screen.shown
        assert re.search(r"−\S+  \d\d:\d\d:\d\d|−\S+  \d{4}-", screen.lines[1])
        assert screen.lines[-2].endswith(" now")
        while feed.publish_next():
            await screen.settle()
        assert screen.shown == before
        assert len(feed.past.frames()) == 8, "the recorder went on"
        await screen.press("L")
        assert "−" not in screen.lines[1]
        assert not any(text.endswith(" now") for text in screen.lines), "no line is lost to it"


async def test_the_ends_say_so(recording: Recording, running: Running) -> None:
    feed = PlayedFeed(recording)
    async with looking(feed) as screen:
        await screen.press("left_square_bracket")
        assert "nothing older is kept: the first tick is of" in screen.lines[1]
        await screen.press("right_square_bracket")
        assert "this is the newest tick" in screen.lines[1]
        feed.publish_next()
        await screen.press("J", *"-3000d", "enter")
        assert "nothing older is kept" in screen.lines[1]
        assert screen.app.timeline.away
        await screen.press("ctrl+r")
        assert "cannot be cleared" in screen.lines[1]
    async with running() as snapshot:
        await snapshot.press("left_square_bracket")
        assert "no tick is kept to look back on" in snapshot.lines[1]


async def test_a_time_is_asked_for_before_any_other_key_of_time(recording: Recording) -> None:
    feed = PlayedFeed(recording, begun=False)
    async with looking(feed) as screen:
        sample = next(feed._samples)
        model = feed.take(sample)
        feed.on_model()
        await screen.settle()  # the first picture is drawn before a tick is kept
        feed.past.take(model, sample, feed)
        while feed.publish_next():
            await screen.settle()
        await screen.press("J")
        assert "no tick is kept" not in screen.text
        assert " to now" in screen.text, "what is kept is said where the time is written"
        await screen.press(*"-1s", "enter")
        assert screen.app.timeline.away


async def test_a_time_is_written(recording: Recording) -> None:
    feed, kept = replayed(recording)
    async with looking(feed, kept=kept) as screen:
        await screen.press("J", *"2x", "enter")
        assert "takes a time such as 14:02" in screen.text
        await screen.press("ctrl+u", *"-3s", "enter")
        assert "x.nettop  −3s" in screen.lines[1]
        await screen.press("J", "escape")
        assert "x.nettop  −3s" in screen.lines[1]
        await screen.press("down", "enter", "J", *"-5s", "enter")
        assert "−5s" in screen.text, "on the screen of one socket too"
        assert "← →" not in screen.text


async def test_changes_of_what_passes_the_filter(recording: Recording) -> None:
    feed = PlayedFeed(recording)
    async with looking(feed) as screen:
        while feed.publish_next():
            await screen.settle()
        seqs = [tick.seq for tick in feed.past.changes.before(99)]
        assert seqs
        for seq in seqs:
            await screen.press("left_curly_bracket")
            assert screen.seq == seq
        assert "python/23543 127.0.0.1:41183: app reads 61.5ms" in screen.lines[1]
        await screen.press("left_curly_bracket")
        assert "no change of any socket is kept before this tick" in screen.text
        assert screen.seq == seqs[-1]
        await screen.press("L", "slash", *"dport = 1", "enter", "left_curly_bracket")
        assert "no change of a matched socket is kept before this tick" in screen.text
        assert not screen.app.timeline.away


async def test_changes_of_an_opened_socket_are_its_own(recording: Recording) -> None:
    feed = PlayedFeed(recording)
    async with looking(feed) as screen:
        while feed.publish_next():
            await screen.settle()
        changes = feed.past.changes
        ((first, (cookie,), *_),) = changes.before(99)
        other = next(c for row in feed.window(0, 9) if (c := row.cookie) != cookie)
        for seq, cookies in ((first - 1, [other]), (first + 1, [other]),
                             (first + 2, [cookie, other]), (first + 3, [other])):  # fmt: skip
            changes.add(seq, cookies)
        screen.app.push_screen(DetailScreen(screen.main, cookie))
        await screen.settle()
        for key, seq in (("left", first + 2), ("left", first), ("right", first + 2)):
            await screen.press(f"{key}_curly_bracket")
            assert screen.seq == seq
            assert "more changed" not in screen.text
        await screen.press("left_curly_bracket", "left_curly_bracket")
        assert "no change of this socket is kept before this tick" in screen.text
        assert screen.seq == first


async def test_keys_are_answered_while_a_seek_takes_long(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), threading.Event()
    go.set()
    samples = ReadableFrames.samples

    def slow(self: ReadableFrames, *between: int, in_place: bool = False) -> Iterator[Any]:
        for sample in samples(self, *between, in_place=in_place):
            begun.set()
            assert go.wait(20)
            yield sample

    monkeypatch.setattr(ReadableFrames, "samples", slow)
    feed, kept = replayed(recording)
    async with looking(feed, kept=kept) as screen:
        go.clear()
        begun.clear()
        first = screen.shown
        await screen.pilot.press("L")
        assert begun.wait(5)
        for keys, shown in ((("question_mark",), "Esc closes"), (("escape", "down"), "▌")):
            for key in keys:
                await screen.pilot.press(key)
            await Screen.settle(screen)
            assert shown in screen.text
        words = [[t.replace("▌", " ").split() for t in seen[:3]] for seen in (screen.shown, first)]
        assert words[0] == words[1], "the tick that it came from stands still"
        # Further moves are not made one after the other.
        for key in ("left_square_bracket",) * 3:
            await screen.pilot.press(key)
        go.set()
        await screen.settle()
        assert screen.seq == 5
        go.clear()
        begun.clear()
        await screen.pilot.press("slash", *"rcvq > 0", "enter", "L")
        assert begun.wait(5)
        await screen.pilot.press("q")
        await screen.pilot.pause()
        assert screen.app.return_value == 0
        go.set()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Moves into the past wait until it is set."""
    go = threading.Event()
    samples = ReadableFrames.samples

    def slow(self: ReadableFrames, *between: int, in_place: bool = False) -> Iterator[Any]:
        assert go.wait(20)
        yield from samples(self, *between, in_place=in_place)

    monkeypatch.setattr(ReadableFrames, "samples", slow)
    return go


@pytest.mark.parametrize(
    ("before", "key", "away"),
    [
        (("left_square_bracket",), "L", False),
        (("left_square_bracket",) * 3, "L", False),
        (("left_curly_bracket",), "L", False),
        (("left_square_bracket",), "right_square_bracket", True),
        (("left_square_bracket",), "space", True),
        (("left_square_bracket",), "plus", True),
    ],
)
async def test_a_key_that_is_typed_ahead_is_of_the_tick_that_is_asked_for(
    recording: Recording, held: threading.Event, before: tuple[str, ...], key: str, away: bool
) -> None:
    feed = PlayedFeed(recording)
    async with looking(feed) as screen:
        while feed.publish_next():
            await screen.settle()
        interval_s = screen.app.interval_s
        for pressed in (*before, key):
            await screen.pilot.press(pressed)
        main = screen.app.main
        assert not main.paused
        assert main.playing == (key == "space")
        main.stop_playing()  # or it would have gone on to the newest
        held.set()
        await screen.settle()
        assert screen.app.timeline.away == away
        assert ("now" in screen.lines[-2]) == away
        assert screen.app.interval_s == interval_s
        if key == "L":
            assert "this is the newest tick" not in screen.text


async def test_a_replay_plays_to_its_end(recording: Recording) -> None:
    feed, kept = replayed(recording, plays=True)
    async with looking(feed, kept=kept) as screen:
        assert "space stop" in screen.lines[-1]
        await screen.press("minus", "plus", "plus")
        assert "plays at 2x" in screen.lines[1]
        await screen.press(*["plus"] * 9)
        end = time.monotonic() + 10
        while screen.main.playing and time.monotonic() < end:
            await screen.pilot.pause(0.05)
        assert screen.app.timeline.current == recording.frames()[-1]
        assert "the end: the newest tick is of" in screen.lines[1]
        await screen.press("d", "J", *"-3s", "enter", "space")
        assert "▶ 1x" in screen.lines[1]
        await screen.press("space")
        assert "▶" not in screen.lines[1]


async def test_a_damaged_tick_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "damaged.nettop"
    copyfile(RECORDINGS / "late-reader.nettop", path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE frames SET frame = substr(frame, 1, 9) WHERE seq = 6")
    with closing(Recording(path)) as recording:
        feed, kept = replayed(recording)
        async with looking(feed, kept=kept) as screen:
            await screen.press("L")
            assert screen.seq == 5
            assert "tick 6: " in screen.lines[1].replace("…", "tick 6: ")
            await screen.press("left_square_bracket")
            assert screen.seq == 4
            await screen.press("right_square_bracket", "right_square_bracket")
            assert screen.seq == 5
            assert "the end" in screen.lines[1]


async def test_a_stretch_is_not_left(recording: Recording) -> None:
    feed, kept = replayed(recording, within=(3, 5))
    feed.seek(3)
    async with looking(feed, kept=kept) as screen:
        await screen.press("left_square_bracket")
        assert "the beginning" in screen.lines[1]
        await screen.press("L")
        assert screen.seq == 5


async def test_the_strip_is_clicked(recording: Recording) -> None:
    feed, kept = replayed(recording)
    async with looking(feed, kept=kept) as screen:
        await screen.pilot.click("#strip", offset=(60, 0))
        await screen.settle()
        assert 3 <= screen.seq <= 6
        await screen.pilot.click("#strip", offset=(2, 0))
        await screen.settle()
        assert 3 <= screen.seq <= 6, "a label is no time"


@pytest.mark.parametrize(
    ("name", "width", "height", "options"),
    [("past-120x40", 120, 40, {}), ("past-80x24", 80, 24, {"ascii": True, "color": False})],
)
async def test_golden(
    recording: Recording, monkeypatch: pytest.MonkeyPatch, name: str, width: int, height: int,
    options: dict[str, Any],
) -> None:  # fmt: skip
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    feed = PlayedFeed(recording)
    while feed.publish_next():
        pass
    two_hours_later_ns = max(f.wall_ns for f in recording.frames()) + 2 * 3600 * 10**9
    async with looking(feed, width, height, **options) as screen:
        monkeypatch.setattr(time, "time_ns", lambda: two_hours_later_ns)
        await screen.press(*["left_square_bracket"] * 3)
        text = painted(screen)
        if options.get("ascii"):
            assert screen.text.isascii()
        assert max(map(len, screen.lines)) <= width
        golden(name, text)
