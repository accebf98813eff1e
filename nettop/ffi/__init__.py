"""The compiled helper: the only package that imports nettop._native.

Functions of the helper release the GIL while they run, return 0 or a count, and
-errno on failure; `check` turns that into an OSError that names the call.
"""

from __future__ import annotations

import os

from nettop._native import ffi, lib

ABI = 1

if lib.nt_abi_version() != ABI:
    raise ImportError(
        f"nettop: the compiled helper speaks version {lib.nt_abi_version()}, "
        f"this package {ABI}: reinstall nettop"
    )


def check(result: int, call: str) -> int:
    """The helper's result, or OSError with its errno."""
    if result < 0:
        raise OSError(-result, f"{call}: {os.strerror(-result)}")
    return result


__all__ = ["ABI", "check", "ffi", "lib"]
