"""nettop why: what is wrong with this host, or was in a stretch of a recording, in sentences."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from nettop import headless
from nettop.commands.record import say
from nettop.commands.why_options import WhyOptions
from nettop.errors import EXIT_OK, NettopError
from nettop.findings.look import Look
from nettop.findings.values import Report
from nettop.model.events import Event, EventType
from nettop.model.types import Level, Model, Row, Sick
from nettop.sources.stages import OFF_REASON
from nettop.text import units

if TYPE_CHECKING:
    from nettop.filefeed import FileFeed
    from nettop.poller import LiveFeed
    from nettop.replay import ReplayFeed
    from nettop.store.source import FrameInfo

EXIT_FINDINGS = 1
# How often other sockets are chosen for the TX stages: the plane takes no other selection before.
CHOOSE_EVERY_TICKS = 12


def run_live(options: WhyOptions, open_feed: Callable[[], LiveFeed]) -> int:
    """Looks at this host.

    Raises:
        NettopError: in one line.
    """
    check_target(options)
    with closing(open_feed()) as feed:
        report = look_live(feed, options)
    return write(report, options)


class StampChoice:
    """Which sockets' sends a look has stamped, unless --tx-sample says it."""

    def __init__(self, look: Look, options: WhyOptions) -> None:
        self._look, self._on = look, options.poll.tx_sample is None
        intervals = max(2, round(options.for_s / options.poll.delay_s))
        # Verdicts need two intervals, and what is chosen is stamped from a second later on.
        self._first = max(2, min(3, intervals // 2))

    def after(self, model: Model, select: Callable[[list[int]], object]) -> None:
        """After the look took the tick of that model."""
        late = self._look.ticks - 1 - self._first
        if not self._on or late < 0 or late % CHOOSE_EVERY_TICKS:
            return
        cookies = self._look.to_stamp()
        select(cookies)
        if can_stamp(model):
            self._look.stamped = max(self._look.stamped, len(cookies))


def look_live(feed: LiveFeed, options: WhyOptions) -> Report:
    """Polls for as long as was asked."""
    intervals = max(2, round(options.for_s / options.poll.delay_s))
    look = Look(filter_text=options.poll.whole_filter)
    progress = Progress(f"looking for {options.for_s:g} s")
    pace = headless.Pace(options.poll.delay_s)
    choice = StampChoice(look, options)
    try:
        for tick in range(intervals + 1):
            model = pace.tick(feed)
            headless.check_readable(model, feed)
            look.take(model, feed)
            choice.after(model, feed.select_tx)
            progress.show(tick / intervals)
            if tick < intervals:
                pace.wait(feed)
    finally:
        progress.clear()
    return look.report()


def can_stamp(model: Model) -> bool:
    """The stages plane is loaded; it calls itself off while nothing is chosen."""
    status = model.source("stages")
    return status is not None and (status.state != "off" or status.reason == OFF_REASON)


def run_file(options: WhyOptions) -> int:
    """Looks at a recording, a stretch of one, or a snapshot.

    Raises:
        NettopError: in one line.
    """
    from nettop.store.recording import is_recording

    assert options.stretch is not None
    check_target(options)
    if is_recording(options.stretch.file):
        return write(look_recording(options), options)
    return write(look_snapshot(options), options)


def look_recording(options: WhyOptions) -> Report:
    """Replays the stretch, so that it is judged by the rules of this version."""
    from nettop.query import FilterError
    from nettop.replay import ReplayFeed
    from nettop.store.recording import Recording
    from nettop.warm import start_of

    assert options.stretch is not None
    with closing(Recording(options.stretch.file)) as recording:
        frames = recording.frames()
        first, last = options.stretch.ticks(frames, say)
        text = options.poll.whole_filter
        look = Look(file=recording.path.name, filter_text=text)
        rest = [f for f in frames if start_of(frames, first).seq <= f.seq <= last.seq]
        progress, total = Progress("reading"), len(rest)
        try:
            while rest:
                try:
                    feed = ReplayFeed(
                        recording.samples(rest[0].seq, last.seq),
                        title=recording.path.name, filter_text=text,
                    )  # fmt: skip
                except FilterError as error:
                    raise error.with_caret() from error
                rest = _taken(look, feed, rest, first.seq, lambda n: progress.show(1 - n / total))
        finally:
            progress.clear()
    return look.report()


def _taken(
    look: Look,
    feed: ReplayFeed,
    frames: list[FrameInfo],
    first: int,
    left: Callable[[int], None],
) -> list[FrameInfo]:
    """Takes ticks until one cannot be read; returns those from the next key frame on.

    Raises:
        NettopError: in one line, when nothing can be read.
    """
    for at, frame in enumerate(frames):
        try:
            model = feed.tick()
        except NettopError as error:
            later = next((i for i, f in enumerate(frames) if i > at and f.key), None)
            if later is None and not look.ticks:
                raise
            goes_on = "nothing behind it" if later is None else "goes on at the next key frame"
            say(f"{error}: {goes_on}")
            return frames[later:] if later is not None else []
        if frame.seq >= first:
            look.take(model, feed)
        left(len(frames) - at)
    return []


def look_snapshot(options: WhyOptions) -> Report:
    """One moment, as it was judged when it was written."""
    from nettop.export.load import load_snapshot
    from nettop.filefeed import FileFeed
    from nettop.query import FilterError, compile_filter

    assert options.stretch is not None
    with closing(FileFeed(load_snapshot(options.stretch.file))) as feed:
        text = options.poll.whole_filter
        if text:
            try:
                feed.set_filter(compile_filter(text, feed.names))
            except FilterError as error:
                raise error.with_caret() from error
        look = Look(file=feed.title, filter_text=text or feed.filter_text)
        model = feed.latest()
        assert model is not None
        look.take(model, _Snapshot(feed))
    return look.report()


class _Snapshot:
    """A snapshot as a look asks it: its verdicts are in its rows."""

    def __init__(self, feed: FileFeed) -> None:
        self._feed = feed
        self.find, self.detail, self.tx = feed.find, feed.detail, feed.tx
        self.seconds_since = feed.seconds_since

    def sick(self, *, matched: bool = True) -> list[Sick]:
        rows = self._feed.rows_all(with_detail=False, everything=not matched)
        return [_sick(row) for row, _ in rows if row.verdicts and row.level > Level.OK]

    def listed_events(self, most: int, types: Collection[EventType]) -> tuple[Sequence[Event], int]:
        """None: a snapshot has those of the sockets that it names, not of the interval."""
        return (), 0


def _sick(row: Row) -> Sick:
    rec = row.rec
    unwell = 1 << rec.verdict if row.level is Level.UNWELL else 0
    return Sick(
        rec.cookie, rec.flags, rec.verdicts, unwell, rec.verdict, rec.verdict2, rec.who, rec.who2,
        rec.because, rec.because2, rec.verdict_value, rec.verdict2_value,
    )  # fmt: skip


def check_target(options: WhyOptions) -> None:
    """That the file can be written is known before anything is waited for."""
    from nettop.export.atomic import check_writable

    if options.output not in (None, "-"):
        assert options.output is not None
        check_writable(options.output)


def write(report: Report, options: WhyOptions) -> int:
    """The report where it was asked for; the exit code says whether there are findings."""
    write_text(_written(report, options), options)
    return EXIT_FINDINGS if report.findings else EXIT_OK


def write_text(text: str, options: WhyOptions) -> None:
    """On standard output, or into the file."""
    if options.output in (None, "-"):
        out = headless.standard_output()
        out.write(text.encode())
        out.flush()
        return
    from nettop.export.atomic import AtomicFile

    assert options.output is not None
    with AtomicFile(options.output) as file:
        file.write(text.encode())
    headless.show_path(options.output)


def _written(report: Report, options: WhyOptions) -> str:
    if options.kind == "html":
        from nettop.findings.page import page

        return page(report)
    if options.kind == "json":
        from nettop.findings.objects import json_text

        return json_text(report)
    from nettop.findings.plain import text_of

    return text_of(report, width=terminal_width(), ascii_only=options.poll.ascii)


def terminal_width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 100


class Progress:
    """How far it is, on standard error where that is a terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = ""
        self._terminal = sys.stderr is not None and sys.stderr.isatty()

    def show(self, share: float) -> None:
        text = f"nettop: {self._what} … {units.percent(100 * share)}"
        if self._terminal and text != self._shown:
            self._shown = text
            self._write(f"\r{text}\x1b[K")

    def clear(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
