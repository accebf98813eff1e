"""Keys that move through the ticks that are kept, and what shows where one is."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from functools import partialmethod
from typing import TYPE_CHECKING

from textual.timer import Timer

from nettop.text.moments import before_text, clock_text, moment_text, speed_text
from nettop.times import Moment
from nettop.tui.screens.run_keys import RunKeys
from nettop.tui.style import Role
from nettop.tui.timeline import Arrival
from nettop.tui.widgets.lines import Line, width_of
from nettop.tui.widgets.strip import cells_of, labels, place_of, strip_line, time_of

if TYPE_CHECKING:
    from nettop.store.source import FrameInfo
    from nettop.tui.widgets.strip import Cell

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
LEAST_STEP_S = 0.1  # between two pictures while it plays
GAP_S = 60.0  # where no tick was kept for longer, playing does not wait that long
GAP_SHOWN_S = 1.0
SLOW_S = 0.15  # a move that takes longer is said to be under way


class TimeKeys(RunKeys):
    """Look-back in the live screen, and the whole of a replay."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: int | None = None  # the socket of the detail screen
        self.playing = False
        self.speed = 1.0
        self._play_timer: Timer | None = None
        self._due = 0.0
        self._cells: tuple[tuple[int, ...], list[Cell]] | None = None

    # --- keys ---

    def _answer(self, text: str) -> None:
        """What a move comes to at once: a message, which is of no other move."""
        self.message = None
        if text:
            self.say(text)
        if self.timeline.moving:
            self.set_timer(SLOW_S, self.refresh_header)

    def _tick(self, by: int) -> None:
        self.stop_playing()
        before = self.timeline.away
        text = self.timeline.step(by)
        if before and not self.timeline.away:
            self._live_again()
        else:
            self._answer(text)

    do_tick_back = partialmethod(_tick, -1)
    do_tick_on = partialmethod(_tick, 1)

    def _change(self, by: int) -> None:
        self.stop_playing()
        self._answer(self.timeline.change(back=by < 0, of=self.opened))

    do_change_back = partialmethod(_change, -1)
    do_change_on = partialmethod(_change, 1)

    def do_jump(self) -> None:
        from nettop.tui.screens.moment import MomentScreen

        frames = self.timeline.fresh()
        if not frames:
            self._answer(self.timeline.nothing())
            return
        kept = f"{self._moment(frames[0])} to "
        kept += "now" if self.timeline.base.live else self._moment(frames[-1])
        self.app.push_screen(MomentScreen(kept, self._jump))

    def _jump(self, moment: Moment) -> None:
        self.stop_playing()
        self._answer(self.timeline.seek(moment.wall_ns(self._end_ns()), moment.text))

    def do_live(self) -> None:
        self.stop_playing()
        if not self.in_past:
            self.say("this is the newest tick")
            return
        text = self.timeline.live()
        if self.timeline.away:
            self._answer(text)
        else:
            self._live_again()

    def _live_again(self) -> None:
        self.say("live", seconds=2)
        self.show_tick()

    def to_cell(self, x: int) -> None:
        """To the time under the mouse."""
        ends = self._ends()
        if ends is not None:
            first, last, left, count = ends
            if 0 <= x - left < count:
                self.stop_playing()
                at_ns = time_of(x - left, first, last, count)
                self._answer(self.timeline.seek(at_ns, clock_text(at_ns)))

    # --- play ---

    def toggle_playing(self) -> None:
        if self.playing:
            self.stop_playing()
        else:
            self.playing = True
            self._due = time.monotonic()
            self._play_next()
        self.refresh_header()

    def stop_playing(self) -> None:
        self.playing = False
        if self._play_timer is not None:
            self._play_timer.stop()
            self._play_timer = None

    def set_speed(self, up: int) -> None:
        """up: 1 faster, -1 slower, 0 as it was."""
        at = SPEEDS.index(self.speed) + up
        self.speed = SPEEDS[max(0, min(at, len(SPEEDS) - 1))] if up else 1.0
        if self.playing:
            self._due = time.monotonic()
            self._play_next()
        self.say(f"plays at {speed_text(self.speed)}", seconds=2)

    def _play_next(self) -> None:
        """The step that comes next, when its time has come."""
        if self._play_timer is not None:
            self._play_timer.stop()
        apart_s = self._apart_s() / self.speed
        steps = max(1, math.ceil(LEAST_STEP_S / apart_s - 0.001))
        now = time.monotonic()
        self._due = max(self._due + steps * apart_s, now)
        self._play_timer = self.set_timer(max(0.01, self._due - now), lambda: self._play_on(steps))

    def _apart_s(self) -> float:
        """From the shown tick to the next."""
        frames, current = self.timeline.frames(), self.timeline.current
        if current is None:
            return LEAST_STEP_S
        later = bisect_right(frames, current.seq, key=lambda f: f.seq)
        if later == len(frames):
            return LEAST_STEP_S
        apart = (frames[later].wall_ns - current.wall_ns) / 1e9
        return GAP_SHOWN_S if not 0 < apart <= GAP_S else apart

    def _play_on(self, steps: int) -> None:
        if not self.playing:
            return
        if self.timeline.moving:  # slower than it should play
            self._play_timer = self.set_timer(0.02, lambda: self._play_on(steps))
            return
        text = self.timeline.step(steps)
        if not self.timeline.away:
            self.stop_playing()
            self._live_again()
        elif text:
            self.stop_playing()
            self._answer(text)

    # --- what a move came to ---

    def arrived(self, arrival: Arrival) -> None:
        """Draws the tick that a move led to."""
        shown = self.timeline.take(arrival)
        if arrival.message and not self.timeline.stale(arrival):
            self.say(arrival.message, Role.WATCH)
            self.stop_playing()
        if shown:
            self.show_tick()
            if self.playing:
                self._play_next()
        else:
            self.refresh_header()

    def show_tick(self) -> None:
        """Draws the tick that the timeline stands at now."""
        raise NotImplementedError

    # --- where one is ---

    def _end_ns(self) -> int:
        """What distances are measured from: now, or the last tick of a recording."""
        frames = self.timeline.frames()
        return time.time_ns() if self.timeline.base.live or not frames else frames[-1].wall_ns

    def _moment(self, frame: FrameInfo) -> str:
        return moment_text(frame.wall_ns, self._end_ns())

    def badge(self) -> str:
        """Which tick of the past is shown; empty: the newest, or a snapshot's."""
        current = self.timeline.current
        if current is None:
            return ""
        end = self._end_ns()
        title = self.timeline.base.title
        parts = [title] if title else []
        parts.append(before_text(end - current.wall_ns))
        # The day of a recording is any.
        parts.append(moment_text(current.wall_ns, end if self.timeline.base.live else 0))
        if self.playing:
            parts.append(f"▶ {speed_text(self.speed)}")
        if self.timeline.moving:
            parts.append("…")
        return "  ".join(parts)

    def _ends(self) -> tuple[int, int, int, int] | None:
        """First and last time of the strip, cells before it, and its cells."""
        frames = self.timeline.frames()
        if not frames or not self.timeline.away:
            return None
        first = min(frames[0].wall_ns, frames[-1].wall_ns)
        last = max(frames[0].wall_ns, frames[-1].wall_ns)
        left, right = labels(first, last, self.timeline.base.live)
        return first, last, len(left), max(1, self.app.size.width - len(left) - len(right))

    def strip(self) -> Line:
        """The whole span, and where one stands in it."""
        ends, current = self._ends(), self.timeline.current
        if ends is None or current is None:
            return ()
        first, last, _, count = ends
        spots = self.timeline.spots()
        key = (first, last, count, len(spots), spots[-1].seq if spots else 0)
        if self._cells is None or self._cells[0] != key:
            self._cells = key, cells_of(spots, first, last, count)
        at = place_of(current.wall_ns, first, last, count)
        g = self.nettop.glyphs
        line = strip_line(self._cells[1], at, labels(first, last, self.timeline.base.live), g)
        assert width_of(line) <= self.app.size.width or count == 1
        return line
