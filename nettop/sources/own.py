"""What this process itself takes."""

from __future__ import annotations

import os
from pathlib import Path

_MEMORY = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def rss_bytes() -> int | None:
    """Resident memory; None: not known."""
    try:
        return int(_MEMORY.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
