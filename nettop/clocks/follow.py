"""One hardware clock, read once a second in the background, to convert its stamps."""

from __future__ import annotations

import errno
import os
import threading
from typing import NamedTuple, Self

from nettop.clocks.offset import SECOND_NS, Tracker, estimate
from nettop.clocks.phc import Phc

_PERIOD_S = 1.0
_FIRST_READINGS = 3  # a timestamp is converted between two readings, from their difference
_FIRST_PAUSE_S = 0.1


class SystemTime(NamedTuple):
    """A hardware stamp as the system's time, right within the bar."""

    ns: int
    bar_ns: int


class FollowedClock:
    """A PHC and its readings; a context manager. Any thread may ask."""

    def __init__(self, path: str) -> None:
        """Opens it; the readings begin.

        Raises:
            OSError: it cannot be opened; ENOTTY if it is no PHC.
        """
        self._phc = Phc(path)
        self._tracker = Tracker(int(_PERIOD_S * SECOND_NS), self._phc.caps.max_adj_ppb)
        self._lock = threading.Lock()
        self._ready, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="nettop-phc", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no further thread may be made
            self._phc.close()
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path) from None

    def _follow(self) -> None:
        try:
            for _ in range(_FIRST_READINGS):
                self._read()
                if self._ended.wait(_FIRST_PAUSE_S):
                    break
        finally:
            self._ready.set()
        while not self._ended.wait(_PERIOD_S):
            self._read()

    def _read(self) -> None:
        try:
            offset = estimate(self._phc.read())
        except OSError:
            offset = None
        with self._lock:
            if offset is None:
                self._tracker.lose()
            else:
                self._tracker.add(offset)

    def wait(self) -> None:
        """Until the first readings are made."""
        self._ready.wait()

    @property
    def steps_seen(self) -> int:
        """Steps of either clock so far: none converts a timestamp from before it."""
        with self._lock:
            return self._tracker.steps_seen

    def is_between(self, hw_ns: int) -> bool:
        """Whether a reading later than this stamp is known: its conversion cannot get better."""
        with self._lock:
            last = self._tracker.last
            return last is not None and last.phc_ns >= hw_ns

    def to_system(self, hw_ns: int) -> SystemTime | None:
        """CLOCK_REALTIME; None: the clock stepped, or was not read around that time."""
        with self._lock:
            found = self._tracker.to_system(hw_ns)
        return SystemTime(*found) if found is not None else None

    def to_monotonic(self, hw_ns: int, after_ns: int) -> SystemTime | None:
        """CLOCK_MONOTONIC, likewise; after_ns: the stamp is of later than this. Readings from after
        a step say nothing about timestamps from before it."""
        with self._lock:
            found, line = self._tracker.to_system(hw_ns), self._tracker.line
            if found is None or line[0].sys_ns - line[0].realtime_minus_mono_ns > after_ns:
                return None
            last = line[-1]
        ns, bar_ns = found
        return SystemTime(
            ns - last.realtime_minus_mono_ns, bar_ns + last.realtime_minus_mono_bar_ns
        )

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=2)
        self._phc.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
