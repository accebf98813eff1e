"""The queues of devices that sockets send by: what waits there, and how long."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from nettop.causes.devices import DeviceKey, Devices
from nettop.model.causes import Candidate
from nettop.model.evidence import BY_FLOW, NO_TICK, HostTick
from nettop.model.types import Verdict

READS = 5  # that are taken together
LOOKS = 3  # at a queue, between two reads, that say as much as two reads
LOOKED_AFTER_NS = 5 * 10**9  # so long a queue may take until it is read; then it is not known
LIKE_NS = 5 * 10**9  # so long sends that were measured say it of others to the same peer
QUEUED_NS = 5 * 10**9  # so long a socket whose datagrams stood in a queue may send by it again
STEADY = 4  # so many times its deviation is the excess of a round trip that never falls
SAME_NS = 10**8  # so near a read is of the same moment as the tick
# What enters such a queue waits as long whosever it is; no class and no flow has one of its own.
ONE_FOR_ALL = frozenset({"tbf", "pfifo", "bfifo", "codel", "pie", "red"})
_IFB = "ifb"  # how the kernel names them, and whoever sets them up
_LONG = 1 << Verdict.RTT | 1 << Verdict.QDISC  # this takes the place of that

_Way = tuple[DeviceKey, int, bytes]  # the device, family and address of the peer


class QueueWait(NamedTuple):
    """How long what enters a device's queue waits there: its mean backlog by its mean rate."""

    wait_ns: float
    kind: str
    backlog_bytes: float
    bytes_per_s: float


class Measured(NamedTuple):
    """How long sends waited in the qdisc, in the mean."""

    wait_ns: float
    sends: int
    sockets: int


class _Read(NamedTuple):
    backlog_bytes: int  # in the mean of so many looks
    looks: int
    filled: int  # of these
    bytes: int
    seconds: float


class _Named(NamedTuple):
    kind: str
    parent: str


class Queues:
    """Kept from tick to tick."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._tick: HostTick = NO_TICK
        self._mono_ns = 0
        self._queues: dict[DeviceKey, deque[_Read]] = {}
        self._long_ns: dict[int, int] = {}  # cookie → since when its round trip is long
        self._qdiscs_ns = self._before_ns = 0  # of the last read, and of the read before
        self._measured: dict[_Way, tuple[int, Measured]] = {}  # → when
        self._measured_by: dict[DeviceKey, tuple[int, Measured]] = {}  # the same, whatever the peer
        self._queued_ns: dict[int, int] = {}  # cookie → when its datagrams last stood in a queue

    def enter(self, tick: HostTick, candidates: Sequence[Candidate], mono_ns: int) -> None:
        """The next tick, after that of the devices."""
        self._tick, self._mono_ns = tick, mono_ns
        self._enter_long(candidates)
        self._enter_reads()
        self._enter_queued(candidates)
        self._enter_measured(candidates)

    def wait(self, key: DeviceKey) -> QueueWait | None:
        """None: not known, empty, or each flow has a queue of its own."""
        if BY_FLOW.intersection(q.kind for q in self._qdiscs_of(key)):
            return None
        return self.flows_wait(key)

    def flows_wait(self, key: DeviceKey) -> QueueWait | None:
        """Of all flows together, in the mean; None: not known, or empty."""
        reads = self._queues.get(key, ())
        kinds = [q.kind for q in self._qdiscs_of(key)]
        looks = sum(r.looks for r in reads)
        if len(reads) < 2 and looks < LOOKS:
            return None
        seconds, sent = sum(r.seconds for r in reads), sum(r.bytes for r in reads)
        if not sent or sum(r.filled for r in reads) < 2:
            return None
        backlog, per_s = sum(r.backlog_bytes * r.looks for r in reads) / looks, sent / seconds
        kind = next((q.kind for q in self._qdiscs_of(key) if q.parent == "root"), kinds[0])
        return QueueWait(backlog / per_s * 1e9, kind, backlog, per_s)

    def measured_alike(self, socket: Candidate) -> Measured | None:
        """Of sockets by the same device to the same peer, where its own sends are not measured: of
        many like it, nettop measures some."""
        key = self._devices.key_of(socket)
        known = self._measured.get((key, socket.family, socket.dst)) if key else None
        return known[1] if known else None

    def measured_beside(self, socket: Candidate) -> tuple[Measured, str] | None:
        """Of sockets by the same device to any peer, where its one queue is for all; and its
        kind."""
        key = self._devices.key_of(socket)
        known = self._measured_by.get(key) if key else None
        kinds = [q.kind for q in self._qdiscs_of(key)] if key else []
        if known is None or not kinds or not ONE_FOR_ALL.issuperset(kinds):
            return None
        return known[1], kinds[0]

    def on_the_way_in(self, netns: int) -> tuple[str, QueueWait] | None:
        """Of devices of its type ifb, to which tc sends what comes in: the name of that where most
        waits, and how long; None: nothing waits at any that is known."""
        found = []
        for key in self._queues:
            wait = self.wait(key) if key[0] == netns else None
            if wait is not None and self._devices.name(key).startswith(_IFB):
                found.append((self._devices.name(key), wait))
        return max(found, key=lambda each: each[1].wait_ns, default=None)

    def key_of(self, socket: Candidate) -> DeviceKey | None:
        """The device in whose queue its datagrams stand: that of its peer, or of a socket without
        one the only device of its namespace where anything waits."""
        key = self._devices.key_of(socket)
        if key is not None or socket.dport:
            return key
        filled = [k for k in self._queues if k[0] == socket.netns]
        return filled[0] if len(filled) == 1 else None

    def undecided(self, socket: Candidate) -> bool:
        """Its round trip is long since a short time ago, and the queue that it sends by may be the
        reason: it was not read since, or too little was seen."""
        if socket.qdisc_count:
            return False  # its own sends say it
        since_ns = self._long_ns.get(socket.cookie)
        if since_ns is None or self._mono_ns - since_ns >= LOOKED_AFTER_NS:
            return False
        key = self._devices.key_of(socket)
        if key is None:
            return bool(self._tick.now.read_ns)  # not read yet, or not to be had
        kinds = {q.kind for q in self._qdiscs_of(key)}
        if not kinds or kinds == {"noqueue"} or BY_FLOW.intersection(kinds):
            return False
        reads = self._queues.get(key)
        if reads:
            return len(reads) < 2 and reads[0].looks < LOOKS
        # A queue that made each of the last round trips as long stands whenever one looks; others
        # may be empty when one does.
        over_us = socket.rtt_us - socket.min_rtt_us
        if socket.min_rtt_us and socket.rttvar_us * STEADY < over_us:
            return self._qdiscs_ns <= since_ns - SAME_NS
        return self._before_ns <= since_ns

    def drops(self, key: DeviceKey) -> int:
        """Packets, between the last two reads."""
        moved = self._tick.moved.qdiscs.get(key[0], {})
        there = self._tick.now.qdiscs.get(key[0], {})
        return sum(
            by.get("drops", 0)
            for name, by in moved.items()
            if name in there and there[name].ifindex == key[1] and there[name].parent == "root"
        )

    def stood(self, socket: Candidate) -> bool:
        """Its datagrams stood in a queue of this host a short time ago."""
        return socket.cookie in self._queued_ns

    def _qdiscs_of(self, key: DeviceKey) -> list[_Named]:
        there = self._tick.now.qdiscs.get(key[0], {})
        return [_Named(q.kind, q.parent) for q in there.values() if q.ifindex == key[1]]

    def _enter_long(self, candidates: Sequence[Candidate]) -> None:
        before = self._long_ns
        self._long_ns = {
            s.cookie: before.get(s.cookie, self._mono_ns)
            for s in candidates
            if (s.held | s.verdicts) & _LONG
        }

    def _enter_reads(self) -> None:
        now, moved = self._tick.now, self._tick.moved
        at = now.read_ns.get("qdiscs", 0)
        seconds = moved.since_s.get("qdiscs", 0.0)
        if at == self._qdiscs_ns or not seconds:
            return
        self._before_ns, self._qdiscs_ns = self._qdiscs_ns, at
        seen: set[DeviceKey] = set()
        for netns, qdiscs in now.qdiscs.items():
            for name, qdisc in qdiscs.items():
                key = netns, qdisc.ifindex
                if qdisc.parent != "root" or key in seen:
                    continue
                backlog = qdisc.numbers.get("backlog_bytes", 0)
                looks = now.queues.get(netns, {}).get(qdisc.ifindex)
                if looks:
                    read = looks["mean_bytes"], looks["looks"], looks["filled"]
                else:
                    read = backlog, 1, int(backlog > 0)
                if not read[2] and key not in self._queues:
                    continue  # most queues never hold anything when one looks
                seen.add(key)
                sent = moved.qdiscs.get(netns, {}).get(name, {}).get("bytes", 0)
                reads = self._queues.setdefault(key, deque(maxlen=READS))
                reads.append(_Read(*read, sent, seconds))
        for key in self._queues.keys() - seen:
            del self._queues[key]
        for key in [k for k, v in self._queues.items() if not any(r.backlog_bytes for r in v)]:
            del self._queues[key]

    def _enter_queued(self, candidates: Sequence[Candidate]) -> None:
        for socket in candidates:
            if socket.queued_bytes:
                self._queued_ns[socket.cookie] = self._mono_ns
        for cookie in [c for c, at in self._queued_ns.items() if self._mono_ns - at >= QUEUED_NS]:
            del self._queued_ns[cookie]

    def _enter_measured(self, candidates: Sequence[Candidate]) -> None:
        for way in [w for w, (at, _) in self._measured.items() if self._mono_ns - at >= LIKE_NS]:
            del self._measured[way]
        for by in [k for k, (at, _) in self._measured_by.items() if self._mono_ns - at >= LIKE_NS]:
            del self._measured_by[by]
        now: dict[_Way, list[Candidate]] = {}
        of_device: dict[DeviceKey, list[Candidate]] = {}
        for socket in candidates:
            key = self._devices.key_of(socket) if socket.qdisc_count and socket.dport else None
            if key is not None:
                now.setdefault((key, socket.family, socket.dst), []).append(socket)
                of_device.setdefault(key, []).append(socket)
        self._measured.update({w: (self._mono_ns, _measured(of)) for w, of in now.items()})
        self._measured_by.update({k: (self._mono_ns, _measured(of)) for k, of in of_device.items()})


def _measured(sockets: Sequence[Candidate]) -> Measured:
    sends = sum(s.qdisc_count for s in sockets)
    return Measured(sum(s.qdisc_sum_ns for s in sockets) / sends, sends, len(sockets))
