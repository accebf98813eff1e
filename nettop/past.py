"""Moving over recorded ticks: a replay that goes to any of them, forward and back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from nettop.enginefeed import LONG_SOCKETS
from nettop.errors import NettopError
from nettop.feed import Sort
from nettop.model.types import Model
from nettop.replay import ReplayFeed
from nettop.sample import Sample
from nettop.store.source import FrameInfo, FrameSource

# Rates need the tick before, verdicts three, losses ten seconds: what comes before a tick is
# taken too, and not shown.
WARM_UP_NS = 15 * 10**9


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


class PastFeed(ReplayFeed):
    """The tick of a recording, or of memory, that one stands at; any thread may ask."""

    current: FrameInfo

    def __init__(
        self,
        source: FrameSource,
        *,
        seq: int | None = None,
        title: str | None = None,
        filter_text: str | None = None,
        sort: Sort | None = None,
    ) -> None:
        """
        Args:
            seq: where to stand first; None: at the newest tick.

        Raises:
            FilterError: filter_text is wrong.
            NettopError: in one line, when there is no tick, or one cannot be read.
        """
        super().__init__(iter(()), title=title, filter_text=filter_text, sort=sort)
        self._source = source
        frames = self.frames
        if not frames:
            raise NettopError("there is no tick to look back on yet")
        self.seek(frames[-1].seq if seq is None else seq)

    @property
    def frames(self) -> list[FrameInfo]:
        """All that there are by now, oldest first."""
        return self._source.frames()

    def seek(self, seq: int) -> Model:
        """Stands at a tick, or at the last before it; at the first where there is none before.

        Raises:
            NettopError: in one line, when a tick cannot be read.
        """
        frames = self.frames
        at = bisect_right(frames, seq, key=lambda f: f.seq) - 1
        return self._go(frames, frames[max(0, at)])

    def step(self, n: int) -> Model:
        """n ticks forward, or (negative) back; at the ends it stays.

        Raises:
            NettopError: in one line, when a tick cannot be read.
        """
        frames = self.frames
        at = bisect_right(frames, self.current.seq, key=lambda f: f.seq) - 1
        return self._go(frames, frames[min(max(0, at + n), len(frames) - 1)])

    def _go(self, frames: Sequence[FrameInfo], to: FrameInfo) -> Model:
        with self._replacing():
            return self._take_all(frames, to)

    def _sockets(self) -> int:
        return LONG_SOCKETS + 1  # many ticks are taken for one

    def _take_all(self, frames: Sequence[FrameInfo], to: FrameInfo) -> Model:
        start = start_of(frames, to)
        self._restart(self._source.samples(start.seq, to.seq))
        model: Model | None = None
        for frame in frames[frames.index(start) :]:
            model = self.tick()
            if frame.seq >= to.seq:
                break
        assert model is not None
        self.current = to
        return model

    def _restart(self, samples: Iterator[Sample]) -> None:
        self._samples = samples
        self._seq = None
        self._deriver = self._new_deriver()
        self._asked = self._filter = None
        self._histories.clear()
        self._set_filter_text()
