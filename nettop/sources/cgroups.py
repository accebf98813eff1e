"""Cgroup ids as paths, and what a path says about who runs there.

The id that sock_diag reports is the inode of the cgroup v2 directory. Opening that inode by
handle takes microseconds and needs CAP_DAC_READ_SEARCH; without it the tree is walked, and
not again before a multiple of the time that the walk took.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from msgspec import Struct

from nettop.sources.mounts import Mount, read_mounts

FILEID_KERNFS = 0xFE  # include/linux/exportfs.h
# asm-generic/unistd.h, linux/mount.h
SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 430, 431, 432
FSOPEN_CLOEXEC, FSCONFIG_CMD_CREATE, FSMOUNT_CLOEXEC = 1, 6, 1
MOUNT_ATTRS = 1 | 2 | 4 | 8  # read-only, nosuid, nodev, noexec
WALK_SHARE = 50  # a walk at most so many times its own duration after the one before
WALK_LEAST_S = 2.0
RETRY_FIRST_S, RETRY_MOST_S = 5.0, 300.0
KEPT_MOST = 65536  # ids not found, so that a host that makes and ends cgroups costs no memory


def find_mount(mounts: Iterable[Mount]) -> str | None:
    """Where cgroup v2 is mounted (on hybrid systems it is not /sys/fs/cgroup); None: nowhere."""
    points = [(m.root != "/", m.point) for m in mounts if m.fstype == "cgroup2"]
    return min(points)[1] if points else None


class Reached(Struct, frozen=True):
    """The cgroup v2 tree as far as it can be seen from here."""

    path: str | None  # of its uppermost directory; None: it is out of reach
    note: str | None = None  # why it is, or what is missing of it
    fix: str | None = None

    def __bool__(self) -> bool:
        return self.path is not None


@cache
def reached() -> Reached:
    """The whole tree if it can be had, else the part that is visible; the same one from then on.

    To be called before privileges are given up: where nothing is mounted it takes CAP_SYS_ADMIN.
    A directory that stands behind a descriptor is kept open until nettop ends.
    """
    part = None
    for look in (_visible, _detached, _of_parents):
        for path in look():
            if not _is_root(path):
                part = part or path
            else:
                return Reached(path)
    if part is not None:
        return Reached(
            part, "only cgroups below the container's own are in reach",
            "run nettop on the host, or the container with --cgroupns=host --pid=host",
        )  # fmt: skip
    try:
        os.close(_mount_detached())
    except OSError as e:
        if e.errno == errno.EPERM:
            fix = "run with CAP_SYS_ADMIN" if os.geteuid() == 0 else "sudo nettop"
            return Reached(None, "no cgroup v2 is mounted here, and it may not be mounted", fix)
        why = f"no cgroup v2 is mounted here, and mounting it failed: {e.strerror}"
        return Reached(None, why, "mount -t cgroup2 none /sys/fs/cgroup")
    return Reached(None, "cgroup v2 cannot be read here", "mount /proc")


def _is_cgroup2(path: str) -> bool:
    return Path(path, "cgroup.controllers").exists()


def _is_root(path: str) -> bool:
    """Whether it is the root of the whole tree, which has no type."""
    return not Path(path, "cgroup.type").exists()


def _visible() -> Iterator[str]:
    point = find_mount(read_mounts())
    if point is not None and _is_cgroup2(point):  # else something else is mounted over it
        yield point


def _detached() -> Iterator[str]:
    """A mount of nettop's own that no other process sees, gone with its descriptor."""
    with suppress(OSError):  # not allowed, or gone: the next way is tried
        yield from _kept(_mount_detached())


def _of_parents() -> Iterator[str]:
    """As the first process and those that started nettop see it."""
    pid, pids = os.getppid(), [1]
    while pid > 1:
        pids.append(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    for of in pids:
        point = find_mount(read_mounts(Path(f"/proc/{of}/mountinfo")))
        if point is None:
            continue
        with suppress(OSError):  # not allowed, or gone: the next way is tried
            where = f"/proc/{of}/root{point}"
            yield from _kept(os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def _kept(fd: int) -> Iterator[str]:
    path = f"/proc/self/fd/{fd}"
    if _is_cgroup2(path):
        yield path
    else:
        os.close(fd)


def _mount_detached() -> int:
    """A descriptor of the uppermost directory of a mount that is attached nowhere.

    Raises:
        OSError: the kernel refuses or cannot.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *args: object) -> int:
        result = int(libc.syscall(number, *args))
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    fs = call(SYS_FSOPEN, b"cgroup2", FSOPEN_CLOEXEC)
    try:
        call(SYS_FSCONFIG, fs, FSCONFIG_CMD_CREATE, None, None, 0)
        return call(SYS_FSMOUNT, fs, FSMOUNT_CLOEXEC, MOUNT_ATTRS)
    finally:
        os.close(fs)


class Cgroups:
    """Resolves cgroup ids, each once; ids are never reused until reboot."""

    def __init__(
        self,
        mount: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        by_handle: bool = True,
    ) -> None:
        self._mount = mount if mount is not None else reached().path
        self._clock = clock
        self._paths: dict[int, str] = {}
        self._retry: dict[int, tuple[float, float]] = {}  # id → (not before, wait after that)
        self._walk_after = float("-inf")
        self._handles: HandleOpener | None = None
        self._by_handle = by_handle
        self._lock = threading.Lock()

    def path(self, cgroup_id: int) -> str | None:
        """Path below the cgroup v2 mount, `/` for the root; None if it is gone or out of sight."""
        known = self._paths.get(cgroup_id)
        if known is not None or self._mount is None or not cgroup_id:
            return known
        with self._lock:
            now = self._clock()
            not_before, wait = self._retry.get(cgroup_id, (float("-inf"), RETRY_FIRST_S))
            if now < not_before:
                return None
            found = self._look_up(cgroup_id, now)
            if found is None:
                if len(self._retry) >= KEPT_MOST:
                    self._retry.clear()
                self._retry[cgroup_id] = (now + wait, min(wait * 2, RETRY_MOST_S))
            else:
                self._paths[cgroup_id] = found
                self._retry.pop(cgroup_id, None)
            return found

    def _look_up(self, cgroup_id: int, now: float) -> str | None:
        assert self._mount is not None
        if self._by_handle:
            try:
                if self._handles is None:
                    self._handles = HandleOpener(self._mount)
                return self._handles.path(cgroup_id)
            except OSError:
                self._by_handle = False  # no privilege, or another kind of file system
        if now >= self._walk_after:
            self._walk()
        return self._paths.get(cgroup_id)

    def _walk(self) -> None:
        assert self._mount is not None
        begin = self._clock()
        if len(self._paths) >= KEPT_MOST:
            self._paths.clear()
        try:
            self._paths[Path(self._mount).stat().st_ino] = "/"
        except OSError:
            return
        todo = [""]
        while todo:
            below = todo.pop()
            try:
                with os.scandir(self._mount + below) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            self._paths[entry.inode()] = f"{below}/{entry.name}"
                            todo.append(f"{below}/{entry.name}")
            except OSError:
                continue  # removed meanwhile
        end = self._clock()
        self._walk_after = end + max(WALK_LEAST_S, (end - begin) * WALK_SHARE)
        # The ids that were not found may be there now.
        self._retry = {i: r for i, r in self._retry.items() if i not in self._paths}

    def close(self) -> None:
        if self._handles is not None:
            self._handles.close()
            self._handles = None


class HandleOpener:
    """Opens cgroup directories by inode number: name_to_handle_at(2) without the name."""

    def __init__(self, mount: str) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._mount = ""
        try:
            # As the kernel names it: a mount out of sight has another path than leads there.
            self._mount = str(Path(f"/proc/self/fd/{self._fd}").readlink())
            if self.path(os.fstat(self._fd).st_ino) != "/":
                raise OSError(f"{mount} is not the root of what is mounted there")
        except OSError:
            self.close()
            raise

    def path(self, inode: int) -> str | None:
        """Path below the mount; None if there is no such directory.

        Raises:
            OSError: no handle can be opened here at all.
        """
        handle = struct.pack("=IiQ", 8, FILEID_KERNFS, inode)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        fd = self._libc.open_by_handle_at(self._fd, handle, flags)
        if fd < 0:
            error = OSError(ctypes.get_errno(), "open_by_handle_at")
            if isinstance(error, FileNotFoundError) or error.errno == errno.ESTALE:
                return None
            raise error
        try:
            path = str(Path(f"/proc/self/fd/{fd}").readlink())
        finally:
            os.close(fd)
        if path == self._mount:
            return "/"
        prefix = self._mount.rstrip("/")
        if not path.startswith(f"{prefix}/") or path.endswith(" (deleted)"):
            return None
        return path.removeprefix(prefix)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_HEX = r"(?P<id>[0-9a-f]{12})[0-9a-f]{20,52}"
_POD = re.compile(r"pod(?P<uid>[0-9a-f]{8})[-_][0-9a-f]{4}[-_0-9a-f]{20,30}(?:\.slice)?$")
_CONTAINER = re.compile(rf"(?:(?P<kind>[a-z][a-z-]*)-)?{_HEX}(?:\.scope)?$")
_KINDS = {"libpod": "podman", "cri-containerd": "containerd", "crio": "cri-o"}
_HELPERS = frozenset({"libpod-conmon", "crio-conmon"})  # the container's guards, not the container
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def container_of(path: str) -> str | None:
    """Short name of the container, service or session that a cgroup path stands for.

    From the path alone: docker:4f5e…, pod:1a2b3c4d/4f5e…, podman:…, lxc:NAME,
    nspawn:NAME, machine:NAME, nginx.service, user-1000/session-3. None: nothing is known.
    """
    parts = [p for p in path.split("/") if p]
    for depth in range(len(parts) - 1, -1, -1):
        found = _container(parts, depth) or _machine(parts, depth)
        if found:
            return found
    return _unit(parts)


def _container(parts: list[str], depth: int) -> str | None:
    match = _CONTAINER.match(parts[depth])
    if not match or match["kind"] in _HELPERS:
        return None
    short = match["id"]
    pod = next((m for p in parts[:depth] if (m := _POD.search(p))), None)
    if pod:
        return f"pod:{pod['uid']}/{short}"
    kind = match["kind"] or (parts[depth - 1] if depth else None)
    if kind is None or (not match["kind"] and not re.fullmatch(r"[a-z][a-z-]*", kind)):
        kind = "container"
    return f"{_KINDS.get(kind, kind)}:{short}"


def _machine(parts: list[str], depth: int) -> str | None:
    part = parts[depth]
    for prefix in ("lxc.payload.", "lxc.monitor."):
        if part.startswith(prefix):
            return f"lxc:{part.removeprefix(prefix)}"
    if depth and parts[depth - 1] == "lxc":
        return f"lxc:{part}"
    if part.startswith("systemd-nspawn@") and part.endswith(".service"):
        return f"nspawn:{_unescape(part[15:-8])}"
    if part.startswith("machine-") and part.endswith(".scope"):
        return f"machine:{_unescape(part[8:-6])}"
    return None


def _unit(parts: list[str]) -> str | None:
    """The innermost systemd unit: a service, or a login session."""
    user = next((p[:-6] for p in parts if re.fullmatch(r"user-\d+\.slice", p)), None)
    for part in reversed(parts):
        if part.endswith(".service"):
            return _unescape(part)
        if user and re.fullmatch(r"session-\w+\.scope", part):
            return f"{user}/{part[:-6]}"
        if part.endswith(".scope") and part != "init.scope":
            return _unescape(part)
    return parts[-1] if parts and parts[-1] == "init.scope" else None


def _unescape(unit: str) -> str:
    # systemd.unit(5): characters that a unit name cannot hold are written \xHH.
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), unit)
