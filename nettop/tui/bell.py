"""The bell: rings while a condition holds, with a pause between two rings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from nettop.query.compile import Filter

PAUSE_S = 10.0


class Bell(Struct):
    """A condition, and how many sockets it held for in the last tick."""

    text: str
    compiled: Filter
    matching: int = 0
    _rung_s: float | None = None

    def hear(self, matching: int, clock: Callable[[], float] = time.monotonic) -> bool:
        """Takes a tick; whether the bell rings now."""
        self.matching = matching
        now = clock()
        if not matching or (self._rung_s is not None and now - self._rung_s < PAUSE_S):
            return False
        self._rung_s = now
        return True
