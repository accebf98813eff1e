"""What the host's counters, the planes and nettop itself add to the sockets' verdicts."""

from __future__ import annotations

from nettop.findings.values import Moved, Unknown
from nettop.model.types import HostCounters, SourceStatus
from nettop.text.counters import COUNTERS

# By plane: what stays unknown while it is off. Planes that have to be asked for are not listed.
NOT_SAID = {
    "diag": "what the sockets are like that could not be listed",
    "procs": "which program holds a socket, so whom an app verdict is about",
    "wait": "how late programs read, unless their queues stand full when one looks",
    "stages": "whether sends wait in this host's own queues (verdicts qdisc and nic)",
    "events": "why packets were dropped, what this host dropped itself, sockets that closed",
}
_NOT_READ_YET = "not read yet"
_NONE_STAMPED = "no sends are stamped"  # as the plane says it, with what the screen can do


class CounterSum:
    """How much counters grew, from tick to tick: a namespace that comes or goes is no growth."""

    def __init__(self) -> None:
        self.grown: dict[str, int] = {}
        self.known = False
        self._last: HostCounters | None = None

    def restart(self) -> None:
        """The next tick is the first of another run."""
        self._last = None

    def take(self, now: HostCounters) -> None:
        last, self._last = self._last, now
        if last is None:
            return
        for field in COUNTERS:
            was, is_ = getattr(last, field), getattr(now, field)
            if was is None or is_ is None:
                continue
            self.known = True
            if is_ > was:
                self.grown[field] = self.grown.get(field, 0) + is_ - was

    def moved(self) -> tuple[Moved, ...]:
        """Those that grew, trouble first."""
        return tuple(
            Moved(field, counter.name, self.grown[field], counter.says, counter.trouble)
            for field, counter in COUNTERS.items()
            if field in self.grown
        )


class SourceLog:
    """Which planes were off, and in how many ticks."""

    def __init__(self) -> None:
        self._off: dict[str, tuple[SourceStatus, int]] = {}

    def take(self, sources: tuple[SourceStatus, ...]) -> None:
        for status in sources:
            if status.name == "stages" and status.state == "ok":
                self._off.pop(status.name, None)  # it is on once sockets are chosen for it
            elif (
                status.name in NOT_SAID and status.state != "ok" and status.reason != _NOT_READ_YET
            ):
                ticks = self._off[status.name][1] if status.name in self._off else 0
                self._off[status.name] = status, ticks + 1

    def unknown(self, sources: tuple[SourceStatus, ...]) -> tuple[Unknown, ...]:
        """sources: of the last tick."""
        named = {status.name for status in sources}
        absent = [
            Unknown(SourceStatus(name, "off", reason="not in this file"), NOT_SAID[name], 0)
            for name in NOT_SAID
            if name not in named
        ]
        known = [_unknown(*self._off[name]) for name in NOT_SAID if name in self._off]
        return (*known, *absent)


def _unknown(status: SourceStatus, ticks: int) -> Unknown:
    if (status.reason or "").startswith(_NONE_STAMPED):
        fix = "nettop why --tx-sample 1 stamps all"
        status = SourceStatus(status.name, status.state, status.method, _NONE_STAMPED, fix)
    says = NOT_SAID[status.name]
    return Unknown(status, f"for some: {says}" if status.state == "partial" else says, ticks)
