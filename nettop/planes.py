"""Planes that this version does not measure, told as off with a reason, never as zero."""

from __future__ import annotations

from nettop.model.types import SourceStatus

_REASON = "not in this version of nettop"
_ABSENT = ("wait", "stages", "path", "events", "stamps", "clocks")


def absent_planes() -> tuple[SourceStatus, ...]:
    """One status for each plane that is missing."""
    return tuple(SourceStatus(name, "off", reason=_REASON) for name in _ABSENT)
