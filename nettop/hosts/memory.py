"""The last ticks of one other host: the frames that it sent, and when they were taken."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from nettop.hosts.link import GIVE_UP_S
from nettop.lookback import TicksSaid
from nettop.model.hosts import ASKED, LIVE, LOST, SILENT, HostState
from nettop.model.types import Model
from nettop.replay import ReplayFeed
from nettop.sample import Sample
from nettop.store.memory import FrameRing
from nettop.store.source import FrameInfo
from nettop.text.hosts import state_text

TICK_BYTES = 600  # that a tick takes beside its frame, about: a small frame is no small tick
# Seconds. A host sends a whole tick each minute by itself: two of them would have to be read.
KEY_EVERY_S = 30.0
ASK_EVERY_S = 5.0
NO_TICK = "no tick then"
_STATES_MOST = 4096  # changes of state that are kept
_NO_TICKS = "its ticks came no more"
_AWAY = (LOST, SILENT)


class KeptTick(NamedTuple):
    """A tick of that host."""

    seq: int  # of its frame in this memory
    here_ns: int  # when it was taken, by CLOCK_MONOTONIC here
    offset_ns: int | None  # its system clock less that of this host, as measured by then
    bar_ns: int | None
    skipped: int
    top: int | None
    sort: str | None  # the order that was asked for, by which the top rows are first


class HostMemory(FrameRing):
    """The thread of its link takes ticks in, any thread reads. What takes in and what forgets holds
    the lock of all hosts' memories.

    The seq of a frame is one more than of that before, and two more where another start of the
    stream begins: replay begins anew there.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.said = TicksSaid()
        self.ticks: list[KeptTick] = []
        self.began_ns: deque[int] = deque()  # here_ns of each group's first tick
        self._states: list[tuple[int, HostState]] = []  # from when on, by CLOCK_MONOTONIC here
        self._seq = 0
        self._stream_seq: int | None = None  # of its newest tick
        self._filter: str | None = None  # by which its newest tick was chosen
        self._needs_key = True
        self._asked_ns = -(1 << 62)

    # --- what takes in ---

    def take(
        self, sample: Sample, frame: bytes, model: Model, feed: ReplayFeed, state: HostState,
        now: tuple[int, int], sort: str | None,
    ) -> bool:  # fmt: skip
        """
        Args:
            frame: of that sample.
            feed: stands at it.
            now: CLOCK_MONOTONIC and CLOCK_REALTIME here.

        Returns:
            False: it is left out, since it needs one that is not kept.
        """
        follows = self._stream_seq is not None and sample.seq == self._stream_seq + 1
        self._stream_seq = sample.seq
        if not sample.whole and (self._needs_key or not follows):
            self._needs_key = True
            return False
        self._seq += 1 if follows and not self._needs_key else 2
        self._needs_key = False
        info = FrameInfo(self._seq, sample.wall_ns, sample.mono_ns, sample.whole)
        here_ns = self._here_ns(sample, state, now)
        if sample.whole:
            self.began_ns.append(here_ns)
        with self._lock:
            self._append(info, frame, len(frame) + TICK_BYTES)
        self.ticks.append(
            KeptTick(
                info.seq, here_ns, state.clock_offset_ns, state.clock_bar_ns,
                sample.facts.skipped_ticks, state.top, sort,
            )
        )  # fmt: skip
        chosen = sample.facts.chosen
        chosen_by = chosen.filter_text if chosen is not None else None
        if not follows or chosen_by != self._filter:
            self.said.begin_anew(model, feed)
        self._filter = chosen_by
        self.said.take(info.seq, model, feed)
        return True

    def wants_whole(self, now_ns: int, most_bytes: int) -> bool:
        """Whether it is to be asked for a tick that can be begun with: the newest needs one, or
        very many would have to be read first, or forgotten together."""
        newest = self._groups[-1] if self._groups else None
        wants = (
            newest is None
            or self._needs_key
            or newest.n_bytes > most_bytes
            or now_ns - self.began_ns[-1] > KEY_EVERY_S * 1e9
        )
        if not wants or now_ns - self._asked_ns < ASK_EVERY_S * 1e9:
            return False
        self._asked_ns = now_ns
        return True

    def _here_ns(self, sample: Sample, state: HostState, now: tuple[int, int]) -> int:
        """By the measured offset. Where that cannot be (not measured yet, or a clock was set since)
        a tick was taken as it came."""
        mono_ns, wall_ns = now
        late_ns = 0
        if state.clock_offset_ns is not None:
            late_ns = wall_ns + state.clock_offset_ns - sample.wall_ns
        if not 0 <= late_ns <= GIVE_UP_S * 1e9:
            late_ns = 0
        after_ns = self.ticks[-1].here_ns + 1 if self.ticks else 0
        return max(mono_ns - late_ns, after_ns)

    def stated(self, state: HostState, mono_ns: int) -> None:
        """What it is from now on."""
        before = self._states[-1][1] if self._states else None
        if before is None or (before.state, before.reason) != (state.state, state.reason):
            self._states.append((mono_ns, replace(state, model=None)))
            del self._states[:-_STATES_MOST]

    # --- what forgets ---

    def forget_oldest(self) -> int:
        """Key frame and what needs it; returns when the first that is kept now was taken, or the
        last that was forgotten."""
        with self._lock:
            last = self._drop()
        self.began_ns.popleft()
        gone = bisect_right(self.ticks, last.seq, key=lambda t: t.seq)
        at_ns = self.ticks[gone - 1].here_ns
        del self.ticks[:gone]
        self.said.forget_before(last.seq + 1)
        if not self.ticks:
            self._needs_key = True
            return at_ns
        return self.ticks[0].here_ns

    def forget_states(self, before_ns: int) -> None:
        """All but the one that held then."""
        held = bisect_right(self._states, before_ns, key=lambda s: s[0]) - 1
        if held > 0:
            del self._states[:held]

    # --- readers, with the lock of all held ---

    def at(self, mono_ns: int, longest_ns: int) -> tuple[HostState, KeptTick | None]:
        """What it was then, and its nearest tick before; None: it had none, or none that recent."""
        # Of its rate, and of when it was tried again, nothing is kept.
        state = replace(self._state_at(mono_ns), bytes_per_s=None, again_s=None, lag_s=None)
        tick = self.there(mono_ns, longest_ns)
        if tick is not None:
            return replace(
                state, clock_offset_ns=tick.offset_ns, clock_bar_ns=tick.bar_ns,
                lag_s=(mono_ns - tick.here_ns) / 1e9, skipped_ticks=tick.skipped, top=tick.top,
            ), tick  # fmt: skip
        if state.state == LIVE:
            return replace(state, state=SILENT, reason=NO_TICK), None
        return replace(state, reason=f"{NO_TICK}: {state.reason or 'no answer yet'}"), None

    def _state_at(self, mono_ns: int) -> HostState:
        at = bisect_right(self._states, mono_ns, key=lambda s: s[0]) - 1
        return self._states[at][1] if at >= 0 else HostState(self.name, ASKED)

    def there(self, mono_ns: int, longest_ns: int) -> KeptTick | None:
        """The tick that it is shown at."""
        if self._state_at(mono_ns).state != LIVE:
            return None
        tick = self.tick_before(mono_ns)
        return tick if tick is not None and mono_ns - tick.here_ns <= longest_ns else None

    def comings(self, moments: Sequence[tuple[int, int]]) -> Iterator[tuple[int, str]]:
        """At which of these moments it is there and was not at the one before, or the reverse, or
        was away between the two; and what to say of that.

        Args:
            moments: as there() takes them, oldest first.
        """
        from_ns = moments[0][0] if moments else 0
        at_tick = bisect_right(self.ticks, from_ns, key=lambda t: t.here_ns)
        at_state = bisect_right(self._states, from_ns, key=lambda s: s[0])
        state = self._states[at_state - 1][1] if at_state else None
        was_there: bool | None = None
        # What it was last while it was not well.
        before = (s for _, s in reversed(self._states[:at_state]) if s.state in _AWAY)
        away = next(before, None)
        for place, (mono_ns, longest_ns) in enumerate(moments):
            broke_off = False
            while at_state < len(self._states) and self._states[at_state][0] <= mono_ns:
                state = self._states[at_state][1]
                if state.state in _AWAY:
                    broke_off, away = True, state
                at_state += 1
            while at_tick < len(self.ticks) and self.ticks[at_tick].here_ns <= mono_ns:
                at_tick += 1
            there = (
                state is not None
                and state.state == LIVE
                and at_tick > 0
                and mono_ns - self.ticks[at_tick - 1].here_ns <= longest_ns
            )
            if was_there is not None and (there != was_there or (there and broke_off)):
                yield place, _coming_text(there, state, away)
            if was_there and not there and state is not None and state.state == LIVE:
                away = replace(state, state=SILENT, reason=_NO_TICKS)
            was_there = there

    def tick_before(self, mono_ns: int) -> KeptTick | None:
        at = bisect_right(self.ticks, mono_ns, key=lambda t: t.here_ns) - 1
        return self.ticks[at] if at >= 0 else None

    def here_ns_of(self, seq: int) -> int | None:
        """When a tick was taken; None: it is not kept."""
        at = bisect_left(self.ticks, seq, key=lambda t: t.seq)
        found = at < len(self.ticks) and self.ticks[at].seq == seq
        return self.ticks[at].here_ns if found else None


def _coming_text(there: bool, state: HostState | None, away: HostState | None) -> str:
    """lost: no route; answers again (lost: no route); answers"""
    if there:
        return f"answers again ({state_text(away)})" if away is not None else "answers"
    if state is None or state.state == LIVE:
        return f"{SILENT}: {_NO_TICKS}"
    return state_text(replace(state, again_s=None))
