"""What a scan of /proc says about the procs plane."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from nettop import refusal
from nettop.model.types import SourceStatus
from nettop.text.clean import clean

_PTRACE = "CAP_SYS_PTRACE"
NEEDED_FOR_PROCS = frozenset({_PTRACE, "CAP_DAC_READ_SEARCH"})

_confined = cache(refusal.inside_user_namespace)


def _with(missing: Collection[str]) -> str:
    return f"run with {' and '.join(sorted(missing))}"


def _name(pid: int) -> str:
    try:
        return clean(Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n"))
    except OSError:
        return "?"  # it has ended since


def procs_status(stats: Any, held: frozenset[str], *, confined: bool | None = None) -> SourceStatus:
    """What a scan of the process table (struct nt_procs_stats) says about the plane.

    Args:
        stats: of the last scan.
        held: capabilities in effect, to name what would help.
        confined: to a user namespace, as in a rootless container; None: as it is here.
    """
    confined = _confined() if confined is None else confined
    reasons, note, fixes = [], None, []
    if stats.unreadable:
        first = f"{_name(stats.refused_pid)}/{stats.refused_pid}"
        if stats.unreadable > 1:
            first += " and others"
        # To list descriptors takes the one, to say what they are the other.
        missing = (NEEDED_FOR_PROCS if stats.unlisted else {_PTRACE}) - held
        by_missing = stats.unreadable if _PTRACE in missing else stats.unlisted if missing else 0
        count = f"{stats.unreadable} of {stats.processes} processes"
        if confined:
            reasons.append(f"{count} may not be looked into from this user namespace ({first})")
            if missing and os.geteuid() == 0:
                fixes.append(f"for those of this namespace: {_with(missing)}")
            fixes.append(refusal.outside())
        elif by_missing:
            count = f"{by_missing} of {stats.processes} processes"
            reasons.append(f"{count} belong to other users, or have more rights ({first})")
            fixes.append("sudo nettop" if os.geteuid() else _with(missing))
        else:
            note = f"{count} may not be looked into, not even with CAP_SYS_PTRACE ({first})"
    if stats.hidden:
        reasons.append("/proc does not list every process (PID namespace or hidepid)")
        fixes.append("run nettop outside the container, or mount /proc with hidepid=0")
    if stats.unlooked:
        reasons.append(
            f"{stats.unlooked} threads' own descriptor tables or io_uring instances"
            " do not show what they hold"
        )
    if not reasons:  # what no command fixes is said, but is no fault
        return SourceStatus("procs", "ok", "proc", note)
    reasons += [note] if note else []
    return SourceStatus("procs", "partial", "proc", "; ".join(reasons), "; ".join(fixes) or None)
