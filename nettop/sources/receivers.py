"""Kernel threads that take packets in: ksoftirqd of each CPU and the NAPI threads of devices."""

from __future__ import annotations

from pathlib import Path

from nettop.model.evidence import Numbers
from nettop.sources.hostcpu import read_small, read_whole
from nettop.text.clean import clean
from nettop.text.evidence import RECEIVER

NAMES = ("ksoftirqd/", "napi/")
MOST = 256


class Receivers:
    """Those that were found last."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._pids: dict[int, str] = {}

    def read(self) -> dict[str, Numbers]:
        """By name."""
        found: dict[str, Numbers] = {}
        for pid, name in self._pids.items():
            try:
                words = read_small(f"{self._proc}/{pid}/schedstat").split()
            except OSError:
                continue  # it has ended
            if len(words) == 3:
                found[name] = dict(zip(RECEIVER, map(int, words), strict=True))
        return found

    def find(self) -> None:
        """Which there are, children of kthreadd, process 2; reads the names of all its children."""
        try:
            text = read_whole(f"{self._proc}/2/task/2/children")
            pids = [int(word) for word in text.split()]
        except (OSError, ValueError):
            pids = [int(path.name) for path in Path(self._proc).glob("[0-9]*")]
        found = self._pids = {}
        for pid in pids:
            try:
                name = read_small(f"{self._proc}/{pid}/comm").decode(errors="replace").strip()
            except OSError:
                continue  # it has ended
            if name.startswith(NAMES) and len(found) < MOST:
                found[pid] = clean(name)
