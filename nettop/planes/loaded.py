"""The BPF planes of a running nettop: loaded once, read each tick, ended together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nettop.ffi.engine import Engine
from nettop.model.types import Histogram, SourceStatus
from nettop.planes import PlaneOptions, absent_planes, off, wait


@dataclass(frozen=True, slots=True)
class PlaneTick:
    """What the planes say of one interval beside what they told the engine."""

    rx_wait: Histogram | None = None
    runs_per_s: float | None = None  # of all BPF programs
    lost: int = 0  # records and samples that the kernel had no room for, so far


class Planes:
    """Those that could be loaded; each tells why it is off."""

    def __init__(self, options: PlaneOptions) -> None:
        """Loads them, which needs privilege that may be given up afterwards."""
        self._off: dict[str, SourceStatus] = {}
        self._wait: wait.WaitPlane | None = None
        if not options.bpf or not options.observes:
            reason = "switched off by --no-bpf"
            if options.bpf:
                reason = "one tick alone measures nothing: add -d SECS"
            self._off["wait"] = off("wait", reason)
            return
        self._wait, status = wait.open_plane(options.bpf_budget_pct)
        if self._wait is None:
            self._off["wait"] = status

    def seed(self, ns_fd: int = -1) -> None:
        """Data that is unread in this namespace came before now; -1: nettop's own."""
        if self._wait is not None:
            self._wait.seed(ns_fd)

    def read(self, engine: Engine) -> PlaneTick:
        """Ends an interval; the engine's next sweep judges by it."""
        if self._wait is None:
            return PlaneTick()
        tick = self._wait.read(engine)
        if tick is None:
            return PlaneTick()
        return PlaneTick(tick.histogram, tick.runs_per_s, tick.no_storage + tick.focus_full)

    def read_late(self, engine: Engine) -> None:
        """After the sweep: what new sockets did before the table knew them."""
        if self._wait is not None:
            self._wait.read_late(engine)

    def focus(self, cookies: Sequence[int]) -> None:
        """Sockets on the screen or marked, at most 256."""
        if self._wait is not None:
            self._wait.focus(cookies)

    def rx_wait(
        self, cookies: Sequence[int] | None, engine: Engine, *, filtered: bool, run: bool
    ) -> Histogram | None:
        """Of these sockets; None: of those that pass the filter, or of the host."""
        if self._wait is None:
            return None
        if cookies is None and filtered and not run:
            return self._wait.matched(engine)
        return self._wait.histogram(cookies or (), run=run)

    def statuses(self) -> tuple[SourceStatus, ...]:
        known = dict(self._off)
        if self._wait is not None:
            known["wait"] = self._wait.status()
        return (*known.values(), *absent_planes(frozenset(known)))

    def clear(self) -> None:
        if self._wait is not None:
            self._wait.clear()

    def close(self) -> None:
        if self._wait is not None:
            self._wait.close()
