"""Root without what makes it root: no capability, here and in what is started from here."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION_3 = 0x20080522
_GET_SECUREBITS, _SET_SECUREBITS, _NOROOT = 27, 28, 1
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def without_capabilities() -> Iterator[None]:
    """For this thread; those that it has are raised again afterwards."""
    header = struct.pack("Ii", _VERSION_3, 0)
    sets = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, sets))
    # Each of two halves: effective, permitted, inheritable.
    before = struct.unpack("6I", sets.raw)
    bits = _libc.prctl(_GET_SECUREBITS, 0, 0, 0, 0)
    _check(_libc.prctl(_SET_SECUREBITS, bits | _NOROOT, 0, 0, 0))  # else root has all after exec
    _check(_libc.capset(header, struct.pack("6I", 0, before[1], 0, 0, before[4], 0)))
    try:
        yield
    finally:
        _check(_libc.capset(header, struct.pack("6I", *before)))
        _check(_libc.prctl(_SET_SECUREBITS, bits, 0, 0, 0))


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
