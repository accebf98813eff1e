"""The room of a table, of which the panes below take what it does not need."""

from __future__ import annotations

from collections.abc import Hashable

STEP_LINES = 4


class Room:
    """Grows with the table in steps, and does not shrink while the same is shown, so that what
    stands below rests."""

    def __init__(self) -> None:
        self._of: Hashable = None
        self._most_lines = 0

    def lines(self, needed: int, of: Hashable) -> int:
        """How many lines it keeps, where it needs so many; of: what is shown in it."""
        if of != self._of:
            self._of, self._most_lines = of, 0
        in_steps = -(-max(1, needed) // STEP_LINES) * STEP_LINES
        self._most_lines = max(self._most_lines, in_steps)
        return self._most_lines
