"""A stretch of a recording as a user writes it, FILE@FROM..TO, and the ticks that it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from nettop.errors import NettopError, UsageError
from nettop.store.source import FrameInfo
from nettop.text import units
from nettop.times import Moment, check_order, local_text, moment

AROUND_NS = 30 * 10**9  # FILE@TIME: so much before and after
_FAR_NS = 2 * 10**9

Say = Callable[[str], object]


class Stretch(Struct, frozen=True):
    """What a user named; where it lies depends on the recording."""

    text: str  # as it was written
    file: str
    since: Moment | None = None
    until: Moment | None = None
    around: Moment | None = None

    @property
    def whole(self) -> bool:
        """No times are named: all of the file."""
        return self.since is None and self.until is None and self.around is None

    def ticks(self, frames: Sequence[FrameInfo], say: Say) -> tuple[FrameInfo, FrameInfo]:
        """The first and the last tick of it; say: where one of its times is not in the recording.

        Raises:
            UsageError: it ends before it begins.
            NettopError: the recording has no tick near it: what another time was like is no answer.
        """
        end_ns = frames[-1].wall_ns
        said: list[str] = []
        if self.around is None:
            first, last = ticks_between(frames, self.since, self.until, said.append, at=self.text)
            from_ns = self.since.wall_ns(end_ns) if self.since is not None else first.wall_ns
            to_ns = self.until.wall_ns(end_ns) if self.until is not None else last.wall_ns
        else:
            at_ns = self.around.wall_ns(end_ns)
            from_ns, to_ns = at_ns - AROUND_NS, at_ns + AROUND_NS
            inside = [f for f in frames if from_ns <= f.wall_ns <= to_ns]
            found = inside or [nearest(frames, at_ns, self.text, said.append)]
            first, last = found[0], found[-1]
        if said and (last.wall_ns < from_ns or first.wall_ns > to_ns):
            raise NettopError(said[0])
        for text in said:
            say(text)
        return first, last


def stretch_of(text: str) -> Stretch:
    """FILE, FILE@FROM..TO, FILE@FROM.., FILE@..TO or FILE@TIME; a file of just that name is it.

    Raises:
        UsageError: in one line.
    """
    file, at, times = text.rpartition("@")
    if not at or not file or Path(text).exists():
        return Stretch(text, text)
    first, dots, last = times.partition("..")
    try:
        if not dots:
            return Stretch(text, file, around=moment(times))
        return Stretch(text, file, moment(first) if first else None, moment(last) if last else None)
    except ValueError as error:
        raise UsageError(f"{text}: after @ it {error}, or two of them: FROM..TO") from None


def ticks_between(
    frames: Sequence[FrameInfo], since: Moment | None, until: Moment | None, say: Say,
    *, at: str | None = None,
) -> tuple[FrameInfo, FrameInfo]:  # fmt: skip
    """The first and the last tick between two moments, or where there is none the nearest.

    Args:
        frames: all of the recording.
        say: hears where a time is not in it.
        at: how the user wrote both; None: as --from and --to.

    Raises:
        UsageError: the second is the earlier one.
    """
    end_ns = frames[-1].wall_ns
    check_order(since, until, end_ns, at)
    first, last = frames[0], frames[-1]
    if since is not None:
        since_ns = since.wall_ns(end_ns)
        # What follows the last tick before it: a clock that was set back had these times twice.
        begin = max((i + 1 for i, f in enumerate(frames) if f.wall_ns < since_ns), default=0)
        first = frames[min(begin, len(frames) - 1)]
    if until is not None:
        until_ns = until.wall_ns(end_ns)
        last = next((f for f in reversed(frames) if f.wall_ns <= until_ns), frames[0])
    if since is not None and until is not None:
        named = at or f"--from {since.text} --to {until.text}"
        if first.seq > last.seq:  # a gap holds all of it
            earlier = abs(since_ns - last.wall_ns) < abs(first.wall_ns - until_ns)
            first = last = last if earlier else first
        if first == last and not since_ns <= first.wall_ns <= until_ns:
            edge_ns = since_ns if first.wall_ns < since_ns else until_ns
            _say_apart(first, edge_ns, frames, named, say)
            return first, last
    elif first.seq > last.seq:
        last = first
    if since is not None:
        _say_apart(first, since_ns, frames, at or f"--from {since.text}", say)
    if until is not None:
        _say_apart(last, until_ns, frames, at or f"--to {until.text}", say)
    return first, last


def nearest(frames: Sequence[FrameInfo], at_ns: int, what: str, say: Say) -> FrameInfo:
    """The tick nearest to a time; how far it is is said where it is not near."""
    found = min(frames, key=lambda f: abs(f.wall_ns - at_ns))
    _say_apart(found, at_ns, frames, what, say)
    return found


def _say_apart(
    found: FrameInfo, at_ns: int, frames: Sequence[FrameInfo], what: str, say: Say
) -> None:
    apart_ns = found.wall_ns - at_ns
    if abs(apart_ns) > max(_FAR_NS, _usual_ns(frames)):
        side = "later" if apart_ns > 0 else "earlier"
        say(
            f"{what}: no tick of that time; the nearest is of {local_text(found.wall_ns)}, "
            f"{units.time(abs(apart_ns))} {side}"
        )


def _usual_ns(frames: Sequence[FrameInfo]) -> int:
    """What lies between two ticks: the median of some at the end."""
    some = frames[-100:]
    apart = sorted(b.mono_ns - a.mono_ns for a, b in pairwise(some))
    return apart[len(apart) // 2] if apart else 0
