"""From the sources to one Model: opens namespaces, sweeps, names what was found."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nettop import privilege
from nettop.errors import NettopError
from nettop.feed import Grouping
from nettop.ffi.engine import Engine, Procs
from nettop.groups import groups_of, matched_totals
from nettop.model.cost import Cost
from nettop.model.events import Closed, Event
from nettop.model.fields import Field
from nettop.model.types import (
    TCP_STATES,
    Detail,
    Group,
    Histogram,
    HostCounters,
    Model,
    Proto,
    Row,
    SourceStatus,
    Totals,
)
from nettop.planes import PlaneOptions
from nettop.planes.loaded import Planes, PlaneTick
from nettop.sources import diag, hostnet, kernel, netns
from nettop.sources.devices import Devices
from nettop.sources.names import Names
from nettop.sources.procs import procs_status

if TYPE_CHECKING:
    from nettop.query.compile import Filter

ALL_STATES = 0xFFFFFFFF
ALL_DETAILS = 0xFFFFFFFF
LISTEN = 1 << 10
QUIET_STATES = 1 << 6 | 1 << 3 | 1 << 12  # TIME_WAIT, SYN_RECV: dumped only when asked for
NETNS_EVERY_S = 5.0
NAMES_EVERY_S = 5.0
PROC_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class PollOptions:
    """What is polled and how it is first shown."""

    delay_s: float = 1.0
    family: int = 0  # AF_INET, AF_INET6, 0 both
    tcp: bool = True
    udp: bool = True
    listen_only: bool = False
    rows_all: bool = False
    netns: tuple[str, ...] = ()  # names, pids or "all"; none: own
    filter: Filter | None = None
    sort_field: Field | None = None
    sort_descending: bool = True
    planes: PlaneOptions = field(default_factory=PlaneOptions)
    all_details: bool = False  # every matched socket is exported, not only looked at


@dataclass(slots=True)
class _Baseline:
    """What the rates of the header and of nettop's own cost are measured from."""

    mono_ns: int
    host: HostCounters
    cpu_s: float


class Collector:
    """Owns the engine, the process table and the names; one thread sweeps, any may ask."""

    def __init__(self, options: PollOptions, planes: Planes | None = None) -> None:
        self.options = options
        self.procs = Procs()
        self.engine = Engine(self.procs, tail=kernel.tcp_info_tail)
        self.planes = planes or Planes(options.planes)
        self._plane_tick = PlaneTick()
        # Namespace inode → its descriptor, -1 for nettop's own: a path ends with its process.
        self._entries: dict[int, int] = {}
        self._fds: dict[int, Any] = {}  # namespace inode → struct nt_netns_fds
        self._sockets: dict[int, int] = {}  # namespace inode → a socket made in it
        self.names = Names(devices=Devices(self._sockets))
        self._hidden_netns = 0
        self._netns_at = 0.0  # 0: they were not opened yet
        self._named = netns.Named(options.netns, self.procs)
        self._procs_stats: Any = None
        self._base: _Baseline | None = None
        self._seq = 0
        self.poll_cpu_s = 0.0
        self.sockets = 0
        self._interval_s: float | None = None
        self._swept_ns: int | None = None
        self._host = os.uname().nodename
        self._kernel = os.uname().release
        self._refused: list[str] = []
        self._trouble: dict[str, str] = {}  # plane → what it could not do in a namespace
        self._failures: tuple[diag.Failure, ...] = ()
        self._open_namespaces()
        self._filter: Filter | None = None
        self._filter_at = 0.0
        self.set_filter(options.filter)

    # --- namespaces ---

    def _open_namespaces(self) -> None:
        first = not self._netns_at
        wanted = self._named.resolve(strict=first)
        self._refused.clear()
        # The old one first: as long as it is open its interfaces stay.
        for inode in [i for i in self._fds if i not in wanted]:
            self._drop(inode)
        for inode, path in wanted.items():
            if inode in self._fds:
                continue
            try:
                self._add(inode, path)
            except NettopError as e:
                if first and (not self._named.everything or inode == netns.own_inode()):
                    raise
                self._refused.append(str(e))
        # No inode is 0: of none, where an empty list would mean of all.
        self.planes.watch(self._fds or (0,))

    def _add(self, inode: int, path: str) -> None:
        fds = netns.open_fds(inode, path)
        entry = self._entries[inode] = netns.open_entry(inode, path)
        try:
            self.planes.seed(entry)  # what is unread now came earlier
        except OSError as e:
            self._trouble["wait"] = f"unread data of a namespace was not found: {e.strerror}"
        lookup = netns.open_fds(inode, path)
        hostnet.close_counters(lookup)
        self.engine.add_netns(inode, fds.diag_fd, lookup.diag_fd)
        self._fds[inode] = fds
        self._sockets[inode] = fds.diag_fd

    def _walk_namespaces(self, walk: Callable[[int], None]) -> None:
        """Calls walk with the descriptor of each polled namespace."""
        failed = {}
        for inode, entry in list(self._entries.items()):
            try:
                walk(entry)
            except OSError as e:
                failed[inode] = e.strerror
        self._trouble.pop("stages", None)
        if failed:
            where = f"{len(failed)} of {len(self._entries)} namespaces"
            why = next(iter(failed.values()))
            self._trouble["stages"] = f"sends of {where} are not measured: {why}"

    def _drop(self, inode: int) -> None:
        del self._sockets[inode]
        self.engine.del_netns(inode)
        hostnet.close_counters(self._fds.pop(inode))
        self._leave(inode)

    def _leave(self, inode: int) -> None:
        entry = self._entries.pop(inode, -1)
        if entry >= 0:
            os.close(entry)

    def refresh_namespaces(self) -> None:
        """Lets go of those that are no longer meant, opens those that are by now."""
        now = time.monotonic()
        due = now - self._netns_at >= NETNS_EVERY_S
        if self._named.changed() or (due and (self._named.everything or self._refused)):
            self._open_namespaces()
            self.names.forget_netns()
        if due:
            self._netns_at = now
            known = netns.visible(self.procs)
            self._hidden_netns = len(known - set(self._fds))

    # --- what is asked of the kernel ---

    def _configure(self, compiled: Filter | None) -> None:
        o, c = self.options, self.engine.config
        states = ALL_STATES if o.rows_all else ALL_STATES & ~QUIET_STATES
        if o.listen_only:
            states = LISTEN
        if compiled is not None and compiled.states is not None:
            states |= compiled.states & QUIET_STATES
        c.tcp_states = states if o.tcp else 0
        c.udp = o.udp
        c.mptcp = o.tcp and diag.has_mptcp()
        c.family = o.family
        c.rows_all = o.rows_all
        c.listen_only = o.listen_only
        if o.all_details:
            c.detail_max = ALL_DETAILS
        self.engine.configure()

    def set_filter(self, compiled: Filter | None) -> None:
        self._filter = compiled = self._resolved(compiled)
        self._filter_at = time.monotonic()
        self._configure(compiled)
        self.engine.set_filter(compiled)

    @contextmanager
    def exporting(self, everything: bool) -> Iterator[None]:
        """Keeps every matched socket's detail meanwhile; everything: no filter is in force."""
        compiled, config = self._filter, self.engine.config
        detail_max, config.detail_max = config.detail_max, ALL_DETAILS
        try:
            self.set_filter(None if everything else compiled)
            yield
        finally:
            config.detail_max = detail_max
            self.set_filter(compiled)

    def _resolved(self, compiled: Filter | None) -> Filter | None:
        """Names of cgroups and namespaces as they are now."""
        if compiled is None or not compiled.dynamic:
            return compiled
        from nettop.query.compile import compile_filter
        from nettop.sources.namesets import LiveNames

        return compile_filter(compiled.text, LiveNames(self.names.devices))

    def _refresh_filter(self, now: float) -> None:
        compiled = self._filter
        if compiled is None or not compiled.dynamic or now - self._filter_at < NAMES_EVERY_S:
            return
        self._filter_at = now
        fresh = self._resolved(compiled)
        if fresh != compiled and self._filter is compiled:
            self.set_filter(fresh)

    def set_roll_ms(self, milliseconds: int) -> None:
        """A sweep sooner than this after the one before makes no new rates."""
        if self.engine.config.roll_ms != milliseconds:
            self.engine.config.roll_ms = milliseconds
            self.engine.configure()

    # --- one sweep ---

    def begin(self, *, interval: bool = True) -> None:
        """interval: the planes' interval ends too, so that the sweep judges by it."""
        if interval:
            self.planes.select(self._walk_namespaces)
            self._plane_tick = self.planes.read(self.engine)
            self.planes.meter_programs()
        self.engine.begin()

    def step(self, reads: int) -> bool:
        return self.engine.step(reads)

    def end(self) -> Any:
        """struct nt_totals; remembers what the sweep cost."""
        totals = self.engine.end()
        self._failures = diag.failures(self.engine) if totals.failed else ()
        self.planes.read_late(self.engine)
        self.sockets = totals.tcp + totals.udp + totals.mptcp
        self.poll_cpu_s = totals.cpu_ns / 1e9
        now = time.monotonic_ns()
        self._interval_s = (now - self._swept_ns) / 1e9 if self._swept_ns else None
        self._swept_ns = now
        return totals

    def scan_procs(self) -> None:
        """Reads the changes of /proc/*/fd; owners follow from the next window on."""
        self._procs_stats = self.procs.scan()
        self.refresh_namespaces()
        self._refresh_filter(time.monotonic())

    # --- the model ---

    def model(self, totals: Any, missed: int, interval_s: float, asked_s: float) -> Model:
        """What the sweep that just ended says."""
        self._seq += 1
        cost, counters, base = self._measure(missed, interval_s, asked_s)
        return Model(
            seq=self._seq,
            mono_ns=time.monotonic_ns(),
            wall_ns=time.time_ns(),
            interval_s=self._interval_s if self._seq > 1 else None,
            host=self._host,
            kernel=self._kernel,
            sources=self._statuses(totals),
            cost=cost,
            totals=self._totals(totals, counters, base),
            rx_wait=self._plane_tick.rx_wait,
            tx=self._plane_tick.tx,
            nic=self._plane_tick.nic,
            events=self._plane_tick.events,
            path=self._plane_tick.path,
        )

    def header_only(
        self, last: Model | None, missed: int, interval_s: float, asked_s: float
    ) -> Model:
        """While paused: the host's counters and our own cost live on, the sockets stand still."""
        assert last is not None
        self._seq += 1
        cost, counters, base = self._measure(missed, interval_s, asked_s)
        fresh = self._totals(self.engine.totals(), counters, base)
        return replace(last, seq=self._seq, cost=cost, totals=fresh)

    def with_totals(self, model: Model) -> Model:
        """The same tick under another filter."""
        t = self.engine.totals()
        has_rates = model.seq > 1 and Proto.TCP not in diag.unknown(self._failures)
        return replace(model, totals=replace(model.totals, **matched_totals(t, has_rates)))

    def _measure(
        self, missed: int, interval_s: float, asked_s: float
    ) -> tuple[Cost, HostCounters, _Baseline | None]:
        now = time.monotonic_ns()
        counters = hostnet.read(list(self._fds.values()))
        cpu = time.process_time()
        base = self._base
        self._base = _Baseline(now, counters, cpu)
        wall = (now - base.mono_ns) / 1e9 if base else 0.0
        stretched = None
        if interval_s > asked_s * 1.01:
            stretched = (
                f"a poll takes {self.poll_cpu_s * 1e3:.0f} ms: every {interval_s:.1f} s "
                f"instead of {asked_s:g} s"
            )
        runs, meter = self._plane_tick.runs_per_s, self.planes.meter
        cost = Cost(
            cpu_pct=100.0 * (cpu - base.cpu_s) / wall if base and wall > 0 else None,
            poll_ms=self.poll_cpu_s * 1e3,
            lost_events=self._plane_tick.lost,
            bpf_runs_per_s=sum(runs.values()) if runs else None,
            bpf_ns_per_run=meter.ns_per_run,
            missed_ticks=missed,
            rss_bytes=_rss_bytes(),
            interval_s=interval_s,
            stretched=stretched,
            plane_runs_per_s=runs,
            programs=meter.last,
            programs_age_s=time.monotonic() - meter.measured_s if meter.measured_s else None,
            programs_reason=meter.reason,
        )
        return cost, counters, base

    def _totals(self, t: Any, counters: HostCounters, base: _Baseline | None) -> Totals:
        unknown = diag.unknown(self._failures)
        listed = Proto.TCP not in unknown
        by_state = {TCP_STATES[i]: t.by_state[i] for i in TCP_STATES if listed and t.by_state[i]}
        if counters.tcp_time_wait is not None:
            by_state["TIME_WAIT"] = counters.tcp_time_wait
        wall = (time.monotonic_ns() - base.mono_ns) / 1e9 if base else 0.0

        def per_s(name: str) -> float | None:
            if base is None or wall <= 0:
                return None
            now, before = getattr(counters, name), getattr(base.host, name)
            return None if now is None or before is None else max(0, now - before) / wall

        c = self.engine.config

        def known(proto: Proto, asked: int, count: int) -> int | None:
            return count if asked and t.netns and proto not in unknown else None

        moved = t.sweep > 1 and not unknown
        return Totals(
            tcp=known(Proto.TCP, c.tcp_states, t.tcp),
            udp=known(Proto.UDP, c.udp, t.udp),
            mptcp=known(Proto.MPTCP, self.options.tcp, t.mptcp),
            by_state=by_state,
            opened=t.opened if moved else None,
            closed=t.closed if moved else None,
            retrans_per_s=per_s("retrans_segs"),
            resets_per_s=per_s("estab_resets"),
            netns=t.netns,
            netns_hidden=self._hidden_netns,
            duplicates=t.duplicates,
            restarts=t.restarts,
            malformed=t.malformed,
            truncated=t.truncated,
            **matched_totals(t, t.sweep > 1 and listed),
        )

    def _statuses(self, t: Any) -> tuple[SourceStatus, ...]:
        status = diag.status(t, self._failures)
        left_out = list(self._named.gone)
        unread = sum(min(f.snmp_fd, f.netstat_fd, f.sockstat_fd) < 0 for f in self._fds.values())
        if unread:
            left_out.append(f"/proc/net of {unread} namespaces cannot be opened: the host's "
                            "counters lack them")  # fmt: skip
        if self._refused:
            left_out.append(f"{len(self._refused)} namespaces left out: {self._refused[0]}")
        if left_out:
            status = replace(
                status,
                state="off" if status.state == "off" else "partial",
                reason="; ".join(filter(None, (status.reason, *left_out))),
                fix=status.fix,
            )
        planes = (self._troubled(s) for s in self.planes.statuses())
        return (status, self._procs_status(), *planes)

    def _troubled(self, status: SourceStatus) -> SourceStatus:
        """With what could not be done in one of the namespaces."""
        trouble = self._trouble.get(status.name)
        if trouble is None or status.state == "off":
            return status
        reason = "; ".join(filter(None, (status.reason, trouble)))
        return replace(status, state="partial", reason=reason)

    def _procs_status(self) -> SourceStatus:
        if self._procs_stats is None:
            return SourceStatus("procs", "off", "proc", "not read yet")
        return procs_status(self._procs_stats, privilege.held())

    # --- events ---

    def events(self, cookies: Sequence[int], *, most: int, after: int = 0) -> list[Event]:
        """Newest first, of these sockets, or (none named) of all in the polled namespaces."""
        plane = self.planes.events
        if plane is None:
            return []
        return list(plane.recent(cookies, most=most, after=after))

    def closed(self, cookies: Sequence[int], *, most: int) -> list[Closed]:
        """The last sockets that closed, newest first."""
        plane = self.planes.events
        if plane is None:
            return []
        return list(plane.closed(cookies, most=most))

    # --- distributions ---

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        """Of these sockets; None: of those that pass the filter."""
        filtered = self._filter is not None
        return self.planes.rx_wait(cookies, self.engine, filtered=filtered, run=run)

    # --- rows and groups, named ---

    def name(self, row: Row) -> Row:
        """Adds the names that stand for numbers in the record."""
        rec, names = row.rec, self.names
        row.user = names.user(rec.uid)
        if rec.cgroup_id:
            row.cgroup = names.cgroup(rec.cgroup_id)
            row.container = names.container(row.cgroup) if row.cgroup else None
        row.netns_name = names.netns_name(rec.netns)
        if rec.ifindex:
            row.dev = names.device(rec.netns, rec.ifindex)
        return row

    def detail(self, cookie: int) -> Detail | None:
        row = self.engine.find(cookie)
        return self.detail_of(row) if row is not None else None

    def detail_of(self, row: Row) -> Detail | None:
        return self.engine.detail(row.cookie, tcp=row.proto == Proto.TCP)

    def groups(self, grouping: Grouping) -> list[Group]:
        return groups_of(self.engine.groups(grouping), grouping, self.names)

    def sum(self, cookies: Any) -> Group | None:
        g = self.engine.sum(cookies)
        return groups_of([g], Grouping.NONE, self.names)[0] if g is not None else None

    def close(self) -> None:
        self.planes.close(self._walk_namespaces)
        for fds in self._fds.values():
            hostnet.close_counters(fds)
        self._fds.clear()
        for inode in list(self._entries):
            self._leave(inode)


def _rss_bytes() -> int | None:
    try:
        with Path("/proc/self/statm").open("rb") as f:
            return int(f.read().split()[1]) * PROC_PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
