"""Every clock of this machine, read again and again: offsets, frequencies, steps, and states."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from msgspec import Struct

from nettop.clocks.interfaces import Interface, interfaces
from nettop.clocks.offset import (
    SECOND_NS,
    Frequency,
    Method,
    Offset,
    Step,
    Stepped,
    Tracker,
    estimate,
)
from nettop.clocks.phc import Caps, Device, Phc, device, devices, why_not
from nettop.clocks.system import SystemClock, read_system_clock

LOCKED_NS = 1000  # nearer than this to its time scale at every reading
STEPPED_FOR_NS = 60 * SECOND_NS  # a step is reported for so long
_SCALE_NS = SECOND_NS // 2  # nearer than this to a time scale: it counts that
_LOOKS_LIKE_DRIFT = 2  # times its bar
_SAME = 0.02  # speeds that differ by less are one


class State(Enum):
    """How a PHC stands, in a word or two."""

    ABSENT = "not readable"
    WAITING = "not read yet"
    STOPPED = "stands still"
    RUNS_WRONG = "runs wrong"
    STEPPED = "stepped"
    LOCKED = "locked"
    DRIFTS = "drifts"
    STEADY = "steady"


class Scale(Enum):
    """Which time a PHC counts, as near as half a second."""

    UTC = "utc"
    TAI = "tai"
    OWN = "own"


class PhcReport(Struct, frozen=True):
    """A PHC and what is known of it so far."""

    device: Device
    interfaces: tuple[str, ...]  # that stamp by it
    state: State
    reason: str | None = None
    fix: str | None = None
    caps: Caps | None = None
    last: Offset | None = None
    scale: Scale | None = None
    residual_ns: int | None = None  # PHC minus its time scale
    frequency: Frequency | None = None
    speed: float | None = None  # of one that runs wrong; 1 is right
    steps: tuple[Step, ...] = ()
    steps_seen: int = 0
    readings: int = 0
    line: tuple[Offset, ...] = ()  # since the last step

    @property
    def method(self) -> Method | None:
        return self.last.method if self.last else None


class Report(Struct, frozen=True):
    """What `nettop clocks` shows."""

    taken_ns: int
    observed_ns: int
    system: SystemClock | None
    interfaces: tuple[Interface, ...]
    phcs: tuple[PhcReport, ...]


class _Watched:
    """One PHC: open or not, and why not."""

    def __init__(self, dev: Device, period_ns: int) -> None:
        self.device = dev
        self.phc: Phc | None = None
        self.error: OSError | None = None
        self.readings = 0
        self.tracker = Tracker(period_ns)
        try:
            self.phc = Phc(dev.path)
        except OSError as error:
            self.error = error
        else:
            self.tracker = Tracker(period_ns, self.phc.caps.max_adj_ppb)

    def look(self) -> None:
        if self.phc is None:
            return
        try:
            found = estimate(self.phc.read())
        except OSError as error:
            self.error = error
            self.tracker.lose()
            return
        if found is not None:
            self.error = None
            self.readings += 1
            self.tracker.add(found)


class Observer:
    """Reads all PHCs, or those that were named, each time that it is called."""

    def __init__(self, only: Sequence[str] | None = None, period_ns: int = SECOND_NS) -> None:
        """only: paths of PHCs; None: all that the system lists, and that interfaces name."""
        self._only = only
        self._period_ns = period_ns
        self._started_ns = time.monotonic_ns()
        self._nics: tuple[Interface, ...] = ()
        self._watched: dict[str, _Watched] = {}
        self.refresh()

    def refresh(self) -> None:
        """Looks which interfaces and PHCs there are now."""
        self._nics = tuple(interfaces())
        found = {d.path: d for d in self._devices()}
        for path in self._watched.keys() - found.keys():
            self._close(self._watched.pop(path))
        for path, dev in found.items():
            if path not in self._watched:
                self._watched[path] = _Watched(dev, self._period_ns)

    def _devices(self) -> list[Device]:
        if self._only is not None:
            return [device(path) for path in self._only]
        found = {d.index: d for d in devices()}
        for nic in self._nics:
            if nic.phc is not None and nic.phc not in found:
                found[nic.phc] = Device(f"/dev/ptp{nic.phc}", nic.phc)
        return sorted(found.values(), key=lambda d: d.index or 0)

    @property
    def any_readable(self) -> bool:
        return any(w.phc is not None for w in self._watched.values())

    def look(self) -> None:
        """One reading of each."""
        for watched in self._watched.values():
            watched.look()

    def tracker(self, index: int) -> Tracker | None:
        """Of /dev/ptpINDEX, to convert hardware stamps; None if it cannot be read."""
        for watched in self._watched.values():
            if watched.device.index == index and watched.phc is not None:
                return watched.tracker
        return None

    def report(self) -> Report:
        system: SystemClock | None
        try:
            system = read_system_clock()
        except OSError:
            system = None
        tai_s = system.tai_minus_utc_s if system else None
        return Report(
            taken_ns=time.time_ns(),
            observed_ns=time.monotonic_ns() - self._started_ns,
            system=system,
            interfaces=self._nics,
            phcs=tuple(self._report(w, tai_s) for w in self._watched.values()),
        )

    def _report(self, watched: _Watched, tai_s: int | None) -> PhcReport:
        tracker, dev = watched.tracker, watched.device
        reason, fix = why_not(watched.error, dev.path) if watched.error else (None, None)
        last = tracker.last
        scale, residual = scale_of(last, tai_s) if last else (None, None)
        frequency = tracker.frequency()
        return PhcReport(
            device=dev,
            interfaces=tuple(
                n.name for n in self._nics if n.phc is not None and n.phc == dev.index
            ),
            state=State.ABSENT if watched.error else state_of(tracker, tai_s, frequency),
            reason=reason,
            fix=fix,
            caps=watched.phc.caps if watched.phc else None,
            last=last,
            scale=scale,
            residual_ns=residual,
            frequency=frequency,
            speed=speed_of(tracker),
            steps=tuple(tracker.steps),
            steps_seen=tracker.steps_seen,
            readings=watched.readings,
            line=tuple(tracker.line),
        )

    def close(self) -> None:
        for watched in self._watched.values():
            self._close(watched)
        self._watched = {}

    @staticmethod
    def _close(watched: _Watched) -> None:
        if watched.phc is not None:
            watched.phc.close()


def scale_of(offset: Offset, tai_s: int | None) -> tuple[Scale, int]:
    """Which time a PHC counts, and how far it is from that; TAI only if the kernel knows it."""
    ahead = -offset.offset_ns
    if tai_s is not None and abs(ahead - tai_s * SECOND_NS) < _SCALE_NS:
        return Scale.TAI, ahead - tai_s * SECOND_NS
    return (Scale.UTC if abs(ahead) < _SCALE_NS else Scale.OWN), ahead


def state_of(tracker: Tracker, tai_s: int | None, frequency: Frequency | None) -> State:
    """In the order of what must be known first."""
    if tracker.last is None:
        return State.WAITING
    if tracker.steps and tracker.last.sys_ns - tracker.steps[-1].at_sys_ns < STEPPED_FOR_NS:
        speed = speed_of(tracker)
        if speed is None:
            return State.STEPPED
        return State.STOPPED if abs(speed) < _SAME else State.RUNS_WRONG
    near = all(
        scale is not Scale.OWN and abs(residual) <= LOCKED_NS + o.bar_ns
        for o in tracker.line
        for scale, residual in (scale_of(o, tai_s),)
    )
    if near and len(tracker.line) > 1:
        return State.LOCKED
    if frequency is not None and abs(frequency.ppb) > _LOOKS_LIKE_DRIFT * frequency.bar_ppb:
        return State.DRIFTS
    return State.STEADY if frequency is not None else State.WAITING


def speed_of(tracker: Tracker) -> float | None:
    """How fast a PHC runs that steps by as much at each reading; None if it does not."""
    if len(tracker.line) > 1 or len(tracker.steps) < 3:
        return None
    steps = list(tracker.steps)[-3:]
    if any(step.clock is not Stepped.PHC for step in steps):
        return None
    a, b = (
        1 + later.by_ns / max(1, later.at_sys_ns - earlier.at_sys_ns)
        for earlier, later in pairwise(steps)
    )
    return b if abs(a - b) < _SAME else None
