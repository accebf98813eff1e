"""What is usual for a flow: the running median of the intervals before, as the engine keeps it."""

from __future__ import annotations

import struct
from enum import IntEnum

_USUAL = struct.Struct("<HBB")  # struct nt_usual
_OCTAVE = 1024
_SEEN = 127


class UsualOf(IntEnum):
    """enum nt_usual_of: which of Plane.usual."""

    WAIT = 0
    QDISC = 1
    NIC = 2


def usual_ns(raw: bytes, at: int = 0) -> float | None:
    """The struct nt_usual number `at`, in nanoseconds; None: nothing was seen."""
    log, _, seen = _USUAL.unpack_from(raw, at * _USUAL.size)
    if not seen & _SEEN:
        return None
    return float((1 << log // _OCTAVE) * (1 + log % _OCTAVE / _OCTAVE))
