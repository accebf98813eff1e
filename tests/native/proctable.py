"""struct nt_procs from Python, and a made-up /proc for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from nettop._native import ffi, lib


class Table:
    """struct nt_procs with just enough Python to read results."""

    def __init__(self, root: str | Path = "/proc") -> None:
        out = ffi.new("struct nt_procs **")
        assert lib.nt_procs_new(os.fsencode(root), out) == 0
        self.handle = ffi.gc(out[0], lib.nt_procs_free)

    def scan(self) -> Any:
        stats = ffi.new("struct nt_procs_stats *")
        assert lib.nt_procs_scan(self.handle, stats) == 0
        return stats

    def find(self, inode: int) -> Any | None:
        proc = ffi.new("struct nt_proc *")
        return proc if lib.nt_procs_find(self.handle, inode, proc) == 1 else None

    def former(self, inode: int) -> int | None:
        proc = ffi.new("struct nt_proc *")
        return int(proc.pid) if lib.nt_procs_former(self.handle, inode, proc) else None

    def why_unknown(self, inode: int) -> int:
        proc = ffi.new("struct nt_proc *")
        assert lib.nt_procs_find(self.handle, inode, proc) == 0
        assert proc.pid == 0
        return int(proc.owner)

    def pid(self, inode: int) -> int | None:
        proc = self.find(inode)
        return None if proc is None else int(proc.pid)

    def owners(self, inode: int, limit: int = 16) -> list[tuple[int, int]]:
        out = ffi.new("struct nt_proc[]", limit)
        n = lib.nt_procs_owners(self.handle, inode, out, limit)
        return [(out[i].pid, out[i].fd) for i in range(min(n, limit))]

    def count(self, inode: int) -> int:
        return int(lib.nt_procs_owners(self.handle, inode, ffi.NULL, 0))

    def netns(self) -> dict[int, int]:
        inodes, pids = ffi.new("uint32_t[]", 64), ffi.new("uint32_t[]", 64)
        n = lib.nt_procs_netns(self.handle, inodes, pids, 64)
        return {inodes[i]: pids[i] for i in range(n)}


class FakeProc:
    """A tree that looks like /proc: directories of symlinks that lead nowhere."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def start(
        self,
        pid: int,
        fds: dict[int, str] | None = None,
        *,
        comm: bytes = b"prog",
        start: int = 1000,
        netns: int = 4026531840,
    ) -> None:
        where = self.root / str(pid)
        (where / "fd").mkdir(parents=True)
        (where / "ns").mkdir()
        (where / "ns" / "net").symlink_to(f"net:[{netns}]")
        self.name(pid, comm, start)
        for fd, target in (fds or {}).items():
            self.open(pid, fd, target)

    def name(self, pid: int, comm: bytes, start: int = 1000) -> None:
        # Fields 3 to 21 are of no interest; 22 is the start time.
        middle = b"S " + b"0 " * 18
        text = b"%d (%s) %s%d 0 0\n" % (pid, comm, middle, start)
        (self.root / str(pid) / "stat").write_bytes(text)

    def open(self, pid: int, fd: int, target: str) -> None:
        (self.root / str(pid) / "fd" / str(fd)).symlink_to(target)

    def close(self, pid: int, fd: int) -> None:
        (self.root / str(pid) / "fd" / str(fd)).unlink()

    def exit(self, pid: int) -> None:
        shutil.rmtree(self.root / str(pid))

    def replace_unseen(self, pid: int, fd: int, target: str) -> None:
        """close() and open() between two scans: a stat of the directory shows no difference."""
        where = self.root / str(pid) / "fd"
        before = where.stat()
        (where / str(fd)).unlink()
        (where / str(fd)).symlink_to(target)
        os.utime(where, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = where.stat()
        assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
            before.st_ino,
            before.st_size,
            before.st_mtime_ns,
        )
