"""TX stages: where the sends of selected TCP sockets spend their time."""

from __future__ import annotations

import errno
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nettop import refusal
from nettop.engine import check, ffi, lib
from nettop.engine.handle import Engine
from nettop.model.types import NicStage, SourceStatus, Stage
from nettop.sources.cgroups import Reached
from nettop.sources.nics import NicStamps, claimed
from nettop.sources.sendchoice import SendChoice
from nettop.sources.wait import BY_FILES, off_status
from nettop.text.evidence import STAMPED_BY_ITSELF

NAME = "stages"
METHODS = {lib.NT_STAGES_STAMPS: "bpf_timestamping", lib.NT_STAGES_TRACEPOINTS: "tracepoints"}
# A walk over the sockets takes each one's lock: a selection is put in force once it has settled,
# and never twice within this time.
SETTLE_S, WALK_EVERY_S = 1.0, 10.0
CLAIM_EVERY_S = 60.0  # finding who needs a NIC's stamps reads all of /proc
SELECTED_MOST = 4096
COMING = "stamping of what is selected begins"
OFF_REASON = "no sends are stamped: --tx-sample N stamps one in N of all"
BY_TRACEPOINTS, NO_CALLS = "tracepoints do not see it", "needs Linux 6.16"
FIND_OTHER = "bpftool cgroup tree shows which programs are attached"
USUAL = Reached("/sys/fs/cgroup")
END_CLAIM = "end it, and the stages come by themselves"

Walks = Callable[[Callable[[int], None]], None]


class StagesTick(Struct, frozen=True):
    """What one read of the plane says; counters grow as long as the plane is on."""

    runs: int
    sampled: int
    done: int
    merged: int
    lost: int  # never to be complete: without a stamp, or without their socket
    open: int  # not acknowledged yet; now
    resent: int
    full: int
    own_stamps: int
    no_storage: int
    nic_lost: int  # NICs' stamps that found no place, or whose send was forgotten
    nic: NicStage | None  # None: by tracepoints no NIC's stamps come
    sockets: int  # with sends in the interval, or open ones


class _Selection(Struct, frozen=True):
    cookies: tuple[int, ...] = ()
    every: int = 1
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.cookies) or self.everything


class StagesPlane:
    """Owns the loaded programs; attached only while something is selected."""

    def __init__(
        self,
        handle: Any,
        sample_all: int | None,
        claim: str | None = None,
        cgroups: Reached = USUAL,
        choice: SendChoice | None = None,
    ) -> None:
        """
        Args:
            sample_all: one send in so many of all sockets; None: of those that are selected.
            claim: why it goes without BPF timestamping that is there.
            choice: of sockets that the user did not select; None: there is none.
        """
        self._s = handle
        self._end = threading.Lock()  # undo() may be called while close() is under way
        self._claim = claim
        self._cgroups = cgroups
        # While nettop has what it was started with: later it gives it up.
        may = "CAP_NET_ADMIN" in refusal.effective()
        self._unstamped = (None, None) if may else refusal.explain(("CAP_NET_ADMIN",))
        self._wanted = _Selection()
        if sample_all is not None:
            self._wanted = _Selection(every=sample_all, everything=True)
        self._applied = _Selection()
        self._changed_at = time.monotonic() - SETTLE_S
        self._walked_at = -WALK_EVERY_S
        self._sample_all = sample_all
        self._asked: tuple[int, ...] = ()  # selected by the user
        self._choice = choice if sample_all is None else None
        self._own: tuple[int, ...] = ()
        self._ended = False
        self.method = METHODS[lib.nt_stages_method(handle)]
        # Stages that this kernel cannot measure, and why.
        self.absent: dict[Stage, str] = {}
        if self.method == METHODS[lib.NT_STAGES_TRACEPOINTS]:
            measured = (Stage.QDISC, Stage.ACK)
            self.absent = {s: BY_TRACEPOINTS for s in Stage if s not in measured}
        elif not lib.nt_stages_sees_calls(handle):
            self.absent = dict.fromkeys((Stage.COPY, Stage.SNDBUF), NO_CALLS)
        self.foreign = 0
        self.refused: str | None = None
        self._refused_fix: str | None = None
        self.last: StagesTick | None = None
        self._look_at, self._yields = 0.0, False
        self._nics = NicStamps() if self.method == METHODS[lib.NT_STAGES_STAMPS] else None

    @property
    def handle(self) -> Any:
        """struct nt_stages *"""
        return self._s

    def select(self, cookies: Sequence[int]) -> None:
        """These sockets from soon on; without effect while all are sampled."""
        self._asked = tuple(sorted(set(cookies)))[:SELECTED_MOST]
        self._want()

    def choose(self, wanted: Sequence[int]) -> None:
        """After a sweep: of these, whose verdicts it would decide, worst first."""
        if self._choice is None or (self.refused and not self._asked):
            return
        self._own = self._choice.take(wanted, time.monotonic())
        self._want()

    def _want(self) -> None:
        if self._sample_all is not None or self._ended:
            return
        own = [cookie for cookie in self._own if cookie not in self._asked]
        wanted = _Selection(tuple(sorted((*self._asked[: SELECTED_MOST - len(own)], *own))))
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed_at = time.monotonic()

    @property
    def due(self) -> bool:
        """A changed selection has settled, or a claim came or went, and the last walk is long
        enough ago."""
        now = time.monotonic()
        if now - self._walked_at < WALK_EVERY_S:
            return False
        changed = self._wanted != self._applied and now - self._changed_at >= SETTLE_S
        return changed or self._claim_changed(now)

    def _claim_changed(self, now: float) -> bool:
        """A daemon that needs a NIC's stamps has come, or it ended; looked up now and then."""
        if self._nics is None or not self._applied or now < self._look_at:
            return False
        self._look_at = now + CLAIM_EVERY_S
        return (claimed() is None) == self._yields

    def apply(self, walks: Walks) -> None:
        """Puts the selection in force; walks calls its argument with each namespace's descriptor
        (-1: nettop's own)."""
        wanted, why = self._wanted, ffi.new("char[160]")
        now = self._walked_at = time.monotonic()
        claim = claimed() if wanted and self._nics is not None else None
        self._look_at = now + CLAIM_EVERY_S
        self._yields = claim is not None
        selection = wanted if claim is None else _Selection()
        err = lib.nt_stages_select(
            self._s, list(selection.cookies), len(selection.cookies), selection.everything,
            selection.every, why, 160,
        )  # fmt: skip
        self._applied = wanted
        if err < 0:
            self.refused = ffi.string(why).decode("ascii", "replace") or f"errno {-err}"
            self._refused_fix = FIND_OTHER
            return
        self.refused, self._refused_fix = claim, END_CLAIM
        if selection and self._nics is not None:
            self._nics.start()
        began = time.thread_time()
        walks(self._walk)
        if self._choice is not None:
            self._choice.walked(time.thread_time() - began, now)
        if not selection:
            lib.nt_stages_detach(self._s)
            if self._nics is not None:
                self._nics.stop(self._s)

    def _walk(self, ns_fd: int) -> None:
        did = ffi.new("struct nt_stages_walk *")
        check(lib.nt_stages_walk(self._s, ns_fd, did), "selecting sockets")
        self.foreign += did.foreign

    def enter(self, ns_fd: int) -> None:
        """A namespace that is polled from now on: what is in force holds there too."""
        if self._applied and not self.refused:
            self._walk(ns_fd)

    def read(self, engine: Engine) -> StagesTick | None:
        """Ends an interval, which the engine takes; before a sweep, whose verdicts use it."""
        active = bool(self._applied) and not self.refused
        if not active and self.last is None:
            return None
        nic = self._nics.tick(self._s) if active and self._nics is not None else None
        t = ffi.new("struct nt_stages_totals *")
        check(lib.nt_stages_read(self._s, engine.handle, t), "reading the TX stages")
        if not active:
            lib.nt_stages_forget(engine.handle)
            self.last = None
            return None
        self.last = StagesTick(
            runs=t.runs,
            sampled=t.sampled,
            done=t.done,
            merged=t.merged,
            lost=t.lost,
            open=t.open,
            resent=t.resent,
            full=t.full,
            own_stamps=t.own_stamps,
            no_storage=t.no_storage,
            nic_lost=t.nic_lost,
            nic=nic,
            sockets=t.sockets,
        )
        if self._choice is not None and not self._choice.ran(t.runs, time.monotonic()):
            self._own = ()
            self._want()
        return self.last

    @property
    def every(self) -> int:
        """One send in so many is stamped."""
        return self._applied.every

    def status(self) -> SourceStatus:
        """An `ok` with a reason: another selection is on its way, or it is on by itself."""
        rests = self._choice.why_rests(time.monotonic()) if self._choice is not None else ""
        if not self._applied and not self.refused:
            reason = self._coming() if self._wanted else rests or OFF_REASON
            return SourceStatus(NAME, "off", self.method, reason)
        can = self.ability()
        if can.state == "off":
            return can
        everything = self._sample_all is not None
        waits = not everything and set(self._asked) - set(self._applied.cookies)
        said = (self._coming() if waits else "", self._own_says(), rests, can.reason)
        return replace(can, reason="; ".join(filter(None, said)) or None)

    def _coming(self) -> str:
        now = time.monotonic()
        due = max(self._changed_at + SETTLE_S, self._walked_at + WALK_EVERY_S)
        when = f"in {math.ceil(due - now)} s" if due > now else "with the next tick"
        return f"{COMING} {when}"

    def _own_says(self) -> str:
        """Of those in force, not selected by the user."""
        own = len([c for c in self._own if c in self._applied.cookies])
        if not own:
            return ""
        one = own == 1
        of = f"{own} socket{'' if one else 's'} whose verdict{'' if one else 's'} that decides"
        beside = own < len(self._applied.cookies)
        return f"{'of what is selected, and ' if beside else ''}{STAMPED_BY_ITSELF} {of}"

    def ability(self) -> SourceStatus:
        """What it can do once sockets are selected."""
        if self.refused:
            return SourceStatus(NAME, "off", self.method, self.refused, self._refused_fix)
        reasons, fix = [], None
        if self.method == METHODS[lib.NT_STAGES_TRACEPOINTS]:
            lacks = self._claim
            if lacks is None and not self._cgroups:
                lacks, fix = self._cgroups.note, self._cgroups.fix
            if lacks is None and self._unstamped[0] is not None:
                lacks, fix = f"{self._unstamped[0]}, and Linux 6.15", self._unstamped[1]
            lacks = lacks or "this kernel lacks BPF timestamping (Linux 6.15)"
            reasons.append(f"qdisc and ack only: {lacks}")
        elif self.absent:
            names = ", ".join(s.name.lower() for s in self.absent)
            reasons.append(f"all but {names}: {NO_CALLS}")
        if self.method == METHODS[lib.NT_STAGES_STAMPS] and self._cgroups.note:
            reasons.append(self._cgroups.note)
            fix = self._cgroups.fix
        if lib.nt_stages_by_files(self._s):
            reasons.append(BY_FILES)
        if self.foreign:
            one = self.foreign == 1
            reasons.append(
                f"{self.foreign} socket{' was' if one else 's were'} switched on by another program"
                f" (another nettop?) and {'is' if one else 'are'} left so"
            )
        state = "partial" if reasons else "ok"
        return SourceStatus(NAME, state, self.method, "; ".join(reasons) or None, fix)

    def clear(self) -> None:
        """The run begins now."""
        if self._nics is not None:
            self._nics.clear()

    def clear_all(self, walks: Walks) -> int:
        """Clears every socket's flag, whoever set it; how many there were.

        Raises:
            RuntimeError: another sockops program is attached and may use them.
        """
        others = check(lib.nt_stages_others(self._s), "asking for sockops programs")
        if others:
            what = "program is" if others == 1 else "programs are"
            raise RuntimeError(f"{others} other sockops {what} attached and may use the flag")
        cleared = 0

        def clear(ns_fd: int) -> None:
            nonlocal cleared
            did = ffi.new("struct nt_stages_walk *")
            check(lib.nt_stages_clear_all(self._s, ns_fd, did), "clearing flags")
            cleared += did.cleared

        walks(clear)
        return cleared

    def undo(self, walks: Walks) -> None:
        """Clears the flags that nettop set, then detaches; nothing is selected after it."""
        self._ended = True
        with self._end:
            self._take_back(walks)

    def _take_back(self, walks: Walks) -> None:
        if self._s is not None and self._applied and not self.refused:
            self._wanted = _Selection()
            self.apply(walks)

    def close(self, walks: Walks) -> None:
        """Nothing remains in the kernel."""
        self._ended = True
        with self._end:
            if self._s is None:
                return
            self._take_back(walks)
            if self._nics is not None:
                self._nics.stop(self._s)
            handle, self._s = self._s, None
            lib.nt_stages_close(handle)


def open_plane(
    cgroups: Reached,
    sample_all: int | None,
    method: str | None = None,
    choice: SendChoice | None = None,
) -> tuple[StagesPlane | None, SourceStatus]:
    """The plane, or None and why it is off. method: only this one, of METHODS; else as of
    StagesPlane."""
    handle, why = ffi.new("struct nt_stages **"), ffi.new("char[160]")
    only = next((i for i, name in METHODS.items() if name == method), lib.NT_STAGES_ANY)
    root = os.fsencode(cgroups.path or "")
    err = lib.nt_stages_open(root, only, handle, why, 160)
    claim = None
    if not err and method is None and lib.nt_stages_method(handle[0]) == lib.NT_STAGES_STAMPS:
        claim = claimed()
    if claim is not None:
        lib.nt_stages_close(handle[0])
        err = lib.nt_stages_open(root, lib.NT_STAGES_TRACEPOINTS, handle, why, 160)
    if not err:
        plane = StagesPlane(handle[0], sample_all, claim, cgroups, choice)
        return plane, plane.status()
    said = ffi.string(why).decode("ascii", "replace")
    needs: tuple[str, ...] = ("CAP_NET_ADMIN",)
    if err == -errno.EINVAL and "CAP_SYS_ADMIN" not in refusal.effective():
        # libbpf looks in modules for functions that the kernel lacks, as that capability may.
        err, said, needs = -errno.EPERM, "TX stages before Linux 6.15", (*needs, "CAP_SYS_ADMIN")
    return None, off_status(NAME, err, said, needs)
