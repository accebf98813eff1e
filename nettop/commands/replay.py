"""nettop replay: a recording through the same engine, in every format that live ticks have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nettop import headless
from nettop.commands.record import say
from nettop.errors import EXIT_OK
from nettop.export.formats import Format
from nettop.export.snapshot import Ticks
from nettop.feed import Sort
from nettop.options import Options
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from nettop.store.source import FrameInfo
from nettop.stretches import nearest, ticks_between
from nettop.warm import start_of

_ONE_OBJECT = (Format.JSON, Format.SVG)


def run(options: Options) -> int:
    """
    Raises:
        NettopError: in one line.
        BrokenPipeError: the reader of standard output went away.
    """
    assert options.file is not None
    recording = Recording(options.file)
    try:
        return _run(recording, options)
    finally:
        recording.close()


def _run(recording: Recording, options: Options) -> int:
    frames = recording.frames()
    form = options.format or Format.TEXT
    one = options.once or form in _ONE_OBJECT or options.at is not None or not options.ticks
    first, last = stretch(frames, options, one=one)
    style = headless.text_style(options, to_file=options.output not in (None, "-"))
    feed = _feed(recording, frames, first, last, options)

    def write_all(write: Callable[[bytes], object], done: Callable[[], object]) -> None:
        ticks = Ticks(write, form, style)
        shown = 0
        for frame in _from(frames, first, last):
            model = feed.tick()
            if frame.seq < first.seq:
                continue
            if shown and form is Format.TEXT and not options.no_header:
                write(b"\n")
            ticks.add(feed, model, filter_text=options.whole_filter, file=feed.title)
            if ticks.whole:
                done()
            shown += 1
        ticks.end()
        done()

    if options.output in (None, "-"):
        out = headless.standard_output()
        write_all(out.write, out.flush)
        return EXIT_OK
    from nettop.export.atomic import AtomicFile

    assert options.output is not None
    with AtomicFile(options.output) as file:
        write_all(file.write, file.mark)
    headless.show_path(options.output)
    return EXIT_OK


def _feed(
    recording: Recording, frames: Sequence[FrameInfo], first: FrameInfo, last: FrameInfo,
    options: Options,
) -> ReplayFeed:  # fmt: skip
    from nettop.query import FilterError

    start = start_of(frames, first)
    sort = Sort(options.sort.field, options.sort.descending)
    try:
        return ReplayFeed(
            recording.samples(start.seq, last.seq), title=recording.path.name,
            filter_text=options.whole_filter, sort=sort,
        )  # fmt: skip
    except FilterError as error:
        raise error.with_caret() from error


def _from(frames: Sequence[FrameInfo], first: FrameInfo, last: FrameInfo) -> Sequence[FrameInfo]:
    start = start_of(frames, first)
    return [f for f in frames if start.seq <= f.seq <= last.seq]


def stretch(
    frames: Sequence[FrameInfo], options: Options, *, one: bool
) -> tuple[FrameInfo, FrameInfo]:
    """The first and the last tick that are shown."""
    if options.at is not None:
        at_ns = options.at.wall_ns(frames[-1].wall_ns)
        at = nearest(frames, at_ns, f"--at {options.at.text}", say)
        return at, at
    first, last = ticks_between(frames, options.since, options.until, say)
    return (last, last) if one else (first, last)
