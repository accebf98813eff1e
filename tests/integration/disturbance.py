"""How much others had of this machine while a test ran: answers in microseconds need it quiet.

A timed test that fails is tried again only where it was measured not to have had its core; on a
quiet machine the first failure counts.
"""

from __future__ import annotations

from pathlib import Path

MOST_NS = 1_000_000  # waits for a core that no known answer feels


class Disturbance:
    """True if, since `begin`, the tests' thread waited for a core, or the host took cores away."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._before = _waited_ns(), _stolen()

    def __bool__(self) -> bool:
        waited_ns, stolen = self._before
        return _waited_ns() - waited_ns > MOST_NS or _stolen() > stolen


def _waited_ns() -> int:
    """Of the main thread, on run queues; 0 where the kernel does not count it."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1])
    except OSError:
        return 0


def _stolen() -> int:
    """Ticks that a hypervisor gave to others."""
    return int(Path("/proc/stat").read_text().split()[8])
