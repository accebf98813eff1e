"""Where received packets spend their time before the socket has them; off unless asked for."""

from __future__ import annotations

import os
from typing import Any

from msgspec.structs import replace

from nettop.engine import check, ffi, lib
from nettop.engine.handle import Engine
from nettop.model.path import Hook
from nettop.model.types import SourceStatus
from nettop.sources import off
from nettop.sources.wait import off_status

NAME = "path"
METHOD = "fentry"
OFF_REASON = (
    "off unless requested: --path; the kernel then timestamps every received packet of this host"
)
ON_REASON = "makes the kernel timestamp every received packet of this host"


class PathPlane:
    """The hooks that loaded; stamping is on while this is open."""

    def __init__(self, handle: Any, hooks: int) -> None:
        self._p = handle
        self.hooks = tuple(hook for hook in Hook if hooks >> hook & 1)

    def read(self, engine: Engine) -> None:
        """Ends an interval, which the engine takes; once per tick."""
        check(lib.nt_path_read(self._p, engine.handle), "reading the path plane")

    def status(self) -> SourceStatus:
        missing = [hook.name.lower() for hook in Hook if hook not in self.hooks]
        if not missing:
            return SourceStatus(NAME, "ok", METHOD, ON_REASON)
        reason = f"{ON_REASON}; this kernel lacks: {', '.join(missing)}"
        return SourceStatus(NAME, "partial", METHOD, reason)

    def close(self) -> None:
        """Stamping ends, and nothing remains in the kernel."""
        if self._p:
            lib.nt_path_close(self._p)
            self._p = None


def open_plane(wanted: bool) -> tuple[PathPlane | None, SourceStatus]:
    """The plane, or None and why it is off."""
    if not wanted:
        return None, off(NAME, OFF_REASON)
    return _open(stamp=True)


def ability() -> SourceStatus:
    """Whether it could be on: its hooks are loaded for a moment, and no packet is stamped."""
    plane, status = _open(stamp=False)
    if plane is None:
        return status
    plane.close()
    return replace(status, reason=f"off unless requested: --path; {status.reason}")


def _open(*, stamp: bool) -> tuple[PathPlane | None, SourceStatus]:
    handle, why = ffi.new("struct nt_path **"), ffi.new("char[160]")
    hooks = lib.nt_path_open(stamp, handle, why, 160)
    if hooks < 0:
        status = off_status(NAME, hooks, ffi.string(why).decode("ascii", "replace"))
        return None, replace(status, fix=None if os.geteuid() == 0 else status.fix)
    plane = PathPlane(handle[0], hooks)
    return plane, plane.status()
