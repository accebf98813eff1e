"""Whether a process is frozen with its cgroup: paused containers (docker pause), suspended units.

The state of its threads does not say it: cgroup v2 shows them asleep (S), v1 as if a disk kept
them (D).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from nettop.sources.cgroups import reached
from nettop.sources.hostcpu import read_small
from nettop.sources.mounts import read_mounts
from nettop.text.clean import clean

AGAIN_S = 10.0  # a process seldom moves to another cgroup
MOST_KEPT = 64  # processes


class Freezers:
    """The freezers of both hierarchies; a process may be in one of each."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._v1 = next(
            (m.point for m in read_mounts()
             if m.fstype == "cgroup" and "freezer" in Path(m.point).name.split(",")),
            None,
        )  # fmt: skip
        # pid → path in a hierarchy, the file that says it; until when that is believed
        self._files: dict[int, tuple[float, list[tuple[str, str]]]] = {}

    def of(self, pid: int) -> str | None:
        """The path of its cgroup, safe for a terminal, where that is frozen, by itself or with one
        above; None: it is not, or that is not known."""
        now = time.monotonic()
        until, files = self._files.get(pid, (0.0, []))
        if now >= until:
            files = self._find(pid)
            if len(self._files) >= MOST_KEPT:
                self._files.clear()
            self._files[pid] = now + AGAIN_S, files
        return next((clean(path) for path, file in files if _is_frozen(file)), None)

    def _find(self, pid: int) -> list[tuple[str, str]]:
        try:
            raw = read_small(f"{self._proc}/{pid}/cgroup", 1 << 16)
        except OSError:
            return []
        found = []
        for line in os.fsdecode(raw).split("\n"):
            controllers, _, path = line.partition(":")[2].partition(":")
            if not path.startswith("/") or ".." in path.split("/"):
                continue  # above what this namespace of cgroups shows
            v2 = reached().path
            if not controllers and v2:
                found.append((path, f"{v2}{path}/cgroup.events"))
            elif "freezer" in controllers.split(",") and self._v1:
                found.append((path, f"{self._v1}{path}/freezer.state"))
        return found


def _is_frozen(file: str) -> bool:
    try:
        words = read_small(file).split()
    except OSError:
        return False  # the root has no such file
    return words == [b"FROZEN"] or (b"frozen", b"1") in zip(words[::2], words[1::2], strict=False)
