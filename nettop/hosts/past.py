"""Looking back on many hosts: a time of this host's clock, and each host's tick nearest before."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nettop.errors import NettopError
from nettop.feed import NotPolled, Sort
from nettop.hosts import merge
from nettop.hosts.lookback import HostsLookBack, HostThen
from nettop.hosts.memory import NO_TICK
from nettop.hosts.remote import by_names, with_host_totals
from nettop.hosts.rows import RowsOfAll
from nettop.model.cost import Cost
from nettop.model.hosts import SILENT, HostState
from nettop.model.types import HOST_COOKIES, Model
from nettop.past import PastFeed
from nettop.replay import ReplayFeed
from nettop.sample import Chosen, Sample
from nettop.store.readable import ReadableFrames
from nettop.store.source import FrameInfo
from nettop.warm import Cookies, Warm, WarmTicks

if TYPE_CHECKING:
    from nettop.query.compile import Filter
    from nettop.text.fields import Field

_TRIES = 8  # while ticks are forgotten
# At the ticks around those that are shown, of all hosts together: an engine takes 0.8 MB and 1 KB a
# socket.
_WARM_SOCKETS, _WARM_ENGINES = 100_000, 80


class HostsFrames:
    """The moments and the frames behind them; any thread may ask."""

    def __init__(self, past: HostsLookBack) -> None:
        self._past = past
        self.memories = [ReadableFrames(memory) for memory in past.memories]
        self._frames: list[FrameInfo] | None = None

    def names(self) -> list[str]:
        return [memory.name for memory in self._past.memories]

    def frames(self) -> list[FrameInfo]:
        """The moments, oldest first, as they were looked for last."""
        if self._frames is None:
            self._frames = self._past.frames()
        return self._frames

    def refresh(self) -> None:
        """Looks anew for moments that came or went."""
        self._past.settle()
        for memory in self.memories:
            memory.refresh()
        self._frames = None

    def abandon(self) -> None:
        """Ends what reads now, and whatever reads later."""
        for memory in self.memories:
            memory.abandon()

    def at(self, seq: int) -> list[HostThen] | None:
        """Each host at a moment; None: it is kept no more."""
        return self._past.at(seq)


class _HostWarm(Warm):
    """With what the host counted."""

    def take(self, sample: Sample) -> Model:
        self._model = with_host_totals(
            super().take(sample), self._deriver, self.filter_text, self._count
        )
        return self._model


class HostPast(PastFeed):
    """One host at a tick."""

    @property
    def chosen(self) -> Chosen | None:
        """Which of its sockets the tick has; None: all."""
        return self._deriver.facts.chosen

    def set_filter(self, compiled: Filter | None) -> None:
        with self._changing:
            super().set_filter(compiled)
            if self._model is not None:
                self._model = with_host_totals(
                    self._model, self._deriver, self.filter_text, self._count
                )

    def matching(self, compiled: Filter | None = None) -> list[int]:
        """With the names of the host, whatever the filter was compiled with."""
        return super().matching(by_names(compiled, self.names))

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        return super().values(field, by_names(compiled, self.names))


class HostsPast(NotPolled, RowsOfAll):
    """The moment that one stands at.

    One thread moves, one sets filter, order and focus, any asks. A host that had no tick then has
    a state that says so, and no rows.
    """

    live = False
    past = None
    current: FrameInfo

    def __init__(
        self,
        source: HostsFrames,
        *,
        seq: int | None = None,
        title: str | None = None,
        filter_text: str | None = None,
        sort: Sort | None = None,
        focus: Sequence[int] = (),
        beside: HostsPast | None = None,
    ) -> None:
        """As PastFeed."""
        super().__init__(source.names(), sort)
        self._source, self.title, self.filter_text = source, title, filter_text
        self._focus = tuple(focus)
        self._warm: list[WarmTicks] = beside._warm if beside is not None else _engines(source)
        self._feeds: list[HostPast | None] = [None] * len(self._names)
        self._then: list[HostThen] = []
        self._model: tuple[list[Model | None], Model] | None = None
        self._on_model: Callable[[], None] | None = None
        self._moving = threading.RLock()
        frames = source.frames()
        if not frames:
            raise NettopError("there is no tick to look back on yet")
        self.seek(frames[-1].seq if seq is None else seq)

    # --- moving ---

    def seek(self, seq: int) -> None:
        """Stands at a moment, or at the last before it; at the first where there is none before.

        Raises:
            EOFError: it is kept no more.
        """
        with self._moving:
            for _ in range(_TRIES):
                frames = self._source.frames()
                if not frames:
                    break
                moment = frames[max(0, bisect_right(frames, seq, key=lambda f: f.seq) - 1)]
                then = self._source.at(moment.seq)
                if then is not None and all(self._stands(i, h) for i, h in enumerate(then)):
                    self.current, self._model = moment, None
                    self._then = [self._readable(i, host) for i, host in enumerate(then)]
                    return
                self._source.refresh()  # it was forgotten meanwhile
            raise EOFError

    def _stands(self, place: int, host: HostThen) -> bool:
        """False: its tick is kept no more."""
        if host.tick is None:
            return True
        seq, focus = host.tick.seq, self._own(place, self._focus)
        feed = self._feeds[place]
        try:
            if feed is None:
                feed = HostPast(
                    self._source.memories[place], seq=seq, filter_text=self.filter_text,
                    sort=self._sort, focus=focus, ticks=self._warm[place],
                )  # fmt: skip
                self._feeds[place] = feed
                if self._on_model is not None:
                    feed.start(self._on_model)
            else:
                feed.choose_next(self.filter_text, focus)
                feed.seek(seq)
        except EOFError:
            return False
        except NettopError:  # it cannot be read, which _readable finds
            return True
        return feed.current.seq == seq

    def _readable(self, place: int, host: HostThen) -> HostThen:
        """The host, without a tick where that cannot be read."""
        feed = self._feeds[place]
        if host.tick is None or (feed is not None and feed.current.seq == host.tick.seq):
            return host
        why = f"{NO_TICK}: what it sent cannot be read any more"
        return HostThen(replace(host.state, state=SILENT, reason=why), None)

    @staticmethod
    def _own(place: int, cookies: Sequence[int]) -> list[int]:
        """Those of that host, as it calls them."""
        return [c % HOST_COOKIES for c in cookies if c // HOST_COOKIES == place + 1]

    def settle(self) -> None:
        """Waits until all is done that can wait."""
        for ticks in self._warm:
            ticks.settle()

    # --- a feed ---

    def start(self, on_model: Callable[[], None]) -> None:
        self._on_model = on_model
        for feed in filter(None, self._feeds):
            feed.start(on_model)

    def stop(self) -> None:
        for ticks in self._warm:
            ticks.end()
        for ticks in self._warm:
            ticks.stop()

    close = stop

    def _at(self, place: int) -> HostPast | None:
        return self._feeds[place] if self._then[place].tick is not None else None

    def hosts(self) -> list[HostState]:
        """Their states then, with the ticks of those that had one."""
        feeds = [self._at(place) for place in range(len(self._names))]
        return [
            replace(host.state, model=feed.latest()) if feed is not None else host.state
            for host, feed in zip(self._then, feeds, strict=True)
        ]

    def latest(self) -> Model:
        hosts = self.hosts()
        models = [host.model for host in hosts]
        known = self._model
        if known is None or any(a is not b for a, b in zip(known[0], models, strict=True)):
            at = self.current
            # What this nettop took then is not kept.
            model = merge.model_of(
                hosts, seq=at.seq, mono_ns=at.mono_ns, wall_ns=at.wall_ns, cost=Cost()
            )
            self._model = known = models, model
        return known[1]

    def _shift_ns(self, place: int, feed: ReplayFeed) -> int:
        model, tick = feed.latest(), self._then[place].tick
        assert model is not None
        assert tick is not None
        return tick.here_ns - model.mono_ns

    @property
    def file_filter(self) -> str | None:
        """Which sockets the ticks have, where others may match: what the hosts were asked for then
        chose them."""
        texts: list[str] = []
        sent = matched = 0
        for place, _ in self._live():
            feed, tick = self._feeds[place], self._then[place].tick
            chosen = feed.chosen if feed is not None else None
            if chosen is None or tick is None:
                continue
            if chosen.filter_text and chosen.filter_text != self.filter_text:
                texts.append(chosen.filter_text)
            cut = chosen.top is not None and chosen.totals.matched > chosen.top
            if cut and (chosen.filter_text != self.filter_text or tick.sort != self._sort.key):
                sent += chosen.top or 0
                matched += chosen.totals.matched
        texts = list(dict.fromkeys(texts))
        said = " or ".join(f"({text})" for text in texts) if len(texts) > 1 else "".join(texts)
        if sent:
            rows = f"the first {sent:,} of {matched:,} then"
            said = f"{rows}, {said}" if said else rows
        return said or None

    @property
    def sent_filter(self) -> str | None:
        """What all of its sockets pass, by the filters of then; None: no more than the one in
        force."""
        of: dict[str, str | None] = {}
        for place, name in enumerate(self._names):
            if (feed := self._at(place)) is not None:
                text = feed.chosen.filter_text if feed.chosen is not None else None
                of[name] = text if text != self.filter_text else None
        if len(set(of.values())) < 2:
            return next(iter(of.values()), None)
        terms = (
            f"({merge.in_host(name)} and ({text}))" if text else f"({merge.in_host(name)})"
            for name, text in of.items()
        )  # fmt: skip
        return f"({' or '.join(terms)})"

    def set_filter(self, compiled: Filter | None) -> None:
        self.filter_text = compiled.text if compiled is not None else None
        for feed in filter(None, self._feeds):
            feed.set_filter(by_names(compiled, feed.names))

    def set_sort(self, sort: Sort) -> None:
        self._sort = sort
        for feed in filter(None, self._feeds):
            feed.set_sort(sort)

    def set_focus(self, cookies: Sequence[int]) -> None:
        self._focus = tuple(cookies)
        for place, feed in enumerate(self._feeds):
            if feed is not None:
                feed.set_focus(self._own(place, cookies))

    def choose_next(self, filter_text: str | None, focus: Sequence[int]) -> None:
        """What is in force from the next move on."""
        self.filter_text, self._focus = filter_text, tuple(focus)

    def clear(self) -> None: ...


def _engines(source: HostsFrames) -> list[WarmTicks]:
    """A set of them for each host."""
    hosts = len(source.memories)
    most, ticks = _WARM_SOCKETS // hosts, max(2, min(16, _WARM_ENGINES // hosts))

    def make(name: str, start_ns: int, filter_text: str | None, focus: Cookies, *,
             details: bool) -> Warm:  # fmt: skip
        return _HostWarm(start_ns, filter_text, focus, details=details, called=name)

    return [
        WarmTicks(memory, partial(make, name), most, ticks)
        for name, memory in zip(source.names(), source.memories, strict=True)
    ]
