"""What is known of this host's clock, for times that two hosts compare."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from nettop.clocks.system import read_system_clock


@cache
def boot_number() -> int:
    """The same for every namespace of one running kernel; 0: unknown."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return 0
    return int.from_bytes(hashlib.sha256(b"nettop" + text.strip()).digest()[:8], "big") or 1


def clock_error_ns() -> int | None:
    """How far CLOCK_REALTIME may be off, by adjtimex(2)'s maxerror; None: not synchronised, or not
    known here."""
    try:
        clock = read_system_clock()
    except OSError:
        return None
    return clock.max_error_ns if clock.synchronized else None
