"""nettop watch -H: the condition on each of several hosts, tick by tick of its own."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from nettop.errors import EXIT_OK, NettopError, UsageError
from nettop.export.snapshot import write_snapshot
from nettop.hosts.feed import FIRST_S, HostsFeed, HostTick
from nettop.hosts.follow import Follower
from nettop.model.types import Model, Row
from nettop.query.compile import Filter
from nettop.text import units
from nettop.text.clean import clean
from nettop.watch import report
from nettop.watch.command import EXIT_NOT_HELD, Watch, print_line, say_aside
from nettop.watch.condition import Standing
from nettop.watch.options import WatchOptions
from nettop.watch.then import Command


class Found(NamedTuple):
    """What held, where, in which tick."""

    name: str  # of the host, as -H has it
    model: Model
    held: Standing
    row: Row | None
    file: str | None  # the snapshot


def check(options: WatchOptions) -> None:
    """
    Raises:
        UsageError: this cannot be had of other hosts.
    """
    if options.records:
        raise UsageError(
            f"-o {options.poll.output}: with -H no ticks of before are kept: write a snapshot "
            "(.json), or let nettop record -H run beside it"
        )


class _HostWatch(Watch):
    """One host; called in the thread of its link."""

    name = ""
    begun_s: float | None = None  # its first tick, on the monotonic clock
    unseen: str | None = None  # why the condition cannot be seen there
    gaps = 0  # times that its ticks broke off and came again

    def take(self, tick: HostTick) -> Standing | None:
        """What has held by this tick."""
        self.name = tick.name
        now_s = time.monotonic()
        if self.begun_s is None:
            self.begun_s = now_s
        elif tick.sample.seq == 1:
            self.gaps += 1
        if tick.sample.seq == 1:
            self._hold.begin_again()
        try:
            self._look(tick.model, now_s - self.begun_s)
        except NettopError as error:
            if self.unseen is None:
                say_aside(f"{tick.name}: {error}")
            self.unseen = str(error)
            self._hold.begin_again()
            return None
        self.unseen = self._unseen
        if tick.model.interval_s is None:
            return None
        return self._hold.take(tick.model, tick.feed.matching())

    def found(self, tick: HostTick, held: Standing) -> Found:
        """With the snapshot of this tick: its rows that match."""
        return Found(tick.name, tick.model, held, self._loudest(held), self._file(tick.model))

    def _file(self, model: Model) -> str | None:
        poll = self._options.poll
        try:
            path = write_snapshot(
                poll.output, self._feed, model, shown=True, filter_text=poll.whole_filter
            )
        except NettopError as error:
            say_aside(f"nothing is written: {error}")
            return None
        say_aside(f"snapshot of {self.name}: {path}")
        return str(path)

    def result(self) -> str:
        return self.unseen or self._not_held_text()


class HostsWatch:
    """One run: ends with the first host on which the condition has held."""

    def __init__(self, feed: HostsFeed, options: WatchOptions, compiled: Filter | None) -> None:
        """compiled: the condition, with the names of no host."""
        self._feed, self._options = feed, options
        self._watches: dict[int, _HostWatch] = {}
        self._compiled = compiled
        self._found: Found | None = None
        self._finding = threading.Lock()
        self._began_s = time.monotonic()

    def run(self) -> int:
        """
        Raises:
            NettopError: in one line; it held on none that was seen, and one could not be seen.
        """
        follower = Follower(self._feed, self._take)
        try:
            follower.wait(lambda: self._found is not None or self._is_over())
        finally:
            follower.end()
        if self._found is None:
            return self._not_held()
        self._held(self._found)
        return EXIT_OK

    def _take(self, tick: HostTick) -> None:
        watch = self._watches.get(tick.place)
        if watch is None:
            watch = self._watches[tick.place] = _HostWatch(tick.feed, self._options, self._compiled)
        held = watch.take(tick)
        if held is not None:
            with self._finding:
                if self._found is None:
                    self._found = watch.found(tick, held)

    def _is_over(self) -> bool:
        within_s = self._options.within_s
        if within_s is None:
            return False
        begun = [w.begun_s for w in list(self._watches.values()) if w.begun_s is not None]
        now_s = time.monotonic()
        if not begun:
            # One that has not answered yet may; those that cannot be reached are not waited for.
            out = all(self._feed.is_out(place) for place in range(self._feed.size))
            return now_s - self._began_s > (within_s if out else max(FIRST_S, within_s))
        # As of one host: from one interval before its first tick on.
        return now_s - (min(begun) - self._options.poll.delay_s) > within_s + 1e-3

    def _held(self, found: Found) -> None:
        sentence = report.sentence(found.row, found.held)
        print_line(f"{clean(found.name)}: {sentence}", self._options)
        if self._options.then is None:
            return
        values = report.variables(
            found.row, found.held, found.model, self._options.poll.filter_text or "", found.file
        ) | {"NETTOP_HOST": clean(found.name)}  # fmt: skip
        command = Command(self._options.then, values)
        try:
            try:
                command.start()
            except NettopError as error:
                say_aside(str(error))
                return
            say_aside(f"--then: {command.wait()}")
        finally:
            command.end()

    def _not_held(self) -> int:
        unseen = 0
        for place, host in enumerate(self._feed.hosts()):
            watch = self._watches.get(place)
            if watch is None:
                say_aside(f"{host.name}: not looked at: {host.reason or 'it has not answered'}")
                unseen += 1
                continue
            why = ""
            if self._feed.is_out(place):
                why = f"; it is not seen any more: {host.reason}"
            elif watch.gaps:
                times = units.counted(watch.gaps, "time")
                why = f"; its ticks broke off {times}: {self._feed.last_loss(place)}"
            unseen += watch.unseen is not None or bool(why)
            say_aside(f"{host.name}: {watch.result()}{why}")
        if unseen:
            # Silence is not health.
            hosts = len(self._feed.hosts())
            raise NettopError(
                f"the condition could not be seen all the time on {unseen} of {hosts} hosts"
            )
        return EXIT_NOT_HELD
