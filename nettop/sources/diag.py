"""What a sweep says about the diag plane: which dumps failed, why, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nettop import refusal
from nettop.engine.handle import Engine
from nettop.model.types import Proto, SourceStatus

NAME, METHOD = "diag", "sock_diag"
_MODULES = {Proto.TCP: "tcp_diag", Proto.UDP: "udp_diag", Proto.MPTCP: "mptcp_diag"}


class Failure(NamedTuple):
    """struct nt_failure: a dump that failed."""

    netns: int
    proto: Proto
    family: int  # 0 both
    error: int  # errno


def has_mptcp() -> bool:
    """Whether this kernel can have MPTCP sockets at all."""
    return Path("/proc/sys/net/mptcp").exists()


def failures(engine: Engine) -> tuple[Failure, ...]:
    """The dumps of its last sweep that failed."""
    return tuple(Failure(f.netns, Proto(f.proto), f.family, f.error) for f in engine.failures())


def unknown(failures: Sequence[Failure]) -> frozenset[Proto]:
    """The protocols whose sockets were not all listed."""
    return frozenset(f.proto for f in failures)


def status(totals: Any, failures: Sequence[Failure]) -> SourceStatus:
    """Of a sweep (struct nt_totals) and its dumps that failed."""
    if not failures:
        return SourceStatus(NAME, "ok", METHOD)
    whys: dict[tuple[Proto, int], set[int]] = {}
    for f in failures:
        whys.setdefault((f.proto, f.error), set()).add(f.netns)
    reasons, fixes = [], []
    for (proto, error), spaces in whys.items():
        where = "" if totals.netns <= 1 else f" in {len(spaces)} of {totals.netns} namespaces"
        why, fix = _why(proto, error)
        reasons.append(f"{proto.name} sockets are not listed{where}: {why}")
        if fix and fix not in fixes:
            fixes.append(fix)
    state = "off" if totals.failed >= totals.dumps else "partial"
    return SourceStatus(NAME, state, METHOD, "; ".join(reasons), "; ".join(fixes) or None)


def _why(proto: Proto, error: int) -> tuple[str, str | None]:
    name = errno.errorcode.get(error, str(error))
    module = _MODULES[proto]
    if error == errno.ENOENT:
        return f"the kernel has no {module} ({name})", f"modprobe {module}"
    if error in (errno.EPERM, errno.EACCES):
        why, fix = refusal.explain(())  # a dump needs no capability
        return f"{why} ({name})", fix
    if error == errno.ENOBUFS:
        return f"messages were lost three times in a row ({name})", "a larger net.core.rmem_max"
    return f"{os.strerror(error)} ({name})", None
