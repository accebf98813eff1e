"""Whether hardware clocks can be read here; they are read by `nettop clocks` and its screen."""

from __future__ import annotations

import time
from pathlib import Path

from nettop.model.types import SourceStatus
from nettop.sources import off

NAME = "clocks"
CLASS = "/sys/class/ptp"
NO_CLOCK = "no NIC here has a hardware clock"
# Clocks come and go with drivers; looking takes some 10 µs, reading one more.
_GOOD_FOR_S = 30.0


class ClocksPlane:
    """The status, looked up when it is asked for and kept for a while."""

    def __init__(self) -> None:
        self._status: SourceStatus | None = None
        self._until = 0.0

    def status(self) -> SourceStatus:
        now = time.monotonic()
        if self._status is None or now >= self._until:
            self._status, self._until = look(), now + _GOOD_FOR_S
        return self._status


def look() -> SourceStatus:
    """Reads each clock once."""
    try:
        if not any(Path(CLASS).iterdir()):
            return off(NAME, NO_CLOCK)
        from nettop.clocks.phc import devices

        paths = [d.path for d in devices()]
    except OSError:
        from nettop.clocks.interfaces import interfaces

        found = {nic.phc for nic in interfaces() if nic.phc is not None}
        paths = [f"/dev/ptp{index}" for index in sorted(found)]
    return _read(paths) if paths else off(NAME, NO_CLOCK)


def _read(paths: list[str]) -> SourceStatus:
    from nettop.clocks.phc import Phc, why_not

    methods: list[str] = []
    reason: str | None = None
    fix: str | None = None
    for path in paths:
        try:
            with Phc(path) as phc:
                methods.append(phc.read().method.name.lower())
        except OSError as error:
            if reason is None:
                reason, fix = why_not(error, path)
    method = "+".join(dict.fromkeys(methods)) or None
    if reason is None:
        return SourceStatus(NAME, "ok", method)
    return SourceStatus(NAME, "partial" if methods else "off", method, reason, fix)
