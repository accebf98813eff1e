"""A recording of a moment: of what was before it, kept in memory until then, and what follows."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from nettop import __version__
from nettop.model.types import Model
from nettop.poller import LiveFeed
from nettop.replay import ReplayFeed
from nettop.sample import Sample
from nettop.store.memory import MemoryFrames
from nettop.store.recording import RecordingWriter
from nettop.store.tables import TickTables


class Around:
    """Takes every tick of a feed, and from the moment on writes them."""

    def __init__(self, feed: LiveFeed, before_s: float) -> None:
        """Before the feed's first tick."""
        self._feed = feed
        self._past = MemoryFrames(before_s)
        self._writer: RecordingWriter | None = None
        # The tables are made of all sockets; the feed's own engine has the condition as its filter.
        self._next: Sample | None = None
        self._replay = ReplayFeed(iter(lambda: self._next, None))
        self._tables = TickTables()
        self.ticks = 0  # written
        feed.record(True)

    def take(self, model: Model) -> None:
        """The tick that was polled last.

        Raises:
            NettopError: it cannot be written.
        """
        to = self._writer or self._past
        sample = self._feed.sample(model, whole=to.wants_whole(model.mono_ns))
        if self._writer is None:
            self._past.add(sample)
        else:
            self._write(self._writer, sample)

    def begin(self, path: str) -> Path:
        """Opens the file, which is written from now on.

        Raises:
            NettopError: it cannot be.
        """
        uname = os.uname()
        about = {"host": uname.nodename, "kernel": uname.release, "nettop": __version__}
        self._writer = RecordingWriter(path, about | {"filter": ""})
        return self._writer.path.absolute()

    def write_past(self) -> None:
        """What was before.

        Raises:
            NettopError: it cannot be written.
        """
        assert self._writer is not None
        for sample in self._past.samples():
            self._write(self._writer, sample)

    def _write(self, writer: RecordingWriter, sample: Sample) -> None:
        self.ticks += 1
        self._next = replace(sample, seq=self.ticks)
        writer.add(self._next, self._tables.take(self._replay.tick(), self._replay))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
