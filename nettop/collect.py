"""The sources of this host: opens namespaces, sweeps, and says what a sample has to say."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from nettop import __version__, debug, privilege
from nettop.derive import Deriver
from nettop.engine import lib
from nettop.engine.handle import Engine, Procs
from nettop.errors import NettopError
from nettop.model.cost import Cost
from nettop.model.types import (
    Model,
    SourceStatus,
)
from nettop.sample import Asked, Facts, Sample
from nettop.sample import Names as SampleNames
from nettop.sources import PlaneOptions, cgroups, diag, hostnet, kernel, netns, own
from nettop.sources.devices import Devices
from nettop.sources.evidence import HostEvidence
from nettop.sources.loaded import Planes
from nettop.sources.names import Names
from nettop.sources.procs import procs_status
from nettop.sources.threads import MOST_PROCESSES
from nettop.sources.tick import PlaneTick
from nettop.text.fields import Field

if TYPE_CHECKING:
    from nettop.query.compile import Filter

ALL_STATES = 0xFFFFFFFF
ALL_DETAILS = 0xFFFFFFFF
LISTEN = 1 << 10
# Bound and not connected, listed as CLOSE: for these the kernel walks all ports, which takes a ms.
BOUND_INACTIVE, CLOSE = 1 << 13, 1 << 7
# Dumped only when asked for: these, TIME_WAIT and SYN_RECV.
QUIET_STATES = 1 << 6 | 1 << 3 | 1 << 12 | BOUND_INACTIVE
NETNS_EVERY_S = 5.0
NAMES_EVERY_S = 5.0
WALK_EVERY_S = 10.0  # it takes every socket's lock
MOST_ASKED_OF = 64  # sockets with verdicts whose route is asked for


class PollOptions(Struct, frozen=True):
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
    lookback_s: float = 0.0  # ticks that are kept to look back; 0: none
    all_details: bool = False  # every matched socket is exported, not only looked at


class Collector:
    """Owns the engine, the process table and the names; one thread sweeps, any may ask."""

    def __init__(self, options: PollOptions, planes: Planes | None = None) -> None:
        self.options = self._usual = options
        self.procs = Procs()
        self.engine = Engine(self.procs, tail=kernel.tcp_info_tail)
        self.planes = planes or Planes(options.planes)
        self._plane_tick = PlaneTick()
        self._evidence = HostEvidence()
        cgroups.reached()  # before privileges are given up
        # Namespace inode → its descriptor, -1 for nettop's own: a path ends with its process.
        self._entries: dict[int, int] = {}
        self._fds: dict[int, Any] = {}  # namespace inode → struct nt_netns_fds
        self._sockets: dict[int, int] = {}  # namespace inode → a socket made in it
        self.names = Names(devices=Devices(self._sockets))
        self._hidden_netns = 0
        self._netns_at = 0.0  # 0: they were not opened yet
        self._named = netns.Named(options.netns, self.procs)
        self._procs_stats: Any = None
        # CLOCK_MONOTONIC and CPU time of the tick before.
        self._cpu: tuple[int, float] | None = None
        self._not_found, self._walked_at = 0, -WALK_EVERY_S
        self.poll_cpu_s = 0.0
        self.sockets = 0
        self._interval_s: float | None = None
        self._swept_ns: int | None = None
        self._host = os.uname().nodename
        self._kernel = os.uname().release
        self._refused: list[str] = []
        self._interval_ended = False
        self.deriver = Deriver(self.engine, self.names)
        self._trouble: dict[str, str] = {}  # plane → what it could not do in a namespace
        self._filter: Filter | None = None
        self._filter_at = 0.0
        # A filter beside it, the same with names as they were at this time.
        self._beside: tuple[Filter, Filter | None, float] | None = None
        self.called = self._host  # by filters
        try:
            self._open_namespaces()
            self.set_filter(options.filter)
        except BaseException:
            self.close()
            raise

    # --- namespaces ---

    def _open_namespaces(self) -> None:
        first = not self._netns_at
        wanted = self._named.resolve(strict=first)
        self._refused.clear()
        # The old one first: as long as it is open its interfaces stay.
        for inode in [i for i in self._fds if i not in wanted]:
            self._drop(inode)
        # Before what is unread there is looked for. No inode is 0: of none, where an empty list
        # would mean of all.
        self.planes.watch(wanted or (0,))
        for inode, path in wanted.items():
            if inode in self._fds:
                continue
            try:
                self._add(inode, path)
            except NettopError as e:
                if first and (not self._named.everything or inode == netns.own_inode()):
                    raise
                self._refused.append(str(e))
        if self._fds.keys() != wanted.keys():
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
        """The same for the stages plane, whose status says where that failed."""
        failed = self._in_namespaces(walk)
        self._trouble.pop("stages", None)
        if failed:
            where = f"{len(failed)} of {len(self._entries)} namespaces"
            self._trouble["stages"] = f"sends of {where} are not measured: {failed[0]}"

    def _in_namespaces(self, walk: Callable[[int], None]) -> list[str]:
        """Calls walk with the descriptor of each polled namespace; why it failed in some."""
        failed = []
        for entry in list(self._entries.values()):
            try:
                walk(entry)
            except OSError as e:
                failed.append(e.strerror or str(e))
        return failed

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
            states |= BOUND_INACTIVE if compiled.states & CLOSE else 0
        c.tcp_states = states if o.tcp else 0
        c.udp = o.udp
        c.mptcp = o.tcp and diag.has_mptcp()
        c.family = o.family
        c.rows_all = o.rows_all
        c.listen_only = o.listen_only
        if o.all_details:
            c.detail_max = ALL_DETAILS
        self.engine.configure()

    def show_all(self, on: bool) -> None:
        """From the next sweep on every socket is a row; off: those that the options ask for."""
        usual = self._usual
        self.options = replace(usual, rows_all=True, listen_only=False) if on else usual
        self.set_filter(self._filter)

    def set_filter(self, compiled: Filter | None) -> None:
        before = self._filter
        self._filter = compiled = self._resolved(compiled)
        self._filter_at = time.monotonic()
        self._configure(compiled)
        self.engine.set_filter(compiled)
        self.deriver.facts = replace(self.deriver.facts, asked=self._asked())
        self.deriver.filtered = compiled is not None
        if compiled != before:
            self.deriver.refiltered()

    @contextmanager
    def exporting(self, everything: bool) -> Iterator[None]:
        """Keeps every matched socket's detail meanwhile; everything: no filter is in force."""
        compiled, config = self._filter, self.engine.config
        detail_max, config.detail_max = config.detail_max, ALL_DETAILS
        try:
            with self.deriver.run_kept():
                self.set_filter(None if everything else compiled)
                yield
        finally:
            config.detail_max = detail_max
            with self.deriver.run_kept():
                self.set_filter(compiled)

    def _resolved(self, compiled: Filter | None) -> Filter | None:
        """Names of cgroups and namespaces as they are now."""
        if compiled is None or not compiled.dynamic:
            return compiled
        from nettop.query.compile import compile_filter
        from nettop.sources.namesets import LiveNames

        return compile_filter(
            compiled.text, LiveNames(self.names.devices, self.called), level_now=compiled.level_now
        )

    def matching(self, compiled: Filter) -> list[int]:
        """The sockets that a filter lets through which is not in force."""
        if compiled.dynamic:
            now = time.monotonic()
            if (
                self._beside is None
                or self._beside[0] != compiled
                or (now - self._beside[2] >= NAMES_EVERY_S)
            ):
                self._beside = (compiled, self._resolved(compiled), now)
            return self.engine.matching(self._beside[1])
        return self.engine.matching(compiled)

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        """As Engine.values()."""
        return self.engine.values(field, self._resolved(compiled))

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
            with debug.timed("planes"):
                self._plane_tick = self.planes.read(self.engine)
            self._interval_ended = True
            self.planes.meter_programs()
        self.engine.begin()

    def step(self, reads: int) -> bool:
        return self.engine.step(reads)

    def end(self) -> Any:
        """struct nt_totals; remembers what the sweep cost."""
        totals = self.engine.end()
        debug.note(
            "sweep",
            f"{totals.sweep}: {totals.messages} messages, {totals.dumps} dumps, {totals.failed} "
            f"failed, {totals.restarts} again, {totals.wall_ns / 1e6:.2f} ms, "
            f"{totals.cpu_ns / 1e6:.2f} ms CPU",
        )
        self.planes.choose(self.engine)
        self.sockets = totals.tcp + totals.udp + totals.mptcp
        self.poll_cpu_s = totals.cpu_ns / 1e9
        now = time.monotonic_ns()
        self._interval_s = (now - self._swept_ns) / 1e9 if self._swept_ns else None
        self._swept_ns = now
        return totals

    def scan_procs(self) -> None:
        """Reads the changes of /proc/*/fd; what a filter asks of processes follows at once."""
        before = self._procs_stats
        with debug.timed("procs"):
            self._procs_stats = self.procs.scan()
        if before is None or before.generation != self._procs_stats.generation:
            self.engine.owners_changed()
        now = time.monotonic()
        self._find_kernel_sockets(now)
        self.refresh_namespaces()
        self._refresh_filter(now)

    def _find_kernel_sockets(self, now: float) -> None:
        """After searches without a result: finds the kernel's own among all sockets."""
        found_none = self._procs_stats.not_found
        if (
            found_none == self._not_found
            or now - self._walked_at < WALK_EVERY_S
            or not self.planes.tells_kernel_sockets
        ):
            return
        self._not_found, self._walked_at = found_none, now
        inodes: list[int] = []
        # Where that fails, the holder stays unknown.
        self._in_namespaces(lambda fd: inodes.extend(self.planes.kernel_sockets(fd)))
        self.procs.tell_kernel_sockets(inodes)

    # --- the sample, and the model of it ---

    def model(self, totals: Any, missed: int, interval_s: float, asked_s: float) -> Model:
        """What the sweep that just ended says."""
        facts = self._facts(totals, missed, interval_s, asked_s)
        ended, self._interval_ended = self._interval_ended, False
        model = self.deriver.model(
            facts, mono_ns=time.monotonic_ns(), wall_ns=time.time_ns(),
            interval=ended,
        )  # fmt: skip
        self.planes.choose_sends(self.deriver.staged)
        return model

    def header_only(
        self, last: Model | None, missed: int, interval_s: float, asked_s: float
    ) -> Model:
        """While paused: the host's counters and our own cost live on, the sockets stand still."""
        assert last is not None
        facts = self._facts(self.engine.totals(), missed, interval_s, asked_s)
        return self.deriver.header_only(last, facts)

    @property
    def between_s(self) -> float:
        """Until between() is worth a call; another time at each call."""
        return self._evidence.look_again_s

    def between(self) -> None:
        """Between two ticks."""
        self.refresh_namespaces()
        self._evidence.look(self._fds)

    def record(self, on: bool) -> None:
        """Keeps what sample() needs, from before the first sweep on."""
        self.engine.keep(on)

    def sample(self, model: Model, *, whole: bool) -> Sample:
        """The raw input of the tick that model is of, once it was made.

        Args:
            whole: say all that is known, not only what changed since the sample before.
        """
        self.engine.keep_owners(everything=whole)
        sections = self.engine.kept()
        facts = replace(self.deriver.facts, names=self._names_in_use())
        return Sample(model.seq, model.mono_ns, model.wall_ns, sections, facts, whole)

    def _names_in_use(self) -> SampleNames:
        names, engine = self.names, self.engine

        def known(what: int, name: Callable[[int], str | None]) -> dict[int, str]:
            pairs = ((number, name(number)) for number in engine.numbers(what) if number)
            return {number: text for number, text in pairs if text is not None}

        users = known(lib.NT_NUMBER_UID, partial(names.user, last=True))
        root = names.user(0)
        if root is not None:
            users[0] = root
        devices: dict[int, dict[int, str]] = {}
        bound = known(lib.NT_NUMBER_DEVICE, lambda n: names.device(n >> 32, n & 0xFFFFFFFF))
        for number, name in bound.items():
            devices.setdefault(number >> 32, {})[number & 0xFFFFFFFF] = name
        return SampleNames(
            users,
            known(lib.NT_NUMBER_CGROUP, names.cgroup),
            known(lib.NT_NUMBER_NETNS, names.netns_name),
            devices,
        )

    def _facts(self, totals: Any, missed: int, interval_s: float, asked_s: float) -> Facts:
        now, cpu = time.monotonic_ns(), time.process_time()
        before, self._cpu = self._cpu, (now, cpu)
        wall_s = (now - before[0]) / 1e9 if before else 0.0
        stretched = None
        if interval_s > asked_s * 1.01:
            stretched = (
                f"a poll takes {self.poll_cpu_s * 1e3:.0f} ms: every {interval_s:.1f} s "
                f"instead of {asked_s:g} s"
            )
        runs, meter = self._plane_tick.runs_per_s, self.planes.meter
        cost = Cost(
            cpu_pct=100.0 * (cpu - before[1]) / wall_s if before and wall_s > 0 else None,
            poll_ms=self.poll_cpu_s * 1e3,
            lost_events=self._plane_tick.lost,
            lost_by_plane=self._plane_tick.lost_by_plane,
            bpf_runs_per_s=sum(runs.values()) if runs else None,
            bpf_ns_per_run=meter.ns_per_run,
            missed_ticks=missed,
            rss_bytes=own.rss_bytes(),
            interval_s=interval_s,
            stretched=stretched,
            plane_runs_per_s=runs,
            programs=meter.last,
            programs_age_s=time.monotonic() - meter.measured_s if meter.measured_s else None,
            programs_reason=meter.reason,
        )
        counters = {netns: hostnet.read(files) for netns, files in self._fds.items()}
        with debug.timed("evidence"):
            evidence = self._evidence.read(
                {netns: of.evidence for netns, of in counters.items()},
                now,
                self._fds,
                # One more than are looked at: then it is known that some are left out.
                self.engine.sick_pids(MOST_PROCESSES + 1),
                self.engine.candidates(MOST_ASKED_OF, late=self._evidence.last.queue_stands),
                frozenset(self.engine.readers().values()),
            )
        return Facts(
            host=self._host,
            kernel=self._kernel,
            nettop=__version__,
            interval_s=self._interval_s,
            counters=hostnet.total(of.host for of in counters.values()),
            counters_ns=now,
            evidence=evidence,
            hidden_netns=self._hidden_netns,
            sources=self._statuses(totals),
            cost=cost,
            asked=self._asked(),
            tcp_info_tail=kernel.tcp_info_tail(),
            nic=self.planes.nic,
            tx_absent={int(s): why for s, why in self.planes.tx_absent.items()},
        )

    def _asked(self) -> Asked:
        o, c = self.options, self.engine.config
        return Asked(
            tcp_states=c.tcp_states,
            udp=bool(c.udp),
            mptcp=bool(c.mptcp),
            family=c.family,
            rows_all=bool(c.rows_all),
            listen_only=bool(c.listen_only),
            tcp=o.tcp,
        )

    def _statuses(self, t: Any) -> tuple[SourceStatus, ...]:
        failures = diag.failures(self.engine) if t.failed else ()
        status = diag.status(t, failures)
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
        planes = (self._troubled(s, t) for s in self.planes.statuses())
        return (status, self._procs_status(), *planes)

    def _troubled(self, status: SourceStatus, totals: Any) -> SourceStatus:
        """With what could not be done in one of the namespaces, or for some of their sockets."""
        troubles = [self._trouble[status.name]] if status.name in self._trouble else []
        if status.name == "wait" and totals.mptcp:
            troubles.append(f"reads of MPTCP sockets are not traced ({totals.mptcp} here)")
        if not troubles or status.state == "off":
            return status
        reason = "; ".join(filter(None, (status.reason, *troubles)))
        return replace(status, state="partial", reason=reason)

    def _procs_status(self) -> SourceStatus:
        if self._procs_stats is None:
            return SourceStatus("procs", "off", "proc", "not read yet")
        return procs_status(self._procs_stats, privilege.held())

    def clear(self) -> None:
        """The run of distributions begins now."""
        self.deriver.clear()
        self.planes.clear()

    def undo(self) -> None:
        """Clears flags that nettop set on sockets, while another thread may hang in a poll."""
        if self.planes.stages is not None:
            self.planes.stages.undo(self._walk_namespaces)

    def close(self) -> None:
        self.planes.close(self._walk_namespaces)
        for fds in self._fds.values():
            hostnet.close_counters(fds)
        self._fds.clear()
        for inode in list(self._entries):
            self._leave(inode)
