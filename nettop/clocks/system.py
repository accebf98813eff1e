"""The system clock as the kernel sees it (adjtimex, read only)."""

from __future__ import annotations

from msgspec import Struct

from nettop.engine import check, ffi, lib

STA_UNSYNC = 0x40
TIME_ERROR = 5


class SystemClock(Struct, frozen=True):
    """CLOCK_REALTIME: how well it is kept, and TAI − UTC."""

    synchronized: bool
    tai_minus_utc_s: int | None  # None: not set in the kernel
    max_error_ns: int
    frequency_ppm: float  # as steered


def read_system_clock() -> SystemClock:
    """Asks adjtimex, without changing anything.

    Raises:
        OSError: not allowed here.
    """
    raw = ffi.new("struct nt_timex *")
    check(lib.nt_timex(raw), "adjtimex")
    return SystemClock(
        synchronized=not raw.status & STA_UNSYNC and raw.state != TIME_ERROR,
        tai_minus_utc_s=raw.tai_s or None,
        max_error_ns=raw.max_error_us * 1000,
        frequency_ppm=raw.freq_scaled_ppm / 65536,
    )
