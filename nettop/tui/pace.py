"""How much may be on its way to a terminal: what it has not shown yet is what a key waits for.

A terminal that answers is asked with each picture what it is, and its answer says that the
picture is drawn: that holds over any line, whatever buffers lie between. Of one that never answers
only the kernel's buffer is known, some 12 KB of a pseudo-terminal.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque

QUESTION = "\x1b[c"
ANSWER = re.compile(r"\x1b\[\?[\d;]*c")
ANSWER_BEGINS = re.compile(r"\x1b(\[(\?[\d;]*)?)?$")
SLOW_BYTES_PER_S = 20_000  # below this the size of a picture matters
AHEAD_S = 0.6  # so much of a slow line's time may be on its way
NO_ANSWER_S = 0.5  # from then on a terminal that has not answered is taken for one that never does
UNKNOWN_BYTES_PER_S = 2_500  # what pictures of ticks may take on a line of unknown speed
_LEAST_BYTES = 300


class Pace:
    """Counts what was sent and what is known to be shown; any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: deque[tuple[int, float]] = deque()  # bytes up to the question, when it went
        self._since = 0  # bytes behind the last question
        self._began = 0.0
        self.answers: bool | None = None  # None: not known yet
        self.bytes_per_s: float | None = None  # None: fast, or not measured
        self._measured = False
        self._answered_at = 0.0
        self._least_s = 60.0  # the shortest time until an answer
        self._free_at = 0.0  # when one that never answers may have taken everything
        self._blocked: tuple[float, int] | None = None  # since when it takes less than is sent
        self._quiet = threading.Event()
        self._quiet.set()

    def begin(self) -> str:
        """The terminal was entered: the first question."""
        with self._lock:
            self._asked.clear()
            self._since, self._began = 0, time.monotonic()
            self.answers = None
        return self.ask(0)

    def ask(self, size: int) -> str:
        """So many bytes go; what is to be written behind them, if anything."""
        now = time.monotonic()
        with self._lock:
            self._free_at = max(now, self._free_at) + size / (
                self.bytes_per_s or UNKNOWN_BYTES_PER_S
            )
            if self.answers is False:
                return ""
            self._asked.append((self._since + size, now))
            self._since = 0
            self._quiet.clear()
        return QUESTION

    def answered(self) -> None:
        """The oldest question was answered."""
        now = time.monotonic()
        with self._lock:
            self.answers = True
            if not self._asked:
                return
            size, at = self._asked.popleft()
            self._least_s = min(self._least_s, now - at)
            took = min(now - at - self._least_s, now - self._answered_at)
            self._answered_at = now
            if size >= _LEAST_BYTES:
                self._measured = True
                measured = size / max(took, 1e-3)
                before = self.bytes_per_s
                # A loaded machine answers late for once: slower is believed by halves.
                if measured > SLOW_BYTES_PER_S:
                    self.bytes_per_s = None
                else:
                    self.bytes_per_s = measured if before is None else (before + measured) / 2
            if not self._asked:
                self._quiet.set()

    def blocked(self, taken: int) -> None:
        """The kernel's buffer is full; since the call before it took so many bytes."""
        now = time.monotonic()
        with self._lock:
            if self._blocked is None:
                self._blocked = (now, 0)
                return
            since, sum_ = self._blocked
            self._blocked = (since, sum_ + taken)
            if self.answers is not True and now - since > 0.5 and sum_ + taken > _LEAST_BYTES:
                self.bytes_per_s = min((sum_ + taken) / (now - since), SLOW_BYTES_PER_S)

    def drained(self) -> None:
        """The kernel's buffer takes more."""
        with self._lock:
            self._blocked = None

    def wait_s(self, urgent: bool) -> float:
        """How long the next picture has to wait; urgent: a key asks for it. 0: not at all; an
        answer may come earlier."""
        now = time.monotonic()
        with self._lock:
            if self.answers is None and now - self._began > NO_ANSWER_S:
                self.answers = False
                self._asked.clear()
                self._quiet.set()
            if self.answers is False:
                if self.bytes_per_s is None:
                    return 0.0 if urgent else max(0.0, self._free_at - now)
                return max(0.0, self._free_at - now - AHEAD_S)
            on_way = sum(size for size, _ in self._asked)
            if self.bytes_per_s is None:
                # The first picture says how fast it is; of a fast one several may be on their way.
                if not on_way or (self._measured and on_way < SLOW_BYTES_PER_S * AHEAD_S):
                    return 0.0
            elif on_way <= self.bytes_per_s * AHEAD_S / 2:
                return 0.0
            oldest = self._asked[0][1] if self._asked else now
            if now - oldest > 20.0:  # an answer was lost
                self._asked.clear()
                self._quiet.set()
                return 0.0
            return 0.25

    @property
    def waiting(self) -> bool:
        """An answer may come."""
        return bool(self._asked)

    @property
    def most_bytes(self) -> int | None:
        """How large a picture may be; None: as large as it is."""
        rate = self.bytes_per_s
        return None if rate is None else max(_LEAST_BYTES, int(rate * AHEAD_S))

    def settle(self, seconds: float) -> None:
        """Waits for answers that are on their way, so that no shell gets them."""
        if self.answers:
            self._quiet.wait(seconds)
