"""What the screen keeps of many hosts: the memory of each, and the times that one goes through.

A moment is a time of this host's clock at which each host that is well has sent one tick more than
at the moment before: one an interval. At a moment each host is at its nearest tick before, by the
offset of its clock as it was measured when that tick came; not by when it came.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from nettop.changes import Changed
from nettop.hosts import merge
from nettop.hosts.link import GIVE_UP_S, SILENT_S
from nettop.hosts.memory import HostMemory, KeptTick
from nettop.model.hosts import LIVE, HostState
from nettop.model.types import Model
from nettop.replay import ReplayFeed
from nettop.sample import Sample
from nettop.spells import HOST_CAME, TickSummary
from nettop.store.memory import MOST_BYTES
from nettop.store.source import FrameInfo

_SHARES = 4  # that its part of the memory holds of what a host sends from one key frame to the next
Now = Callable[[], tuple[int, int]]  # CLOCK_MONOTONIC and CLOCK_REALTIME here


class HostThen(NamedTuple):
    """One host at a moment."""

    state: HostState
    tick: KeptTick | None  # None: it had none


class Spot(NamedTuple):
    """What the time line shows of a moment."""

    seq: int
    wall_ns: int
    unwell: int
    watch: int
    events: Mapping[str, int]  # by type as JSON names it, since the moment before; and HOST_CAME


class _Moment(NamedTuple):
    info: FrameInfo
    longest_ns: int  # that a tick may be before it


def _clocks() -> tuple[int, int]:
    return time.monotonic_ns(), time.time_ns()


class HostsLookBack:
    """The threads of the links take ticks in, any thread reads."""

    def __init__(
        self,
        names: Sequence[str],
        span_s: float,
        delay_s: Callable[[], float],
        most_bytes: int = MOST_BYTES,
        now: Now = _clocks,
    ) -> None:
        """
        Args:
            span_s: ticks older than this are forgotten.
            delay_s: asked for the interval.
            most_bytes: of all hosts together; the oldest go first, whosever they are.
        """
        self.kept_s, self.most_bytes = span_s, most_bytes
        self.memories = [HostMemory(name) for name in names]
        self._delay_s, self._now = delay_s, now
        self._lock = threading.Lock()
        self._moments: list[_Moment] = []
        self._seq = 0
        self._from_ns = 0  # what was before is not kept of every host
        # Hosts that have sent a tick since the last moment; when the first and the newest came.
        self._round: set[int] = set()
        self._began_ns = 0
        self._newest = (0, 0)
        self._spots: dict[int, Spot] = {}  # of moments before which no tick can come any more

    # --- what takes in ---

    def take(
        self, place: int, sample: Sample, frame: bytes, model: Model, feed: ReplayFeed,
        state: HostState, sort: str | None = None,
    ) -> bool:  # fmt: skip
        """One tick of the host at that place, as HostMemory has it.

        Returns:
            Whether one of its next ticks should be whole.
        """
        with self._lock:
            now = self._now()
            memory = self.memories[place]
            if memory.take(sample, frame, model, feed, state, now, sort):
                memory.stated(_live(state), now[0])
                if place in self._round and now[0] - self._began_ns >= self._delay_s() * 0.5e9:
                    self._end_round()
                if not self._round:
                    self._began_ns = now[0]
                self._round.add(place)
                self._newest = now
                self._forget(now[0])
            share = self.most_bytes // (_SHARES * len(self.memories))
            return memory.wants_whole(now[0], share)

    def stated(self, place: int, state: HostState) -> None:
        """What that host is now; that it is live says its first tick."""
        if state.state != LIVE:
            with self._lock:
                self.memories[place].stated(state, self._now()[0])

    def settle(self) -> None:
        """The newest ticks are a moment too once the next ones are due."""
        with self._lock:
            if self._round and self._now()[0] - self._newest[0] >= self._delay_s() * 1e9:
                self._end_round()

    def _end_round(self) -> None:
        self._seq += 1
        mono_ns, wall_ns = self._newest
        longest_ns = round(max(SILENT_S, 3 * self._delay_s()) * 1e9)
        self._moments.append(_Moment(FrameInfo(self._seq, wall_ns, mono_ns, True), longest_ns))
        self._round.clear()

    # --- what forgets ---

    def _forget(self, now_ns: int) -> None:
        oldest_ns = now_ns - round(self.kept_s * 1e9)
        for memory in self.memories:
            while (begins := memory.began_ns) and (
                begins[1] <= oldest_ns if len(begins) > 1
                else memory.ticks[-1].here_ns <= oldest_ns
            ):  # fmt: skip
                self._forget_of(memory)
        while self.bytes > self.most_bytes:
            kept = [memory for memory in self.memories if memory.began_ns]
            self._forget_of(min(kept, key=lambda memory: memory.began_ns[0]))
        first = bisect_left(self._moments, self._from_ns, key=lambda m: m.info.mono_ns)
        if first:
            for moment in self._moments[:first]:
                self._spots.pop(moment.info.seq, None)
            del self._moments[:first]
        for memory in self.memories:
            memory.forget_states(self._from_ns)

    def _forget_of(self, memory: HostMemory) -> None:
        at_ns = memory.forget_oldest()
        if not memory.ticks:  # what was forgotten was the nearest for so long
            at_ns += round(max(SILENT_S, 3 * self._delay_s()) * 1e9) + 1
        self._from_ns = max(self._from_ns, at_ns)

    # --- readers ---

    @property
    def bytes(self) -> int:
        """Of all frames of all hosts, and what their ticks take beside."""
        return sum(memory.bytes for memory in self.memories)

    @property
    def span_s(self) -> float:
        """From the oldest moment to the newest."""
        with self._lock:
            ends = [m.info.mono_ns for m in (*self._moments[:1], *self._moments[-1:])]
        return (ends[1] - ends[0]) / 1e9 if ends else 0.0

    def frames(self) -> list[FrameInfo]:
        """The moments that are kept, oldest first, with the clocks of this host."""
        with self._lock:
            return [m.info for m in self._moments]

    def at(self, seq: int) -> list[HostThen] | None:
        """Each host at a moment; None: it is kept no more."""
        with self._lock:
            at = bisect_left(self._moments, seq, key=lambda m: m.info.seq)
            if at == len(self._moments) or self._moments[at].info.seq != seq:
                return None
            moment = self._moments[at]
            return [
                HostThen(*memory.at(moment.info.mono_ns, moment.longest_ns))
                for memory in self.memories
            ]

    def summaries(self) -> list[Spot]:
        """Of the moments, oldest first."""
        with self._lock:
            moments = list(self._moments)
            final_ns = self._now()[0] - round(GIVE_UP_S * 1e9)
            fresh = [m for m in moments if m.info.seq not in self._spots]
            if not fresh:
                return [self._spots[m.info.seq] for m in moments]
            first = moments.index(fresh[0])
            since_ns = moments[first - 1].info.mono_ns if first else self._from_ns - 1
            said = [self._said(memory, since_ns) for memory in self.memories]
            newest = [(m.info.mono_ns, m.longest_ns) for m in moments[max(0, first - 1) :]]
            came = {at for memory in self.memories for at, _ in memory.comings(newest)}
            spots = dict(self._spots)
            for at, moment in enumerate(fresh, min(first, 1)):
                spot = self._spot(moment, since_ns, said)
                if at in came:
                    spot = spot._replace(events={**spot.events, HOST_CAME: 1})
                spots[spot.seq] = spot
                since_ns = moment.info.mono_ns
                if since_ns < final_ns:
                    self._spots[spot.seq] = spot
            return [spots[m.info.seq] for m in moments]

    def _said(self, memory: HostMemory, since_ns: int) -> list[tuple[int, TickSummary]]:
        """Ticks from the nearest before a time on, with when they were taken."""
        nearest = memory.tick_before(since_ns)
        by_seq = {tick.seq: tick.here_ns for tick in memory.ticks}
        summaries = memory.said.summaries()
        from_seq = nearest.seq if nearest is not None else 0
        return [(by_seq[s.seq], s) for s in summaries if s.seq >= from_seq and s.seq in by_seq]

    def _spot(
        self, moment: _Moment, since_ns: int, said: list[list[tuple[int, TickSummary]]]
    ) -> Spot:
        unwell = watch = 0
        events: dict[str, int] = {}
        at_ns = moment.info.mono_ns
        for memory, ticks in zip(self.memories, said, strict=True):
            last = bisect_left(ticks, at_ns + 1, key=lambda t: t[0])
            for here_ns, summary in ticks[:last]:
                if here_ns > since_ns:
                    for name, n in summary.events.items():
                        events[name] = events.get(name, 0) + n
            if last and memory.there(at_ns, moment.longest_ns) is not None:
                unwell += ticks[last - 1][1].unwell
                watch += ticks[last - 1][1].watch
            del ticks[: max(0, last - 1)]
        return Spot(moment.info.seq, moment.info.wall_ns, unwell, watch, events)

    # --- moments in which something changed ---

    @property
    def changes(self) -> HostsLookBack:
        return self

    def before(self, seq: int) -> Iterator[Changed]:
        """Moments before a seq, the nearest first."""
        yield from (tick for tick in reversed(self._changed()) if tick.seq < seq)

    def after(self, seq: int) -> Iterator[Changed]:
        """Moments after a seq, the nearest first."""
        yield from (tick for tick in self._changed() if tick.seq > seq)

    def _changed(self) -> list[Changed]:
        """A change of a host is one of the first moment at or after its tick."""
        found: dict[int, tuple[set[int], int]] = {}
        hosts: dict[int, dict[str, str]] = {}
        with self._lock:
            moments = list(self._moments)
            times = [m.info.mono_ns for m in moments]
            at_moments = [(m.info.mono_ns, m.longest_ns) for m in moments]
            for place, memory in enumerate(self.memories):
                for tick in memory.said.changes.after(0):
                    here_ns = memory.here_ns_of(tick.seq)
                    if here_ns is None or here_ns < self._from_ns:
                        continue
                    at = bisect_left(times, here_ns)
                    if at == len(times):
                        continue
                    moment = moments[at].info.seq
                    cookies, left_out = found.get(moment, (set(), 0))
                    cookies.update(cookie + merge.above(place) for cookie in tick.cookies)
                    found[moment] = cookies, left_out + tick.left_out
                for at, said in memory.comings(at_moments):
                    hosts.setdefault(moments[at].info.seq, {})[memory.name] = said
        nothing: tuple[set[int], int] = set(), 0
        return [
            Changed(seq, frozenset(cookies), left_out, hosts.get(seq, {}))
            for seq in sorted({*found, *hosts})
            for cookies, left_out in (found.get(seq, nothing),)
        ]


def _live(state: HostState) -> HostState:
    return replace(state, state=LIVE, reason=None)
