"""Engines that have taken what comes before a tick: they show it as it was.

What a tick shows follows from the ticks since its start, a key frame WARM_UP_NS or more before it.
Which key frame that is depends on the tick alone, so that it shows the same whichever way one came
to it. Histories reach back to that start, runs to where the planes began to count.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from nettop.errors import NettopError
from nettop.replay import ReplayFeed
from nettop.sample import Asked, Sample
from nettop.store.readable import Abandoned
from nettop.store.source import FrameInfo, FrameSource

# Rates need the tick before, verdicts three, losses ten seconds: what comes before a tick is
# taken too, and not shown.
WARM_UP_NS = 15 * 10**9
_STARTS_MOST = 4  # of damaged recordings, whose frames are all key frames
# Ticks around the one that is shown, whose engines are kept: at 10,000 sockets one takes 10 MB.
_KEPT_MOST = 16
_KEPT_SOCKETS = 100_000
_LEAP = 4  # ticks further on that are read one by one
STOP_S = 1.0


def start_of(frames: Sequence[FrameInfo], first: FrameInfo) -> FrameInfo:
    """The key frame from which what comes before a tick is known.

    Raises:
        NettopError: no key frame is at or before it.
    """
    keys = [f for f in frames if f.key and f.seq <= first.seq]
    if not keys:
        raise NettopError("the recording has no key frame: it cannot be read")
    start = keys[-1]
    for key in reversed(keys):
        # By a clock that cannot be set; before a restart of the host it was another one.
        if key.mono_ns > first.mono_ns:
            break
        start = key
        if first.mono_ns - key.mono_ns >= WARM_UP_NS:
            break
    return start


class Gone(Exception):
    """A tick is there no more: it was forgotten meanwhile."""


class _GaveWay(Exception):
    """What was begun beside was not ended."""


Cookies = frozenset[int]


class Warm(ReplayFeed):
    """One engine at a tick."""

    def __init__(
        self, start_ns: int, filter_text: str | None, focus: Cookies, *, details: bool,
        called: str | None = None,
    ) -> None:  # fmt: skip
        """focus: sockets whose histories are kept."""
        super().__init__(iter(()), filter_text=filter_text, called=called)
        self.start_ns, self.focus = start_ns, focus
        self._focus = tuple(focus)
        self._details = details

    def _configure(self, asked: Asked) -> None:
        # Where this engine began says nothing to who looks: runs are of all that a plane counted.
        self._deriver.engine.config.run_of_planes = True
        super()._configure(asked)

    def keep_details(self) -> None:
        """Of every socket, from the next tick on."""
        self._details = True
        if self._asked is not None:
            self._configure(self._asked)

    def twin(self) -> Warm:
        """Another one at the same tick."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.names = names = self.names.twin()
        engine = self._deriver.engine.twin(lambda: names.facts.tcp_info_tail)
        made._deriver = self._deriver.twin(engine, names)
        made._histories = self._histories.copy()
        return made


class MakesWarm(Protocol):
    """Warm, or what stands for it."""

    def __call__(
        self, start_ns: int, filter_text: str | None, focus: Cookies, *, details: bool
    ) -> Warm: ...


class _Reader:
    """Reads onward through the ticks."""

    def __init__(
        self, source: FrameSource, make: MakesWarm, frames: Sequence[FrameInfo], first: int,
        filter_text: str | None, focus: Cookies, gives_way: threading.Event | None,
    ) -> None:  # fmt: skip
        """
        Args:
            first: the place of the first tick that is shown; details are kept from there on, or
                where filter or histories ask for them: without, it takes two thirds of the time.
            gives_way: ends with _GaveWay once that is set.
        """
        self._gives_way = gives_way
        self._source, self._filter_text, self._focus = source, filter_text, focus
        self._make = make
        self._start = start_of(frames, frames[first]).seq
        self._first = frames[first].seq
        self._details = bool(filter_text or focus)
        self._samples: Iterator[Sample] | None = None
        self._engines: list[Warm] = []  # the later ones began at later key frames
        self._given = False  # the first of them is kept elsewhere, and stays at its tick
        self.seq: int | None = None  # of the tick that was read last

    def to(self, frames: Sequence[FrameInfo], place: int) -> Warm:
        """Reads on up to a tick.

        Raises:
            Gone, NettopError: it cannot be read; nor can anything after it, here.
        """
        at = _place(frames, self._start) if self.seq is None else _place(frames, self.seq) + 1
        for i in range(at, place + 1):
            if self._gives_way is not None and self._gives_way.is_set():
                raise _GaveWay
            self._take(self._next(frames, i), frames[i])
        self._given = True
        return self._engines[0]

    def _take(self, sample: Sample, frame: FrameInfo) -> None:
        if self._given:
            self._engines[0] = self._engines[0].twin()
            self._given = False
        if frame.seq == self._first:
            self._details = True
            for engine in self._engines:
                engine.keep_details()
        if sample.whole and len(self._engines) < _STARTS_MOST:
            self._engines.append(
                self._make(sample.mono_ns, self._filter_text, self._focus, details=self._details)
            )
        for engine in self._engines:
            engine.take(sample)
        self.seq = frame.seq
        warm = [e for e in self._engines if e.start_ns <= sample.mono_ns - WARM_UP_NS]
        if warm:
            del self._engines[: self._engines.index(warm[-1])]

    def _next(self, frames: Sequence[FrameInfo], at: int) -> Sample:
        sample = next(self._samples, None) if self._samples is not None else None
        if sample is None:  # it began before this tick was recorded
            key = at
            while key > 0 and not frames[key].key:
                key -= 1
            self._samples = self._source.samples(frames[key].seq, in_place=True)
            for _ in range(at - key + 1):
                sample = next(self._samples, None)
        if sample is None or sample.mono_ns != frames[at].mono_ns:
            raise Gone
        return sample


class Wish(NamedTuple):
    """An engine to be made beside."""

    filter_text: str | None
    focus: Cookies
    seq: int
    ready: Callable[[Warm], None]  # gets it


class WarmTicks:
    """Engines at the ticks around those that are shown; any thread may ask."""

    def __init__(
        self, source: FrameSource, make: MakesWarm = Warm, most_sockets: int = _KEPT_SOCKETS,
        most_ticks: int = 1 << 30,
    ) -> None:  # fmt: skip
        """
        Args:
            most_sockets: of all engines that are kept, unless four have more.
            most_ticks: whose engines are kept at most; two or more.
        """
        self._source, self._make, self._most_sockets = source, make, most_sockets
        self._most_ticks = most_ticks
        self._lock = threading.RLock()
        self._filled = threading.Condition(self._lock)
        self._filter_text: str | None = None  # under which all of them took their ticks
        self._reader: _Reader | None = None
        self._kept: dict[int, Warm] = {}  # by seq
        self._most = min(4, most_ticks)
        self._around: int | None = None
        # The thread beside, and what it has to do.
        self._queue = threading.Condition()
        self._wished: dict[int, Wish] = {}
        self._filling: Collection[int] = ()  # seqs that it reads now
        self._hurry = threading.Event()  # a move to elsewhere waits for the processor
        self._worker: threading.Thread | None = None
        self._ended = False

    def at(
        self, frames: Sequence[FrameInfo], place: int, filter_text: str | None, focus: Cookies
    ) -> Warm:
        """The engine at a tick, which stays there; it may lack histories of the focus.

        Raises:
            Gone: the tick is there no more.
            NettopError: in one line, when it cannot be read.
        """
        seq = frames[place].seq
        with self._lock:
            self._use(filter_text)
            while seq in self._filling:
                self._filled.wait()
            engine = self._kept.get(seq)
            if engine is None:
                self._hurry.set()
                try:
                    engine = self._read_to(frames, place, focus)
                finally:
                    self._hurry.clear()
            self._kept[seq] = engine
            self._around = seq
            totals = engine._deriver.engine.totals()
            sockets = totals.tcp + totals.udp + totals.mptcp
            fit = max(4, min(_KEPT_MOST, self._most_sockets // (sockets + 1)))
            self._most = min(self._most_ticks, fit)
            for far in sorted(self._kept, key=lambda s: abs(s - seq))[self._most :]:
                del self._kept[far]
        self._go_on()
        return engine

    def _use(self, filter_text: str | None) -> None:
        if filter_text != self._filter_text:
            self._filter_text, self._reader, self._kept = filter_text, None, {}

    def _read_to(self, frames: Sequence[FrameInfo], place: int, focus: Cookies) -> Warm:
        reader = self._reader
        leap = 0
        if reader is not None and reader.seq is not None:
            with suppress(Gone):  # then this reader is of no use
                leap = place - _place(frames, reader.seq)
        try:
            if reader is not None and 0 < leap <= _LEAP:
                for i in range(place - leap + 1, place + 1):
                    self._kept[frames[i].seq] = reader.to(frames, i)
            else:
                back = place + 1 < len(frames) and frames[place + 1].seq in self._kept
                before = self._most // 2 if back else 1
                fresh, kept = self._read(frames, place, before, self._filter_text, focus)
                self._kept.update(kept)
                if reader is None or not -self._most < leap < 0:
                    self._reader = fresh
        except BaseException:
            self._reader = None
            raise
        return self._kept[frames[place].seq]

    def _read(
        self, frames: Sequence[FrameInfo], place: int, before: int, filter_text: str | None,
        focus: Cookies, *, can_wait: bool = False,
    ) -> tuple[_Reader, dict[int, Warm]]:  # fmt: skip
        """A reader at a tick; with engines of this one and of so many before it."""
        first = max(0, place - before)
        gives_way = self._hurry if can_wait else None
        reader = _Reader(self._source, self._make, frames, first, filter_text, focus, gives_way)
        return reader, {frames[i].seq: reader.to(frames, i) for i in range(first, place + 1)}

    # --- beside ---

    def wish(self, whose: int, wish: Wish) -> None:
        """Has an engine made; an earlier wish of the same is forgotten."""
        with self._queue:
            self._wished[whose] = wish
        self._go_on()

    def settle(self) -> None:
        """Waits until nothing is left to do."""
        with self._queue:
            while self._worker is not None:
                self._queue.wait()

    def end(self) -> None:
        """What is done beside is not wanted any more; stop() waits for that."""
        self._ended = True
        self._hurry.set()

    def stop(self) -> None:
        self.end()
        worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join(timeout=STOP_S)

    def _go_on(self) -> None:
        with self._queue:
            if self._worker is None and not self._ended:
                self._worker = threading.Thread(target=self._work, name="nettop-warm", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while True:
            try:
                more = not self._ended and (self._grant() or self._fill())
            except _GaveWay:
                more = True  # around another tick, once that is there
            except (Gone, NettopError, Abandoned):
                more = False  # who goes there gets the reason
            with self._queue:
                if not more and (self._ended or not self._wished):
                    self._worker = None
                    self._queue.notify_all()
                    return

    def _grant(self) -> bool:
        with self._queue:
            if not self._wished:
                return False
            wish = self._wished.pop(next(iter(self._wished)))
        frames = self._source.frames()
        place = _place(frames, wish.seq)
        reader, kept = self._read(frames, place, 1, wish.filter_text, wish.focus)
        with self._lock:
            self._use(wish.filter_text)
            self._reader = reader
            self._kept.update(kept)
        wish.ready(kept[wish.seq])
        return True

    def _fill(self) -> bool:
        """The ticks before those that are kept: going back is what takes long."""
        with self._lock:
            frames, filter_text = self._source.frames(), self._filter_text
            if self._around is None or self._around not in self._kept:
                return False
            at = last = _place(frames, self._around)
            while last >= 0 and frames[last].seq in self._kept:
                last -= 1
            first = max(0, last + 1 - self._most // 2)
            if last < 0 or at - last > self._most // 4 + 1:
                return False
            focus = self._kept[self._around].focus
            self._filling = {f.seq for f in frames[first : last + 1]}
        kept: dict[int, Warm] = {}
        try:
            kept = self._read(frames, last, last - first, filter_text, focus, can_wait=True)[1]
        finally:
            with self._lock:
                if filter_text == self._filter_text:
                    self._kept = {**kept, **self._kept}
                self._filling = ()
                self._filled.notify_all()
        return True


def _place(frames: Sequence[FrameInfo], seq: int) -> int:
    at = bisect_left(frames, seq, key=lambda f: f.seq)
    if at == len(frames) or frames[at].seq != seq:
        raise Gone
    return at
