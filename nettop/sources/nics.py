"""NICs' stamps of sends, from each NIC's own time to the system's: the nic stage."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from nettop.engine import check, ffi, lib
from nettop.model.types import NicStage
from nettop.sources.netns import own_inode
from nettop.text.clean import clean

if TYPE_CHECKING:  # loaded where a NIC stamps: few hosts have one
    from nettop.clocks.follow import FollowedClock

MOST = 4096  # stamps that wait for their clock to be read again
_LATER_S = 3.0  # by then it was, or cannot be
_TX_HARDWARE = 1  # SOF_TIMESTAMPING_TX_HARDWARE
_NONE_YET = "no NIC stamped these"


def stamping() -> dict[int, str]:
    """By index the interfaces of this namespace that stamp what they send, or may: some drivers do
    not say."""
    setting, info = ffi.new("struct nt_hwtstamp *"), ffi.new("struct nt_ts_info *")
    found = {}
    for index, name in socket.if_nameindex():
        raw = os.fsencode(name)
        if not lib.nt_hwtstamp_get(raw, setting):
            may = setting.tx_type != 0  # HWTSTAMP_TX_OFF
        else:
            may = not lib.nt_ts_info(raw, info) and info.so_timestamping & _TX_HARDWARE
        if may:
            found[index] = name
    return found


def claimed() -> str | None:
    """Whose stamps of a NIC would be taken if sends were stamped: a NIC keeps one, or a few, until
    they are read, and a daemon that misses its own calls the clock's port faulty. Where that
    cannot be known, why not."""
    try:
        names = list(stamping().values())
    except OSError as error:
        return f"which NICs stamp is not known: {error.strerror}"
    if not names:
        return None
    from nettop.clocks.hwtstamp import find_owners

    owners = find_owners()
    if not owners:
        return None
    return f"{owners[0].comm} (pid {owners[0].pid}) may need the stamps of {clean(names[0])}"


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


class _Waiting(Struct, frozen=True):
    stamp: Stamp
    clock: FollowedClock
    until: float


class NicStamps:
    """Follows the clocks of the NICs that stamp sends, while sends are stamped."""

    def __init__(self) -> None:
        self._netns = own_inode()
        self._phcs: dict[int, FollowedClock] = {}
        self._clocks: dict[int, FollowedClock | str] = {}  # by interface; a text: why it has none
        self._waiting: deque[_Waiting] = deque()
        self._unplaced = self._before_software = self._run_bar_ns = 0
        self._why = ""  # the last timestamp could not be converted
        self._raw: Any = ffi.new(f"struct nt_stages_nic[{MOST}]")

    def start(self) -> None:
        """Sends are timestamped from now on: reads the clocks before the first timestamps come."""
        for index in stamping():
            self._clock_of(index)

    def tick(self, stages: Any) -> NicStage:
        """Takes new stamps, and gives the stages plane those that can be converted now."""
        n = check(lib.nt_stages_nics(stages, self._raw, MOST), "reading stamps of NICs")
        for raw in self._raw[0:n]:
            self.take(Stamp(raw.cookie, raw.left_ns, raw.hw_ns, raw.ifindex, raw.netns))
        placed = self.convertible()
        given = ffi.new("struct nt_stages_placed[]", [tuple(p) for p in sorted(placed)])
        check(lib.nt_stages_place(stages, given, len(placed)), "placing stamps of NICs")
        return self.state(placed)

    def state(self, placed: Sequence[Placed]) -> NicStage:
        """After an interval that had these."""
        bar_ns = max((p.bar_ns for p in placed), default=0)
        self._run_bar_ns = max(self._run_bar_ns, bar_ns)
        reason = None
        if not placed:
            reason = _NONE_YET if not self._unplaced else f"not converted: {self._why}"
            if self._waiting:
                reason = "timestamps wait for the next reading of their clock"
        return NicStage(
            bar_ns, self._run_bar_ns, len(self._waiting), self._unplaced, self._before_software,
            reason,
        )  # fmt: skip

    def take(self, stamp: Stamp) -> None:
        """A new one; its clock is opened if it is not yet."""
        clock: FollowedClock | str = "timestamped by a NIC of another network namespace"
        if stamp.netns == self._netns:
            clock = self._clock_of(stamp.ifindex)
        if len(self._waiting) >= MOST:
            clock = "too many at once"
        if isinstance(clock, str):
            self._cannot(clock)
        else:
            self._waiting.append(_Waiting(stamp, clock, time.monotonic() + _LATER_S))

    def _cannot(self, why: str) -> None:
        self._unplaced += 1
        self._why = why

    def _clock_of(self, ifindex: int) -> FollowedClock | str:
        if ifindex not in self._clocks:
            self._clocks[ifindex] = self._opened(ifindex)
        return self._clocks[ifindex]

    def _opened(self, ifindex: int) -> FollowedClock | str:
        from nettop.clocks.follow import FollowedClock
        from nettop.clocks.interfaces import interface
        from nettop.clocks.phc import why_not

        try:
            name = socket.if_indextoname(ifindex)
            phc = interface(name).phc
        except OSError as error:
            return f"interface {ifindex} cannot be asked: {error.strerror}"
        if phc is None:
            return f"the driver of {clean(name)} names no clock"
        if phc not in self._phcs:
            path = f"/dev/ptp{phc}"
            try:
                self._phcs[phc] = FollowedClock(path)
            except OSError as error:
                return f"{clean(name)}: {why_not(error, path)[0]}"
        return self._phcs[phc]

    def convertible(self) -> list[Placed]:
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
        stamp = one.stamp
        left = one.clock.to_monotonic(stamp.hw_ns, stamp.left_ns)
        if left is None:
            self._cannot("the NIC's clock was not known around that time")
            return None
        ns = left.ns - stamp.left_ns
        if ns < -left.bar_ns:
            self._before_software += 1
            return None
        return Placed(stamp.cookie, max(0, ns), left.bar_ns)

    def clear(self) -> None:
        """The run begins now."""
        self._run_bar_ns = 0

    def stop(self, stages: Any) -> None:
        """Sends are no longer timestamped: discards the timestamps that are left."""
        while lib.nt_stages_nics(stages, self._raw, MOST) == MOST:
            pass
        lib.nt_stages_place(stages, ffi.new("struct nt_stages_placed[]", []), 0)
        self._waiting.clear()
        self._clocks.clear()
        for clock in self._phcs.values():
            clock.close()
        self._phcs.clear()
