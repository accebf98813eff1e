"""A paste whose end is lost: else every key that follows, q and ^C too, would be of it."""

from __future__ import annotations

BEGINS, ENDS = "\x1b[200~", "\x1b[201~"
QUIET_S = 1.0  # nothing of a paste comes for so long: it is over


class Pastes:
    """Follows the marks in what a terminal sends."""

    def __init__(self) -> None:
        self._open = False
        self._tail = ""  # a mark may come in two parts
        self._heard = 0.0

    def take(self, text: str, now: float) -> str:
        """What came at that time, with an end before it where one was lost."""
        missed = ENDS if self.is_over(now) else ""
        whole = self._tail + missed + text
        begins, ends = whole.rfind(BEGINS), whole.rfind(ENDS)
        if begins != ends:
            self._open = begins > ends
        self._tail = whole[-len(ENDS) + 1 :]
        self._heard = now
        return missed + text

    def is_over(self, now: float) -> bool:
        """One began, and its end is lost."""
        return self._open and now - self._heard >= QUIET_S
