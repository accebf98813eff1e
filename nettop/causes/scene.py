"""What rules may ask of a tick: devices and queues that sockets use, other ends, holders."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nettop.model.causes import Candidate
from nettop.model.events import Event
from nettop.model.evidence import NO_TICK, Device, HostTick, NextHop, Numbers, Process
from nettop.model.types import WHO_MAYBE, Because, Proto, Verdict, Who

READS = 5  # of qdiscs and of processes' states, that are taken together
LOOKS = 3  # at a queue, between two reads, that say as much as two reads
LOOKED_AFTER_NS = 5 * 10**9  # so long a queue may take until it is read; then it is not known
CARRIER_STAYS_NS = 10 * 10**9  # so long a link that came back is a cause of what it left behind
DROPS_NS = 10 * 10**9  # packets dropped here count together so long
LIKE_NS = 5 * 10**9  # so long sends that were measured say it of others to the same peer
QUEUED_NS = 5 * 10**9  # so long a socket whose datagrams stood in a queue may send by it again
DROPPED, QUEUED, STANDS = 1, 2, 4  # what a socket is asked for beside its verdicts: Scene.signs
FULL_PCT = 80  # of an accept queue
STEADY = 4  # so many times its deviation is the excess of a round trip that never falls
SAME_NS = 10**8  # so near a read is of the same moment as the tick
SILENT_NS = 10 * 10**9  # so long a port that took nothing up stands for the next connections to it
TCP_ESTABLISHED, TCP_LISTEN, LOOPBACK = 1, 10, 1
# What enters such a queue waits as long whosever it is; no class and no flow has one of its own.
ONE_FOR_ALL = frozenset({"tbf", "pfifo", "bfifo", "codel", "pie", "red"})
IFF_UP, IFF_LOWER_UP = 1, 1 << 16
# A flow waits for its own packets alone, so the backlog of all says nothing of it; netem's
# delay is in the least round trip too.
BY_FLOW = frozenset({"fq", "fq_codel", "fq_pie", "cake", "sfq", "netem"})

FROZEN = "F"  # in the place of the letter of a state, which is that of sleep
_STANDING = frozenset(("T", "t", "D", FROZEN))  # states of a process
# Of the kernel's reasons, those of this host's own firewall, queues and devices: as NT_D_HERE.
_HERE = frozenset({
    "NETFILTER_DROP", "TC_EGRESS", "FULL_RING", "DEV_READY", "CPU_BACKLOG", "NEIGH_CREATEFAIL",
})  # fmt: skip
IPPROTO_TCP = 6
# Of packets that came: their event has the ends of the socket that they were for.
_CAME = ("TCP_", "SOCKET_", "PROTO_MEM")
_STEP = Who.NET | WHO_MAYBE, Because.UNUSUAL  # of the path, or of a queue on it
_LONG = 1 << Verdict.RTT | 1 << Verdict.QDISC  # this takes the place of that

# The kernel's reasons of packets that found no next hop: some wait for its answer first.
NO_NEXT_HOP = frozenset({"NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD"})

DeviceKey = tuple[int, int]  # netns, ifindex
_Way = tuple[DeviceKey, int, bytes]  # the device, family and address of the peer
_Ends = tuple[int, int, bytes, bytes, int, int]
_Pair = frozenset[tuple[bytes, int]]  # address and port of both ends
_Port = tuple[int, int, bytes, int]  # netns, family, address and port of the peer


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


class Receiver(NamedTuple):
    """A kernel thread that takes packets in."""

    name: str
    share: float  # of the time of the reads that are kept, that it waited for a CPU
    wait_ns: float  # each time, in the mean
    reads: int


class _Read(NamedTuple):
    backlog_bytes: int  # in the mean of so many looks
    looks: int
    filled: int  # of these
    bytes: int
    seconds: float


class _Waited(NamedTuple):
    run_delay_ns: int
    runs: int
    seconds: float


class _Dropped(NamedTuple):
    at_ns: int
    packets: int
    total_retrans: int


class _There(NamedTuple):
    at_ns: int
    netns: int
    reason: str
    packets: int  # on the wire


class Out(NamedTuple):
    """What its own host dropped of a socket on the way out, while it was held for losses."""

    at_ns: int  # the last
    packets: int
    no_next_hop: int  # of these
    total_retrans: int  # when it was first seen


class Elsewhere(NamedTuple):
    """Packets of a connection that another namespace of this host dropped."""

    netns: int
    reason: str  # the kernel's name
    packets: int


class Scene:
    """Kept from tick to tick."""

    def __init__(self) -> None:
        self.tick: HostTick = NO_TICK
        self.mono_ns = 0
        self.events = False  # this host's drops are seen, with their sockets
        self._queues: dict[DeviceKey, deque[_Read]] = {}
        self._long_ns: dict[int, int] = {}  # cookie → since when its round trip is long
        self._qdiscs_ns = self._devices_ns = self._processes_ns = self._receivers_ns = 0
        self._qdiscs_before_ns = 0  # of the read before
        self._receivers: dict[str, deque[_Waited]] = {}
        self._carrier: dict[DeviceKey, int] = {}  # → when it last changed
        self._standing: set[int] = set()  # pids
        self._states: dict[int, deque[str]] = {}  # pid → the state that all threads had, or ""
        self._dropped: dict[int, deque[_Dropped]] = {}
        self._measured: dict[_Way, tuple[int, Measured]] = {}  # → when
        self._measured_by: dict[DeviceKey, tuple[int, Measured]] = {}  # the same, whatever the peer
        self._queued_ns: dict[int, int] = {}  # cookie → when its datagrams last stood in a queue
        self._counters_ns = 0
        self._counted: deque[Mapping[int, Numbers]] = deque(maxlen=READS)
        self.candidates: Sequence[Candidate] = ()
        self._full: list[Candidate] = []  # listeners whose accept queue is full
        self._ends: dict[_Ends, list[Candidate]] = {}  # made when it is asked for
        self._ports: dict[_Port, list[bool]] = {}  # the same
        self._interval: Sequence[Event] = ()  # drops
        self.drops: dict[_Pair, deque[_There]] = {}
        self._resent: dict[int, tuple[int, int]] = {}  # cookie → since when, total_retrans then
        self._silent: dict[_Port, tuple[int, set[int]]] = {}  # → when last, cookies
        self._out: dict[int, Out] = {}  # by cookie

    def enter(
        self, tick: HostTick, candidates: Sequence[Candidate], *, mono_ns: int, events: bool
    ) -> None:
        """The next tick."""
        self.tick, self.mono_ns, self.events = tick, mono_ns, events
        self._enter_long(candidates)
        self._enter_queues()
        self._enter_devices()
        self._enter_states()
        self._enter_drops(candidates)
        self._enter_out(candidates)
        self._enter_queued(candidates)
        self._enter_measured(candidates)
        self._enter_counted()
        self._enter_receivers()
        self._enter_silent(candidates)
        self._ends, self._ports, self.candidates = {}, {}, candidates
        self._full = [s for s in candidates if s.state == TCP_LISTEN and _queue_is_full(s)]

    # --- devices ---

    def device_key(self, socket: Candidate) -> DeviceKey | None:
        """The device that the socket sends by; ifindex 0: there is no route; None: not known."""
        if socket.ifindex:
            return socket.netns, socket.ifindex
        index = self.tick.now.routes.get(socket.netns, {}).get(socket.ends)
        return None if index is None else (socket.netns, index)

    def next_hop(self, socket: Candidate) -> NextHop | None:
        """None: it is answered, or not known."""
        return self.tick.now.next_hops.get(socket.netns, {}).get(socket.ends)

    def device(self, key: DeviceKey) -> Device | None:
        return self.tick.now.devices.get(key[0], {}).get(key[1])

    def carrier_changed(self, key: DeviceKey) -> bool:
        """A short time ago."""
        at = self._carrier.get(key)
        return at is not None and self.mono_ns - at <= CARRIER_STAYS_NS

    def queue_wait(self, key: DeviceKey) -> QueueWait | None:
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
        key = self.device_key(socket)
        known = self._measured.get((key, socket.family, socket.dst)) if key else None
        return known[1] if known else None

    def measured_beside(self, socket: Candidate) -> tuple[Measured, str] | None:
        """Of sockets by the same device to any peer, where its one queue is for all; and its
        kind."""
        key = self.device_key(socket)
        known = self._measured_by.get(key) if key else None
        kinds = [q.kind for q in self._qdiscs_of(key)] if key else []
        if known is None or not kinds or not ONE_FOR_ALL.issuperset(kinds):
            return None
        return known[1], kinds[0]

    def _enter_measured(self, candidates: Sequence[Candidate]) -> None:
        for way in [w for w, (at, _) in self._measured.items() if self.mono_ns - at >= LIKE_NS]:
            del self._measured[way]
        for by in [k for k, (at, _) in self._measured_by.items() if self.mono_ns - at >= LIKE_NS]:
            del self._measured_by[by]
        now: dict[_Way, list[Candidate]] = {}
        of_device: dict[DeviceKey, list[Candidate]] = {}
        for socket in candidates:
            key = self.device_key(socket) if socket.qdisc_count and socket.dport else None
            if key is not None:
                now.setdefault((key, socket.family, socket.dst), []).append(socket)
                of_device.setdefault(key, []).append(socket)
        self._measured.update({w: (self.mono_ns, _measured(of)) for w, of in now.items()})
        self._measured_by.update({k: (self.mono_ns, _measured(of)) for k, of in of_device.items()})

    def queue_key(self, socket: Candidate) -> DeviceKey | None:
        """The device in whose queue its datagrams stand: that of its peer, or of a socket without
        one the only device of its namespace where anything waits."""
        key = self.device_key(socket)
        if key is not None or socket.dport:
            return key
        filled = [k for k in self._queues if k[0] == socket.netns]
        return filled[0] if len(filled) == 1 else None

    def queue_undecided(self, socket: Candidate) -> bool:
        """Its round trip is long since a short time ago, and the queue that it sends by may be the
        reason: it was not read since, or too little was seen."""
        if socket.qdisc_count:
            return False  # its own sends say it
        since_ns = self._long_ns.get(socket.cookie)
        if since_ns is None or self.mono_ns - since_ns >= LOOKED_AFTER_NS:
            return False
        key = self.device_key(socket)
        if key is None:
            return bool(self.tick.now.read_ns)  # not read yet, or not to be had
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
        return self._qdiscs_before_ns <= since_ns

    def queue_drops(self, key: DeviceKey) -> int:
        """Packets, between the last two reads."""
        moved = self.tick.moved.qdiscs.get(key[0], {})
        there = self.tick.now.qdiscs.get(key[0], {})
        return sum(
            by.get("drops", 0)
            for name, by in moved.items()
            if name in there and there[name].ifindex == key[1] and there[name].parent == "root"
        )

    def _qdiscs_of(self, key: DeviceKey) -> list[_Named]:
        there = self.tick.now.qdiscs.get(key[0], {})
        return [_Named(q.kind, q.parent) for q in there.values() if q.ifindex == key[1]]

    def _enter_long(self, candidates: Sequence[Candidate]) -> None:
        before = self._long_ns
        self._long_ns = {
            s.cookie: before.get(s.cookie, self.mono_ns)
            for s in candidates
            if (s.held | s.verdicts) & _LONG
        }

    def _enter_queues(self) -> None:
        now, moved = self.tick.now, self.tick.moved
        at = now.read_ns.get("qdiscs", 0)
        seconds = moved.since_s.get("qdiscs", 0.0)
        if at == self._qdiscs_ns or not seconds:
            return
        self._qdiscs_before_ns, self._qdiscs_ns = self._qdiscs_ns, at
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

    def _enter_devices(self) -> None:
        at = self.tick.now.read_ns.get("devices", 0)
        if at == self._devices_ns:
            return
        self._devices_ns = at
        for netns, devices in self.tick.moved.devices.items():
            for index, by in devices.items():
                if by.get("carrier_changes"):
                    self._carrier[netns, index] = self.mono_ns
        for key in [k for k, t in self._carrier.items() if self.mono_ns - t > CARRIER_STAYS_NS]:
            del self._carrier[key]

    # --- processes ---

    def process(self, socket: Candidate) -> Process | None:
        """The one that holds it; None: not known, or there are more."""
        return self.tick.now.processes.get(socket.pid) if socket.pid and not socket.more else None

    def stands_in(self, socket: Candidate, letters: str, times: int) -> bool:
        """All threads of its holder were in one of these states in so many of the last reads,
        this one included."""
        states = self._states.get(socket.pid)
        if not states or socket.more or states[-1] not in letters or not states[-1]:
            return False
        return sum(bool(s) and s in letters for s in states) >= times

    def _enter_states(self) -> None:
        now = self.tick.now
        at = now.read_ns.get("processes", 0)
        if at == self._processes_ns:
            return
        self._processes_ns = at
        for pid in self._states.keys() - now.processes.keys():
            del self._states[pid]
        for pid, process in now.processes.items():
            whole = process.read == process.threads and len(process.states) == 1
            state = next(iter(process.states)) if whole else ""
            if process.frozen is not None:
                state = FROZEN
            self._states.setdefault(pid, deque(maxlen=READS)).append(state)
        self._standing = {p for p, states in self._states.items() if states[-1] in _STANDING}

    # --- packets ---

    def signs(self, socket: Candidate) -> int:
        """DROPPED: this host dropped packets of it a short time ago; QUEUED: its datagrams stood in
        a queue of this host; STANDS: its holder does not run, and waits for no CPU."""
        dropped = DROPPED if socket.cookie in self._dropped else 0
        queued = QUEUED if socket.cookie in self._queued_ns else 0
        return dropped | queued | (STANDS if socket.pid in self._standing else 0)

    def refused(self, socket: Candidate) -> tuple[int, int, float] | None:
        """Packets of 10 s that this host dropped, segments that TCP sent again meanwhile, and
        since when in seconds; None: none of the last."""
        seen = self._dropped.get(socket.cookie)
        if not seen:
            return None
        again = socket.total_retrans - seen[0].total_retrans
        return sum(d.packets for d in seen), again, (self.mono_ns - seen[0].at_ns) / 1e9

    def _enter_drops(self, candidates: Sequence[Candidate]) -> None:
        for socket in candidates:
            if socket.dropped_here:
                seen = self._dropped.setdefault(socket.cookie, deque())
                seen.append(_Dropped(self.mono_ns, socket.dropped_here, socket.total_retrans))
        for cookie, seen in [*self._dropped.items()]:
            while seen and self.mono_ns - seen[0].at_ns >= DROPS_NS:
                seen.popleft()
            if not seen:
                del self._dropped[cookie]

    def _enter_queued(self, candidates: Sequence[Candidate]) -> None:
        for socket in candidates:
            if socket.queued_bytes:
                self._queued_ns[socket.cookie] = self.mono_ns
        for cookie in [c for c, at in self._queued_ns.items() if self.mono_ns - at >= QUEUED_NS]:
            del self._queued_ns[cookie]

    def dropped_elsewhere(self, socket: Candidate) -> Elsewhere | None:
        """A short time ago, in either direction, half of what was sent again meanwhile or more;
        None: no event says so."""
        if socket.proto != Proto.TCP or not self.drops:
            return None
        pair = frozenset({(socket.src, socket.sport), (socket.dst, socket.dport)})
        seen = [d for d in self.drops.get(pair, ()) if d.netns != socket.netns]
        if not seen:
            return None
        since_ns, before = self._resent.get(socket.cookie, (0, 0))
        if self.mono_ns - since_ns >= DROPS_NS:
            since_ns, before = self.mono_ns, socket.total_retrans
            self._resent[socket.cookie] = since_ns, before
        packets = sum(d.packets for d in seen)
        if packets * 2 < socket.total_retrans - before:
            return None
        return Elsewhere(seen[-1].netns, seen[-1].reason, packets)

    def dropped_out(self, socket: Candidate) -> Out | None:
        """None: the events saw nothing of it dropped on the way out, or it lost nothing lately."""
        out = self._out.get(socket.cookie)
        return out if out is not None and out.packets else None

    def packets_out(self) -> dict[int, int]:
        """By cookie, of those that dropped_out() says something of: packets."""
        return {cookie: out.packets for cookie, out in self._out.items() if out.packets}

    def _enter_out(self, candidates: Sequence[Candidate]) -> None:
        """Of losers alone. What waits for its next hop is dropped seconds after it was sent again,
        so it counts for as long as the losses are held against it."""
        losing = {s.cookie: s for s in candidates if s.holds(Verdict.LOSS, Verdict.RTO)}
        for cookie, out in [*self._out.items()]:
            if cookie not in losing and self.mono_ns - out.at_ns >= DROPS_NS:
                del self._out[cookie]
        for cookie, socket in losing.items():
            self._out.setdefault(cookie, Out(self.mono_ns, 0, 0, socket.total_retrans))
        for e in self._interval:
            seen = None if (e.reason or "").startswith(_CAME) else losing.get(e.cookie)
            if seen is None or (e.src, e.sport, e.netns) != (seen.src, seen.sport, seen.netns):
                continue
            out, packets = self._out[e.cookie], max(1, e.segs)
            missed = packets if e.reason in NO_NEXT_HOP else 0
            self._out[e.cookie] = out._replace(
                at_ns=self.mono_ns, packets=out.packets + packets,
                no_next_hop=out.no_next_hop + missed,
            )  # fmt: skip

    def enter_drops(self, drops: Sequence[Event], mono_ns: int) -> None:
        """Events of the interval: what firewalls, queues and devices of this host dropped."""
        self._interval = drops
        for e in drops:
            name = e.reason or ""
            if e.proto == IPPROTO_TCP and (name in _HERE or name.startswith("QDISC_")):
                pair = frozenset({(e.src, e.sport), (e.dst, e.dport)})
                seen = self.drops.setdefault(pair, deque())
                seen.append(_There(mono_ns, e.netns, name, max(1, e.segs)))
        for pair, seen in [*self.drops.items()]:
            while seen and mono_ns - seen[0].at_ns >= DROPS_NS:
                seen.popleft()
            if not seen:
                del self.drops[pair]
        for cookie in [c for c, (at, _) in self._resent.items() if mono_ns - at >= DROPS_NS]:
            del self._resent[cookie]

    def other_end(self, socket: Candidate) -> Candidate | None:
        """That of the same connection, where it is held for ill too; None: not here, or not one."""
        if not self._ends:
            for each in self.candidates:
                self._ends.setdefault(_ends(each), []).append(each)
        found = self._ends.get(_ends(socket, reverse=True), [])
        found = [other for other in found if other.cookie != socket.cookie]
        return found[0] if len(found) == 1 and socket.dport else None

    def long_to(self, socket: Candidate, least_us: float) -> int | None:
        """How much longer than their minimum round trips to its peer's host take, the longest of
        other sockets where no delayed ACK explains it; None: none takes so much longer."""
        found = [
            s.rtt_us - s.min_rtt_us
            for s in self.candidates
            if s.dst == socket.dst and s.netns == socket.netns and s.cookie != socket.cookie
            and s.verdicts >> Verdict.RTT & 1 and s.verdict == Verdict.RTT
            and (s.who == Who.NET or (s.who, s.because) == _STEP) and s.min_rtt_us
        ]  # fmt: skip
        longest = max(found, default=0)
        return longest if longest >= least_us and longest else None

    def silent_at(self, socket: Candidate) -> int:
        """Connections to the same port of the peer that its host answered the handshake of, and
        nothing since: as many as there were when it was seen last, a short time ago."""
        _, cookies = self._silent.get(_port(socket), (0, ()))
        return len(cookies)

    def opening_at(self, socket: Candidate) -> tuple[int, int]:
        """Connections to the same port of the peer that are held for ill: those whose first message
        is not acknowledged yet, and those that were."""
        if not self._ports:
            for each in self.candidates:
                if each.proto == Proto.TCP and each.dport and each.holds(Verdict.RTO, Verdict.LOSS):
                    self._ports.setdefault(_port(each), []).append(each.acked_bytes <= 1)
        seen = self._ports.get(_port(socket), [])
        return sum(seen), len(seen) - sum(seen)

    def full_listener(self, socket: Candidate) -> Candidate | None:
        """Where the peer is a listener of this host whose accept queue is full."""
        for other in self._full:
            if other.proto != socket.proto or other.sport != socket.dport:
                continue
            bound = other.family == socket.family and other.src == socket.dst
            key = self.device_key(socket)
            near = other.netns == socket.netns and key == (socket.netns, LOOPBACK)
            if bound or (near and not any(other.src)):
                return other
        return None

    def _enter_silent(self, candidates: Sequence[Candidate]) -> None:
        for port in [p for p, (at, _) in self._silent.items() if self.mono_ns - at >= SILENT_NS]:
            del self._silent[port]
        now: dict[_Port, set[int]] = {}
        for s in candidates:
            answered = s.state == TCP_ESTABLISHED and s.acked_bytes <= 1
            if answered and s.verdicts >> Verdict.RTO & 1 and s.who == Who.PEER:
                now.setdefault(_port(s), set()).add(s.cookie)
        self._silent.update({port: (self.mono_ns, cookies) for port, cookies in now.items()})

    def receivers_late(self) -> list[Receiver]:
        """Threads that take packets in and waited for a CPU, the longest first."""
        found = []
        for name, reads in self._receivers.items():
            waited, runs = sum(r.run_delay_ns for r in reads), sum(r.runs for r in reads)
            seconds = sum(r.seconds for r in reads)
            if waited and runs:
                share = waited / seconds / 1e9
                found.append(Receiver(name, share, waited / runs, len(reads)))
        return sorted(found, key=lambda r: -r.share)

    def _enter_receivers(self) -> None:
        at = self.tick.now.read_ns.get("receivers", 0)
        seconds = self.tick.moved.since_s.get("receivers", 0.0)
        if at == self._receivers_ns:
            return
        self._receivers_ns = at
        names = self.tick.now.receivers.keys() if seconds else ()
        for name in self._receivers.keys() - names:
            del self._receivers[name]
        for name in names:
            by = self.tick.moved.receivers.get(name, {})
            reads = self._receivers.setdefault(name, deque(maxlen=READS))
            reads.append(_Waited(by.get("run_delay_ns", 0), by.get("runs", 0), seconds))

    def counted(self, netns: int) -> Mapping[str, int]:
        """What the namespace's counters moved by."""
        return self.tick.moved.counters.get(netns, {})

    def counted_lately(self, netns: int, counter: str) -> int:
        """What it moved by in the reads that are kept."""
        return sum(moved.get(netns, {}).get(counter, 0) for moved in self._counted)

    def _enter_counted(self) -> None:
        at = self.tick.now.read_ns.get("counters", 0)
        if at != self._counters_ns:
            self._counters_ns = at
            self._counted.append(self.tick.moved.counters)


def _measured(sockets: Sequence[Candidate]) -> Measured:
    sends = sum(s.qdisc_count for s in sockets)
    return Measured(sum(s.qdisc_sum_ns for s in sockets) / sends, sends, len(sockets))


def _queue_is_full(listener: Candidate) -> bool:
    """Nearly; not only slow to take connections up."""
    slow = listener.verdict == Verdict.ACCEPT and listener.verdict_value < FULL_PCT
    return listener.holds(Verdict.ACCEPT) and not (listener.verdicts and slow)


class _Named(NamedTuple):
    kind: str
    parent: str


def _port(socket: Candidate) -> _Port:
    return socket.netns, socket.family, socket.dst, socket.dport


def _ends(socket: Candidate, *, reverse: bool = False) -> _Ends:
    s = socket
    if reverse:
        return s.proto, s.family, s.dst, s.src, s.dport, s.sport
    return s.proto, s.family, s.src, s.dst, s.sport, s.dport
