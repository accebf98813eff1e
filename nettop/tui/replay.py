"""A recording on the screen."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from nettop.feed import Sort
from nettop.past import PastFeed
from nettop.query import FilterError
from nettop.store.readable import ReadableFrames
from nettop.store.recording import Recording
from nettop.store.saidticks import SaidTicks
from nettop.stretches import nearest, ticks_between
from nettop.tui.app import ScreenOptions, run_app
from nettop.tui.timeline import NEWEST, Kept, standing

if TYPE_CHECKING:
    from nettop.options import Options


def run_replay(options: Options, screen: ScreenOptions, *, at_end: bool) -> int:
    """Shows it from its beginning on, or stands at its end or at --at; returns the exit code.

    Raises:
        NettopError: in one line, when it cannot be read; UsageError for a wrong filter.
    """
    assert options.file is not None
    with (
        closing(Recording(options.file)) as recording,
        closing(SaidTicks(recording.path)) as ticks,
    ):
        frames = recording.frames()
        said: list[str] = []
        first, last = ticks_between(frames, options.since, options.until, said.append)
        begin = last if at_end else first
        if options.at is not None:
            at_ns = options.at.wall_ns(frames[-1].wall_ns)
            begin = nearest(frames, at_ns, f"--at {options.at.text}", said.append)
        source = ReadableFrames(recording)

        def make(seq: int) -> PastFeed:
            return PastFeed(
                source, seq=seq, title=recording.path.name, filter_text=options.whole_filter,
                sort=Sort(options.sort.field, options.sort.descending),
            )  # fmt: skip

        try:
            feed, damage = standing(source, begin.seq, make, back=at_end)
        except FilterError as error:
            raise error.with_caret() from error
        kept = Kept(
            source,
            ticks if ticks.there else None,
            # One that is being recorded goes on.
            within=(first.seq, NEWEST if options.until is None else last.seq),
            plays=not at_end and options.at is None,
            message="; ".join([*said, damage] if damage else said),
        )
        return run_app(feed, screen, kept)
