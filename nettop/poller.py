"""The live feed: one thread that polls on absolute deadlines and keeps the newest model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from nettop import debug
from nettop.collect import Collector, PollOptions
from nettop.ending import UNDO_S, within
from nettop.enginefeed import EngineFeed
from nettop.errors import NettopError
from nettop.feed import BETWEEN_S, Sort
from nettop.model.types import Detail, Model, Row

if TYPE_CHECKING:
    from nettop.engine.handle import PackedRows
    from nettop.enginefeed import PackedRowSource
    from nettop.lookback import LookBack
    from nettop.query.compile import Filter, NameSets
    from nettop.sample import Sample
    from nettop.sources.loaded import Planes
    from nettop.text.fields import Field

# Share of one CPU that polling may take before the interval is lengthened.
POLL_SHARE = 0.25
# A poll that is paced leaves the CPU alone for this long after each slice of reads.
PACE_SLEEP_S = 0.001
PACE_ABOVE_SOCKETS = 50_000
PACE_READS = 4
# Rates from less than this are noise; an extra sweep between two ticks makes none at all.
LEAST_ROLL_MS = 50
NEVER_ROLL_MS = 0xFFFFFFFF
# Other orders than `unwell` settle for this long, so that rows do not dance.
RESORT_S = 2.0
FOCUS_MOST = 256
COPY_ROWS = 256
EXPORT_SLICE = 16  # sockets written in about 5 ms
EXPORT_STOP_S = 0.5
STOP_S = 0.5  # so long the end waits for a poll that is under way


class LiveFeed(EngineFeed):
    """Polls this host; the Feed of the live screen, and tick by tick of headless runs."""

    live = True
    title: str | None = None
    names: NameSets | None = None

    def __init__(self, options: PollOptions, planes: Planes | None = None) -> None:
        """planes: loaded before; None loads them now."""
        self._collector = Collector(options, planes)
        super().__init__(self._collector.deriver)
        self._interval_s = options.delay_s
        self._on_model: Callable[[], None] | None = None
        self._announced = False  # on_model was called, and latest() not since
        self._sort = Sort(options.sort_field, options.sort_descending)
        self._settled = False  # the order is held
        self._paused = False
        self._sorted_at = 0.0
        self._missed = 0
        self._resweep = False
        self._error: BaseException | None = None
        self._wake = threading.Condition()
        self._exporting = threading.Lock()  # held until the last of them was used
        self._lookback_s = options.lookback_s
        self._past: LookBack | None = None
        self.record(options.lookback_s > 0)
        self._ended = False
        self._thread: threading.Thread | None = None

    # --- the thread ---

    def look(self) -> None:
        """Begins to poll, before start(): the first sweep is under way while the screen is made."""
        self._thread = threading.Thread(target=self._run, name="nettop-poller", daemon=True)
        self._thread.start()

    def start(self, on_model: Callable[[], None]) -> None:
        with self._wake:
            self._on_model = on_model
            due = self._announced
        if self._thread is None:
            self.look()
        elif due:  # it was ready before
            on_model()

    def stop(self) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=STOP_S)
            if self._thread.is_alive():
                # It hangs, and uses what would be freed here; the process's end frees that too.
                within(UNDO_S, self.undo)
                return
            self._thread = None
        # An export that is under way uses the collector's names; it ends at its next row.
        if self._exporting.acquire(timeout=EXPORT_STOP_S):
            self._exporting.release()
        self._collector.close()

    close = stop

    def undo(self) -> None:
        self._collector.undo()

    def _run(self) -> None:
        deadline = time.monotonic()
        try:
            with self._changing:
                # It must not wait for all of /proc to be read.
                self._poll(scan_procs=False)
            self._publish()
            self._collector.scan_procs()
            self._publish()
            self._look_back()
            while True:
                interval = self._effective_interval()
                deadline += interval
                late = time.monotonic() - deadline
                if late > 0:
                    skipped = int(late / interval) + 1
                    self._missed += skipped
                    deadline += skipped * interval
                woken = self._sleep_until(deadline)
                if woken is None:
                    return
                deadline = woken
                with self._replacing():
                    self._poll()
                self._publish()
        except BaseException as e:  # the screen shows it and ends
            self._error = e
            self._publish()

    def _sleep_until(self, deadline: float) -> float | None:
        """Waits for the deadline, or the earlier one of an interval that has become shorter.

        A changed filter sweeps at once. Returns when it was; None: the feed ended.
        """
        while True:
            with self._wake:
                if self._ended:
                    return None
                now = time.monotonic()
                deadline = min(deadline, now + self._effective_interval())
                left = deadline - now
                if left <= 0:
                    return deadline
                pause = self.between_s
                if not self._resweep:
                    self._wake.wait(min(left, self._effective_interval(), pause))
                if self._ended:
                    return None
                again, self._resweep = self._resweep, False
            if left > pause:
                self.between()
            if again:
                with self._replacing():
                    self._poll(extra=True)
                self._publish()

    def _effective_interval(self) -> float:
        cost = self._collector.poll_cpu_s
        return max(self._interval_s, cost / POLL_SHARE)

    def _poll(self, *, scan_procs: bool = True, extra: bool = False) -> Model:
        """One tick; extra: between two ticks, which rolls no baseline."""
        c = self._collector
        interval = self._effective_interval()
        c.set_roll_ms(NEVER_ROLL_MS if extra else LEAST_ROLL_MS)
        if self._paused:
            c.refresh_namespaces()  # a pause keeps no namespace from ending
            self._model = c.header_only(self._model, self._missed, interval, self._interval_s)
            return self._model
        c.begin(interval=not extra)
        paced = self._thread is not None and c.sockets > PACE_ABOVE_SOCKETS and not extra
        while c.step(PACE_READS if paced else 64):
            if self._ended:
                break
            if paced:
                time.sleep(PACE_SLEEP_S)
        totals = c.end()
        if scan_procs and not extra:
            c.scan_procs()
        if self._thread is not None and c.sockets > PACE_ABOVE_SOCKETS and self._focus:
            # The sweep took long: what is on the screen is read once more.
            c.engine.lookup(self._focus)
        self._reorder(time.monotonic())
        self._model = c.model(totals, self._missed, interval, self._interval_s)
        self._histories.add(self._model, self._focus, c.engine)
        if self._past is not None and not extra:
            with debug.timed("lookback"):
                sample = c.sample(self._model, whole=self._past.wants_whole(self._model.mono_ns))
                self._past.take(self._model, sample, self)
        return self._model

    def _sockets(self) -> int:
        # The first sweep of a thread has nothing on the screen to wait for it.
        return self._collector.sockets if self._thread is not None else 0

    def _reorder(self, now: float, *, force: bool = False) -> None:
        keep = self._settled
        if self._sort.field is not None and not force and self._thread is not None:
            keep = keep or now - self._sorted_at < RESORT_S
        if not keep:
            self._sorted_at = now
        self._count = self._collector.engine.order(
            self._sort.field, self._sort.descending, 512, keep
        )

    def _publish(self) -> None:
        with self._wake:
            announce = None if self._announced else self._on_model
            self._announced = True
        if announce is not None:
            announce()

    def record(self, on: bool) -> None:
        """Keeps what sample() needs; from before the first tick on."""
        self._collector.record(on)

    def sample(self, model: Model, *, whole: bool) -> Sample:
        """The raw input of the tick that model is of, before the next one is polled."""
        return self._collector.sample(model, whole=whole)

    def _look_back(self) -> None:
        """From the next tick on the ticks are kept; it says what the first sweep did, too."""
        if self._lookback_s > 0:
            from nettop.lookback import LookBack

            self._past = LookBack(self._lookback_s)

    @property
    def past(self) -> LookBack | None:
        """The last ticks; None: they are not kept, or the first is still to come."""
        return self._past

    # --- headless: one tick at a time in the caller's thread ---

    @property
    def between_s(self) -> float:
        return min(BETWEEN_S, self._collector.between_s)

    def between(self) -> None:
        self._collector.between()

    def tick(self, missed: int = 0) -> Model:
        """Polls once, now; the first time it scans /proc for owners before."""
        self._missed += missed
        if self._model is None:
            # A filter on pid or name needs the owners while the sweep is matched.
            self._collector.scan_procs()
        model = self._poll()
        if 0 < self._count <= FOCUS_MOST:
            # Few enough for percentiles that are exact to 1.6 % in the next tick.
            self.set_focus([row.cookie for row in self._collector.engine.window(0, self._count)])
        return model

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        """Every matched socket in order, a few hundred at a time; everything: all known ones.

        While the thread polls, and for everything, one more sweep keeps the details of all of them
        (unless paused: then the file says what the screen does). They are copied as they are
        packed, which takes a hundredth of the time that the caller needs for them, and the thread
        polls on meanwhile.

        Raises:
            NettopError: the feed ended before the last was read.
        """
        if self._thread is None and not everything:
            yield from self._rows(with_detail)
            return
        with self._exporting:
            for packed in self._copied(with_detail, everything):
                for at, (row, detail) in enumerate(self._collector.engine.unpacked(packed)):
                    if self._ended:
                        raise NettopError("ended before all was written: nothing is left of it")
                    if self._thread is not None and at % EXPORT_SLICE == 0:
                        time.sleep(PACE_SLEEP_S)  # the screen has keys to answer
                    yield self._deriver.name(row), detail

    def packed_all(self, *, everything: bool = False) -> PackedRowSource:
        """As rows_all, with details, as C has them: there is nothing to pace."""
        return self._packed_source(self._all_packed(everything))

    def _all_packed(self, everything: bool) -> Iterator[PackedRows]:
        if self._thread is None and not everything:
            yield from self._packed()
            return
        with self._exporting:
            for packed in self._copied(True, everything):
                yield packed
                if self._ended:
                    raise NettopError("ended before all was written: nothing is left of it")

    def _copied(self, with_detail: bool, everything: bool) -> Iterator[PackedRows]:
        """Of the sockets in order; each is forgotten as the next is asked for."""
        with self._replacing():
            try:
                with self._collector.exporting(everything):
                    # Of those beyond the filter no details were kept.
                    if (self._thread is not None or everything) and not self._paused:
                        self._poll(extra=True)
                    self._reorder(time.monotonic(), force=True)
                    copied = self._collector.engine.copy(COPY_ROWS, with_detail=with_detail)
            finally:
                self._reorder(time.monotonic(), force=True)
                self._refresh_totals()
        copied.reverse()
        while copied:
            yield copied.pop()

    # --- what the screen asks ---

    def latest(self) -> Model | None:
        with self._wake:
            self._announced = False
        if self._error is not None:
            raise self._error
        return self._model

    def set_focus(self, cookies: Sequence[int]) -> None:
        focus = tuple(cookies[:FOCUS_MOST])
        if set(focus) != set(self._focus):
            self._collector.planes.focus(focus)
        self._focus = focus

    def select_tx(self, cookies: Sequence[int]) -> None:
        stages = self._collector.planes.stages
        if stages is not None:
            stages.select(cookies)
        split = self._collector.planes.split
        if split is not None:
            split.look(cookies)

    def matching(self, compiled: Filter | None = None) -> list[int]:
        return super().matching() if compiled is None else self._collector.matching(compiled)

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        return self._collector.values(field, compiled)

    def call(self, name: str) -> None:
        """What filters call this host."""
        self._collector.called = name

    def set_filter(self, compiled: Filter | None) -> None:
        self._reordered()
        self._collector.set_filter(compiled)
        self._reorder(time.monotonic(), force=True)
        # Sockets in other states, or numbers that are only in tcp_info, need a dump at once.
        self._poke(resweep=not self._paused)
        self._refresh_totals()

    def show_all(self, on: bool) -> bool:
        self._reordered()
        self._collector.show_all(on)
        self._reorder(time.monotonic(), force=True)
        self._poke(resweep=not self._paused)
        self._refresh_totals()
        return True

    def _refresh_totals(self) -> None:
        if self._model is not None:
            self._model = self._deriver.with_totals(self._model)

    def set_sort(self, sort: Sort) -> None:
        self._sort = sort
        self._settled = False
        self._reordered()
        self._reorder(time.monotonic(), force=True)

    def hold_order(self, held: bool) -> None:
        self._settled = held

    def set_interval(self, seconds: float) -> None:
        self._interval_s = max(0.1, seconds)
        self._poke()

    def measure_cost(self, wanted: bool) -> None:
        self._collector.planes.meter.wanted = wanted

    def set_paused(self, paused: bool) -> None:
        self._paused = paused
        self._poke()

    def clear(self) -> None:
        self._histories.clear()
        self._collector.clear()
        if self._past is not None:
            self._past.clear_runs()
        self._missed = 0

    def _poke(self, *, resweep: bool = False) -> None:
        with self._wake:
            self._resweep = self._resweep or resweep
            self._wake.notify_all()
