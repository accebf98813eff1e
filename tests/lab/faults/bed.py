"""Where faults are made: three namespaces in a row, programs in them, a path that one can spoil.

  A vA 10.42.1.1 -- 10.42.1.2 mA M mB 10.42.2.2 -- 10.42.2.1 vB B    veth, routed by M
  A t0 10.42.9.1 ----------------- path ----------------- 10.42.9.2 t0 B    tun, see path

fd42:1:: and fd42:2:: are the same for IPv6. Two connections on loopback, one in A and one in B,
are what no fault touches.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.faults import work
from tests.lab.faults.judge import BYSTANDERS
from tests.lab.faults.path import Path as Spoiled

VA, VB, VA6, VB6 = "10.42.1.1", "10.42.2.1", "fd42:1::1", "fd42:2::1"
TA, TB = "10.42.9.1", "10.42.9.2"
CLONE_NEWNET = 0x40000000
PR_SET_NAME = 15


def sh(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Bed:
    """F[0] is 1 while the fault is on, F[1] when programs are to end."""

    def __init__(self) -> None:
        self.prefix = os.environ.get("DX_PREFIX", "dx")
        self.F = mmap.mmap(-1, 4096)
        self.undo: list[Callable[[], object]] = []
        self._pids: list[int] = []
        self._path: Spoiled | None = None

    # --- namespaces ---

    def setup(self) -> None:
        self._remove()
        for name in "AMB":
            sh("ip", "netns", "add", self.prefix + name)
            self.ip(name, "link set lo up")
        for name, device, other, there in (("A", "vA", "mA", "M"), ("B", "vB", "mB", "M")):
            self.ip(
                name, f"link add {device} type veth peer name {other} netns {self.prefix}{there}"
            )
        for name, device, net, last in (
            ("A", "vA", 1, 1), ("M", "mA", 1, 2), ("M", "mB", 2, 2), ("B", "vB", 2, 1),
        ):  # fmt: skip
            self.ip(name, f"addr add 10.42.{net}.{last}/24 dev {device}")
            self.ip(name, f"addr add fd42:{net}::{last}/64 dev {device} nodad")
            self.ip(name, f"link set {device} up")
        for name, net in (("A", 1), ("B", 2)):
            self.ip(name, f"route add default via 10.42.{net}.2")
            self.ip(name, f"-6 route add default via fd42:{net}::2")
            self.run(name, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1",
                     "net.ipv4.ip_local_port_range=45000 60000")  # fmt: skip
        self.run("M", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for name in "AB":
            self.spawn(name, work.answer, BYSTANDERS)
            self.spawn(name, work.ask, "127.0.0.1", BYSTANDERS, 0.05)

    def ip(self, name: str, rest: str) -> str:
        return sh("ip", "-n", self.prefix + name, *rest.split())

    def run(self, name: str, *argv: str, check: bool = True) -> str:
        """A command in a namespace, with its own /sys."""
        return sh("ip", "netns", "exec", self.prefix + name, *argv, check=check)

    def iptables(self, name: str, rest: str) -> str:
        return self.run(name, "iptables", *rest.split())

    def path(self, delay_s: float) -> Spoiled:
        """The second way from A to B, through this process."""
        self._path = Spoiled(delay_s, self.prefix + "A", self.prefix + "B")
        self._pids.append(self._path.pid)
        for name, address in (("A", TA), ("B", TB)):
            self.ip(name, f"addr add {address}/24 dev t0")
            self.ip(name, "link set t0 up txqueuelen 5000")
        return self._path

    def host_sysctl(self, name: str, value: str) -> None:
        """Sets what is of the whole machine; it is as before when the scenario ends."""
        place = Path("/proc/sys") / name.replace(".", "/")
        before = place.read_text()
        self.undo.append(lambda: place.write_text(before))
        place.write_text(value)

    def cgroup(self, controller: str, **values: str) -> str:
        """A cgroup of version 1 for this scenario; the path of its folder."""
        place = Path("/sys/fs/cgroup") / controller / f"{self.prefix}faults"
        place.mkdir(exist_ok=True)
        self.undo.append(place.rmdir)
        for name, value in values.items():
            (place / name.replace("__", ".")).write_text(value)
        return str(place)

    # --- programs ---

    def spawn(
        self, name: str, fn: Callable[..., object], *args: Any, cpu: int | None = None,
        cgroup: str | None = None, **more: Any,
    ) -> int:  # fmt: skip
        """fn(F, …) in a process of its own."""
        pid = os.fork()
        if pid:
            self._pids.append(pid)
            if fn in (work.answer, work.drain):
                time.sleep(0.15)  # it listens by then
            return pid
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            libc = ctypes.CDLL(None, use_errno=True)
            fd = os.open(f"/run/netns/{self.prefix}{name}", os.O_RDONLY)
            if libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            libc.prctl(PR_SET_NAME, fn.__name__[:15].encode(), 0, 0, 0)
            if cgroup:
                (Path(cgroup) / "cgroup.procs").write_text(str(os.getpid()))
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            fn(self.F, *args, **more)
        except BaseException as error:
            print(f"  {fn.__name__}: {type(error).__name__} {error}", file=sys.stderr)
        finally:
            os._exit(0)

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    # --- the end ---

    def close(self) -> None:
        self.F[1] = 1
        for pid in self._pids:
            self.kill(pid, signal.SIGCONT)
            self.kill(pid)
        for pid in self._pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        for undo in reversed(self.undo):
            undo()
        self._remove()

    def _remove(self) -> None:
        for name in "AMB":
            if Path(f"/run/netns/{self.prefix}{name}").exists():
                sh("ip", "netns", "del", self.prefix + name, check=False)
