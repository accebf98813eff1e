"""nettop record -H: a file for each host, written in the thread of its link."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from nettop import headless
from nettop.commands.record import default_name, safe_name, say
from nettop.errors import EXIT_FAILURE, EXIT_OK, NettopError, UsageError
from nettop.export.atomic import check_writable
from nettop.export.formats import Format
from nettop.export.snapshot import write_tick
from nettop.hosts.feed import FIRST_S, HostsFeed, HostTick
from nettop.hosts.follow import Follower
from nettop.options import Options
from nettop.store.place import is_recording
from nettop.store.recording import RecordingWriter
from nettop.store.retention import Limits
from nettop.store.tables import TickTables
from nettop.text import units


class HostFile:
    """The recording of one host; made by its first tick."""

    def __init__(self, name: str, path: Path, options: Options) -> None:
        """
        Raises:
            NettopError: no recording can be written there.
        """
        self.name, self.path = name, path
        self.ticks = 0
        self.fault = ""  # why it could not be written any further
        self._limits = Limits(options.keep_s, options.max_bytes)
        self._filter = options.whole_filter or ""
        self._writer: RecordingWriter | None = None
        self._tables = TickTables(remote=True)
        check_writable(str(path))
        if path.exists() and path.stat().st_size and not is_recording(path):
            raise NettopError(f"{path}: exists and is no recording; name another file")

    def take(self, tick: HostTick, feed: HostsFeed) -> None:
        """A file that cannot be written any further ends with what it has."""
        try:
            self._take(tick, feed)
        except NettopError as error:
            self.fault = str(error)
            say(f"{self.name}: not recorded any further: {error}")
            self.close()

    def _take(self, tick: HostTick, feed: HostsFeed) -> None:
        sample = tick.sample
        if self._writer is None or sample.seq == 1:  # a stream that begins, perhaps once more
            self.close()
            facts = sample.facts
            about = {"host": facts.host, "kernel": facts.kernel, "nettop": facts.nettop}
            self._writer = RecordingWriter(
                self.path, about | {"filter": self._filter}, self._limits
            )
            self._tables = TickTables(remote=True)
            if not self.ticks:
                say(f"recording {self.name} to {self.path}")
        self._writer.add(sample, self._tables.take(tick.model, tick.feed))
        self.ticks += 1
        if not sample.whole and self._writer.wants_whole(tick.model.mono_ns):
            feed.ask_whole_of(tick.place)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def files_of(names: Sequence[str], options: Options) -> list[HostFile]:
    """rec.nettop becomes rec-HOST.nettop.

    Raises:
        NettopError: one of them cannot be written, or is that of two hosts.
    """
    found: dict[Path, HostFile] = {}
    for name in names:
        path = Path(default_name(name))
        if options.output is not None:
            whole = Path(options.output)
            if whole.exists() and not whole.is_file():
                raise NettopError(f"{whole}: not a file; the names of the hosts' files begin so")
            path = whole.with_name(f"{whole.stem}-{safe_name(name)}{whole.suffix}")
        if path in found:
            raise UsageError(
                f"-H: {found[path].name} and {name} would both be recorded to {path}: name them "
                "in two commands"
            )
        found[path] = HostFile(name, path, options)
    return list(found.values())


def run(feed: HostsFeed, files: Sequence[HostFile], options: Options) -> int:
    """Records until the time is over or a signal comes, or no file can be written any further.

    Raises:
        NettopError: in one line.
    """
    most = options.iterations
    until_s = None if options.for_s is None else time.monotonic() + options.for_s

    def take(tick: HostTick) -> None:
        file = files[tick.place]
        if not file.fault and (most is None or file.ticks < most):
            file.take(tick, feed)

    began_s = time.monotonic()

    def done() -> bool:
        if all(file.fault for file in files):
            return True
        if most is None:
            return False
        # Until one has answered, others that cannot be reached may still come.
        if not any(f.ticks or f.fault for f in files) and time.monotonic() - began_s < FIRST_S:
            return False
        return all(f.fault or f.ticks >= most or feed.is_out(i) for i, f in enumerate(files))

    follower = Follower(feed, take)
    try:
        if options.format is Format.NDJSON:
            _write_ticks(feed, follower, options, until_s)
        else:
            follower.wait(done, until_s)
    finally:
        follower.end()
        for file in files:
            file.close()
        _say_what_there_is(feed, files)
    if any(file.fault for file in files):
        return EXIT_FAILURE
    return EXIT_OK if any(file.ticks for file in files) else EXIT_FAILURE


def _write_ticks(
    feed: HostsFeed, follower: Follower, options: Options, until_s: float | None
) -> None:
    """The same ticks as one object of all hosts each."""
    out = headless.standard_output()
    pace = headless.Pace(options.delay_s)
    ticks = 0
    while True:
        model = pace.tick(feed)
        follower.check()
        write_tick(out.write, feed, model, Format.NDJSON, filter_text=options.whole_filter)
        out.flush()
        ticks += 1
        if ticks == options.iterations or (until_s is not None and pace.next_s > until_s):
            return
        pace.wait(feed)


def _say_what_there_is(feed: HostsFeed, files: Sequence[HostFile]) -> None:
    for file, host in zip(files, feed.hosts(), strict=True):
        if file.ticks:
            size = units.size(file.path.stat().st_size)
            ticks = units.counted(file.ticks, "tick")
            say(f"{file.name}: {ticks}, {size}: nettop replay {file.path}")
        else:
            why = "none of its ticks was written" if host.live else "it has not answered"
            say(f"{file.name}: nothing is recorded: {file.fault or host.reason or why}")
