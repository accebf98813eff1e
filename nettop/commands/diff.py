"""nettop diff: two snapshots or stretches of recordings, and what got worse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nettop.commands.record import say
from nettop.compare import out
from nettop.compare.gather import ACTIVE, Gatherer
from nettop.compare.options import DiffOptions, HowOptions, LiveDiffOptions
from nettop.compare.outcome import outcome_of
from nettop.compare.tally import MOST_BLOCKS, Side
from nettop.compare.verdict import compare
from nettop.errors import EXIT_NOT_KNOWN, EXIT_USAGE, NettopError, UsageError, unanswered
from nettop.headless import standard_output
from nettop.hosts.feed import HostsFeed, HostTick
from nettop.hosts.follow import silence, wait_for_looks
from nettop.model.types import Model
from nettop.query import FilterError, compile_filter
from nettop.query.compile import Filter
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording, is_recording
from nettop.stretches import Stretch
from nettop.warm import start_of


def run(options: DiffOptions) -> int:
    """Compares, writes, and returns the exit code.

    Raises:
        NettopError: in one line; its exit code is 2, as 1 says that something got worse.
        BrokenPipeError: the reader of standard output went away.
    """
    with _own_exit_code():
        return _written(side_of(options.a, options), side_of(options.b, options), options)


def run_hosts(feed: HostsFeed, options: LiveDiffOptions) -> int:
    """The same of two hosts, which are looked at now.

    Raises:
        NettopError: likewise; its exit code is 3 where a host could not be looked at.
        BrokenPipeError: likewise.
    """
    with _own_exit_code(), unanswered():
        a, b = sides_of_hosts(feed, options)
    with _own_exit_code():
        return _written(a, b, options)


@contextmanager
def _own_exit_code() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except FilterError as error:  # a name that the file lacks
        raise error.with_caret() from error
    except NettopError as error:
        if error.exit_code != EXIT_NOT_KNOWN:
            error.exit_code = EXIT_USAGE
        raise
    except OSError as error:
        failed = NettopError(f"cannot write the comparison: {error.strerror or error}")
        failed.exit_code = EXIT_USAGE
        raise failed from error


def _written(a: Side, b: Side, options: HowOptions) -> int:
    found = compare(a, b)
    outcome = outcome_of(found, options.fails)
    target = standard_output()
    write = out.json_text if options.as_json else out.text
    target.write(write(found, outcome, options).encode())
    target.flush()
    return outcome.exit_code


def side_of(stretch: Stretch, options: DiffOptions) -> Side:
    """
    Raises:
        NettopError: in one line, when the file cannot be read.
    """
    if is_recording(stretch.file):
        return _of_recording(stretch, options)
    if not stretch.whole:
        raise UsageError(f"{stretch.text}: a snapshot is one moment, so that it takes no @TIME")
    return _of_snapshot(stretch, options)


def _of_recording(stretch: Stretch, options: DiffOptions) -> Side:
    recording = Recording(stretch.file)
    try:
        frames = recording.frames()
        first, last = stretch.ticks(frames, say)
        start = start_of(frames, first)
        feed = ReplayFeed(
            recording.samples(start.seq, last.seq), title=recording.path.name,
            filter_text=options.filter_text,
        )  # fmt: skip
        inside = [f for f in frames if start.seq <= f.seq <= last.seq]
        counted = sum(1 for f in inside if f.seq >= first.seq)
        side = Side(
            stretch.text, str(recording.path.resolve()), recording.about.get("host", ""),
            first.wall_ns, last.wall_ns, counted, 0.0,
        )  # fmt: skip
        gatherer = Gatherer(side, options.grouping, whole=options.filter_text is None)
        each = -(-counted // MOST_BLOCKS)
        model: Model | None = None
        for at, frame in enumerate(inside):
            model = feed.tick()
            if frame.seq >= first.seq:
                block = (at - (len(inside) - counted)) // each
                gatherer.take(model, feed.rows_all(with_detail=False), feed, block)
                if frame is first:  # all that there are have been listed: idle ones cost time
                    feed.set_filter(_active(options.filter_text))
            elif at + 1 < len(inside) and inside[at + 1].seq >= first.seq:
                gatherer.baseline(feed.rows_all(with_detail=False))
        assert model is not None
        _note_absent(side, model)
        return gatherer.finish()
    finally:
        recording.close()


class _HostLook:
    """What one host is asked for."""

    def __init__(self, name: str, options: LiveDiffOptions) -> None:
        self.side = Side(name, "", "", 0, 0, 0, 0.0)
        whole = options.filter_text is None
        self.gatherer = Gatherer(self.side, options.grouping, whole=whole)
        self._for_s = options.for_s
        self._each = -(-round(options.for_s / options.poll.delay_s) // MOST_BLOCKS)
        self.model: Model | None = None

    def take(self, tick: HostTick) -> bool:
        """Returns whether that was all."""
        model, side = tick.model, self.side
        if self.model is None:  # what comes before it is not counted
            side.host, side.from_ns = model.host, model.wall_ns
        block = max(0, side.ticks) // self._each
        self.gatherer.take(model, tick.feed.rows_all(with_detail=False), tick.feed, block)
        self.model = model
        if model.interval_s is not None:
            side.ticks += 1
            side.to_ns = model.wall_ns
        return side.seconds >= self._for_s - 0.5 * (model.interval_s or 0.0)


def sides_of_hosts(feed: HostsFeed, options: LiveDiffOptions) -> tuple[Side, Side]:
    """
    Raises:
        NettopError: one of them has not answered, or not for two intervals.
    """
    looks = [_HostLook(host.name, options) for host in feed.hosts()]
    states = wait_for_looks(feed, lambda tick: looks[tick.place].take(tick), for_s=options.for_s)
    for state, look in zip(states, looks, strict=True):
        if look.model is None or not look.side.ticks:
            why = state.reason or silence(0)
            raise NettopError(f"{state.name}: nothing to compare: {why}")
        _note_absent(look.side, look.model)
        if look.side.seconds < options.for_s * 0.9:
            say(f"{state.name}: {look.side.seconds:.0f} s of {options.for_s:g} s: "
                f"{state.reason or silence(look.side.ticks)}")  # fmt: skip
    a, b = (look.gatherer.finish() for look in looks)
    return a, b


def _active(text: str | None) -> Filter | None:
    return compile_filter(f"({text}) and ({ACTIVE})" if text else ACTIVE)


def _of_snapshot(stretch: Stretch, options: DiffOptions) -> Side:
    from nettop.export.load import load_snapshot
    from nettop.filefeed import FileFeed

    snapshot = load_snapshot(stretch.file)
    feed = FileFeed(snapshot)
    model = feed.tick()
    chosen = snapshot.filter_text is not None or model.chosen
    if options.filter_text is not None:
        feed.set_filter(compile_filter(options.filter_text, feed.names))
        model = feed.tick()
        chosen = True
    side = Side(
        stretch.text, stretch.file, model.host, model.wall_ns, model.wall_ns, 1, 0.0
    )  # fmt: skip
    gatherer = Gatherer(side, options.grouping, whole=not chosen)
    gatherer.snapshot(model, feed.rows_all(), feed)
    if model.interval_s is None:
        side.absent["all"] = "a snapshot of one poll alone has no rates: nettop snapshot --for 5"
    _note_absent(side, model)
    return gatherer.finish()


def _note_absent(side: Side, model: Model) -> None:
    """Why what a plane gives is missing."""
    for plane, name in (("wait", "rxwait"), ("stages", "stages")):
        source = model.source(plane)
        if source is not None and source.state == "off":
            side.absent[name] = source.reason or "off"
