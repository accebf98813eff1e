"""The BPF planes of a running nettop: loaded once, read each tick, ended together."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from nettop import debug, refusal
from nettop.engine import ffi, lib
from nettop.engine.handle import Engine
from nettop.model.types import NicStage, SourceStatus, Stage
from nettop.sources import (
    PlaneOptions,
    cgroups,
    clocks,
    events,
    off,
    path,
    sendchoice,
    split,
    stages,
    stamps,
    wait,
)
from nettop.sources.meter import Meter
from nettop.sources.tick import PlaneTick

NOWHERE = 0  # inode of no namespace
# For the dumps, /proc, modules and the output, where a limit of descriptors cannot be raised.
SPARE_DESCRIPTORS = 16
BPF_PLANES = (wait.NAME, split.NAME, stages.NAME, events.NAME, path.NAME)


@contextmanager
def _descriptors_left(count: int) -> Iterator[None]:
    """Behind it so many descriptors can be opened, or all that could before: what is opened in it
    finds too few first."""
    held: list[int] = []
    try:
        with suppress(OSError):  # as many as there are
            held.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(count))
        yield
    finally:
        for fd in held:
            os.close(fd)


def libbpf_log() -> str:
    """libbpf's warnings so far, with the verifier's log of programs that were refused."""
    n = lib.nt_bpf_log(ffi.NULL, 0)
    room = ffi.new("char[]", n + 1)
    n = min(lib.nt_bpf_log(room, n), n)
    return bytes(ffi.buffer(room, n)).decode("utf-8", "replace")


def _of_one_tick(name: str, options: PlaneOptions) -> SourceStatus:
    """Why a plane is off where there is no interval, and all that would turn it on."""
    if name == path.NAME and not options.path:
        return off(name, path.OFF_REASON)
    reason = "one tick alone measures nothing: add -d SECS"
    if name == stages.NAME and not options.tx_sample:
        reason += " and --tx-sample N"
    elif name == split.NAME:
        reason += f"; {split.OFF_REASON}"
    if refusal.may_load():
        return off(name, reason)
    lacks, fix = refusal.explain(refusal.BPF)
    return off(name, f"{reason}; {lacks}", fix)


class Planes:
    """Those that could be loaded; each has the reason why it is off."""

    def __init__(self, options: PlaneOptions) -> None:
        """Loads them, which needs privilege that may be given up afterwards."""
        lib.nt_memory_give_back()  # for each object libbpf reads all of the kernel's types, 5 MB
        self._off: dict[str, SourceStatus] = {}
        self._wait: wait.WaitPlane | None = None
        self.split: split.SplitPlane | None = None
        self.stages: stages.StagesPlane | None = None
        self.events: events.EventsPlane | None = None
        self._path: path.PathPlane | None = None
        self._clocks = clocks.ClocksPlane()
        self.meter = Meter()
        self._runs: tuple[float, dict[str, int]] = (0.0, {})
        with _descriptors_left(SPARE_DESCRIPTORS):
            self._load(options)
        for status in self.statuses():
            debug.note(status.name, f"{status.state} {status.method or ''} {status.reason or ''}")
        debug.note("libbpf", libbpf_log())

    def _load(self, options: PlaneOptions) -> None:
        if not options.bpf:
            self._off = {name: off(name, "switched off by --no-bpf") for name in BPF_PLANES}
            return
        if not options.observes:
            self._off = {name: _of_one_tick(name, options) for name in BPF_PLANES}
            return
        # Of no namespace until watch() names some: no neighbour's is counted meanwhile.
        self._wait, status = wait.open_plane(
            options.bpf_budget_pct, options.rx_method, confined=True
        )
        if self._wait is None:
            self._off[wait.NAME] = status
            self._off[split.NAME] = off(split.NAME, "needs the RX wait, which is off", status.fix)
        else:
            self.split = split.SplitPlane(self._wait, options.bpf_budget_pct)
        own = sendchoice.SendChoice(options.bpf_budget_pct) if options.tx_sample is None else None
        self.stages, status = stages.open_plane(
            cgroups.reached(), options.tx_sample or None, choice=own
        )
        if self.stages is None:
            self._off[stages.NAME] = status
        self.events, status = events.open_plane(self._wait, self.stages, confined=True)
        if self.events is None:
            self._off[events.NAME] = status
        self._path, status = path.open_plane(options.path)
        if self._path is None:
            self._off[path.NAME] = status

    def seed(self, ns_fd: int = -1) -> None:
        """A namespace is polled from now on: what is unread there came earlier; -1: the own one."""
        if self._wait is not None:
            self._wait.seed(ns_fd)
        if self.stages is not None:
            self.stages.enter(ns_fd)

    @property
    def tells_kernel_sockets(self) -> bool:
        return self._wait is not None

    def kernel_sockets(self, ns_fd: int) -> list[int]:
        """Inodes of the sockets that the kernel opened for itself in a namespace."""
        return self._wait.kernel_sockets(ns_fd) if self._wait is not None else []

    def read(self, engine: Engine) -> PlaneTick:
        """Ends an interval; the engine's next sweep judges by it."""
        waited = self._wait.read(engine) if self._wait is not None else None
        if self.split is not None:
            self.split.read(engine)
        sent = self.stages.read(engine) if self.stages is not None else None
        happened = self.events.read(engine) if self.events is not None else None
        if self._path is not None:
            self._path.read(engine)
        ticks = ((wait.NAME, waited), (stages.NAME, sent), (events.NAME, happened))
        runs = {name: t.runs for name, t in ticks if t is not None}
        if self.split is not None and self.split.chosen:
            runs[split.NAME] = self.split.runs
        return PlaneTick(
            runs_per_s=self._rates(runs),
            lost_by_plane={
                wait.NAME: waited.no_storage + waited.focus_full if waited else 0,
                stages.NAME: sent.full + sent.nic_lost if sent else 0,
                events.NAME: happened.left_out if happened else 0,
            },
        )

    def _rates(self, runs: dict[str, int]) -> dict[str, float]:
        """Runs per second since the read before; a plane's first read has none."""
        now = time.monotonic()
        before, self._runs = self._runs, (now, runs)
        seconds = now - before[0]
        return {
            name: (n - before[1][name]) / seconds
            for name, n in runs.items()
            if name in before[1] and seconds > 0
        }

    def choose(self, engine: Engine) -> None:
        """After a sweep: splits the waits that its verdicts ask for."""
        if self.split is not None:
            self.split.choose(engine)

    def choose_sends(self, cookies: Sequence[int]) -> None:
        """The TX stages would decide verdicts of these, worst first."""
        if self.stages is not None:
            self.stages.choose(cookies)

    def meter_programs(self) -> None:
        """Goes on with measuring what the programs cost, while that is wanted."""
        known: tuple[tuple[str, Any, Any], ...] = (
            (wait.NAME, self._wait, lib.nt_wait_programs),
            (stages.NAME, self.stages, lib.nt_stages_programs),
            (events.NAME, self.events, lib.nt_events_programs),
        )
        self.meter.tick(
            [(name, partial(ask, p.handle)) for name, p, ask in known if p is not None and p.handle]
        )

    def watch(self, netns: Collection[int]) -> None:
        """Waits and events are those of these namespaces alone."""
        netns = netns or (NOWHERE,)
        if self._wait is not None:
            self._wait.watch(netns)
        if self.events is not None:
            self.events.watch(netns)

    def select(self, walks: stages.Walks) -> None:
        """Puts a changed selection of the stages plane in force, once it has settled."""
        if self.stages is not None and self.stages.due:
            self.stages.apply(walks)

    def focus(self, cookies: Sequence[int]) -> None:
        """Sockets on the screen or marked, at most 256."""
        if self._wait is not None:
            self._wait.focus(cookies)

    @property
    def nic(self) -> NicStage | None:
        """What the nic stage rests on; None: nothing is selected, or no NIC's stamps come."""
        return self.stages.last.nic if self.stages is not None and self.stages.last else None

    @property
    def tx_absent(self) -> Mapping[Stage, str]:
        """Stages that this kernel cannot measure, and why."""
        return self.stages.absent if self.stages is not None else {}

    def statuses(self) -> tuple[SourceStatus, ...]:
        known = dict(self._off)
        if self._wait is not None:
            known[wait.NAME] = self._wait.status()
        if self.split is not None:
            known[split.NAME] = self.split.status()
        if self.stages is not None:
            known[stages.NAME] = self.stages.status()
        if self.events is not None:
            known[events.NAME] = self.events.status()
        if self._path is not None:
            known[path.NAME] = self._path.status()
        known[stamps.NAME] = stamps.status()
        known[clocks.NAME] = self._clocks.status()
        return tuple(known.values())

    def clear(self) -> None:
        if self.stages is not None:
            self.stages.clear()

    def close(self, walks: stages.Walks = lambda walk: walk(-1)) -> None:
        """Leaves the kernel as it was; walks reaches the namespaces where flags were set."""
        self.meter.close()
        if self._path is not None:
            self._path.close()
        if self._wait is not None:
            self._wait.close()
        if self.stages is not None:
            with suppress(OSError):  # a namespace that has ended has no socket with a flag
                self.stages.close(walks)
        if self.events is not None:
            self.events.close()
