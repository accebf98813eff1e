"""RX queue wait: how long received data lay in the kernel before the program read it."""

from __future__ import annotations

import errno
import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from nettop import refusal
from nettop.engine import check, ffi, lib
from nettop.engine.handle import Engine
from nettop.model.types import NO_HISTOGRAM, Histogram, SourceStatus
from nettop.sources import RX_METHODS

NAME = "wait"
PROBE_REASON = "TCP alone, and out-of-order data counts from its arrival"
# Of one run: entering a program, and the work for a delivery that is traced. Measured with the
# kernel's BPF statistics: an empty program 41-48 ns, the pair 106-118 ns each.
RUN_NS, SAMPLE_NS = 50, 130
# Above the first share of one CPU sockets are sampled; above the budget the plane ends. Ticks that
# follow each other at once are judged together: of milliseconds one burst is all, and so is a read.
SAMPLE_ABOVE_PCT = 2.0
JUDGED_S = 0.25
SHIFT_MOST = 10
KERNEL_SOCKETS_MOST = 65536
FEW_DESCRIPTORS = 64  # more than a plane needs while libbpf loads it
BUDGET_FIX = "nettop --bpf-budget PCT allows more"
BY_FILES = (
    "without sockets that no process here holds: read through the files of processes, since this "
    "host forbids BPF iterators over maps"
)


class WaitTick(Struct, frozen=True):
    """What one read of the plane says; counters grow as long as the plane is on."""

    histogram: Histogram  # of the interval, all traced sockets
    runs: int
    no_storage: int
    merges: int
    bounded: int
    focus_full: int
    sample_shift: int


class Load(NamedTuple):
    """What the plane costs, over JUDGED_S or longer."""

    runs_per_s: float
    cpu_pct: float  # estimated, in the kernel, percent of one CPU
    read_pct: float  # of that, reading through files: of all sockets, however few are traced


class WaitPlane:
    """Owns the loaded programs; what they counted goes to the engine."""

    def __init__(self, handle: Any, budget_pct: float, method: str, asked: bool) -> None:
        self._w = ffi.gc(handle, lib.nt_wait_close)
        self._budget_pct = budget_pct
        self._method, self._asked = method, asked
        self._before: tuple[float, int, int, int] | None = None
        self._samples = self._reading_ns = 0
        self.ended: str | None = None  # why the plane ended itself
        self.last: WaitTick | None = None

    @property
    def handle(self) -> Any:
        """struct nt_wait *"""
        return self._w

    @property
    def approximate(self) -> str | None:
        """The method that --rx-method asks for instead of the exact one."""
        exact = RX_METHODS[lib.NT_WAIT_EXACT]
        return self._method if self._asked and self._method != exact else None

    def watch(self, netns: Collection[int]) -> None:
        """Traces only in these network namespaces (inodes) from now on; none named: in all."""
        if self._w:
            check(lib.nt_wait_spaces(self._w, list(netns), len(netns)), "choosing namespaces")

    def seed(self, ns_fd: int = -1) -> None:
        """Marks what is unread now as older than now, in a namespace; -1: nettop's own."""
        check(lib.nt_wait_seed(self._w, ns_fd), "looking for unread data")

    def kernel_sockets(self, ns_fd: int = -1) -> list[int]:
        """Inodes of the sockets that the kernel opened for itself in a namespace."""
        if not self._w:
            return []
        out = ffi.new("uint32_t[]", KERNEL_SOCKETS_MOST)
        n = lib.nt_wait_kernel_sockets(self._w, ns_fd, out, KERNEL_SOCKETS_MOST)
        return list(out[0 : min(check(n, "walking sockets"), KERNEL_SOCKETS_MOST)])

    def focus(self, cookies: Sequence[int]) -> None:
        """Sockets whose percentiles are exact to 1.6 %; others to an octave."""
        if self._w:
            check(lib.nt_wait_focus(self._w, list(cookies), len(cookies)), "focusing")

    def read(self, engine: Engine) -> WaitTick | None:
        """Ends an interval, which the engine takes; before a sweep, whose verdicts use it."""
        if not self._w:
            return None
        t = ffi.new("struct nt_wait_totals *")
        check(lib.nt_wait_read(self._w, engine.handle, t), "reading the RX wait")
        self._samples += t.all.count
        self._reading_ns += t.cpu_ns if lib.nt_wait_by_files(self._w) else 0
        self.last = WaitTick(
            histogram=engine.rx_wait(()) or NO_HISTOGRAM,
            runs=t.runs,
            no_storage=t.no_storage,
            merges=t.merges,
            bounded=t.bounded,
            focus_full=t.focus_full,
            sample_shift=t.sample_shift,
        )
        load = self._load(t.runs)
        if load is not None:
            self._govern(load, t.sample_shift)
        if self.ended is not None:
            lib.nt_wait_forget(engine.handle)
        return self.last

    def _load(self, runs: int) -> Load | None:
        """None: the last was a moment ago, or this is the first read."""
        now, before = time.monotonic(), self._before
        if before is not None and now - before[0] < JUDGED_S:
            return None
        self._before = now, runs, self._samples, self._reading_ns
        if before is None:
            return None
        seconds = now - before[0]
        runs_per_s = (runs - before[1]) / seconds
        samples_per_s = (self._samples - before[2]) / seconds
        read_pct = (self._reading_ns - before[3]) / seconds / 1e7
        made_pct = (runs_per_s * RUN_NS + samples_per_s * SAMPLE_NS) / 1e7
        return Load(runs_per_s, made_pct + read_pct, read_pct)

    def _govern(self, load: Load, shift: int) -> None:
        """Keeps the cost within the budget: fewer sockets first, then none."""
        if load.cpu_pct > self._budget_pct and (
            shift >= SHIFT_MOST or load.runs_per_s * RUN_NS / 1e7 + load.read_pct > self._budget_pct
        ):
            self.ended = (
                f"would cost {load.cpu_pct:.1f} % of a CPU, more than --bpf-budget "
                f"{self._budget_pct:g}"
            )
            self.close()
        elif load.cpu_pct - load.read_pct > SAMPLE_ABOVE_PCT and shift < SHIFT_MOST:
            check(lib.nt_wait_sample(self._w, shift + 1), "sampling sockets")
        elif shift and load.cpu_pct - load.read_pct < SAMPLE_ABOVE_PCT / 4:
            # As if each run were of a socket that is traced: then nothing is left to try out.
            most_pct = load.runs_per_s * (RUN_NS + SAMPLE_NS) / 1e7
            lower = 0 if most_pct < SAMPLE_ABOVE_PCT / 2 else shift - 1
            check(lib.nt_wait_sample(self._w, lower), "sampling sockets")

    def status(self) -> SourceStatus:
        if self.ended:
            return SourceStatus(NAME, "off", self._method, self.ended, BUDGET_FIX)
        reasons, fixes = [], []
        tick = self.last
        if tick is not None and tick.sample_shift:
            reasons.append(f"1 socket in {1 << tick.sample_shift} is traced, to spare CPU")
        if tick is not None and tick.no_storage:
            reasons.append(
                f"{tick.no_storage} deliveries were not traced: no memory, or more than 5 % of "
                "the socket's option memory (net.core.optmem_max)"
            )
            fixes.append("sysctl -w net.core.optmem_max=131072, if it is less")
        if self._method == RX_METHODS[lib.NT_WAIT_PROBE]:
            why = "--rx-method asks for it" if self._asked else "no sk_data_ready here"
            reasons.append(f"~ {PROBE_REASON}: {why}")
            if self._asked:
                fixes.append("nettop without --rx-method")
        if lib.nt_wait_by_files(self._w):
            reasons.append(BY_FILES)
        state = "partial" if reasons else "ok"
        reason, fix = "; ".join(reasons) or None, "; ".join(fixes) or None
        return SourceStatus(NAME, state, self._method, reason, fix)

    def close(self) -> None:
        """Detaches; nothing remains in the kernel."""
        if self._w:
            ffi.release(self._w)
            self._w = None


def open_plane(
    budget_pct: float, method: str | None = None, *, confined: bool = False
) -> tuple[WaitPlane | None, SourceStatus]:
    """The plane, or None and why it is off; the best method that loads, or the one asked for.
    confined: it traces nothing until watch() names namespaces."""
    first: tuple[int, str] | None = None
    for number, name in enumerate(RX_METHODS):
        if method not in (None, name):
            continue
        handle, why = ffi.new("struct nt_wait **"), ffi.new("char[160]")
        err = lib.nt_wait_open(number, confined, handle, why, 160)
        if not err:
            plane = WaitPlane(handle[0], budget_pct, name, asked=method is not None)
            return plane, plane.status()
        # What a kernel lacks for one method is no reason where another may not be loaded.
        if first is None or -first[0] == errno.ESRCH:
            first = err, ffi.string(why).decode("ascii", "replace")
        # EPERM too may mean a missing tracepoint: modules are searched for it, as root alone may.
        if -err == errno.ENOTSUP:
            break
    assert first is not None
    return None, off_status(NAME, *first)


def off_status(name: str, err: int, why: str, needs: tuple[str, ...] = ()) -> SourceStatus:
    """A plane that could not be loaded, with what would help.

    Args:
        name: of the plane.
        err: -errno.
        why: the helper's words.
        needs: capabilities beside those of BPF.
    """
    fix = None
    if -err in (errno.EPERM, errno.EACCES):
        missing, fix = refusal.explain((*refusal.BPF, *needs))
        why = missing if why.startswith("needs ") else f"{why}: {missing}"
    elif -err == errno.ENOTSUP:
        fix = "install a wheel of nettop, or clang libbpf-dev bpftool and then nettop again"
    elif -err in (errno.EMFILE, errno.ENFILE):
        fix = "raise ulimit -n"
    elif why.startswith("/sys is not mounted"):
        fix = "mount -t sysfs sysfs /sys"
    else:
        # libbpf takes a probe that finds no descriptor for what the kernel cannot do.
        left, most = refusal.descriptors_left()
        if left < FEW_DESCRIPTORS:
            why = f"Too many open files: {left} more are allowed (ulimit -n {most}); {why}"
            fix = "raise ulimit -n"
    return SourceStatus(name, "off", reason=why, fix=fix)
