"""Times as text."""

from __future__ import annotations

import time


def utc_text(wall_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds: 2026-11-20T19:00:00.123456789Z."""
    seconds, ns = divmod(wall_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ns:09d}Z"
