"""One feed of many hosts: each has its own engine, link and thread; here their rows become one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nettop.errors import NettopError
from nettop.feed import BETWEEN_S, Grouping, Sort
from nettop.hosts import merge
from nettop.hosts.events import EventsOfAll
from nettop.hosts.link import Link
from nettop.hosts.order import merged
from nettop.hosts.remote import RemoteFeed
from nettop.model.cost import Cost
from nettop.model.hosts import ASKED, LOST, SILENT, HostState
from nettop.model.types import Detail, Group, Histogram, Model, Point, Proc, Row
from nettop.sample import Sample

if TYPE_CHECKING:
    from nettop.query.compile import Filter

FIRST_S = 20.0  # so long headless output waits for the first tick of a host
LATE_S = 3.0  # or, where more ticks follow, from the first one of all on
STOP_S = 1.5
_SHARE = 0.5  # of the interval, that the tick of a host may come later than the others'
_WINDOW = 256
_Pair = tuple[Row, Detail | None]


class NoNames:
    """Filters are compiled for each host by its own names; this is for what they need beside."""

    def cgroup_ids(self, pattern: str) -> list[int]:
        return []

    container_ids = netns_ids = cgroup_ids

    def devices(self, name: str) -> list[tuple[int, int]]:
        return []

    def uid(self, name: str) -> int | None:
        return 0

    def is_host(self, pattern: str) -> bool:
        return False


class HostTick(NamedTuple):
    """A tick of one host, in the thread of its link, while its feed is at it."""

    place: int  # of the host in -H
    name: str  # as -H has it
    feed: RemoteFeed
    model: Model
    sample: Sample  # valid until on_tick has returned


class _MadeOf(NamedTuple):
    """What rows were merged of."""

    rows: int
    details: bool
    sort: Sort
    ticks: list[tuple[int, Model | None, int]]  # which host, its tick, how many sockets

    def same(self, other: _MadeOf) -> bool:
        """Of the same ticks: models are compared as the objects that they are."""
        if self[:3] != other[:3] or len(self.ticks) != len(other.ticks):
            return False
        return all(
            host == host2 and model is model2 and count == count2
            for (host, model, count), (host2, model2, count2) in zip(
                self.ticks, other.ticks, strict=True
            )
        )


class HostsFeed(EventsOfAll):
    """Rows, groups and distributions of the last ticks of all hosts that are live."""

    live = True
    title: str | None = None
    file_filter: str | None = None
    past = None

    def __init__(
        self,
        argv_of: Mapping[str, Sequence[str]],
        *,
        delay_s: float,
        filter_text: str | None = None,
        sort: Sort | None = None,
        sort_text: str | None = None,
        top: int | None = None,
        level_now: bool = False,
        retries: bool = True,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            argv_of: what starts the stream of each host, by its name.
            sort_text: sort, as the command line has it.
            top: rows of each host that are sent.
            level_now: `level` in filters is that of the tick itself.
            retries: lost hosts are waited for.
            say: is called with a line where the state of a host has changed, by tick().
        """
        self.names = NoNames()
        # Is called with each tick of each host, from several threads.
        self.on_tick: Callable[[HostTick], None] | None = None
        self._delay_s, self._retries, self._say = delay_s, retries, say
        self._said: dict[str, str] = {}  # of a host, what was said last
        self._sort = sort or Sort()
        self._changed = threading.Condition()
        super().__init__()
        self._ticks = [0] * len(argv_of)  # that came of each
        self._used = [0] * len(argv_of)  # of these, by the last tick of all
        self._version = 0  # of all that a picture is made of
        self._model: tuple[int, Model] | None = None
        self._rows: tuple[_MadeOf, list[_Pair]] | None = None
        self._seq = 0
        self._on_model: Callable[[], None] | None = None
        self._announced = False
        self._began = time.monotonic()
        self._first_at: float | None = None  # that a tick came
        self._cpu: tuple[float, float] | None = None
        settings: dict[str, Any] = {"filter": filter_text, "sort": sort_text, "top": top}
        if level_now:
            settings["level_now"] = True
        for place, (name, argv) in enumerate(argv_of.items()):
            feed = RemoteFeed(name, filter_text, sort, level_now=level_now)
            self._feeds.append(feed)
            self._links.append(
                Link(
                    name, argv, {**settings, "called": name}, delay_s,
                    self._taker(place, name, feed), self._change,
                )
            )  # fmt: skip

    def _taker(self, place: int, name: str, feed: RemoteFeed) -> Callable[[Sample], None]:
        def take(sample: Sample) -> None:
            model = feed.take(sample)
            self._ticks[place] += 1
            if self.on_tick is not None:
                self.on_tick(HostTick(place, name, feed, model, sample))
            self._change()

        return take

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

    def latest(self) -> Model | None:
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
        now, cpu = time.monotonic(), time.process_time()
        before, self._cpu = self._cpu, (now, cpu)
        wall_s = now - before[0] if before is not None else 0.0
        pct = 100.0 * (cpu - before[1]) / wall_s if before is not None and wall_s > 0.05 else None
        return Cost(cpu_pct=pct, interval_s=self._delay_s)

    def hosts(self) -> list[HostState]:
        """Their states now, with the ticks of those that are live."""
        out = []
        for link, feed in zip(self._links, self._feeds, strict=True):
            state = link.state
            out.append(replace(state, model=feed.latest()) if state.live else state)
        return out

    @contextmanager
    def one_tick(self) -> Iterator[Model | None]:
        with ExitStack() as stack:
            parts = [stack.enter_context(feed.one_tick()) for _, feed in self._live()]
            torn = any(part is None for part in parts)
            yield None if torn else self.latest()

    # --- rows ---

    def count(self) -> int:
        return sum(feed.count() for _, feed in self._live())

    def window(self, offset: int, rows: int) -> list[Row]:
        if rows <= 0 or offset < 0:
            return []
        return [row for row, _ in self._first(offset + rows)[offset : offset + rows]]

    def _first(self, count: int, *, details: bool = False) -> list[_Pair]:
        """So many rows of all hosts in order, or a few more."""
        field = self._sort.field
        details = details or (field is not None and field.reads("info"))
        count = -(-count // _WINDOW) * _WINDOW
        live = self._live()
        ticks = [(i, f.latest(), f.count()) for i, f in live]
        made_of = _MadeOf(count, details, self._sort, ticks)
        known = self._rows
        if known is not None and known[0].same(made_of):
            return known[1]
        pairs: list[_Pair] = []
        for place, feed in live:
            for row in feed.window(0, count):
                detail = feed.detail(row.cookie) if details else None
                pairs.append((self._placed(place, row), detail))
        found = merged(pairs, self._sort)
        if field is None or field.id != "host":
            found = found[:count]
        self._rows = made_of, found
        return found

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        """Every matched socket in order; everything: what the hosts send whatever the filter."""
        if not everything:
            yield from self._first(max(1, self.count()), details=with_detail)
            return
        for place, feed in self._live():
            for row, detail in feed.rows_all(with_detail=with_detail, everything=True):
                yield self._placed(place, row), detail

    def packed_all(self, *, everything: bool = False) -> None:
        """Each row has a host, which the helper writes none of."""
        return None

    def position(self, cookie: int) -> int | None:
        found = self._of(cookie)
        own = found[1].position(found[2]) if found is not None else None
        if own is None:
            return None
        count, most = own + 1, self.count()
        while True:
            for place, (row, _) in enumerate(self._first(count)):
                if row.cookie == cookie:
                    return place
            if count >= most:
                return None
            count = min(most, count * 4)

    def find(self, cookie: int) -> Row | None:
        found = self._of(cookie)
        row = found[1].find(found[2]) if found is not None else None
        return self._placed(found[0], row) if found is not None and row is not None else None

    def detail(self, cookie: int) -> Detail | None:
        found = self._of(cookie)
        return found[1].detail(found[2]) if found is not None else None

    def owners(self, row: Row) -> list[Proc]:
        found = self._of(row.cookie)
        return found[1].owners(row) if found is not None else []

    def matching(self, compiled: Filter | None = None) -> list[int]:
        return [
            cookie + merge.above(place)
            for place, feed in self._live()
            for cookie in feed.matching(compiled)
        ]

    def seconds_since(self, engine_s: int) -> float | None:
        """The hosts' engines began at different times."""
        return None

    def groups(self, grouping: Grouping) -> list[Group]:
        make = merge.whole_host if grouping is Grouping.HOST else merge.host_group
        return merge.worst_first(
            make(self._links[place].name, place, group)
            for place, feed in self._live()
            for group in feed.groups(grouping)
        )

    def members(self, grouping: Grouping, cookie: int, *, most: int) -> list[int]:
        found = self._of(cookie)
        if found is None:
            return []
        place, feed, own = found
        return [c + merge.above(place) for c in feed.members(grouping, own, most=most)]

    def sum(self, cookies: Sequence[int]) -> Group | None:
        parts = [
            merge.host_group(self._links[place].name, place, group)
            for place, feed, own in self._split(cookies)
            if (group := feed.sum(own)) is not None
        ]
        if not parts:
            return None
        return merge.group_of(f"{sum(p.sockets for p in parts)} sockets", parts)

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

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        if cookies is None:
            found = [f.tx(None, run=run) for _, f in self._live()]
        else:
            found = [f.tx(own, run=run) for _, f, own in self._split(cookies)]
        known = [stages for stages in found if stages is not None]
        if not known:
            return None
        together = (merge.histogram_of(of_stage) for of_stage in zip(*known, strict=True))
        return tuple(h for h in together if h is not None)

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        if cookies is None:
            return merge.histogram_of(f.rx_wait(None, run=run) for _, f in self._live())
        return merge.histogram_of(f.rx_wait(own, run=run) for _, f, own in self._split(cookies))

    def history(self, cookie: int | None) -> list[Point]:
        """Of one socket, by its host's clock; None: of the one host there is."""
        if cookie is not None:
            found = self._of(cookie)
            return found[1].history(found[2]) if found is not None else []
        return self._feeds[0].history(None) if len(self._feeds) == 1 else []

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
        key = None
        if sort.field is not None:
            key = f"{sort.field.id}:{'desc' if sort.descending else 'asc'}"
        for link, feed in zip(self._links, self._feeds, strict=True):
            link.set(sort=key)
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
        for host in (link.state for link in self._links):
            if early and host.state == ASKED:
                continue
            fresh = "" if host.live else host.reason or "no answer yet"
            before = self._said.get(host.name, "")
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
