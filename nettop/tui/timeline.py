"""Which tick is on the screen: the newest of a live feed, or one of those that are kept."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from nettop.changes import MOST_A_TICK, Changed
from nettop.errors import NettopError
from nettop.feed import Feed, OfHosts, Sort
from nettop.query import compile_filter
from nettop.store.readable import Abandoned, Damaged, ReadableFrames
from nettop.store.source import FrameInfo
from nettop.stretches import nearest
from nettop.text.columns import endpoint
from nettop.text.events import closed_why
from nettop.text.moments import clock_text
from nettop.text.words import owner_text, who_text, why_text
from nettop.times import local_text

if TYPE_CHECKING:
    from nettop.hosts.lookback import HostsLookBack
    from nettop.hosts.past import HostsFrames, HostsPast
    from nettop.past import PastFeed
    from nettop.tui.widgets.strip import Spot

    Frames = ReadableFrames | HostsFrames
    Past = PastFeed | HostsPast  # a feed that goes to any of their ticks

SEARCH_S = 5.0
NEWEST = 2**62  # a seq: of the last tick
_CHANGES = 16  # that may be asked for while one is looked for
StandsT = TypeVar("StandsT")
_TRIES = 16  # ticks that cannot be read, one after the other
_NAMED = 2  # hosts that came or went in one tick


class Chosen(Struct, frozen=True):
    """What the user chose of the sockets; in force in every feed that is shown."""

    filter_text: str | None = None  # the whole of it
    sort: Sort = field(default_factory=Sort)


class Changing(Protocol):
    """Finds ticks in which something changed; a nettop.changes.Changes is one."""

    def before(self, seq: int) -> Iterator[Changed]: ...

    def after(self, seq: int) -> Iterator[Changed]: ...


class Said(Protocol):
    """What is known of ticks without reading them."""

    @property
    def changes(self) -> Changing: ...

    def summaries(self) -> Sequence[Spot]: ...


class Kept(Struct, frozen=True):
    """The ticks that the screen can go to."""

    source: Frames
    said: Said | None = None
    within: tuple[int, int] = (0, NEWEST)  # first and last seq
    plays: bool = False  # from the start
    message: str = ""  # what the user must know of where it begins
    newest: bool = True  # the last of them is what a live feed shows; else that is newer


class Move(Struct, frozen=True):
    """A way through the ticks that was asked for."""

    seq: int
    back: bool  # where the tick cannot be read, one before it is taken, else one after
    change: bool = False  # from there to the nearest tick in which a matched socket changed
    of: int | None = None  # or that socket alone


class Arrival(Struct):
    """What a move came to: a feed that stands at the tick, or (None) why there is none."""

    run: int
    feed: Past | None
    chosen: Chosen
    message: str = ""
    error: Exception | None = None  # that nothing foresaw: the screen ends with it


class _GivenUp(Exception):
    """Another move is wanted by now."""


class Timeline:
    """Moves are made by a thread of their own, with a second feed: the one that is shown stands
    still and answers until the other is there."""

    def __init__(
        self,
        base: Feed,
        arrived: Callable[[Arrival], None],
        *,
        chosen: Chosen,
        kept: Kept | None = None,
        filled: Callable[[], None] | None = None,
    ) -> None:
        """
        Args:
            base: what the screen begins with; of a recording a PastFeed.
            arrived: called by the thread.
            chosen: what is in force in base.
            kept: the ticks of a recording; None: those that a live feed keeps, or none.
            filled: called by a thread when there is more to show of a tick of the past.
        """
        self.base: Feed = base
        self.feed: Feed = base  # what is shown now
        self.chosen = chosen
        self._kept = kept
        self._focus: tuple[int, ...] = ()
        self._spots: Sequence[Spot] | None = None
        self._arrived, self._filled = arrived, filled
        self._spare: Past | None = None
        # What is in force in each of them.
        self._base_chosen = self._feed_chosen = self._spare_chosen = chosen
        self._asked: deque[Move] = deque()
        self._moving: Move | None = None
        self._wanted: Move | None = None  # the one that was asked for last
        self._run = 0  # moves that were asked for before `live` came are of an earlier one
        self._wake = threading.Condition()
        self._given: tuple[int, Move, Past | None, Chosen, Chosen] | None = None
        self._thread: threading.Thread | None = None

    # --- where it stands ---

    @property
    def away(self) -> bool:
        """Whether a tick of the past is shown, not the newest of a live feed."""
        return not self.base.live or self.feed is not self.base

    @property
    def moving(self) -> bool:
        return self._moving is not None

    @property
    def kept(self) -> Kept | None:
        """The ticks that can be shown; None: there are none, or not yet."""
        if self._kept is None:
            past: Any = getattr(self.base, "past", None)
            if past is not None:
                self._kept = (
                    _kept_of_hosts(past)
                    if isinstance(self.base, OfHosts)
                    else Kept(ReadableFrames(past), past)
                )
        return self._kept

    @property
    def source(self) -> Frames | None:
        """Their frames."""
        kept = self.kept
        return kept.source if kept is not None else None

    def frames(self) -> list[FrameInfo]:
        """The ticks that can be shown, oldest first."""
        if self.kept is None or self.source is None:
            return []
        first, last = self.kept.within
        frames = self.source.frames()
        if frames and first <= frames[0].seq and frames[-1].seq <= last:
            return frames
        begin = bisect_left(frames, first, key=lambda f: f.seq)
        return frames[begin : bisect_right(frames, last, key=lambda f: f.seq)]

    @property
    def current(self) -> FrameInfo | None:
        """The tick of the past that is shown; None: the newest of a live feed, or a snapshot."""
        return getattr(self.feed, "current", None) if self.away else None

    def _from(self) -> int | None:
        """The seq that the next step begins at."""
        if self._asked:
            return self._asked[-1].seq
        if self._moving is not None and not self._moving.change:
            return self._moving.seq
        return self.current.seq if self.current is not None else None

    # --- moves; all are of the screen's thread ---

    def step(self, n: int) -> str:
        """n ticks forward, or (negative) back.

        Returns what the user must know; empty: the move is under way. Past the newest tick of a
        live feed it is live again.
        """
        frames = self.fresh()
        if not frames:
            return self.nothing()
        at = self._from()
        place = len(frames) - (1 if self.kept is not None and self.kept.newest else 0)
        if at is not None:
            place = bisect_right(frames, at, key=lambda f: f.seq) - 1
        wanted = place + n
        if wanted >= len(frames):
            if self.base.live:
                self.live()
                return "this is the newest tick"
            if place == len(frames) - 1:
                return f"the end: the newest tick is of {self._text(frames[-1])}"
        if wanted < 0 and place == 0:
            return self.reach(frames)
        target = frames[min(max(0, wanted), len(frames) - 1)]
        self._ask(Move(target.seq, back=n < 0))
        return ""

    def seek(self, wall_ns: int, written: str) -> str:
        """To the tick nearest to a time, which the user wrote so; returns what he must know."""
        frames = self.fresh()
        if not frames:
            return self.nothing()
        said: list[str] = []
        target = nearest(frames, wall_ns, written, said.append)
        self._ask(Move(target.seq, back=False))
        if not said or (target is frames[-1] and self.base.live):
            return ""
        return self.reach(frames) if target is frames[0] else said[0]

    def to(self, seq: int, *, back: bool) -> None:
        self._ask(Move(seq, back))

    def live(self) -> str:
        """The newest tick: of a live feed as it comes, of a recording its last."""
        if not self.base.live:
            if self.kept is None:
                return self.nothing()
            self._ask(Move(NEWEST, back=True))
            return ""
        self._run += 1
        self._asked.clear()
        self._moving = self._wanted = None
        if self.feed is not self.base:
            self.feed = self.base
            self._use(self.base, self._base_chosen)
            self._base_chosen = self.chosen
        self._spare = None
        return ""

    def reach(self, frames: list[FrameInfo]) -> str:
        """How far back what is kept reaches."""
        first = self._text(frames[0])
        if self.base.live:
            return f"nothing older is kept: the first tick is of {first}"
        return f"the beginning: the first tick is of {first}"

    def _text(self, frame: FrameInfo) -> str:
        return clock_text(frame.wall_ns) if self.base.live else local_text(frame.wall_ns)

    def nothing(self) -> str:
        if not self.base.live:
            return "a snapshot is one tick: nothing comes before or after it"
        return "no tick is kept to look back on"

    def change(self, *, back: bool, of: int | None = None) -> str:
        """To the nearest tick in which a verdict of a matched socket, or of that one alone, began
        or ended, or an event of it happened; returns what the user must know."""
        frames = self.fresh()
        if not frames:
            return self.nothing()
        if self.kept is None or self.kept.said is None:
            return "this recording does not say in which ticks something changed"
        self._ask(Move(frames[-1].seq + 1, back, change=True, of=of))
        return ""

    def spots(self) -> Sequence[Spot]:
        """What is known of the ticks, oldest first."""
        if self.kept is None or self.kept.said is None:
            return ()
        if self.base.live or self._spots is None:
            self._spots = self.kept.said.summaries()
        return self._spots

    def fresh(self) -> list[FrameInfo]:
        """With those that a live feed has added; of a recording `live` looks for them."""
        if self.source is not None and self.base.live:
            self.source.refresh()
        return self.frames()

    # --- filter and sort ---

    def choose(self, chosen: Chosen) -> None:
        """Puts a filter and an order in force in the feed that is shown.

        Raises:
            FilterError: the filter is wrong.
        """
        before, self.chosen = self.chosen, chosen
        try:
            self._use(self.feed, before)
        except BaseException:
            self.chosen = before
            raise
        self._feed_chosen = chosen
        if self.feed is self.base:
            self._base_chosen = chosen

    def set_focus(self, cookies: Sequence[int]) -> None:
        """The sockets whose histories are shown, in every feed."""
        self._focus = tuple(cookies)
        self.feed.set_focus(cookies)

    def _use(self, feed: Feed, before: Chosen) -> None:
        chosen = self.chosen
        if chosen.filter_text != before.filter_text:
            text = chosen.filter_text
            feed.set_filter(compile_filter(text, feed.names) if text else None)
        if chosen.sort != before.sort:
            feed.set_sort(chosen.sort)

    @contextmanager
    def exporting(self) -> Iterator[Feed]:
        """The tick that is shown, by a feed that no other thread moves; for any thread.

        Raises:
            NettopError: it is kept no more.
        """
        current, chosen = self.current, self.chosen
        if current is None or self.source is None:
            yield self.feed
            return
        # Not beside the one that is shown: it puts another filter in force while it writes.
        feed = _opened(
            self.source, seq=current.seq, title=self.base.title,
            filter_text=chosen.filter_text, sort=chosen.sort,
        )  # fmt: skip
        with closing(feed):
            if feed.current != current:
                raise NettopError(f"the tick of {self._text(current)} is kept no more")
            yield feed

    def _past_feed(self) -> Past | None:
        """One that is open, so that another need not read what it has read."""
        return self.feed if self.away else None  # type: ignore[return-value]

    # --- the thread ---

    def _ask(self, move: Move) -> None:
        """The last of several wins while one is under way; changes are counted."""
        if not (move.change and len(self._asked) < _CHANGES and self._last_is_change()):
            self._asked.clear()
        self._asked.append(move)
        self._wanted = move
        self._next()

    def _last_is_change(self) -> bool:
        last = self._asked[-1] if self._asked else self._moving
        return last is not None and last.change

    def _next(self) -> None:
        if self._moving is not None or not self._asked:
            return
        move = self._asked.popleft()
        if move.change and self.current is not None:
            move = replace(move, seq=self.current.seq)
        self._moving = move
        spare, self._spare = self._spare, None
        with self._wake:
            self._given = (self._run, self._moving, spare, self._spare_chosen, self.chosen)
            self._wake.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="nettop-past", daemon=True)
            self._thread.start()

    def stale(self, arrival: Arrival) -> bool:
        """It was asked for before the screen went live again."""
        return arrival.run != self._run

    def take(self, arrival: Arrival) -> bool:
        """A move has ended; True: another tick is shown now."""
        if self.stale(arrival):
            return False
        self._moving = None
        if arrival.feed is not None:
            if self.away and self.feed is not arrival.feed:
                self._spare, self._spare_chosen = self.feed, self._feed_chosen  # type: ignore[assignment]
            self.feed = arrival.feed
            with suppress(NettopError):  # it was in force before
                self._use(self.feed, arrival.chosen)
            self._feed_chosen = self.chosen
        self._next()
        return arrival.feed is not None

    def close(self) -> None:
        """Ends what is under way; it is not waited for."""
        if self.source is not None:
            self.source.abandon()

    def _work(self) -> None:
        while True:
            with self._wake:
                while self._given is None:
                    self._wake.wait()
                run, move, spare, has, chosen = self._given
                self._given = None
            try:
                feed, message = self._moved(move, spare, has, chosen)
                self._arrived(Arrival(run, feed, chosen, message))
            except Abandoned:
                return
            except _GivenUp:
                self._arrived(Arrival(run, None, chosen))
            except (NettopError, EOFError) as error:
                self._arrived(Arrival(run, None, chosen, str(error) or "that tick is gone"))
            except Exception as error:
                self._arrived(Arrival(run, None, chosen, error=error))

    def _moved(
        self, move: Move, spare: Past | None, has: Chosen, chosen: Chosen
    ) -> tuple[Past, str]:
        """A feed that stands there, or at the nearest tick that can be read, and what to say."""
        source = self.source
        assert source is not None
        if move.seq == NEWEST:
            source.refresh()
            if self.kept is not None and self.kept.said is not None:
                self._spots = self.kept.said.summaries()
            frames = self.frames()
            move = replace(move, seq=frames[-1].seq if frames else 0)
        if spare is not None:
            spare.choose_next(chosen.filter_text, self._focus)
            if has.sort != chosen.sort:
                spare.set_sort(chosen.sort)

        def there(seq: int) -> Past:
            if spare is not None:
                spare.seek(seq)
                return spare
            feed = _opened(
                source, seq=seq, title=self.base.title, filter_text=chosen.filter_text,
                sort=chosen.sort, focus=self._focus, beside=self._past_feed(),
            )  # fmt: skip
            if self._filled is not None:
                feed.start(self._filled)
            return feed

        if move.change:
            return self._changed(move, chosen, there)
        return standing(source, move.seq, there, back=move.back)

    def _changed(
        self, move: Move, chosen: Chosen, there: Callable[[int], Past]
    ) -> tuple[Past, str]:
        """At the nearest tick in which a socket that passes the filter changed, or a host with such
        sockets was lost or came back.

        Raises:
            NettopError: there is none.
        """
        assert self.kept is not None
        assert self.kept.said is not None
        changes, source = self.kept.said.changes, self.kept.source
        first, last = self.kept.within
        found = changes.before(move.seq) if move.back else changes.after(move.seq)
        until = time.monotonic() + SEARCH_S
        seq = move.seq
        for tick in found:
            seq = tick.seq
            if not first <= seq <= last:
                break
            if move.of is not None and not tick.left_out and move.of not in tick.cookies:
                continue
            if move.of is not None or chosen.filter_text is None:
                here = tick if move.of is None else Changed(seq, tick.cookies & {move.of}, 0)
                return arrived_at(here, *standing(source, seq, there, back=move.back))
            # A verdict may have ended as the socket closed, or as it passed the filter no more.
            for at in (seq - 1, seq):
                feed, _ = standing(source, at, there, back=move.back)
                if tick.left_out or _concerns(tick, feed):
                    return arrived_at(tick, *standing(source, seq, there, back=move.back))
            if self._wanted is None or not self._wanted.change:
                raise _GivenUp
            if time.monotonic() > until:
                raise NettopError(
                    f"no change of a matched socket found in {SEARCH_S:g} s: go on from "
                    f"{self._at(seq)} with J"
                )
        side = "before" if move.back else "after"
        what = "a matched socket" if chosen.filter_text else "any socket"
        what = what if move.of is None else "this socket"
        raise NettopError(f"no change of {what} is kept {side} this tick")

    def _at(self, seq: int) -> str:
        return next((self._text(f) for f in self.frames() if f.seq == seq), "there")


def _kept_of_hosts(past: HostsLookBack) -> Kept:
    from nettop.hosts.past import HostsFrames

    return Kept(HostsFrames(past), past, newest=False)


def _opened(source: Frames, **options: Any) -> Past:
    """A feed that stands at one of its ticks; options are those of PastFeed."""
    if isinstance(source, ReadableFrames):
        from nettop.past import PastFeed

        return PastFeed(source, **options)
    from nettop.hosts.past import HostsPast

    return HostsPast(source, **options)


def standing(
    source: Frames, seq: int, there: Callable[[int], StandsT], *, back: bool
) -> tuple[StandsT, str]:
    """A feed at a tick, or at the nearest one that can be read, and what to say of that.

    Args:
        there: makes the feed stand at a seq.
        back: where the tick cannot be read, one before it is taken, else one after.

    Raises:
        NettopError: none can be read.
    """
    message = ""
    for _ in range(_TRIES):
        try:
            return there(seq), message
        except Damaged as error:
            near = _readable(source, seq, back)
            if near != seq:
                message = f"{error}; the nearest is shown"
            seq = near
        except EOFError:  # forgotten meanwhile
            source.refresh()
    raise NettopError(message or "these ticks are kept no more")


def _concerns(tick: Changed, feed: Past) -> bool:
    """A socket that passes the filter where the feed stands changed in that tick, or its host came
    or went."""
    if any(feed.position(cookie) is not None for cookie in tick.cookies):
        return True
    hosts = feed.latest().hosts if tick.hosts else ()  # type: ignore[union-attr]
    return any(
        host.name in tick.hosts and host.model is not None and host.model.totals.matched
        for host in hosts
    )


def arrived_at(tick: Changed, feed: Past, message: str) -> tuple[Past, str]:
    """With the hosts that came or went there, and the loudest of the sockets that changed; or how
    one ended."""
    if message:
        return feed, message
    parts = [f"{name}: {said}" for name, said in sorted(tick.hosts.items())]
    hosts = "; ".join(parts[:_NAMED]) + (
        f"; {len(parts) - _NAMED} more hosts" if len(parts) > _NAMED else ""
    )
    # Asked for by its cookie, one comes that passes no filter.
    closed = feed.closed((), most=MOST_A_TICK) if tick.cookies else []
    ended = [last for last in closed if last.event.cookie in tick.cookies]
    # One that ended after it was listed has a row in its last tick.
    left = tick.cookies.difference(last.event.cookie for last in ended)
    rows = [row for c in left if feed.position(c) is not None and (row := feed.find(c))]
    said = ""
    worst = max(rows, key=lambda row: (row.level, row.cookie), default=None)
    if ended and (worst is None or not worst.level):
        last = ended[0].event
        said = f"{last.owner or '–'} {last.local}: {closed_why(ended[0])}"
    elif worst is not None:
        verdict = " ".join(filter(None, (who_text(worst), why_text(worst)))) or "well"
        said = f"{owner_text(worst) or '–'} {endpoint(worst, local=True)}: {verdict}"
    if (others := len(rows) + len(ended) - 1) > 0:
        said += f"; {others} more changed"
    return feed, "; ".join(filter(None, (hosts, said)))


def _readable(source: Frames, seq: int, back: bool) -> int:
    """The tick nearest to one that cannot be read, on the side that the move goes to."""
    frames = source.frames()
    at = bisect_left(frames, seq, key=lambda f: f.seq)
    if not frames:
        raise NettopError("no tick of the recording can be read")
    if at < len(frames) and frames[at].seq == seq:
        return seq  # only what came before it is damaged
    if (back and at > 0) or at == len(frames):
        at -= 1
    return frames[at].seq
