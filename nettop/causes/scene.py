"""What rules may ask of a tick: devices, queues and drops, other ends, holders."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nettop.causes.devices import Devices
from nettop.causes.dropped import Dropped
from nettop.causes.queues import Queues
from nettop.model.causes import Candidate
from nettop.model.events import Event
from nettop.model.evidence import NO_TICK, HostTick, Numbers, Process
from nettop.model.types import WHO_MAYBE, Because, Proto, Verdict, Who

READS = 5  # that are taken together
DROPPED, QUEUED, STANDS, LATE_ACK = 1, 2, 4, 8  # what is asked beside verdicts: Scene.signs
FULL_PCT = 80  # of an accept queue
SILENT_NS = 10 * 10**9  # so long a port that took nothing up stands for the next connections to it
TCP_ESTABLISHED, TCP_LISTEN, LOOPBACK = 1, 10, 1
FROZEN = "F"  # in the place of the letter of a state, which is that of sleep
_STANDING = frozenset(("T", "t", "D", FROZEN))  # states of a process
_STEP = Who.NET | WHO_MAYBE, Because.UNUSUAL  # of the path, or of a queue on it
_Ends = tuple[int, int, bytes, bytes, int, int]
_Port = tuple[int, int, bytes, int]  # netns, family, address and port of the peer
_Host = tuple[int, bytes]  # netns, address of the peer


class Receiver(NamedTuple):
    """A kernel thread that takes packets in."""

    name: str
    share: float  # of the time of the reads that are kept, that it waited for a CPU
    wait_ns: float  # each time, in the mean
    reads: int


class Ways(NamedTuple):
    """TCP sockets of one process."""

    held_back: list[Candidate]  # by the windows of their peers
    read_late: list[Candidate]


class _Waited(NamedTuple):
    run_delay_ns: int
    runs: int
    seconds: float


_NO_WAYS = Ways([], [])


class Scene:
    """Kept from tick to tick."""

    def __init__(self) -> None:
        self.tick: HostTick = NO_TICK
        self.mono_ns = 0
        self.events = False  # this host's drops are seen, with their sockets
        self.devices = Devices()
        self.queues = Queues(self.devices)
        self.dropped = Dropped()
        self._processes_ns = self._receivers_ns = self._counters_ns = 0  # of the last read
        self._receivers: dict[str, deque[_Waited]] = {}
        self._standing: set[int] = set()  # pids
        self._states: dict[int, deque[str]] = {}  # pid → the state that all threads had, or ""
        self._counted: deque[Mapping[int, Numbers]] = deque(maxlen=READS)
        self.candidates: Sequence[Candidate] = ()
        self._full: list[Candidate] = []  # listeners whose accept queue is full
        self._ends: dict[_Ends, list[Candidate]] = {}  # made when it is asked for
        self._ports: dict[_Port, list[bool]] = {}  # the same
        self._long: dict[_Host, list[Candidate]] | None = None  # the same
        self._ways: dict[int, Ways] | None = None  # by pid; the same
        self._silent: dict[_Port, tuple[int, set[int]]] = {}  # → when last, cookies

    def enter(
        self,
        tick: HostTick,
        candidates: Sequence[Candidate],
        drops: Sequence[Event] = (),
        *,
        mono_ns: int,
        events: bool,
    ) -> None:
        """The next tick; drops: events of packets that were dropped in the interval."""
        self.tick, self.mono_ns, self.events = tick, mono_ns, events
        self.devices.enter(tick, mono_ns)
        self.queues.enter(tick, candidates, mono_ns)
        self.dropped.enter(drops, candidates, mono_ns)
        self._enter_states()
        self._enter_counted()
        self._enter_receivers()
        self._enter_silent(candidates)
        self._ends, self._ports, self._long, self._ways = {}, {}, None, None
        self.candidates = candidates
        self._full = [s for s in candidates if s.state == TCP_LISTEN and _queue_is_full(s)]

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

    # --- sockets ---

    def signs(self, socket: Candidate) -> int:
        """DROPPED: this host dropped packets of it a short time ago; QUEUED: its datagrams stood in
        a queue of this host; STANDS: its holder does not run, and waits for no CPU; LATE_ACK: its
        round trip is long, which its peer's delayed ACK alone may make it."""
        signs = LATE_ACK if socket.late_ack else 0
        if self.dropped.lately(socket):
            signs |= DROPPED
        if self.queues.stood(socket):
            signs |= QUEUED
        if socket.pid in self._standing:
            signs |= STANDS
        return signs

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
        if self._long is None:
            self._long = {}
            for s in self.candidates:
                if _is_long(s):
                    self._long.setdefault((s.netns, s.dst), []).append(s)
        others = self._long.get((socket.netns, socket.dst), ())
        found = (s.rtt_us - s.min_rtt_us for s in others if s.cookie != socket.cookie)
        longest = max(found, default=0)
        return longest if longest >= least_us and longest else None

    def ways(self, socket: Candidate) -> Ways:
        """What the process that holds it sends and reads, of what is held for ill: nothing where no
        peer holds it back."""
        if self._ways is None:
            self._ways = {}
            for each in self.candidates:
                if each.verdicts >> Verdict.WINDOW & 1 and each.proto == Proto.TCP:
                    self._ways.setdefault(each.pid, Ways([], [])).held_back.append(each)
            for each in self.candidates if self._ways else ():
                if each.pid in self._ways and each.proto == Proto.TCP and reads_late(each):
                    self._ways[each.pid].read_late.append(each)
        return self._ways.get(socket.pid, _NO_WAYS)

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
            key = self.devices.key_of(socket)
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

    # --- the host ---

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


def _queue_is_full(listener: Candidate) -> bool:
    """Nearly; not only slow to take connections up."""
    slow = listener.verdict == Verdict.ACCEPT and listener.verdict_value < FULL_PCT
    return listener.holds(Verdict.ACCEPT) and not (listener.verdicts and slow)


def reads_late(socket: Candidate) -> bool:
    """Its program, for another reason than that it had no CPU."""
    starved = socket.verdicts and socket.who in (Who.CPU, Who.CPU | WHO_MAYBE)
    return socket.holds(Verdict.UNREAD, Verdict.READS) and not starved


def _is_long(socket: Candidate) -> bool:
    """Its round trip, by what no delayed ACK of the peer explains."""
    of_path = socket.who == Who.NET or (socket.who, socket.because) == _STEP
    if not of_path or socket.verdict != Verdict.RTT or not socket.min_rtt_us:
        return False
    return bool(socket.verdicts >> Verdict.RTT & 1)


def _port(socket: Candidate) -> _Port:
    return socket.netns, socket.family, socket.dst, socket.dport


def _ends(socket: Candidate, *, reverse: bool = False) -> _Ends:
    s = socket
    if reverse:
        return s.proto, s.family, s.dst, s.src, s.dport, s.sport
    return s.proto, s.family, s.src, s.dst, s.sport, s.dport
