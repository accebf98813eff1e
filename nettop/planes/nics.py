"""NICs' stamps of sends, from each NIC's own time to the system's: the nic stage."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nettop.ffi import check, ffi, lib
from nettop.model.types import NicStage
from nettop.render.clean import clean

if TYPE_CHECKING:  # loaded with the first stamp: few hosts have any
    from nettop.clocks.follow import FollowedClock

MOST = 4096  # stamps that wait for their clock to be read again
_LATER_S = 3.0  # by then it was, or cannot be
_TX_OFF = 0  # HWTSTAMP_TX_OFF
_NONE_YET = "no NIC has stamped these sends (C: which can)"


def claimed() -> str | None:
    """Whose stamps of a NIC would be taken if sends were stamped: a NIC keeps one, or a few, until
    they are read, and a daemon that misses its own calls the clock's port faulty."""
    setting = ffi.new("struct nt_hwtstamp *")
    for _, name in socket.if_nameindex():
        if lib.nt_hwtstamp_get(os.fsencode(name), setting) or setting.tx_type == _TX_OFF:
            continue
        from nettop.clocks.hwtstamp import find_owners

        for owner in find_owners():
            return f"{owner.comm} (pid {owner.pid}) needs the hardware stamps of {clean(name)}"
    return None


class Stamp(NamedTuple):
    """A send and when it left: by software's clock, and by the NIC's own."""

    cookie: int
    left_ns: int
    hw_ns: int
    ifindex: int
    netns: int


class Placed(NamedTuple):
    """From software's departure to the NIC's, right within the bar."""

    cookie: int
    ns: int
    bar_ns: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    stamp: Stamp
    clock: FollowedClock
    steps: int  # of its clock, when the stamp was taken
    until: float


class NicStamps:
    """Follows the clock of every NIC that stamps sends, from its first stamp on."""

    def __init__(self) -> None:
        self._netns = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116
        self._clocks: dict[int, FollowedClock | None] = {}  # by interface; None: it has none
        self._waiting: deque[_Waiting] = deque()
        self._unplaced = self._before_software = 0
        self._reason: str | None = _NONE_YET
        self._raw: Any = ffi.new(f"struct nt_stages_nic[{MOST}]")

    def tick(self, stages: Any) -> NicStage:
        """Takes new stamps, and gives the stages plane those that can be told now."""
        n = check(lib.nt_stages_nics(stages, self._raw, MOST), "reading stamps of NICs")
        for raw in self._raw[0:n]:
            self.take(Stamp(raw.cookie, raw.left_ns, raw.hw_ns, raw.ifindex, raw.netns))
        placed = self.ripe()
        given = ffi.new("struct nt_stages_placed[]", [tuple(p) for p in sorted(placed)])
        check(lib.nt_stages_place(stages, given, len(placed)), "placing stamps of NICs")
        return self.state(placed)

    def state(self, placed: Sequence[Placed]) -> NicStage:
        """After an interval that told these."""
        bar_ns = max((p.bar_ns for p in placed), default=0)
        return NicStage(bar_ns, self._unplaced, self._before_software, self._reason)

    def take(self, stamp: Stamp) -> None:
        """A new one; its clock is opened if it is not yet."""
        clock = self._clock_of(stamp)
        if clock is None or len(self._waiting) >= MOST:
            self._unplaced += 1
            return
        until = time.monotonic() + _LATER_S
        self._waiting.append(_Waiting(stamp, clock, clock.steps_seen, until))

    def _clock_of(self, stamp: Stamp) -> FollowedClock | None:
        if stamp.netns != self._netns:
            self._reason = "stamped by a NIC of another network namespace"
            return None
        if stamp.ifindex not in self._clocks:
            self._clocks[stamp.ifindex] = self._opened(stamp.ifindex)
        return self._clocks[stamp.ifindex]

    def _opened(self, ifindex: int) -> FollowedClock | None:
        from nettop.clocks.follow import FollowedClock
        from nettop.clocks.interfaces import interface
        from nettop.clocks.phc import why_not

        try:
            name = socket.if_indextoname(ifindex)
            phc = interface(name).phc
        except OSError as error:
            self._reason = f"interface {ifindex} stamps, and cannot be asked: {error.strerror}"
            return None
        if phc is None:
            self._reason = f"{clean(name)} stamps, and its driver names no clock"
            return None
        path = f"/dev/ptp{phc}"
        try:
            clock = FollowedClock(path)
        except OSError as error:
            self._reason = f"{clean(name)} stamps, and {why_not(error, path)[0]}"
            return None
        self._reason = None
        return clock

    def ripe(self) -> list[Placed]:
        """Those whose clock was read again by now, as the system's time."""
        now, out = time.monotonic(), []
        for _ in range(len(self._waiting)):
            one = self._waiting.popleft()
            if not one.clock.is_between(one.stamp.hw_ns) and now < one.until:
                self._waiting.append(one)
                continue
            placed = self._place(one)
            if placed is not None:
                out.append(placed)
        return out

    def _place(self, one: _Waiting) -> Placed | None:
        stamp, clock = one.stamp, one.clock
        left = clock.to_monotonic(stamp.hw_ns) if clock.steps_seen == one.steps else None
        if left is None:
            self._unplaced += 1
            return None
        ns = left.ns - stamp.left_ns
        if ns < -left.bar_ns:
            self._before_software += 1
            return None
        return Placed(stamp.cookie, max(0, ns), left.bar_ns)

    def close(self) -> None:
        for clock in self._clocks.values():
            if clock is not None:
                clock.close()
        self._clocks.clear()
