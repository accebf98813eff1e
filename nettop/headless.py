"""Runs without a screen: ticks on absolute deadlines, written to standard output or a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nettop.ending import Stopped
from nettop.errors import EXIT_OK, NettopError
from nettop.export.formats import MANY_TICKS, Format
from nettop.export.snapshot import RowFeed, Ticks, default_path, write_tick
from nettop.model.types import Model
from nettop.options import Options
from nettop.text.clean import clean
from nettop.text.columns import DEFAULT_WIDTH
from nettop.text.table import TableStyle

if TYPE_CHECKING:
    from nettop.query.compile import Filter

# A verdict must hold in two of three intervals; a shorter one than this makes no rates.
ONCE_INTERVALS = 3
SHORTEST_S = 0.11
SNAPSHOT_FOR_S = 2.0  # two intervals: verdicts need two
_ONE_OBJECT = (Format.JSON, Format.SVG)
_PLANE_OPTIONS = (("rx_method", "wait"), ("tx_sample", "stages"), ("path", "path"))


def run(feed: RowFeed, options: Options) -> int:
    """Polls, writes and returns the exit code.

    Raises:
        NettopError: in one line.
        BrokenPipeError: the reader of standard output went away.
    """
    if options.output in (None, "-"):
        out = standard_output()
        _run(feed, options, out.write, out.flush)
        out.flush()
    else:
        assert options.output is not None
        _run_to_file(feed, options, options.output)
    return EXIT_OK


def run_snapshot(feed: RowFeed, options: Options) -> int:
    """The snapshot subcommand: observes in steps of about a second, writes, shows the path."""
    from nettop.export.atomic import AtomicFile

    seconds = options.observe_s or SNAPSHOT_FOR_S
    steps = max(1, round(seconds))
    if options.output == "-":
        out = standard_output()
        model = observe(feed, seconds / steps, steps)
        write_tick(out.write, feed, model, Format.JSON, filter_text=options.whole_filter)
        out.flush()
        return EXIT_OK
    if options.output is None:
        model = observe(feed, seconds / steps, steps)
        target = str(default_path(model))
        form = Format.JSON
        with AtomicFile(target) as file:
            _write_one(file.write, feed, model, form, options)
    else:
        assert options.format is not None
        target = options.output
        with AtomicFile(target) as file:
            model = observe(feed, seconds / steps, steps)
            _write_one(file.write, feed, model, options.format, options)
    show_path(target)
    return EXIT_OK


def standard_output() -> BinaryIO:
    """Where bytes go, or NettopError when there is none."""
    if sys.stdout is None:
        raise NettopError("standard output is closed")
    return sys.stdout.buffer


def observe(feed: RowFeed, interval_s: float, intervals: int) -> Model:
    """The last tick of so many intervals; of 0 intervals the first tick, which has no rates."""
    pace = Pace(interval_s)
    model = feed.tick()
    for _ in range(intervals if feed.live else 0):
        pace.wait(feed)
        model = feed.tick()
    check_readable(model, feed)
    return model


def text_style(options: Options, *, to_file: bool = False) -> TableStyle:
    """Cut to the terminal's width; in a pipe or a file everything in full."""
    width = 0
    fits = False
    if not to_file:
        try:
            width = os.get_terminal_size(sys.stdout.fileno()).columns
            fits = True
        except (OSError, ValueError, AttributeError):
            pass  # no terminal: COLUMNS, or a width of our own
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given[:6]) > 0:
        width = int(given[:6])
    if width <= 0 or options.no_header:  # for a program the columns do not follow the terminal
        width, fits = DEFAULT_WIDTH, False
    return TableStyle(width, fits, options.ascii, options.columns, options.no_header)


def _run_to_file(feed: RowFeed, options: Options, target: str) -> None:
    from nettop.export.atomic import AtomicFile

    stopped: BaseException | None = None
    grows = _ticks(feed, options, options.format or Format.TEXT) != 1
    with AtomicFile(target, grows=grows) as file:
        try:
            _run(feed, options, file.write, file.mark)
        except (KeyboardInterrupt, Stopped) as signal:
            # The ticks that are complete are worth a file; a part of one is not.
            if not file.keep():
                raise
            stopped = signal
    show_path(target)
    if stopped is not None:
        raise stopped


def _run(
    feed: RowFeed, options: Options, write: Callable[[bytes], object], done: Callable[[], object]
) -> None:
    form = options.format or Format.TEXT
    style = text_style(options, to_file=options.output not in (None, "-"))
    most = _ticks(feed, options, form)
    if most == 1:
        parts = once_intervals(options.delay_s)
        model = observe(feed, options.delay_s / parts, parts if options.delay_given else 0)
        warn(model, options, feed)
        ticks = Ticks(write, form, style)
        _add_tick(ticks, feed, model, options)
        ticks.end()
        done()
        return
    ticks = Ticks(write, form, style)
    pace = Pace(options.delay_s)
    number = 0
    try:
        while True:
            model = pace.tick(feed)
            check_readable(model, feed)
            if number == 0:
                warn(model, options, feed)
            elif form is Format.TEXT and not options.no_header:
                write(b"\n")
            _add_tick(ticks, feed, model, options)
            if ticks.whole:
                done()
            number += 1
            if most is not None and number >= most:
                break
            pace.wait(feed)
    except (KeyboardInterrupt, Stopped):
        if not ticks.whole and number:
            ticks.end()
            done()
        raise
    ticks.end()
    done()


def once_intervals(seconds: float) -> int:
    """How many intervals one tick with -d is observed for."""
    return min(ONCE_INTERVALS, max(1, int(seconds / SHORTEST_S)))


def _ticks(feed: RowFeed, options: Options, form: Format) -> int | None:
    """How many ticks are written; None: until a signal."""
    if options.once or form in _ONE_OBJECT or not feed.live:
        return 1
    if options.iterations is not None:
        return options.iterations
    if form in MANY_TICKS or options.batch:
        return None
    return 1


def _write_one(
    write: Callable[[bytes], object], feed: RowFeed, model: Model, form: Format, options: Options
) -> None:
    style = text_style(options, to_file=True)
    warn(model, options, feed)
    ticks = Ticks(write, form, style)
    _add_tick(ticks, feed, model, options)
    ticks.end()


def _add_tick(ticks: Ticks, feed: RowFeed, model: Model, options: Options) -> None:
    text = options.whole_filter if feed.live else getattr(feed, "filter_text", None)
    ticks.add(feed, model, filter_text=text, file=feed.title)


class Pace:
    """Ticks on absolute deadlines, one interval apart from the end of the first poll on.

    The first takes longer than others, since all of /proc is read for it: counted from its
    beginning, the first interval would be a short one.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._deadline: float | None = None
        self.missed = 0  # deadlines that passed while the last tick was polled and written

    def tick(self, feed: RowFeed) -> Model:
        """Polls; the time of the first is what the others are counted from."""
        model = feed.tick(self.missed)
        if self._deadline is None:
            self._deadline = time.monotonic()
        return model

    @property
    def next_s(self) -> float:
        """When the next tick is due, on the monotonic clock."""
        return (time.monotonic() if self._deadline is None else self._deadline) + self._interval_s

    def wait(self, feed: RowFeed) -> None:
        """Until the next tick is due, which is in the future."""
        now = time.monotonic()
        deadline = now if self._deadline is None else self._deadline
        self.missed = max(0, int((now - deadline) / self._interval_s))
        self._deadline = deadline + self._interval_s * (1 + self.missed)
        _sleep_until(self._deadline, feed)


def _sleep_until(deadline: float, feed: RowFeed) -> None:
    """Sleeps until a moment of the monotonic clock; lets the feed do its housekeeping."""
    while (left := deadline - time.monotonic()) > 0:
        pause = feed.between_s
        time.sleep(min(left, pause))
        if left > pause:
            feed.between()


def check_readable(model: Model, feed: RowFeed) -> None:
    """
    Raises:
        NettopError: no socket can be read.
    """
    diag = model.source("diag")
    if feed.live and diag is not None and diag.state == "off":
        fix = f": {diag.fix}" if diag.fix else ""
        raise NettopError(f"cannot read sockets: {diag.reason}{fix}")


def warn(model: Model, options: Options, feed: RowFeed) -> None:
    """Warns of an option or a filter that was given while its plane is off."""
    if feed.live and options.no_header and not model.intervals:
        say("verdicts of one poll: most must hold in two intervals: add -d SECS")
    for name, plane in _PLANE_OPTIONS if feed.live else ():
        status = model.source(plane)
        if getattr(options, name) and status is not None and status.state == "off":
            option = "--" + name.replace("_", "-")
            say(f"{option} has no effect: {plane} is off: {status.reason}")
    text = options.whole_filter
    if not text:
        return
    from nettop.query.compile import compile_filter, planes_off

    compiled = compile_filter(text, feed.names)
    if not feed.live:
        note_words(compiled)
    for plane, reason in planes_off(compiled, model).items() if compiled else ():
        say(f"what the filter asks of {plane} is never true: {plane} is off: {reason}")


def note_words(compiled: Filter | None) -> None:
    """Says of plain words that they may have been meant for a field."""
    if compiled is None:
        return
    from nettop.query.plain import mistyped

    for text in mistyped(compiled.words):
        say(text)


def say(text: str) -> None:
    """A line beside what is written."""
    if sys.stderr is not None:
        sys.stderr.write(f"nettop: {clean(text)}\n")


def show_path(target: str) -> None:
    """Where a file was written, on standard output."""
    if sys.stdout is not None:
        sys.stdout.write(f"{clean(str(Path(target).absolute()))}\n")
        sys.stdout.flush()
