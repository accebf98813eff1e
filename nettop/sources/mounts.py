"""Mounts of the own mount namespace, from /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import os
import re
import select
from pathlib import Path
from typing import BinaryIO, NamedTuple

MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount; root is what of the file system is mounted. Paths are as of os.fsdecode."""

    root: str
    point: str
    fstype: str


def parse_mountinfo(raw: bytes) -> list[Mount]:
    """The mounts in the kernel's order; lines of another form are left out."""
    mounts = []
    for line in raw.splitlines():
        left, separator, right = line.partition(b" - ")
        fields = left.split(b" ")
        if not separator or len(fields) < 6 or not right:
            continue
        mounts.append(
            Mount(_unescape(fields[3]), _unescape(fields[4]), os.fsdecode(right.split(b" ")[0]))
        )
    return mounts


def read_mounts(path: Path = MOUNTINFO) -> list[Mount]:
    """The mounts, none if /proc cannot be read."""
    try:
        return parse_mountinfo(path.read_bytes())
    except OSError:
        return []


class MountWatch:
    """Detects that mounts came or went: poll(2) on mountinfo reports it as an error condition."""

    def __init__(self, path: Path = MOUNTINFO) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._mtime_ns = 0

    def changed(self) -> bool:
        """Whether read() would say something new; True before the first read."""
        if self._file is None:
            return True
        poll = select.poll()
        poll.register(self._file, select.POLLPRI)
        if any(events & (select.POLLERR | select.POLLPRI) for _, events in poll.poll(0)):
            return True
        return os.fstat(self._file.fileno()).st_mtime_ns != self._mtime_ns

    def read(self) -> list[Mount]:
        """The mounts, none if /proc cannot be read."""
        try:
            if self._file is None:
                self._file = self._path.open("rb", buffering=0)
            self._mtime_ns = os.fstat(self._file.fileno()).st_mtime_ns
            self._file.seek(0)
            return parse_mountinfo(self._file.read())
        except OSError:
            return []

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def _unescape(field: bytes) -> str:
    # Space, tab, newline and backslash are written in octal.
    return os.fsdecode(_OCTAL.sub(lambda m: bytes([int(m[1], 8) & 0xFF]), field))
