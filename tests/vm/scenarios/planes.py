"""What nettop says that it can do on this kernel."""

from __future__ import annotations

from functools import cache
from typing import Any

from nettop.doctor import examine, to_json
from nettop.engine import ffi, lib
from nettop.sources.wait import open_plane

examined = cache(examine)  # takes ten seconds there


def doctor() -> Any:
    """nettop doctor --json."""
    return to_json(examined())


def programs() -> list[str]:
    """Those of the RX wait that are loaded."""
    plane, status = open_plane(100.0)
    if plane is None:
        return [status.reason or ""]
    found = ffi.new("struct nt_prog[]", 64)
    n = lib.nt_wait_programs(plane.handle, found, 64)
    plane.close()
    return sorted(ffi.string(p.name).decode() for p in found[0:n])
