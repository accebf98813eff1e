"""Packets that this host dropped: of which sockets, and for which of the kernel's reasons."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nettop.model.causes import Candidate
from nettop.model.events import Event
from nettop.model.types import Proto, Verdict

DROPS_NS = 10 * 10**9  # packets dropped here count together so long
RATE_NS = 5 * 10**9  # what was dropped of a socket is a rate of so long
# Of the kernel's reasons, those of this host's own firewall, queues and devices: as NT_D_HERE.
_HERE = frozenset({
    "NETFILTER_DROP", "TC_EGRESS", "FULL_RING", "DEV_READY", "CPU_BACKLOG", "NEIGH_CREATEFAIL",
    "TC_INGRESS", "XDP", "IP_RPFILTER", "BPF_CGROUP_EGRESS",
})  # fmt: skip
IPPROTO_TCP = 6
# Of packets that came: their event has the ends of the socket that they were for.
_CAME = ("TCP_", "SOCKET_", "PROTO_MEM")
# The kernel's reasons of packets that found no next hop: some wait for its answer first.
NO_NEXT_HOP = frozenset({"NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD"})

_Pair = frozenset[tuple[bytes, int]]  # address and port of both ends


class _Count(NamedTuple):
    at_ns: int
    segments: int
    total_retrans: int


class _There(NamedTuple):
    at_ns: int
    netns: int
    cookie: int  # 0: it was not known yet for which socket
    reason: str
    packets: int  # on the wire


class Out(NamedTuple):
    """What its own host dropped of a socket on the way out, while it was held for losses."""

    at_ns: int  # the last
    packets: int
    no_next_hop: int  # of these
    total_retrans: int  # when it was first seen


class Elsewhere(NamedTuple):
    """Packets of a connection that this host dropped where they were no socket's."""

    netns: int
    reason: str  # the kernel's name
    packets: int


class Dropped:
    """Kept from tick to tick."""

    def __init__(self) -> None:
        self._mono_ns = self._before_ns = 0
        self._counted: dict[int, deque[_Count]] = {}  # by cookie
        self._dropping: dict[int, tuple[int, int]] = {}  # since when, and the last
        self._seen: dict[_Pair, deque[_There]] = {}
        self._resent: dict[int, tuple[int, int]] = {}  # cookie → since when, total_retrans then
        self._out: dict[int, Out] = {}  # by cookie

    def enter(self, events: Sequence[Event], candidates: Sequence[Candidate], mono_ns: int) -> None:
        """The next tick; events: of packets that were dropped in the interval."""
        self._before_ns = self._mono_ns or mono_ns - 10**9
        self._mono_ns = mono_ns
        self._enter_events(events)
        self._enter_counts(candidates)
        self._enter_out(events, candidates)

    def lately(self, socket: Candidate) -> bool:
        """Packets of it, on their way out or in."""
        return socket.cookie in self._counted

    def refused(self, socket: Candidate) -> tuple[int, int, float] | None:
        """Segments of RATE_NS that this host dropped, segments that TCP sent again meanwhile, and
        of how many seconds that is; None: none."""
        seen = self._counted.get(socket.cookie)
        if not seen:
            return None
        again = socket.total_retrans - seen[0].total_retrans
        over_ns = min(self._mono_ns - self._dropping[socket.cookie][0], RATE_NS)
        return sum(d.segments for d in seen), again, over_ns / 1e9

    def elsewhere(self, socket: Candidate) -> Elsewhere | None:
        """A short time ago, in either direction, half of what was sent again meanwhile or more,
        where anything was, less what its own host dropped, which is not more; None: no event
        says so."""
        if socket.proto != Proto.TCP or not self._seen:
            return None
        seen = [
            d for d in self._seen.get(_pair(socket), ()) if d.netns != socket.netns or not d.cookie
        ]
        if not seen:
            return None
        since_ns, before = self._resent.get(socket.cookie, (0, 0))
        # Less than before: another connection of the same socket.
        if self._mono_ns - since_ns >= DROPS_NS or socket.total_retrans < before:
            since_ns, before = self._mono_ns, socket.total_retrans
            self._resent[socket.cookie] = since_ns, before
        packets = sum(d.packets for d in seen)
        own = sum(d.segments for d in self._counted.get(socket.cookie, ()) if d.at_ns >= since_ns)
        if packets < own or packets * 2 < socket.total_retrans - before - own:
            return None
        return Elsewhere(seen[-1].netns, seen[-1].reason, packets)

    def reasons(self, socket: Candidate) -> Iterable[tuple[str, int]]:
        """Of its packets that were dropped in its own namespace a short time ago: the kernel's
        name, and how many."""
        seen = self._seen.get(_pair(socket), ())
        return ((d.reason, d.packets) for d in seen if d.netns == socket.netns)

    def out(self, socket: Candidate) -> Out | None:
        """None: the events saw nothing of it dropped on the way out, or it lost nothing lately."""
        out = self._out.get(socket.cookie)
        return out if out is not None and out.packets else None

    def packets_out(self) -> dict[int, int]:
        """By cookie, of those that out() says something of: packets."""
        return {cookie: out.packets for cookie, out in self._out.items() if out.packets}

    def _enter_events(self, events: Sequence[Event]) -> None:
        for e in events:
            name = e.reason or ""
            if e.proto == IPPROTO_TCP and (name in _HERE or name.startswith("QDISC_")):
                pair = frozenset({(e.src, e.sport), (e.dst, e.dport)})
                seen = self._seen.setdefault(pair, deque())
                seen.append(_There(self._mono_ns, e.netns, e.cookie, name, max(1, e.segs)))
        for pair, seen in [*self._seen.items()]:
            while seen and self._mono_ns - seen[0].at_ns >= DROPS_NS:
                seen.popleft()
            if not seen:
                del self._seen[pair]
        for cookie in [c for c, (at, _) in self._resent.items() if self._mono_ns - at >= DROPS_NS]:
            del self._resent[cookie]

    def _enter_counts(self, candidates: Sequence[Candidate]) -> None:
        for socket in candidates:
            if socket.dropped_here:
                seen = self._counted.setdefault(socket.cookie, deque())
                seen.append(_Count(self._mono_ns, socket.dropped_segs, socket.total_retrans))
                began_ns, _ = self._dropping.get(socket.cookie, (self._before_ns, 0))
                self._dropping[socket.cookie] = began_ns, self._mono_ns
        for cookie, seen in [*self._counted.items()]:
            while seen and self._mono_ns - seen[0].at_ns >= RATE_NS:
                seen.popleft()
            if not seen:
                del self._counted[cookie]
        for cookie, (_, last_ns) in [*self._dropping.items()]:
            if self._mono_ns - last_ns >= DROPS_NS:
                del self._dropping[cookie]

    def _enter_out(self, events: Sequence[Event], candidates: Sequence[Candidate]) -> None:
        """Of losers alone. What waits for its next hop is dropped seconds after it was sent again,
        so it counts for as long as the losses are held against it."""
        losing = {s.cookie: s for s in candidates if s.holds(Verdict.LOSS, Verdict.RTO)}
        for cookie, out in [*self._out.items()]:
            if cookie not in losing and self._mono_ns - out.at_ns >= DROPS_NS:
                del self._out[cookie]
        for cookie, socket in losing.items():
            self._out.setdefault(cookie, Out(self._mono_ns, 0, 0, socket.total_retrans))
        for e in events:
            seen = None if (e.reason or "").startswith(_CAME) else losing.get(e.cookie)
            if seen is None or (e.src, e.sport, e.netns) != (seen.src, seen.sport, seen.netns):
                continue
            out, packets = self._out[e.cookie], max(1, e.segs)
            missed = packets if e.reason in NO_NEXT_HOP else 0
            self._out[e.cookie] = out._replace(
                at_ns=self._mono_ns, packets=out.packets + packets,
                no_next_hop=out.no_next_hop + missed,
            )  # fmt: skip


def _pair(socket: Candidate) -> _Pair:
    return frozenset({(socket.src, socket.sport), (socket.dst, socket.dport)})
