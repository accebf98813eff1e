"""nettop replay: a recording through the same engine, in every format that live ticks have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nettop import headless
from nettop.commands.record import say
from nettop.errors import EXIT_OK
from nettop.export.snapshot import write_header, write_tick
from nettop.feed import Sort
from nettop.options import Format, Options
from nettop.past import start_of
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from nettop.store.source import FrameInfo
from nettop.text import units
from nettop.times import check_order, local_text

_ONE_OBJECT = (Format.JSON, Format.SVG)
_FAR_NS = 2 * 10**9


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
        write_header(write, form, style)
        shown = 0
        for frame in _from(frames, first, last):
            model = feed.tick()
            if frame.seq < first.seq:
                continue
            if shown and form is Format.TEXT:
                write(b"\n")
            write_tick(
                write, feed, model, form, style=style, filter_text=options.whole_filter,
                file=feed.title,
            )  # fmt: skip
            done()
            shown += 1

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
    end_ns = frames[-1].wall_ns
    if options.at is not None:
        at = _nearest(frames, options.at.wall_ns(end_ns), f"--at {options.at.text}")
        return at, at
    check_order(options.since, options.until, end_ns)
    first, last = frames[0], frames[-1]
    if options.since is not None:
        at_ns = options.since.wall_ns(end_ns)
        # What follows the last tick before it: a clock that was set back had these times twice.
        begin = max((i + 1 for i, f in enumerate(frames) if f.wall_ns < at_ns), default=0)
        later = frames[begin:]
        first = later[0] if later else _nearest(frames, at_ns, f"--from {options.since.text}")
    if options.until is not None:
        at_ns = options.until.wall_ns(end_ns)
        earlier = [f for f in frames if f.wall_ns <= at_ns]
        last = earlier[-1] if earlier else _nearest(frames, at_ns, f"--to {options.until.text}")
    if last.seq < first.seq:
        last = first
    return (last, last) if one else (first, last)


def _nearest(frames: Sequence[FrameInfo], at_ns: int, what: str) -> FrameInfo:
    """The tick nearest to a time; how far it is is said where it is not near."""
    found = min(frames, key=lambda f: abs(f.wall_ns - at_ns))
    apart_ns = found.wall_ns - at_ns
    if abs(apart_ns) > _FAR_NS:
        side = "later" if apart_ns > 0 else "earlier"
        say(
            f"{what}: no tick of that time; the nearest is of {local_text(found.wall_ns)}, "
            f"{units.time(abs(apart_ns))} {side}"
        )
    return found
