"""Network namespaces: which exist, which the user asks for, and how each is read.

A namespace is known by the inode of its nsfs file. It is found through a process inside it
or through a mount that keeps it (`ip netns` mounts them under /run/netns).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from nettop.errors import NettopError
from nettop.ffi import check, ffi, lib
from nettop.render.clean import clean
from nettop.sources.mounts import Mount, read_mounts

if TYPE_CHECKING:
    from nettop.ffi.engine import Procs

OWN_PATH = "/proc/self/ns/net"
ALL = "all"
_NET_ROOT = re.compile(r"net:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Namespace:
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
    everything = enumerate_all(of_processes(procs))
    chosen: dict[int, str] = {}
    for spec in specs:
        for namespace in everything if spec == ALL else [_resolve_one(spec, everything)]:
            chosen.setdefault(namespace.inode, namespace.path)
    return chosen


def _resolve_one(spec: str, everything: Sequence[Namespace]) -> Namespace:
    for namespace in everything:
        if namespace.name == spec:
            return namespace
    if not spec.isdecimal() or not spec.isascii():
        names = sorted(clean(n.name) for n in everything if n.name)
        known = f"known: {', '.join(names[:12])}" if names else "`ip netns` lists none"
        raise NettopError(f"-N: no network namespace is called {clean(spec)} ({known})")
    path = Path("/proc", spec, "ns/net")
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        raise NettopError(f"-N: there is no process {spec}") from None
    except PermissionError:
        raise NettopError(
            f"-N: process {spec} belongs to another user; its namespace needs CAP_SYS_PTRACE:"
            " try sudo nettop"
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


def why_not(path: str, error: OSError) -> str:
    """Why the namespace at this path could not be opened, and what to do."""
    label = clean(path)
    if error.errno in (errno.EPERM, errno.EACCES):
        return f"entering network namespace {label} needs CAP_SYS_ADMIN: try sudo nettop"
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return f"network namespace {label} has ended"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many open files to read network namespace {label}: raise `ulimit -n`"
    if error.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return "this kernel has no NETLINK_SOCK_DIAG (CONFIG_INET_DIAG)"
    return f"network namespace {label} cannot be read: {error.strerror}"
