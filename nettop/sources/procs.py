"""What a scan of /proc says about the procs plane."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nettop.model.types import SourceStatus
from nettop.text.clean import clean

NEEDED_FOR_PROCS = frozenset({"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"})


def _name(pid: int) -> str:
    try:
        return clean(Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n"))
    except OSError:
        return "?"  # it has ended since


def procs_status(stats: Any, held: frozenset[str]) -> SourceStatus:
    """What a scan of the process table (struct nt_procs_stats) says about the plane.

    Args:
        stats: of the last scan.
        held: capabilities in effect, to name what would help.
    """
    reasons, note, fix = [], None, None
    if stats.unreadable:
        missing = NEEDED_FOR_PROCS - held
        count = f"{stats.unreadable} of {stats.processes} processes"
        first = f"{_name(stats.refused_pid)}/{stats.refused_pid}"
        if stats.unreadable > 1:
            first += " and others"
        if missing:
            reasons.append(f"{count} belong to other users ({first})")
            fix = "sudo nettop" if os.geteuid() else f"run with {' and '.join(sorted(missing))}"
        else:
            note = f"{count} may not be looked into, not even with CAP_SYS_PTRACE ({first})"
    if stats.hidden:
        reasons.append("/proc does not list every process (PID namespace or hidepid)")
        fix = fix or "run nettop outside the container, or mount /proc with hidepid=0"
    if stats.unlooked:
        reasons.append(
            f"{stats.unlooked} threads' own descriptor tables or io_uring instances"
            " do not show what they hold"
        )
    if not reasons:  # what no command fixes is said, but is no fault
        return SourceStatus("procs", "ok", "proc", note)
    reasons += [note] if note else []
    return SourceStatus("procs", "partial", "proc", "; ".join(reasons), fix)
