"""A thread that looks at all clocks once a period, and keeps the latest report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nettop.clocks.observer import Observer, Report
from nettop.clocks.offset import SECOND_NS

_NEW_DEVICES_S = 10.0  # interfaces and PHCs come and go; asking for all of them costs more
_STOP_S = 0.5


class Watch(threading.Thread):
    """Readings at 1 Hz, so that drift between them stays small."""

    def __init__(self, on_report: Callable[[], None], period_s: float = 1.0) -> None:
        """on_report is called from this thread when `latest` is new."""
        super().__init__(name="nettop-clocks", daemon=True)
        self.latest: Report | None = None
        self.failure: Exception | None = None
        self._on_report = on_report
        self._period_s = period_s
        self._ended = threading.Event()

    def run(self) -> None:
        observer: Observer | None = None
        try:
            observer = Observer(period_ns=int(self._period_s * SECOND_NS))
            self._watch(observer)
        except Exception as error:
            self.failure = error
            self._on_report()
        finally:
            if observer is not None:
                observer.close()

    def _watch(self, observer: Observer) -> None:
        deadline = asked = time.monotonic()
        while not self._ended.is_set():
            now = time.monotonic()
            if now - asked >= _NEW_DEVICES_S:
                observer.refresh()
                asked = now
            observer.look()
            self.latest = observer.report()
            self._on_report()
            deadline = max(deadline + self._period_s, time.monotonic())
            self._ended.wait(deadline - time.monotonic())

    def stop(self) -> None:
        """Ends it, and waits for a look that is under way."""
        self._ended.set()
        if self.is_alive():
            self.join(timeout=_STOP_S)
