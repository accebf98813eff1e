"""The evidence of a tick: what this host says of itself beside its sockets.

Devices and qdiscs are asked for under the kernel's lock of all network configuration, which may be
busy: what takes long is read more rarely, and each source says when it was read.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TypeVar

from nettop.model.causes import Candidate
from nettop.model.evidence import NO_EVIDENCE, Device, Evidence, Numbers, Process, Qdisc
from nettop.model.types import Verdict
from nettop.sources import hostcpu, hostnet, tables
from nettop.sources.drivers import Drivers
from nettop.sources.links import Links
from nettop.sources.receivers import Receivers
from nettop.sources.routes import NextHops, RouteCache, Routes
from nettop.sources.threads import Threads

SHARE = 0.0002  # of a CPU, that each source may take: 0.2 ms of every second
SLOW_S = 0.05  # a read that takes longer waited for others: it is spared for
SLOW_RESTS = 20  # times as long
REST_MOST_S = 30.0
NO_ROUTE = "no socket of NETLINK_ROUTE could be made in {} of {} namespaces"


T = TypeVar("T")


LOOKS_S = 0.05, 0.35  # between two looks at queues: what comes in bursts has a time of its own
NO_LOOK_S = 3600.0
LOOK_MOST_S = 0.005
_OF_QUEUES = 1 << Verdict.RTT | 1 << Verdict.QDISC
FIND_AGAIN_S = 60.0  # threads that take packets in; the first time a socket has a verdict


class HostEvidence:
    """Reads the sources when they are due; one thread calls."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        self._links, self._drivers = Links(), Drivers()
        self._threads = Threads()
        self._receivers, self._routes = Receivers(), RouteCache()
        self._looks: dict[int, dict[int, list[int]]] = {}  # netns → ifindex → bytes that waited
        self._looked_at: frozenset[int] = frozenset()  # namespaces
        self._looks_rest = self._find_at = 0.0  # none before
        self._queue_looks: Mapping[int, Mapping[int, Numbers]] = {}
        self.last = NO_EVIDENCE
        self._reasons: dict[str, str] = {}
        self._left_out: dict[str, int] = {}
        self._read_ns: dict[str, int] = {}

    def read(
        self,
        counters: Mapping[int, Numbers],
        counters_ns: int,
        files: Mapping[int, hostnet.NetFiles],
        pids: Sequence[int],
        sick: Sequence[Candidate] = (),
        readers: Container[int] = frozenset(),
    ) -> Evidence:
        """
        Args:
            counters: of each namespace, read at counters_ns.
            files: of each namespace.
            pids: processes that hold sockets with a verdict, worst first.
            sick: these sockets, worst first.
            readers: threads that are known to read some of them.
        """
        last = self.last
        self._read_ns["counters"] = counters_ns
        softnet = self._timed("softnet", lambda: self._softnet(last))
        pressure = self._timed("pressure", lambda: self._pressure(last))
        devices = self._timed("devices", lambda: self._devices(files))
        if self._looked_at:  # a queue may explain a round trip: not to be waited for
            self._due.pop("qdiscs", None)
        qdiscs = self._timed("qdiscs", lambda: self._qdiscs(files))
        conntrack = self._timed("conntrack", lambda: self._conntrack(files))
        neighbours = self._timed("neighbours", self._neighbours)
        known = last.devices if devices is None else devices
        drivers = self._timed("drivers", lambda: self._of_drivers(files, known))
        processes: Mapping[int, Process] = {}
        cgroups: Mapping[str, Numbers] = {}
        if pids:
            self._read_ns["processes"] = time.monotonic_ns()
            processes = self._threads.read(pids, readers)
            fresh = self._timed("cgroups", lambda: self._threads.cgroups(processes.values()))
            cgroups = last.cgroups if fresh is None else fresh
        elif "processes" in self._read_ns:
            self._threads.read(())
            self._read_ns.pop("processes")
            self._read_ns.pop("cgroups", None)
            self._due.pop("cgroups", None)
        self._say("processes", self._threads.reason, self._threads.left_out)
        self._say("cgroups", None, self._threads.cgroups_left_out if pids else 0)
        if qdiscs is not None:
            for netns, found in qdiscs.items():
                if netns in self._looked_at:
                    self._note(netns, found)
            self._queue_looks = self._queues(sick, qdiscs)
        receivers, routes, next_hops, sysctls = self._for_sick(last, files, sick)
        self.last = Evidence(
            counters,
            last.softnet if softnet is None else softnet,
            last.pressure if pressure is None else pressure,
            {n: d for n, d in known.items() if n in files},
            {n: q for n, q in last.qdiscs.items() if n in files} if qdiscs is None else qdiscs,
            processes,
            cgroups,
            dict(self._read_ns),
            dict(self._reasons),
            dict(self._left_out),
            last.conntrack if conntrack is None else conntrack,
            last.neighbours if neighbours is None else neighbours,
            last.drivers if drivers is None else drivers,
            receivers,
            routes,
            sysctls,
            self._queue_looks,
            next_hops,
        )
        return self.last

    def _for_sick(
        self, last: Evidence, files: Mapping[int, hostnet.NetFiles], sick: Sequence[Candidate]
    ) -> tuple[Mapping[str, Numbers], Routes, NextHops, Mapping[int, Numbers]]:
        """What is read only while sockets have verdicts."""
        if not sick:
            for source in ("receivers", "routes", "sysctls"):
                self._read_ns.pop(source, None)
                self._due.pop(source, None)
            return {}, {}, {}, {}
        if self._clock() >= self._find_at:
            # Of its time the reads need not rest.
            self._receivers.find()
            self._find_at = self._clock() + FIND_AGAIN_S
        receivers = self._timed("receivers", self._receivers.read)
        self._read_ns["routes"] = time.monotonic_ns()
        route_fds = {n: of.route_fd for n, of in files.items()}
        routes = self._routes.read(sick, route_fds)
        next_hops = self._routes.next_hops(sick, route_fds)
        self._say("routes", self._routes.reason)
        sysctls = self._timed("sysctls", lambda: _sysctls(files, {s.netns for s in sick}))
        return (
            last.receivers if receivers is None else receivers,
            routes,
            next_hops,
            last.sysctls if sysctls is None else sysctls,
        )

    # --- queues, between two ticks ---

    @property
    def look_again_s(self) -> float:
        """A part of LOOKS_S that nothing else keeps step with."""
        return random.uniform(*LOOKS_S) if self._looked_at else NO_LOOK_S

    def look(self, files: Mapping[int, hostnet.NetFiles]) -> None:
        """Looks at the queues that may explain a round trip: one look a second would see what comes
        once a second always, or never."""
        begun = self._clock()
        for netns in self._looked_at & files.keys():
            try:
                qdiscs, _ = self._links.qdiscs(files[netns].route_fd)
            except OSError:
                continue  # the next read says why
            self._note(netns, qdiscs)
        if self._clock() - begun > LOOK_MOST_S:  # many devices, or the kernel's lock is busy
            self._looks_rest = self._clock() + REST_MOST_S
            self._looked_at = frozenset()

    def _note(self, netns: int, qdiscs: Mapping[str, Qdisc]) -> None:
        for qdisc in qdiscs.values():
            if qdisc.parent == "root":
                of = self._looks.setdefault(netns, {}).setdefault(qdisc.ifindex, [])
                of.append(qdisc.numbers.get("backlog_bytes", 0))

    def _queues(
        self, sick: Sequence[Candidate], qdiscs: Mapping[int, Mapping[str, Qdisc]]
    ) -> dict[int, dict[int, Numbers]]:
        """What the looks since the read before saw; where to look until the next one."""
        looks, self._looks = self._looks, {}
        wanted = {s.netns for s in sick if (s.held | s.verdicts) & _OF_QUEUES}
        sends = {s.netns for s in sick if s.queued_bytes or s.late_ack}
        wanted |= {netns for netns in sends if _any_waits(qdiscs.get(netns, {}))}
        self._looked_at = frozenset(wanted if self._clock() >= self._looks_rest else ())
        return {
            netns: {
                index: {
                    "looks": len(seen), "filled": sum(n > 0 for n in seen),
                    "mean_bytes": sum(seen) // len(seen),
                }
                for index, seen in of.items() if any(seen)
            }
            for netns, of in looks.items()
        }  # fmt: skip

    def _timed(self, source: str, read: Callable[[], T]) -> T | None:
        """None: it is not due yet."""
        begun, cpu = self._clock(), time.thread_time()
        if begun < self._due.get(source, begun):
            return None
        out = read()
        took = self._clock() - begun
        rest = max((time.thread_time() - cpu) / SHARE, SLOW_RESTS * took * (took > SLOW_S))
        self._due[source] = begun + min(rest, REST_MOST_S)
        self._read_ns[source] = time.monotonic_ns()
        return out

    def _say(self, source: str, reason: str | None, left_out: int = 0) -> None:
        self._reasons.pop(source, None)
        self._left_out.pop(source, None)
        if reason:
            self._reasons[source] = reason
        if left_out:
            self._left_out[source] = left_out

    def _softnet(self, last: Evidence) -> Mapping[int, Numbers]:
        try:
            found = hostcpu.read_softnet()
        except OSError as error:
            self._say("softnet", f"/proc/net/softnet_stat cannot be read: {error.strerror}")
            return {}
        self._say("softnet", None)
        return last.softnet if found == last.softnet else found

    def _pressure(self, last: Evidence) -> Mapping[str, Numbers]:
        found = hostcpu.read_pressure()
        self._say("pressure", None if found else hostcpu.NO_PRESSURE)
        return last.pressure if found == last.pressure else found

    def _conntrack(self, files: Mapping[int, hostnet.NetFiles]) -> dict[int, Numbers]:
        """Of namespaces that follow connections."""
        limit = tables.conntrack_limit()
        pairs = (
            (netns, tables.parse_conntrack(hostnet.read_fd(of.conntrack_fd), limit))
            for netns, of in files.items()
        )
        return {netns: numbers for netns, numbers in pairs if numbers}

    def _neighbours(self) -> Mapping[str, Numbers]:
        found = tables.read_neighbours()
        self._say("neighbours", None if found else tables.NO_NEIGHBOURS)
        return found

    def _of_drivers(
        self, files: Mapping[int, hostnet.NetFiles], known: Mapping[int, Mapping[int, Device]]
    ) -> dict[int, dict[int, Device]]:
        out: dict[int, dict[int, Device]] = {}
        left_out = 0
        self._drivers.forget(files)
        for netns, of in files.items():
            if of.route_fd >= 0:
                found, more = self._drivers.read(netns, of.route_fd, known.get(netns, {}))
                left_out += more
                if found:
                    out[netns] = found
        self._say("drivers", None, left_out)
        return out

    def _devices(self, files: Mapping[int, hostnet.NetFiles]) -> dict[int, dict[int, Device]]:
        return self._of_namespaces("devices", self._links.devices, files)

    def _qdiscs(self, files: Mapping[int, hostnet.NetFiles]) -> dict[int, dict[str, Qdisc]]:
        return self._of_namespaces("qdiscs", self._links.qdiscs, files)

    def _of_namespaces(
        self,
        source: str,
        read: Callable[[int], tuple[T, int]],
        files: Mapping[int, hostnet.NetFiles],
    ) -> dict[int, T]:
        out: dict[int, T] = {}
        left_out = refused = 0
        reason = None
        for netns, of in files.items():
            if of.route_fd < 0:
                refused += 1
                continue
            try:
                out[netns], more = read(of.route_fd)
            except OSError as error:
                reason = str(error)
                continue
            left_out += more
        if refused:
            reason = NO_ROUTE.format(refused, len(files))
        self._say(source, reason, left_out)
        return out


def _any_waits(qdiscs: Mapping[str, Qdisc]) -> bool:
    return any(q.parent == "root" and q.numbers.get("backlog_bytes") for q in qdiscs.values())


def _sysctls(files: Mapping[int, hostnet.NetFiles], wanted: Iterable[int]) -> dict[int, Numbers]:
    """Of these namespaces."""
    found: dict[int, Numbers] = {}
    for netns in wanted:
        words = hostnet.read_line(files[netns].wmem_fd).split() if netns in files else []
        if len(words) == 3 and words[2].isdigit():
            found[netns] = {"tcp_wmem_most_bytes": int(words[2])}
    return found
