"""Whether the CPU was given: threads of processes and the cgroups that they are in.

Asked only of processes that hold a socket with a verdict. /proc/PID/task/TID/{schedstat,stat} and
/proc/PID/cgroup may be read by every user, unless /proc is mounted with hidepid. The kernel adds a
wait for a CPU to a thread's sum when it is over.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import Any

from msgspec import Struct, field

from nettop.engine import ffi, lib
from nettop.model.evidence import Numbers, Process
from nettop.sources.cgroups import reached
from nettop.sources.freezers import Freezers
from nettop.sources.hostcpu import pressure_of, read_small
from nettop.sources.mounts import read_mounts
from nettop.text.clean import clean

MOST_PROCESSES = 32
MOST_THREADS = 32  # of a process, that are read
BUDGET_S = 0.0004  # CPU of a tick; what is left comes first in the next one
CGROUP_AGAIN_S = 10.0
MOST_CGROUPS = 32
NO_TIMES = "this kernel keeps no scheduling times of threads (CONFIG_SCHED_INFO)"
HIDDEN = "{} of {} processes may not be looked at (hidepid)"

_Times = tuple[int, int]  # cpu_ns, run_delay_ns


class _Known(Struct):
    """What was read of a process before."""

    read_ns: int = 0
    times: dict[int, _Times] = field(default_factory=dict)  # tid →
    last: Process | None = None
    cgroup: str | None = None
    cgroup_until: float = 0.0


class Threads:
    """Follows processes from read to read."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._room: Any = ffi.new("struct nt_thread[]", MOST_THREADS)
        self._known: dict[int, _Known] = {}
        self._cgroups = CpuCgroups(proc)
        self._freezers = Freezers(proc)
        self._from = 0  # where the next read begins
        self.reason: str | None = None
        self.left_out = 0  # processes that there was no time for in the last read

    def read(self, pids: Sequence[int], named: Container[int] = frozenset()) -> dict[int, Process]:
        """The processes that could be read, and those of the read before that had no turn.

        Args:
            named: ids of threads whose names are wanted.
        """
        wanted = list(dict.fromkeys(pids))[:MOST_PROCESSES]
        self.left_out = len(set(pids)) - len(wanted)
        for pid in self._known.keys() - set(wanted):
            del self._known[pid]
        self.reason = None
        refused = 0
        begun = time.thread_time()
        turn = self._from % len(wanted) if wanted else 0
        self._from = 0
        for at, pid in enumerate(wanted[turn:] + wanted[:turn]):
            if at and time.thread_time() - begun > BUDGET_S:
                self._from = (turn + at) % len(wanted)
                self.left_out += len(wanted) - at
                break
            error = self._read(pid, named)
            if error == "refused":
                refused += 1
            elif error is not None:
                self.reason = error
        if refused:
            self.reason = HIDDEN.format(refused, len(wanted))
        found = ((pid, k.last) for pid in wanted if (k := self._known.get(pid)) is not None)
        return {pid: last for pid, last in found if last is not None}

    def _read(self, pid: int, named: Container[int]) -> str | None:
        now = time.monotonic_ns()
        n = int(lib.nt_threads_read(self._proc.encode(), pid, self._room, MOST_THREADS))
        if n < 0:
            self._known.pop(pid, None)
            code = -n
            if code in (1, 13):  # EPERM, EACCES
                return "refused"
            return NO_TIMES if code == 38 else None  # ENOSYS; else it has ended
        known = self._known.setdefault(pid, _Known())
        before, known.times = known.times, {}
        states: Counter[str] = Counter()
        cpu_ns = run_delay_ns = n_ran = waited_longer = 0
        longest = (0, 0, 0)  # run_delay_ns, tid, cpu_ns
        names: dict[str, str] = {}
        for raw in self._room[0 : min(n, MOST_THREADS)]:
            if not raw.tid:
                continue  # it ended while it was read
            ran, waited = known.times[raw.tid] = int(raw.cpu_ns), int(raw.run_delay_ns)
            states[chr(raw.state) if raw.state else "?"] += 1
            if raw.tid in named:
                names[str(raw.tid)] = clean(os.fsdecode(ffi.string(raw.comm)))
            was = before.get(raw.tid)
            if was is None or ran < was[0] or waited < was[1]:
                n_ran += 1  # new, or another thread by the same number
                continue
            ran, waited = ran - was[0], waited - was[1]
            cpu_ns += ran
            run_delay_ns += waited
            n_ran += ran > 0
            waited_longer += waited >= ran > 0
            longest = max(longest, (waited, raw.tid, ran))
        self._find_cgroup(pid, known)
        second = bool(known.read_ns)
        known.last = Process(
            threads=n,
            read=len(known.times),
            states=dict(states),
            cgroup=known.cgroup,
            over_ns=now - known.read_ns if second else None,
            cpu_ns=cpu_ns if second else None,
            run_delay_ns=run_delay_ns if second else None,
            longest_tid=longest[1] if longest[0] else None,
            longest_run_delay_ns=longest[0] if longest[0] else None,
            longest_cpu_ns=longest[2] if longest[0] else None,
            ran=n_ran if second else None,
            waited_longer=waited_longer if second else None,
            names=names or None,
            # Whoever ran meanwhile is not frozen.
            frozen=self._freezers.of(pid) if states.keys() <= {"S", "D"} and not cpu_ns else None,
        )
        known.read_ns = now
        return None

    def _find_cgroup(self, pid: int, known: _Known) -> None:
        now = time.monotonic()
        if now >= known.cgroup_until:
            known.cgroup = self._cgroups.of(pid)
            known.cgroup_until = now + CGROUP_AGAIN_S

    def cgroups(self, processes: Iterable[Process]) -> dict[str, Numbers]:
        """Of the cgroups of these processes, and of those above that have a quota."""
        return self._cgroups.read({p.cgroup for p in processes if p.cgroup is not None})

    @property
    def cgroups_left_out(self) -> int:
        return self._cgroups.left_out


class CpuCgroups:
    """The hierarchy that gives CPU: cgroup v2, or v1's cpu controller where that is in use."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._v1 = next(
            (m.point for m in read_mounts() if m.fstype == "cgroup" and _has_cpu(m.point)), None
        )
        self._raw: dict[str, str] = {}  # clean path → as the kernel has it
        self.left_out = 0

    @property
    def root(self) -> str | None:
        """Where the hierarchy is mounted; None: out of reach."""
        return self._v1 or reached().path

    def of(self, pid: int) -> str | None:
        """Path below the mount, safe for a terminal; None: not known."""
        try:
            raw = read_small(f"{self._proc}/{pid}/cgroup", 1 << 16)
        except OSError:
            return None
        for line in os.fsdecode(raw).split("\n"):
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if not path.startswith("/") or ".." in path.split("/"):
                continue  # above what this namespace of cgroups shows
            wanted = "cpu" in controllers.split(",") if self._v1 else not controllers
            if wanted:
                safe = clean(path)
                self._raw[safe] = path
                return safe
        return None

    def read(self, paths: Iterable[str]) -> dict[str, Numbers]:
        """By path; of these all, of those above them such as have a quota."""
        root, found = self.root, dict[str, Numbers]()
        self.left_out = 0
        if root is None:
            return found
        own = set(paths)
        above: set[str] = set()
        for path in own:
            raw = self._raw.get(path, path)
            while (raw := raw.rpartition("/")[0]) != "":
                safe = clean(raw)
                self._raw[safe] = raw
                above.add(safe)
        wanted = sorted(own) + sorted(above - own)
        self.left_out = max(0, len(wanted) - MOST_CGROUPS)
        for path in wanted[:MOST_CGROUPS]:
            numbers = self._numbers(f"{root}{self._raw.get(path, path)}", whole=path in own)
            if numbers:
                found[path] = numbers
        if len(self._raw) > 16 * MOST_CGROUPS:
            self._raw = {path: self._raw[path] for path in found}
        return found

    def _numbers(self, directory: str, *, whole: bool) -> Numbers:
        """whole: without a quota too."""
        quota = self._quota(directory)
        if not quota and not whole:
            return {}
        out = dict(quota)
        if quota:
            out |= _stat(directory)
        if whole:
            out |= pressure_of(f"{directory}/cpu.pressure")
        return out

    def _quota(self, directory: str) -> Numbers:
        """quota_us, period_us; empty: none."""
        try:
            if self._v1:
                words = [
                    read_small(f"{directory}/cpu.cfs_quota_us").strip(),
                    read_small(f"{directory}/cpu.cfs_period_us").strip(),
                ]
            else:
                words = read_small(f"{directory}/cpu.max").split()
        except OSError:
            return {}  # the root, or without the controller
        if len(words) != 2 or not all(word.isdigit() for word in words):
            return {}  # max, -1
        return {"quota_us": int(words[0]), "period_us": int(words[1])}


_OF_STAT = ("nr_periods", "nr_throttled", "throttled_us")


def _has_cpu(point: str) -> bool:
    return os.access(f"{point}/cpu.shares", os.F_OK)


def _stat(directory: str) -> dict[str, int]:
    try:
        text = read_small(f"{directory}/cpu.stat").decode("ascii", "replace")
    except OSError:
        return {}
    pairs = (line.split() for line in text.splitlines())
    found = {p[0]: int(p[1]) for p in pairs if len(p) == 2 and p[1].isdigit()}
    if "throttled_usec" in found:
        found["throttled_us"] = found["throttled_usec"]
    elif "throttled_time" in found:  # of v1, in ns
        found["throttled_us"] = found["throttled_time"] // 1000
    return {name: found[name] for name in _OF_STAT if name in found}
