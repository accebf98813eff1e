"""One feed of many hosts: each has its own engine, link and thread; here their rows become one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from nettop.errors import NettopError
from nettop.feed import BETWEEN_S, Sort
from nettop.hosts import merge
from nettop.hosts.link import Link
from nettop.hosts.lookback import HostsLookBack
from nettop.hosts.remote import RemoteFeed
from nettop.hosts.rows import RowsOfAll
from nettop.model.cost import Cost
from nettop.model.hosts import ASKED, LOST, SILENT, HostState
from nettop.model.types import Model
from nettop.sample import Sample
from nettop.sources import own

if TYPE_CHECKING:
    from nettop.query.compile import Filter

FIRST_S = 20.0  # so long headless output waits for the first tick of a host
LATE_S = 3.0  # or, where more ticks follow, from the first one of all on
STOP_S = 1.5
_SHARE = 0.5  # of the interval, that the tick of a host may come later than the others'


class HostTick(NamedTuple):
    """A tick of one host, in the thread of its link, while its feed is at it."""

    place: int  # of the host in -H
    name: str  # as -H has it
    feed: RemoteFeed
    model: Model
    sample: Sample  # valid until on_tick has returned


class HostsFeed(RowsOfAll):
    """Rows, groups and distributions of the last ticks of all hosts that are live."""

    live = True
    gather_s = 0.25  # ticks of so long are shown together
    title: str | None = None

    def __init__(
        self,
        argv_of: Mapping[str, Sequence[str]],
        *,
        delay_s: float,
        filter_text: str | None = None,
        sort: Sort | None = None,
        top: int | None = None,
        level_now: bool = False,
        retries: bool = True,
        lookback_s: float = 0.0,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            argv_of: what starts the stream of each host, by its name.
            top: rows of each host that are sent.
            level_now: `level` in filters is that of the tick itself.
            retries: lost hosts are waited for.
            lookback_s: so long ticks are kept to look back on; 0: none is.
            say: is called with a line where the state of a host has changed, by tick().
        """
        super().__init__([*argv_of], sort)
        # What is kept to look back on.
        self.past: HostsLookBack | None = None
        if lookback_s > 0:
            self.past = HostsLookBack([*argv_of], lookback_s, lambda: self._delay_s)
        # Is called with each tick of each host, from several threads.
        self.on_tick: Callable[[HostTick], None] | None = None
        self._delay_s, self._retries, self._say = delay_s, retries, say
        self._said: dict[str, str] = {}  # of a host, what was said last
        self._changed = threading.Condition()
        self._feeds: list[RemoteFeed] = []
        self._links: list[Link] = []
        self._ticks = [0] * len(argv_of)  # that came of each
        self._used = [0] * len(argv_of)  # of these, by the last tick of all
        self._version = 0  # of all that a picture is made of
        self._model: tuple[int, Model] | None = None
        self._drawn: tuple[int, Model] | None = None  # which thread draws what
        self._seq = 0
        self._on_model: Callable[[], None] | None = None
        self._announced = False
        self._began = time.monotonic()
        self._first_at: float | None = None  # that a tick came
        self._cpu: tuple[float, float] | None = None  # when it was measured; CPU seconds by then
        self._cpu_pct: float | None = None
        settings: dict[str, Any] = {"filter": filter_text, "sort": self._sort.key, "top": top}
        if level_now:
            settings["level_now"] = True
        for place, (name, argv) in enumerate(argv_of.items()):
            feed = RemoteFeed(name, filter_text, sort, level_now=level_now)
            self._feeds.append(feed)
            self._links.append(
                Link(
                    name, argv, {**settings, "called": name}, delay_s,
                    self._taker(place, name, feed), self._stater(place),
                )
            )  # fmt: skip

    def _taker(self, place: int, name: str, feed: RemoteFeed) -> Callable[[Sample, bytes], None]:
        def take(sample: Sample, frame: bytes) -> None:
            model = feed.take(sample)
            self._ticks[place] += 1
            if self.past is not None:
                link = self._links[place]
                order = link.settings.get("sort")
                if self.past.take(place, sample, frame, model, feed, link.state, order):
                    link.ask_whole()
            if self.on_tick is not None:
                self.on_tick(HostTick(place, name, feed, model, sample))
            self._change()

        return take

    def _stater(self, place: int) -> Callable[[], None]:
        def stated() -> None:
            if self.past is not None and place < len(self._links):
                self.past.stated(place, self._links[place].state)
            self._change()

        return stated

    def _change(self) -> None:
        """From any thread: something is new."""
        with self._changed:
            self._version += 1
            announce, self._announced = not self._announced, True
            self._changed.notify_all()
        if announce and self._on_model is not None:
            self._on_model()

    def begin(self) -> None:
        """Starts the links; once, where no other call does."""
        self._began = time.monotonic()
        for link in self._links:
            link.start()

    # --- the screen's side ---

    def start(self, on_model: Callable[[], None]) -> None:
        self._on_model = on_model
        self.begin()

    def stop(self) -> None:
        self._on_model = None
        for link in self._links:
            link.end()
        end = time.monotonic() + STOP_S
        for link in self._links:
            if link.started:
                link.join(max(0.0, end - time.monotonic()))

    close = stop

    def undo(self) -> None: ...

    @contextmanager
    def one_tick(self) -> Iterator[Model | None]:
        """As Feed has it; and hosts that come, go or answer meanwhile make no other model."""
        with super().one_tick() as model:
            if model is None or self._drawn is not None:
                yield model
                return
            self._drawn = threading.get_ident(), model
            try:
                yield model
            finally:
                self._drawn = None

    def latest(self) -> Model | None:
        drawn = self._drawn
        if drawn is not None and drawn[0] == threading.get_ident():
            return drawn[1]
        with self._changed:
            self._announced = False
            version = self._version
        if self._model is None or self._model[0] != version:
            self._model = version, self._made()
        return self._model[1]

    def _made(self) -> Model:
        self._seq += 1
        return merge.model_of(
            self.hosts(), seq=self._seq, mono_ns=time.monotonic_ns(), wall_ns=time.time_ns(),
            cost=self._own_cost(),
        )  # fmt: skip

    def _own_cost(self) -> Cost:
        """CPU over an interval or more: over the moments between two pictures it would say how much
        of them one picture took."""
        now, cpu = time.monotonic(), time.process_time()
        since, before = self._cpu or (now, cpu)
        if self._cpu is None or now - since >= self._delay_s:
            self._cpu = now, cpu
            self._cpu_pct = 100.0 * (cpu - before) / (now - since) if now > since else None
        return Cost(cpu_pct=self._cpu_pct, rss_bytes=own.rss_bytes(), interval_s=self._delay_s)

    def _at(self, place: int) -> RemoteFeed | None:
        feed = self._feeds[place]
        return feed if self._links[place].live and feed.latest() is not None else None

    def hosts(self) -> list[HostState]:
        """Their states now, with the ticks of those that are live."""
        out = []
        for link, feed in zip(self._links, self._feeds, strict=True):
            state = link.state
            out.append(replace(state, model=feed.latest()) if state.live else state)
        return out

    @property
    def file_filter(self) -> str | None:
        """How many of the sockets that match the hosts send, where it is not all."""
        sent = matched = 0
        for _, feed in self._live():
            model, rows = feed.latest(), feed.count()
            sent += rows
            matched += max(rows, model.totals.matched if model is not None else 0)
        return f"{sent:,}/{matched:,} sent" if sent < matched else None

    # --- distributions, and what single hosts are asked for ---

    def ask_whole_of(self, place: int) -> None:
        """That host sends a tick soon that replay can begin with."""
        self._links[place].ask_whole()

    def select_tx_of(self, place: int, cookies: Sequence[int]) -> None:
        """As select_tx, of one host by its own cookies."""
        self._links[place].set(select=list(cookies))

    def select_tx(self, cookies: Sequence[int]) -> None:
        self._set_cookies("select", cookies)

    def _set_cookies(self, name: str, cookies: Sequence[int]) -> None:
        """Of each host its own, where they are others than before."""
        by_place = {place: own for place, _, own in self._split(cookies)}
        for place, link in enumerate(self._links):
            own = by_place.get(place, [])
            if link.settings.get(name, []) != own:
                link.set(**{name: own})

    def set_focus(self, cookies: Sequence[int]) -> None:
        focus = {place: own for place, _, own in self._split(cookies)}
        for place, feed in enumerate(self._feeds):
            feed.set_focus(focus.get(place, ()))
        self._set_cookies("focus", sorted(cookies))

    # --- what is wanted of all hosts ---

    def set_filter(self, compiled: Filter | None) -> None:
        text = compiled.text if compiled is not None else None
        for link, feed in zip(self._links, self._feeds, strict=True):
            link.set(filter=text)
            feed.set_filter(compiled)
        self._change()

    def show_all(self, on: bool) -> bool:
        self._set_all(all=on)
        return True

    def _set_all(self, **settings: Any) -> None:
        for link in self._links:
            link.set(**settings)

    def set_sort(self, sort: Sort) -> None:
        self._sort = sort
        for link, feed in zip(self._links, self._feeds, strict=True):
            link.set(sort=sort.key)
            feed.set_sort(sort)
        self._change()

    def hold_order(self, held: bool) -> None: ...

    def set_interval(self, seconds: float) -> None:
        self._delay_s = seconds
        for link in self._links:
            link.delay_s = seconds
        self._set_all(delay_s=seconds)

    def measure_cost(self, wanted: bool) -> None: ...

    def set_paused(self, paused: bool) -> None:
        self._set_all(paused=paused)

    def clear(self) -> None:
        for feed in self._feeds:
            feed.clear()
        for memory in self.past.memories if self.past is not None else ():
            memory.clear_runs()

    # --- headless: one tick at a time in the caller's thread ---

    between_s = BETWEEN_S

    def between(self) -> None: ...

    def tick(self, missed: int = 0) -> Model:
        """The newest tick of each host that is live; waits a part of the interval for those that
        are a little later, and the first time until each has sent one or cannot.

        Raises:
            NettopError: no host has ever answered, and none is waited for.
        """
        if not any(link.started for link in self._links):
            self.begin()
            self.wait(self._all_settled, self._began + FIRST_S)
        else:
            self.wait(self._all_fresh, time.monotonic() + self._delay_s * _SHARE)
        self._used = list(self._ticks)
        model = self.latest()
        assert model is not None
        self.say_changes()
        if not self.answered and not self._retries:
            raise NettopError("no host has answered")
        return model

    @property
    def size(self) -> int:
        """How many hosts -H names."""
        return len(self._links)

    def is_out(self, place: int) -> bool:
        """That host cannot be reached now, or says nothing."""
        return self._links[place].state_name in (LOST, SILENT)

    def last_loss(self, place: int) -> str:
        """Why the stream of that host ended last, also where it has answered again since."""
        return self._links[place].last_loss

    @property
    def answered(self) -> bool:
        """A tick has come, of whatever host."""
        return any(self._ticks)

    def say_changes(self) -> None:
        """A line for each host that stopped answering, or answers again."""
        early = time.monotonic() - self._began < LATE_S
        for link in self._links:
            host = link.state
            before = self._said.get(host.name, "")
            # That a lost one is tried again is no news until it has sent a tick.
            if host.state == ASKED and (early or (before and link.tries)):
                continue
            fresh = "" if host.live else host.reason or "no answer yet"
            silent = host.state == SILENT and before.startswith("nothing for")
            if fresh == before or silent or self._say is None:
                continue
            self._said[host.name] = fresh
            self._say(f"{host.name}: {fresh or 'answers'}")

    def wait(self, done: Callable[[], bool], until: float) -> None:
        """Until that, or until that moment of the monotonic clock; done is asked with a lock
        held."""
        with self._changed:
            while not done() and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, 0.2))

    def _all_settled(self) -> bool:
        """Each has sent a tick or cannot; where more ticks follow, late ones are not waited for."""
        if all(link.settled for link in self._links):
            return True
        if not self._retries or not self.answered:
            return False
        if self._first_at is None:
            self._first_at = time.monotonic()
        return time.monotonic() - self._first_at > LATE_S

    def _all_fresh(self) -> bool:
        return all(
            self._ticks[i] > self._used[i] for i, link in enumerate(self._links) if link.live
        )
