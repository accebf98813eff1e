"""Finds the causes of a tick, and keeps them for as long as they may come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import NamedTuple

from nettop.causes.rules import asked_of
from nettop.causes.scene import Scene
from nettop.model.causes import Candidate, Cause, LateProcess, PeerKey, SlowPeer
from nettop.model.events import Event
from nettop.model.evidence import HostTick
from nettop.model.types import Proto, Verdict

MOST_CANDIDATES = 256  # that rules are asked of; the engine takes no more causes
STAYS_NS = 5 * 10**9  # a cause that was found once, while what it explains still holds
MOST_LATE = 32  # processes
LEAST_LATE_SOCKETS = 5  # of a process, that were read late in an interval
LATE_SHARE = 0.05  # of what its sockets received: one in twenty


MOST_SLOW = 8  # peers, that the engine takes
SLOW_TICKS = 3  # in a row, until a peer is said to be slow
NO_SLOW: Mapping[PeerKey, SlowPeer] = MappingProxyType({})


class Causes(NamedTuple):
    """What holds from a tick on."""

    found: dict[int, Cause]  # by cookie
    late: dict[int, LateProcess]  # by pid: reads many sockets late at once
    slow: Mapping[PeerKey, SlowPeer] = NO_SLOW  # of many alike these peers are slow
    out: Mapping[int, int] = MappingProxyType({})  # cookie → its packets dropped here, going out
    staged: tuple[int, ...] = ()  # cookies of sockets whose verdict TX stages would decide


NO_CAUSES = Causes({}, {})
# A long round trip is the path's, or this host's queue's or NIC's, and a full send buffer's cost is
# the time that sends wait for room. Losses in this host are seen as they happen.
_STAGED = sum(1 << v for v in (Verdict.RTT, Verdict.QDISC, Verdict.NIC, Verdict.SNDBUF))
# Causes that stages confirm or refute; where another one is found, nothing is left to decide.
_OPEN_RULES = ("own_queue", "own_queue_few", "own_queue_undecided")


MOST_DROPS = 256  # events of an interval
# Whose packets may have been dropped: what is dropped comes late, when it is sent again.
MAY_BE_DROPPED = 1 << Verdict.LOSS | 1 << Verdict.RTO | 1 << Verdict.RTT


class _Slow(NamedTuple):
    peer: SlowPeer
    ticks: int  # so far
    at_ns: int  # in which it was seen last


class Finder:
    """Follows sockets from tick to tick."""

    def __init__(self) -> None:
        self._scene = Scene()
        self._found: dict[int, tuple[Cause, int]] = {}  # cookie → cause, when
        self._late: dict[int, tuple[LateProcess, int]] = {}
        self._slow: dict[PeerKey, _Slow] = {}

    def twin(self) -> Finder:
        """The same for another feed."""
        return deepcopy(self)

    def tick(
        self,
        tick: HostTick,
        candidates: Sequence[Candidate],
        late: Sequence[LateProcess],
        slow: Sequence[SlowPeer] | None = (),
        drops: Sequence[Event] = (),
        *,
        mono_ns: int,
        events: bool,
    ) -> Causes:
        """
        Args:
            candidates: worst first.
            late: processes with LEAST_LATE_SOCKETS or more.
            slow: peers that are slow beside others of the same service, in this interval; None:
                a poll within one, which says nothing of them.
            drops: events of packets that were dropped in the interval, of any namespace.
            events: the events plane sees what this host drops.
        """
        self._scene.enter(tick, candidates, drops, mono_ns=mono_ns, events=events)
        before, self._found = self._found, {}
        scene = self._scene
        for socket in candidates:
            for rule in asked_of(socket.held | socket.verdicts, scene.signs(socket)):
                found = rule.find(socket, scene)
                if found is not None:
                    self._found[socket.cookie] = rule.cause(socket, found), mono_ns
                    break
            else:
                known = before.get(socket.cookie)
                stays = known is not None and known[0].stays and not known[0].imposes
                if stays and known is not None and mono_ns - known[1] < STAYS_NS:
                    self._found[socket.cookie] = known
        self._enter_late(late, mono_ns)
        if slow is not None:
            self._enter_slow(slow, mono_ns)
        return Causes(
            {cookie: cause for cookie, (cause, _) in self._found.items()},
            {pid: process for pid, (process, _) in self._late.items()},
            {key: one.peer for key, one in self._slow.items() if one.ticks >= SLOW_TICKS},
            self._scene.dropped.packets_out(),
            tuple(s.cookie for s in candidates if self._staged(s)),
        )

    def _staged(self, socket: Candidate) -> bool:
        if not (socket.matched and socket.level and socket.verdicts & _STAGED):
            return False
        if socket.proto != Proto.TCP:
            return False
        known = self._found.get(socket.cookie)
        return known is None or known[0].rule in _OPEN_RULES

    def _enter_late(self, late: Sequence[LateProcess], mono_ns: int) -> None:
        for pid in [p for p, (_, at) in self._late.items() if mono_ns - at >= STAYS_NS]:
            del self._late[pid]
        for process in late:
            known = process.pid in self._late or len(self._late) < MOST_LATE
            if known and process.sockets >= LATE_SHARE * process.deliveries:
                self._late[process.pid] = process, mono_ns

    def _enter_slow(self, slow: Sequence[SlowPeer], mono_ns: int) -> None:
        now = {peer.key: peer for peer in slow}
        for key, one in [*self._slow.items()]:
            begun = one.ticks >= SLOW_TICKS
            if key not in now and (not begun or mono_ns - one.at_ns >= STAYS_NS):
                del self._slow[key]
        for key, peer in now.items():
            if key in self._slow or len(self._slow) < MOST_SLOW:
                ticks = self._slow[key].ticks if key in self._slow else 0
                self._slow[key] = _Slow(peer, ticks + 1, mono_ns)
