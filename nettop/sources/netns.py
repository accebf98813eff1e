"""Network namespaces: which exist, which the user asks for, and how each is read.

A namespace is known by the inode of its nsfs file. It is found through a process inside it
or through a mount that keeps it (`ip netns` mounts them under /run/netns).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from nettop import refusal
from nettop.engine import check, ffi, lib
from nettop.errors import NettopError
from nettop.sources.mounts import Mount, MountWatch, read_mounts
from nettop.text.clean import clean

if TYPE_CHECKING:
    from nettop.engine.handle import Procs

OWN_PATH = "/proc/self/ns/net"
ALL = "all"
_NET_ROOT = re.compile(r"net:\[(\d+)\]")


class Namespace(Struct, frozen=True):
    """One network namespace; opening `path` gives a descriptor for setns."""

    inode: int
    path: str
    name: str | None = None


def own() -> Namespace:
    """The namespace that nettop runs in."""
    inode = own_inode()
    return Namespace(inode, OWN_PATH, mounted(read_mounts()).get(inode, (None, ""))[0])


def mounted(mounts: Iterable[Mount]) -> dict[int, tuple[str | None, str]]:
    """inode → (name, mount point) of what mounts keep; only those under */netns/ have a name."""
    found: dict[int, tuple[str | None, str]] = {}
    for mount in mounts:
        match = _NET_ROOT.fullmatch(mount.root) if mount.fstype == "nsfs" else None
        if not match:
            continue
        point = PurePath(mount.point)
        name = point.name if point.parent.name == "netns" else None
        inode = int(match[1])
        # The same mount may show up twice (/run and /var/run); a name beats none.
        if inode not in found or found[inode][0] is None:
            found[inode] = (name, mount.point)
    return found


def own_inode() -> int:
    return Path(OWN_PATH).stat().st_ino


def of_processes(procs: Procs | None) -> dict[int, int]:
    """inode → a process inside, from the last scan of the process table or else from /proc."""
    if procs is None:
        return _walk(Path("/proc"))
    room = 64
    while True:
        inodes, pids = ffi.new("uint32_t[]", room), ffi.new("uint32_t[]", room)
        n = check(lib.nt_procs_netns(procs.handle, inodes, pids, room), "listing namespaces")
        if n == 0:
            return _walk(Path("/proc"))  # not scanned yet
        if n <= room:
            return {int(inodes[i]): int(pids[i]) for i in range(n)}
        room = n + 16


def _walk(proc: Path) -> dict[int, int]:
    found: dict[int, int] = {}
    for entry in proc.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            link = str((entry / "ns/net").readlink())
        except OSError:
            continue  # ended, or another user's
        match = _NET_ROOT.fullmatch(link)
        if match:
            found.setdefault(int(match[1]), int(entry.name))
    return found


def visible(procs: Procs | None = None) -> set[int]:
    """Inodes of all namespaces that could be found, the own one too."""
    return {n.inode for n in enumerate_all(of_processes(procs))}


def enumerate_all(
    in_use: Mapping[int, int], mounts: Sequence[Mount] | None = None
) -> list[Namespace]:
    """Every namespace that a process is in or a mount keeps: the own one first, then by inode.

    Args:
        in_use: of_processes().
        mounts: of the own mount namespace; None reads them.
    """
    kept = mounted(read_mounts() if mounts is None else mounts)
    here = own()
    found = {here.inode: here}
    for inode, pid in in_use.items():
        name = kept.get(inode, (None, ""))[0]
        found.setdefault(inode, Namespace(inode, f"/proc/{pid}/ns/net", name))
    for inode, (name, point) in kept.items():
        if inode != here.inode:
            # A mount stays when the process ends.
            found[inode] = Namespace(inode, point, name)
    return [here, *sorted((n for n in found.values() if n != here), key=lambda n: n.inode)]


def resolve(specs: Sequence[str], procs: Procs | None = None) -> dict[int, str]:
    """inode → path to open of what `-N NAME|PID|all …` names; no spec is the own namespace.

    Raises:
        NettopError: there is no such namespace, or it may not be looked at.
    """
    if not specs:
        return {own_inode(): OWN_PATH}
    return Named(specs, procs).resolve(strict=True)


class Named:
    """What `-N NAME|PID|all …` stands for, followed when a name comes to stand for another.

    Nothing here keeps a namespace alive: a name is compared by device and inode, a process by
    its start time too.
    """

    def __init__(self, specs: Sequence[str], procs: Procs | None = None) -> None:
        self.specs = tuple(specs)
        self.gone: list[str] = []  # in one line each, as of the last resolve()
        self._procs = procs
        self._marks: dict[str, _Mark] = {}
        self._mounts = MountWatch()

    @property
    def everything(self) -> bool:
        return ALL in self.specs

    def resolve(self, *, strict: bool = False) -> dict[int, str]:
        """inode → path to open; what is not there is left out and named in `gone`.

        Raises:
            NettopError: if strict, of the first that is not there.
        """
        if not self.specs:
            return {own_inode(): OWN_PATH}
        self.gone = []
        everything = enumerate_all(of_processes(self._procs), self._mounts.read())
        chosen: dict[int, str] = {}
        for spec in self.specs:
            if spec == ALL:
                for namespace in everything:
                    chosen.setdefault(namespace.inode, namespace.path)
                continue
            try:
                namespace = self._follow(spec, everything)
            except NettopError as e:
                if strict:
                    raise
                mark = self._marks[spec] = replace(self._marks[spec], at=None)
                name = f"network namespace {clean(spec)} is gone: polled again once there is one"
                self.gone.append(str(e).removeprefix("-N: ") if mark.started else name)
                continue
            chosen.setdefault(namespace.inode, namespace.path)
        return chosen

    def _follow(self, spec: str, everything: Sequence[Namespace]) -> Namespace:
        before = self._marks.get(spec)
        if before is not None and before.started is not None:
            if _started(before.path) != before.started:
                raise NettopError(f"-N: process {spec} has ended: its namespace is let go")
            found = _of_process(spec, everything)
        else:
            found = _resolve_one(spec, everything)
        named = found.name == spec
        path = found.path if named else f"/proc/{spec}/ns/net"
        self._marks[spec] = _Mark(path, _identity(path), None if named else _started(path))
        return found

    def changed(self) -> bool:
        """Whether a name or a process stands for another namespace than at the last resolve()."""
        for mark in self._marks.values():
            if mark.at is None:
                continue
            if _identity(mark.path) != mark.at:
                return True
            if mark.started is not None and _started(mark.path) != mark.started:
                return True
        names_gone = any(m.at is None and m.started is None for m in self._marks.values())
        return names_gone and self._mounts.changed()


class _Mark(Struct, frozen=True):
    """What a name stood for."""

    path: str
    at: tuple[int, int] | None  # device and inode; None: it is gone
    started: str | None  # start time of a process, in ticks; None: no process but a name


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None  # gone, which is what is asked
    return found.st_dev, found.st_ino


def _started(path: str) -> str | None:
    """Start time of the process whose namespace this path is; None: it has ended."""
    try:
        text = Path(path).parent.parent.joinpath("stat").read_bytes()
    except OSError:
        return None
    return text.rpartition(b")")[2].split()[19].decode()


def _resolve_one(spec: str, everything: Sequence[Namespace]) -> Namespace:
    for namespace in everything:
        if namespace.name == spec:
            return namespace
    if not spec.isdecimal() or not spec.isascii():
        names = sorted(clean(n.name) for n in everything if n.name)
        known = f"known: {', '.join(names[:12])}" if names else "`ip netns` lists none"
        raise NettopError(f"-N: no network namespace is called {clean(spec)} ({known})")
    return _of_process(spec, everything)


def _of_process(spec: str, everything: Sequence[Namespace]) -> Namespace:
    path = Path("/proc", spec, "ns/net")
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        raise NettopError(f"-N: there is no process {spec}") from None
    except PermissionError:
        raise NettopError(
            f"-N: the namespace of process {spec}: {_refused('CAP_SYS_PTRACE')}"
        ) from None
    except OSError as e:
        raise NettopError(f"-N: process {spec} has no network namespace: {e.strerror}") from None
    return next((n for n in everything if n.inode == inode), Namespace(inode, str(path)))


def open_entry(inode: int, path: str) -> int:
    """A descriptor of the namespace, which outlives the path; -1 for nettop's own.

    Raises:
        NettopError: it is gone, or looking at it is not allowed.
    """
    if inode == own_inode():
        return -1
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise NettopError(why_not(path, e)) from e
    if os.fstat(fd).st_ino != inode:
        os.close(fd)
        raise NettopError(f"network namespace {clean(path)} has ended")
    return fd


def open_fds(inode: int, path: str) -> Any:
    """struct nt_netns_fds: what the namespace is read through; the caller closes its descriptors.

    Raises:
        NettopError: it is gone, or entering it is not allowed.
    """
    out = ffi.new("struct nt_netns_fds *")
    entry = open_entry(inode, path)
    try:
        check(lib.nt_netns_open(entry, out), "opening a network namespace")
    except OSError as e:
        raise NettopError(why_not(path, e)) from e
    finally:
        if entry >= 0:
            os.close(entry)
    return out


def _refused(capability: str) -> str:
    why, fix = refusal.explain((capability,), "nettop -N …")
    return f"{why} ({fix})" if fix else why


def why_not(path: str, error: OSError) -> str:
    """Why the namespace at this path could not be opened, and what to do."""
    label = clean(path)
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"entering network namespace {label}: {_refused('CAP_SYS_ADMIN')}"
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return f"network namespace {label} has ended"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many open files to read network namespace {label}: raise `ulimit -n`"
    if error.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return "this kernel has no NETLINK_SOCK_DIAG (CONFIG_INET_DIAG)"
    return f"network namespace {label} cannot be read: {error.strerror}"
