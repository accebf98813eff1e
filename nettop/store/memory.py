"""The last ticks as frames in memory: what the live screen looks back on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from nettop.sample import Sample
from nettop.store.frames import FrameReader, FrameWriter
from nettop.store.source import FrameInfo

MOST_BYTES = 64 << 20
KEY_EVERY_S = 15.0

_Frames = list[bytes]


class _Group(Struct):
    """A key frame and those that need it."""

    infos: list[FrameInfo] = field(default_factory=list)
    frames: _Frames = field(default_factory=list)
    n_bytes: int = 0


class FrameRing:
    """Groups of frames that each begin with a key frame: one thread appends, any reads."""

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self.cleared_seq: int | None = None

    def clear_runs(self) -> None:
        """Runs begin behind the newest tick."""
        with self._lock:
            if self._groups:
                self.cleared_seq = self._groups[-1].infos[-1].seq

    def _append(self, info: FrameInfo, frame: bytes, n_bytes: int) -> None:
        """With the lock held; n_bytes: what it is counted as."""
        if info.key:
            self._groups.append(_Group())
        group = self._groups[-1]
        group.infos.append(info)
        group.frames.append(frame)
        group.n_bytes += n_bytes
        self._bytes += n_bytes

    def _drop(self) -> FrameInfo:
        """The oldest group goes, with the lock held; returns its last tick."""
        group = self._groups.popleft()
        self._bytes -= group.n_bytes
        return group.infos[-1]

    # --- readers ---

    @property
    def bytes(self) -> int:
        """Of all frames."""
        return self._bytes

    @property
    def oldest_seq(self) -> int:
        """Of the tick that is forgotten next; 0 before the first."""
        with self._lock:
            return self._groups[0].infos[0].seq if self._groups else 0

    @property
    def span_s(self) -> float:
        """From the oldest tick to the newest."""
        with self._lock:
            if not self._groups:
                return 0.0
            return (self._groups[-1].infos[-1].mono_ns - self._groups[0].infos[0].mono_ns) / 1e9

    def frames(self) -> list[FrameInfo]:
        """All of them, oldest first; none before the first tick."""
        with self._lock:
            return [info for group in self._groups for info in group.infos]

    def samples(
        self, first: int = 0, last: int = 2**62, *, in_place: bool = False
    ) -> Iterator[Sample]:
        """As FrameSource says, with the seq that each has here; ends where the next one is
        forgotten, or there is none of the next seq."""
        with self._lock:
            before = [g.infos[0].seq for g in self._groups if g.infos[0].seq <= first]
            at = before[-1] if before else self._groups[0].infos[0].seq if self._groups else 1
        reader = FrameReader(in_place=in_place)
        while frames := self._next(at, last):
            for frame in frames:
                yield replace(reader.sample(frame), seq=at)
                at += 1

    def _next(self, first: int, last: int) -> _Frames:
        """From a seq on, of one key frame."""
        with self._lock:
            for group in self._groups:
                begins = group.infos[0].seq
                if begins <= first <= group.infos[-1].seq:
                    return group.frames[first - begins : max(0, last + 1 - begins)]
        return []


class MemoryFrames(FrameRing):
    """The ring of this host: the poller appends samples. Its seq counts the ticks that it took."""

    def __init__(self, span_s: float, most_bytes: int = MOST_BYTES) -> None:
        """
        Args:
            span_s: ticks older than this are forgotten.
            most_bytes: of all frames; the oldest go first.
        """
        super().__init__()
        self.kept_s, self.most_bytes = span_s, most_bytes
        self._writer = FrameWriter()
        self._seq = 0

    def wants_whole(self, mono_ns: int) -> bool:
        """Whether the sample that is taken at this time has to say all that is known."""
        newest = self._groups[-1] if self._groups else None
        return newest is None or mono_ns - newest.infos[0].mono_ns >= KEY_EVERY_S * 1e9

    def add(self, sample: Sample) -> FrameInfo:
        """Takes one tick in; whole groups of frames that are too old or too many go."""
        frame = self._writer.frame(replace(sample, seq=self._seq + 1))
        info = FrameInfo(self._seq + 1, sample.wall_ns, sample.mono_ns, sample.whole)
        with self._lock:
            self._seq += 1
            self._append(info, frame, len(frame))
            self._forget(sample.mono_ns)
        return info

    def _forget(self, now_ns: int) -> None:
        oldest_ns = now_ns - round(self.kept_s * 1e9)
        while len(self._groups) > 1 and (
            self._bytes > self.most_bytes or self._groups[1].infos[0].mono_ns <= oldest_ns
        ):
            self._drop()
