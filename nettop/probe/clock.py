"""What is known of this host's clock, for times that two hosts compare."""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from pathlib import Path

_TIME_ERROR = 5  # the clock is not synchronised
_STA_UNSYNC = 0x40


class _Timex(ctypes.Structure):
    """struct timex up to what is read here; include/uapi/linux/timex.h."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )  # fmt: skip


@cache
def boot_number() -> int:
    """The same for every namespace of one running kernel; 0: unknown."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return 0
    return int.from_bytes(hashlib.sha256(b"nettop" + text.strip()).digest()[:8], "big") or 1


def clock_error_ns() -> int | None:
    """How far CLOCK_REALTIME may be off, by adjtimex(2)'s maxerror; None: not synchronised."""
    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0 or state == _TIME_ERROR or timex.status & _STA_UNSYNC:
        return None
    return int(timex.maxerror) * 1000
