"""A recording as far as it can be read: ticks that turn out to be damaged are left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from threading import Event

from nettop.errors import NettopError
from nettop.sample import Sample
from nettop.store.source import FrameInfo, FrameSource


class Damaged(NettopError):
    """A tick could not be read; from now on the source is without it and those that need it."""


class Abandoned(Exception):
    """The reader was asked to stop."""


class ReadableFrames:
    """A FrameSource over another; what is found damaged once is not tried again."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._damaged: list[tuple[int, int]] = []  # first and last seq
        self._frames: list[FrameInfo] | None = None
        self._abandoned = Event()

    @property
    def cleared_seq(self) -> int | None:
        """As FrameSource says."""
        return self._source.cleared_seq

    def abandon(self) -> None:
        """Ends what reads now, and whatever reads later."""
        self._abandoned.set()

    def refresh(self) -> None:
        """Looks anew for ticks that a recorder appended."""
        self._frames = None

    def frames(self) -> list[FrameInfo]:
        """Those that are not known to be damaged, oldest first."""
        frames = self._frames
        if frames is None:
            frames = self._source.frames()
            for first, last in self._damaged:
                frames = [f for f in frames if not first <= f.seq <= last]
            self._frames = frames
        return frames

    def samples(
        self, first: int = 0, last: int = 2**62, *, in_place: bool = False
    ) -> Iterator[Sample]:
        """As FrameSource says.

        Raises:
            Damaged: a tick cannot be read.
            Abandoned: abandon() was called.
        """
        frames = self.frames()
        at = bisect_right(frames, first, key=lambda f: f.seq) - 1
        while at > 0 and not frames[at].key:
            at -= 1
        at = max(0, at)
        while at < len(frames) and frames[at].seq <= last:
            # Up to the next hole.
            end = at
            while (
                end + 1 < len(frames)
                and frames[end + 1].seq <= last
                and frames[end + 1].seq == frames[end].seq + 1
            ):
                end += 1
            yield from self._stretch(frames[at : end + 1], in_place)
            at = end + 1

    def _stretch(self, frames: list[FrameInfo], in_place: bool) -> Iterator[Sample]:
        read = 0
        try:
            for sample in self._source.samples(frames[0].seq, frames[-1].seq, in_place=in_place):
                if self._abandoned.is_set():
                    raise Abandoned
                yield sample
                read += 1
        except NettopError as error:
            self._leave_out(frames[min(read, len(frames) - 1)].seq)
            raise Damaged(str(error)) from None

    def _leave_out(self, seq: int) -> None:
        """From a tick up to the next key frame."""
        later = [f.seq for f in self._source.frames() if f.key and f.seq > seq]
        self._damaged.append((seq, (later[0] if later else 2**62) - 1))
        self._frames = None
