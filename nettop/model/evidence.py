"""What a host says of itself beside its sockets: evidence of causes, raw and as what moved.

nettop.text.evidence names every number with its unit. A number that is 0 is left out of devices,
qdiscs and CPUs, so that what never happened costs nothing in a recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from msgspec import Struct, field

Numbers = Mapping[str, int]

SOURCES = (
    "counters", "softnet", "pressure", "devices", "qdiscs", "processes", "cgroups", "conntrack",
    "neighbours", "drivers", "receivers", "routes", "sysctls",
)  # fmt: skip
# Numbers that are a state and no count: they have no increase.
GAUGES = frozenset({
    "backlog_bytes", "backlog_packets", "flags", "mtu_bytes", "quota_us", "period_us", "entries",
    "entries_most",
})  # fmt: skip


class Device(Struct, frozen=True):
    """A network device; its numbers since it was made."""

    name: str
    numbers: Numbers = field(default_factory=dict)


class Qdisc(Struct, frozen=True):
    """A queueing discipline of a device; its numbers since it was made."""

    ifindex: int
    kind: str
    handle: str  # as tc writes it: 8001:
    parent: str  # root, ingress, 1:2
    numbers: Numbers = field(default_factory=dict)


class Process(Struct, frozen=True):
    """The threads of a process that holds a socket with a verdict.

    Times are of the threads that were read, between the last two reads; None before the second.
    """

    threads: int  # there are
    read: int  # of these
    states: Mapping[str, int]  # letter of proc_pid_stat(5) → threads
    cgroup: str | None = None  # path below the mount of the cgroup that limits its CPU
    over_ns: int | None = None  # between these two reads
    cpu_ns: int | None = None  # that they ran, all together
    run_delay_ns: int | None = None  # that they were ready and waited for a CPU, all together
    longest_tid: int | None = None  # the thread that waited longest; None: none waited
    longest_run_delay_ns: int | None = None
    longest_cpu_ns: int | None = None  # that it ran meanwhile
    ran: int | None = None  # threads that ran, new ones too
    waited_longer: int | None = None  # of these, such as waited for a CPU longer than they ran
    names: Mapping[str, str] | None = None  # thread id → name, of those that read sick sockets
    frozen: str | None = None  # path of its cgroup, which is frozen; None: not, or not known


class NextHop(Struct, frozen=True):
    """Whom a socket's packets go to first, and what its namespace knows of that neighbour."""

    state: str  # as `ip neigh` writes it: INCOMPLETE, REACHABLE, STALE, DELAY, PROBE, FAILED …
    gateway: str | None = None  # its address; None: the peer itself is on the link


# A flow waits for its own packets alone in these, so the backlog of all says nothing of it; netem's
# delay is in the least round trip too.
BY_FLOW = frozenset({"fq", "fq_codel", "fq_pie", "cake", "sfq", "netem"})


class Evidence(Struct, frozen=True):
    """As it was read; raw."""

    counters: Mapping[int, Numbers] = field(default_factory=dict)  # netns → since it was made
    softnet: Mapping[int, Numbers] = field(default_factory=dict)  # CPU → since boot
    pressure: Mapping[str, Numbers] = field(default_factory=dict)  # cpu memory io → since boot
    devices: Mapping[int, Mapping[int, Device]] = field(default_factory=dict)  # netns → ifindex →
    qdiscs: Mapping[int, Mapping[str, Qdisc]] = field(default_factory=dict)  # netns → key →
    processes: Mapping[int, Process] = field(default_factory=dict)  # pid →
    cgroups: Mapping[str, Numbers] = field(default_factory=dict)  # path → since it was made
    read_ns: Numbers = field(default_factory=dict)  # source → CLOCK_MONOTONIC of its last read
    reasons: Mapping[str, str] = field(default_factory=dict)  # source → what it lacks and why
    left_out: Numbers = field(default_factory=dict)  # source → what did not fit, how many
    conntrack: Mapping[int, Numbers] = field(default_factory=dict)  # netns that follows connections
    neighbours: Mapping[str, Numbers] = field(default_factory=dict)  # arp ndisc → since boot
    # netns → ifindex → what its driver counts
    drivers: Mapping[int, Mapping[int, Device]] = field(default_factory=dict)
    receivers: Mapping[str, Numbers] = field(default_factory=dict)  # kernel thread → since it began
    # netns → "SRC DST" of a socket with a verdict → ifindex that it would send by; 0: no route
    routes: Mapping[int, Numbers] = field(default_factory=dict)
    sysctls: Mapping[int, Numbers] = field(default_factory=dict)  # netns → limit → bytes
    # netns → ifindex → what looks at its root qdisc saw, since the read before of qdiscs
    queues: Mapping[int, Mapping[int, Numbers]] = field(default_factory=dict)
    # netns → "SRC DST" of a socket that is not answered, as in routes
    next_hops: Mapping[int, Mapping[str, NextHop]] = field(default_factory=dict)

    @property
    def queue_stands(self) -> bool:
        """Something waits in the queue of a device, for which others wait as well."""
        for qdiscs in self.qdiscs.values():
            by_flow = {q.ifindex for q in qdiscs.values() if q.kind in BY_FLOW}
            for q in qdiscs.values():
                waits = q.parent == "root" and q.numbers.get("backlog_bytes")
                if waits and q.ifindex not in by_flow:
                    return True
        return False


NO_EVIDENCE = Evidence()


class Moved(Struct, frozen=True):
    """Increases between the last two reads of each source; what did not move is left out."""

    counters: Mapping[int, Numbers] = field(default_factory=dict)
    softnet: Mapping[int, Numbers] = field(default_factory=dict)
    pressure: Mapping[str, Numbers] = field(default_factory=dict)
    devices: Mapping[int, Mapping[int, Numbers]] = field(default_factory=dict)
    qdiscs: Mapping[int, Mapping[str, Numbers]] = field(default_factory=dict)
    cgroups: Mapping[str, Numbers] = field(default_factory=dict)
    since_s: Mapping[str, float] = field(default_factory=dict)  # source → between the two reads
    conntrack: Mapping[int, Numbers] = field(default_factory=dict)
    neighbours: Mapping[str, Numbers] = field(default_factory=dict)
    drivers: Mapping[int, Mapping[int, Numbers]] = field(default_factory=dict)
    receivers: Mapping[str, Numbers] = field(default_factory=dict)


class HostTick(Struct, frozen=True):
    """The evidence of one tick."""

    now: Evidence = NO_EVIDENCE
    moved: Moved = Moved()

    def increase(self, counter: str) -> int | None:
        """Of a counter over all namespaces; None: before the second read, or no kernel has it."""
        if "counters" not in self.moved.since_s:
            return None
        if not any(counter in numbers for numbers in self.now.counters.values()):
            return None
        return sum(numbers.get(counter, 0) for numbers in self.moved.counters.values())

    def total(self, numbers: Iterable[Numbers], name: str) -> int:
        """The sum of one number over CPUs, devices or qdiscs."""
        return sum(of.get(name, 0) for of in numbers)


NO_TICK = HostTick()
Key = TypeVar("Key", int, str)


def increase(before: Numbers, now: Numbers) -> Numbers:
    """What counted up; empty if anything counted down: it is another of the same name."""
    out = {}
    for name, number in now.items():
        if name in GAUGES:
            continue
        up = number - before.get(name, 0)
        if up < 0:
            return {}
        if up:
            out[name] = up
    if any(name not in now and name not in GAUGES for name in before):
        return {}
    return out


def increases(before: Mapping[Key, Numbers], now: Mapping[Key, Numbers]) -> dict[Key, Numbers]:
    """Of those that are in both."""
    pairs = ((key, increase(before[key], numbers)) for key, numbers in now.items() if key in before)
    return {key: up for key, up in pairs if up}


class Mover:
    """Keeps the last two different reads of each source."""

    def __init__(self) -> None:
        self._before = NO_EVIDENCE
        self._last = HostTick()

    def tick(self, now: Evidence) -> HostTick:
        """What moved; a source that was not read again keeps what it had."""
        was, last = self._before, self._last.moved
        since = dict(last.since_s)
        fresh: set[str] = set()
        for source in SOURCES:
            at, before = now.read_ns.get(source), was.read_ns.get(source)
            if at is None:
                since.pop(source, None)
            elif before is not None and at > before:
                since[source] = (at - before) / 1e9
                fresh.add(source)
        self._before = now
        moved = Moved(
            increases(was.counters, now.counters) if "counters" in fresh else last.counters,
            # A CPU without any number has all 0.
            increases({cpu: {} for cpu in now.softnet} | dict(was.softnet), now.softnet)
            if "softnet" in fresh
            else last.softnet,
            increases(was.pressure, now.pressure) if "pressure" in fresh else last.pressure,
            _moved(was.devices, now.devices) if "devices" in fresh else last.devices,
            _moved(was.qdiscs, now.qdiscs) if "qdiscs" in fresh else last.qdiscs,
            increases(was.cgroups, now.cgroups) if "cgroups" in fresh else last.cgroups,
            since,
            increases(was.conntrack, now.conntrack) if "conntrack" in fresh else last.conntrack,
            increases(was.neighbours, now.neighbours) if "neighbours" in fresh else last.neighbours,
            _moved(was.drivers, now.drivers) if "drivers" in fresh else last.drivers,
            increases(was.receivers, now.receivers) if "receivers" in fresh else last.receivers,
        )
        self._last = HostTick(now, moved)
        return self._last


class CpuWait(NamedTuple):
    """A process whose thread waits for a CPU longer than it runs, as struct nt_cpu_wait has it."""

    pid: int
    sure: bool  # False: another of its threads may be the one that reads
    over_ns: int  # an interval, the mean of the last
    run_delay_ns: int  # that the thread that waited longest did in it


CPU_INTERVALS = 5  # that are taken together: a wait is counted when it is over
CPU_WINDOW_NS = 5 * 10**9  # or fewer that cover this
CPU_LEAST_NS = 20_000_000  # of a wait in an interval: less makes nothing late


class CpuWaits:
    """Keeps what the last intervals of processes were."""

    def __init__(self) -> None:
        self._last: dict[int, deque[tuple[Process, bool]]] = {}

    def tick(self, tick: HostTick) -> list[CpuWait]:
        """Those that wait for a CPU longer than they run."""
        processes = tick.now.processes
        for pid in self._last.keys() - processes.keys():
            del self._last[pid]
        out = []
        for pid, process in processes.items():
            kept = self._last.setdefault(pid, deque(maxlen=CPU_INTERVALS))
            if process.over_ns is not None and (not kept or kept[-1][0] != process):
                # Then it waited, whichever of its threads it is that reads.
                all_waited = (
                    process.ran == process.waited_longer and process.read == process.threads
                )
                kept.append((process, all_waited or _throttled(tick.moved, process.cgroup)))
                while sum(p.over_ns or 0 for p, _ in kept) - (kept[0][0].over_ns or 0) >= (
                    CPU_WINDOW_NS
                ):
                    kept.popleft()
            over = sum(p.over_ns or 0 for p, _ in kept)
            waited = sum(p.longest_run_delay_ns or 0 for p, _ in kept)
            ran = sum(p.longest_cpu_ns or 0 for p, _ in kept)
            if kept and waited >= ran and waited >= CPU_LEAST_NS * len(kept):
                sure = 2 * sum(sure for _, sure in kept) >= len(kept)
                out.append(CpuWait(pid, sure, over // len(kept), waited // len(kept)))
        return out


def _throttled(moved: Moved, path: str | None) -> bool:
    """Whether its quota, or one above, stopped the cgroup in half of the periods: all its tasks."""
    while path:
        up = moved.cgroups.get(path, {})
        if up.get("nr_throttled", 0) * 2 >= up.get("nr_periods", 0) > 0:
            return True
        path = path.rpartition("/")[0]
    return False


def _moved(
    was: Mapping[int, Mapping[Key, Device]] | Mapping[int, Mapping[Key, Qdisc]],
    now: Mapping[int, Mapping[Key, Device]] | Mapping[int, Mapping[Key, Qdisc]],
) -> dict[int, Mapping[Key, Numbers]]:
    """By namespace; one that has another name or kind by now is another one."""
    out: dict[int, Mapping[Key, Numbers]] = {}
    for netns, there in now.items():
        before = {
            key: one.numbers
            for key, one in was.get(netns, {}).items()
            if key in there and _called(there[key]) == _called(one)
        }
        up = increases(before, {key: one.numbers for key, one in there.items()})
        if up:
            out[netns] = up
    return out


def _called(one: Device | Qdisc) -> str:
    return one.name if isinstance(one, Device) else one.kind
