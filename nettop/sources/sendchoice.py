"""Whose sends nettop chooses to stamp by itself, where that decides a verdict; within a budget."""

from __future__ import annotations

from collections.abc import Sequence

CHOSEN_MOST = 16
KEPT_S = 30.0  # after its verdict ended, or was decided by something else
# Of one run of a program, five a send: a stamped send costs 245 ns.
RUN_NS = 50
MOST_PCT = 2.0  # of one CPU
# A walk locks each socket of the host: the next waits until it was so much of the time.
WALK_SHARE = 0.01
REST_S = 60.0  # after it was too dear


class SendChoice:
    """No clock: what is now is given, in monotonic seconds."""

    def __init__(self, most_pct: float = MOST_PCT) -> None:
        self._most_pct = min(MOST_PCT, most_pct)
        self._until: dict[int, float] = {}  # cookie → so long it stays
        self._before: tuple[float, int] | None = None  # seconds, runs
        self._change_at = self._rests_until = float("-inf")
        self._why_rests = ""

    def take(self, wanted: Sequence[int], now: float) -> tuple[int, ...]:
        """Those that are chosen from now on.

        Args:
            wanted: cookies of sockets whose verdict the stages would decide, worst first.
        """
        if now < self._rests_until:
            return ()
        for cookie in wanted:
            if cookie in self._until:
                self._until[cookie] = now + KEPT_S
        if now >= self._change_at:
            self._until = {c: until for c, until in self._until.items() if until > now}
            self._enter([c for c in wanted if c not in self._until], set(wanted), now)
        return tuple(self._until)

    def _enter(self, fresh: Sequence[int], wanted: set[int], now: float) -> None:
        """In the place of one that only stays, where there is no other."""
        stays = sorted((c for c in self._until if c not in wanted), key=self._until.__getitem__)
        for cookie in fresh:
            if len(self._until) >= CHOSEN_MOST:
                if not stays:
                    return
                del self._until[stays.pop(0)]
            self._until[cookie] = now + KEPT_S

    def walked(self, cpu_s: float, now: float) -> None:
        """What a walk over the host's sockets took."""
        self._change_at = now + cpu_s / WALK_SHARE

    def ran(self, runs: int, now: float) -> bool:
        """Whether the programs, that ran so often by now, stay within the budget."""
        before, self._before = self._before, (now, runs)
        if before is None or now <= before[0] or not self._until:
            return True
        pct = (runs - before[1]) / (now - before[0]) * RUN_NS / 1e7
        if pct <= self._most_pct:
            return True
        self._until.clear()
        self._rests_until = now + REST_S
        self._why_rests = (
            f"stamping by itself would cost {pct:.1f} % of a CPU, more than {self._most_pct:g}; "
            f"tried again after {REST_S:.0f} s"
        )
        return False

    def why_rests(self, now: float) -> str:
        """Empty: it does not."""
        return self._why_rests if now < self._rests_until else ""
