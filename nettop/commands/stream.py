"""nettop stream: the ticks of this host as frames on standard output.

With --control it obeys lines of JSON on standard input, and ends with it:
    {"set": {"filter": TEXT or null, "sort": KEY or null, "top": N or null, "called": NAME,
             "level_now": BOOL, "all": BOOL, "delay_s": SECS, "paused": BOOL, "focus": COOKIES,
             "select": COOKIES}}
    {"whole": true}    the next tick that is sent needs none before it
    {"ping": N}    answered by a note with the times of CLOCK_REALTIME at which it came and went
It polls from the first `set` on, so that no filter has to pass through a shell. A `set` with
something in it that is not understood changes nothing: a note says {"error": TEXT}.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from argparse import ArgumentTypeError
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from nettop import __version__, headless
from nettop import optionvalues as take
from nettop.engine.frames import of_sockets
from nettop.errors import EXIT_OK, NettopError, UsageError
from nettop.feed import Sort
from nettop.hosts.options import StreamOptions
from nettop.hosts.sending import Control, Sender
from nettop.hosts.wire import Hello, hello_bytes
from nettop.model.types import Model
from nettop.poller import LiveFeed
from nettop.query import compile_filter
from nettop.sample import Chosen, Sample
from nettop.store.frames import SCHEMA, FrameWriter
from nettop.text.clean import clean

KEY_EVERY_S = 60.0
# A socket that is no longer among the rows is sent for so long: one that comes back has its rates.
STAYS_S = 60.0
STAY_MOST = 2000  # sockets
MOST_COOKIES = 256  # in one list of them
SICK_MOST = 256  # sockets with verdicts that are sent beside the top rows
FLUSH_S = 0.2


def run(feed: LiveFeed, options: StreamOptions) -> int:
    """Polls and sends until the reader or standard input is gone, or a signal comes."""
    return Stream(feed, options).run()


def check_output() -> None:
    """
    Raises:
        UsageError: frames would go to a terminal.
    """
    headless.standard_output()
    if sys.stdout.isatty():
        raise UsageError(
            "stream writes frames for another nettop, not for a terminal: nettop -H HOST reads "
            "them, nettop record -o FILE keeps them"
        )


class Stream:
    """One reader; ticks that it is too slow for are left out, and counted."""

    def __init__(self, feed: LiveFeed, options: StreamOptions) -> None:
        self._feed, self._options = feed, options
        self._top, self._pace_s = options.top, options.poll.delay_s
        self._paused = self._all = False
        self._filter_text = options.poll.whole_filter
        self._writer = FrameWriter()
        self._seq = 0
        self._key_at = float("-inf")
        self._skipped = 0
        self._left_out = False  # the tick before
        self._kept: dict[int, float] = {}  # cookie → until when it is sent
        self._wake = threading.Condition()
        self._said: deque[dict[str, Any]] = deque(maxlen=64)
        self._ended = False
        self._sender = Sender(sys.stdout.fileno(), self._end)

    def run(self) -> int:
        uname = os.uname()
        hello = Hello(__version__, SCHEMA, uname.nodename, uname.release)
        self._sender.start(hello_bytes(hello))
        if self._options.control:
            Control(sys.stdin.fileno(), self._hear, self._end).start()
            if not self._wait_for_settings():
                return EXIT_OK
        self._feed.record(True)
        ticks = 0
        deadline: float | None = None
        missed = 0
        while True:
            model = self._feed.tick(missed)
            headless.check_readable(model, self._feed)
            self._send(model)
            ticks += 1
            if ticks == self._options.poll.iterations:
                self._sender.flush(self._pace_s)
                return EXIT_OK
            now = time.monotonic()
            deadline = now if deadline is None else deadline
            missed = max(0, int((now - deadline) / self._pace_s))
            deadline += self._pace_s * (1 + missed)
            ended = self._wait_until(deadline)
            if ended is None:
                return EXIT_OK
            deadline = ended

    # --- what the other end says ---

    def _hear(self, said: dict[str, Any]) -> None:
        came_ns = time.time_ns()
        if isinstance(said.get("ping"), int):
            went_ns = time.time_ns()
            self._sender.note({"pong": said["ping"], "came_ns": came_ns, "went_ns": went_ns})
            return
        with self._wake:
            self._said.append(said)
            self._wake.notify()

    def _end(self) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify()

    def _wait_for_settings(self) -> bool:
        """False: it ended before any came."""
        with self._wake:
            self._wake.wait_for(lambda: self._said or self._ended)
        self._obey()
        return not self._ended

    def _wait_until(self, deadline: float) -> float | None:
        """Obeys meanwhile, for which the deadline may come nearer: returns it; None: it is time to
        end."""
        while (left := deadline - time.monotonic()) > 0:
            pause = min(left, self._feed.between_s)
            with self._wake:
                self._wake.wait_for(lambda: self._said or self._ended, pause)
            if self._ended:
                return None
            self._obey()
            deadline = min(deadline, time.monotonic() + self._pace_s)
            if left > pause:
                self._feed.between()
        return None if self._ended else deadline

    def _obey(self) -> None:
        while self._said:
            said = self._said.popleft()
            if "set" in said:
                try:
                    self._set(settings_of(said["set"]))
                except (ValueError, NettopError) as error:
                    self._sender.note({"error": str(error)})
            elif said.get("whole") is True:
                self._key_at = float("-inf")

    def _set(self, wanted: Mapping[str, Any]) -> None:
        feed = self._feed
        if "called" in wanted:  # before the filter, which may name this host
            feed.call(wanted["called"])
        if "filter" in wanted:  # before all others: it may be broken
            text = wanted["filter"] or None
            now = wanted.get("level_now", False)
            feed.set_filter(compile_filter(text, level_now=now) if text is not None else None)
            self._filter_text = text
        if "sort" in wanted:
            feed.set_sort(wanted["sort"])
        self._top = wanted.get("top", self._top)
        if wanted.get("all", self._all) != self._all:
            self._all = wanted["all"]
            feed.show_all(self._all)
        self._pace_s = wanted.get("delay_s", self._pace_s)
        self._paused = wanted.get("paused", self._paused)
        if "focus" in wanted:
            feed.set_focus(wanted["focus"])
        if "select" in wanted:
            feed.select_tx(wanted["select"])

    # --- ticks ---

    def _send(self, model: Model) -> None:
        if self._paused or not self._sender.free:
            self._skipped += not self._paused
            self._left_out = True
            self._feed.sample(model, whole=False)  # what a tick said is let go
            return
        now = time.monotonic()
        whole = self._left_out or now - self._key_at >= KEY_EVERY_S
        chosen, fresh = self._choose(now)
        sample = self._feed.sample(model, whole=whole or fresh)
        if chosen is not None:
            sample = self._of(chosen, sample, model)
        self._seq += 1
        sample = replace(
            sample, seq=self._seq, whole=whole,
            facts=replace(sample.facts, skipped_ticks=self._skipped),
        )  # fmt: skip
        if whole:
            self._key_at, self._left_out = now, False
        self._sender.send(self._writer.frame(sample))

    def _choose(self, now: float) -> tuple[list[int] | None, bool]:
        """Which sockets are sent (None: all), and whether some of them were not in the tick
        before."""
        feed = self._feed
        if self._top is not None and (self._top < feed.count() or self._filter_text):
            cookies = [row.cookie for row in feed.window(0, self._top)]
            cookies += [sick.cookie for sick in feed.sick()[:SICK_MOST]]
        elif self._filter_text:
            cookies = feed.matching()
        else:
            self._kept.clear()
            return None, False
        fresh = any(cookie not in self._kept for cookie in cookies)
        self._kept.update(dict.fromkeys(cookies, now + STAYS_S))
        stay = sorted(((until, c) for c, until in self._kept.items() if until > now), reverse=True)
        self._kept = {c: until for until, c in stay[: max(STAY_MOST, len(cookies))]}
        return [*self._kept], fresh

    def _of(self, cookies: list[int], sample: Sample, model: Model) -> Sample:
        some = of_sockets(sample.sections, cookies)
        chosen = Chosen(model.totals, self._filter_text, self._top)
        return replace(sample, sections=some, facts=replace(sample.facts, chosen=chosen))


def settings_of(wanted: Any) -> dict[str, Any]:
    """What a `set` says, checked; the filter is still text.

    Raises:
        ValueError: in one line; one of them is not known, or no such value.
    """
    if not isinstance(wanted, dict):
        raise ValueError("set: takes an object of settings")
    out: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in _TAKES:
            raise ValueError(f"no setting '{clean(name[:60])}' of nettop stream {__version__}")
        try:
            out[name] = _TAKES[name](value)
        except (ValueError, ArgumentTypeError) as error:
            raise ValueError(f"{name}: {clean(str(error)[:200])}") from None
    return out


def _cookies(value: Any) -> list[int]:
    if not isinstance(value, list) or not all(type(c) is int for c in value):
        raise ValueError("takes a list of cookies")
    return [c for c in value[:MOST_COOKIES] if 0 < c < 1 << 64]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("takes text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("takes true or false")
    return value


def _sort(value: Any) -> Sort:
    key = take.sort_key(_text_or_none(value) or take.UNWELL)
    return Sort(key.field, key.descending)


def _top(value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise ValueError("takes a whole number or null")
    return take.at_least_one(str(value))


def _delay_s(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError("takes seconds")
    return take.seconds(str(value))


_TAKES: dict[str, Callable[[Any], Any]] = {
    "called": _text, "filter": _text_or_none, "sort": _sort, "top": _top, "all": _flag,
    "delay_s": _delay_s, "level_now": _flag, "paused": _flag, "focus": _cookies, "select": _cookies,
}  # fmt: skip
