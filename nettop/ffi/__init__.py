"""The compiled helper: the only package that imports nettop._native.

Functions of the helper release the GIL while they run, return 0 or a count, and
-errno on failure; `check` turns that into an OSError that names the call.
"""

from __future__ import annotations

import os
import re

from nettop.errors import NettopError

try:
    from nettop._native import ffi, lib
except ModuleNotFoundError as error:
    if error.name != "nettop._native":  # what cffi itself needs
        raise
    raise NettopError(
        "the compiled helper is missing, or was built for another Python or machine: "
        "install nettop with pip in this Python"
    ) from error
except ImportError as error:
    library = re.match(r"(lib\w+)\.so[.\d]*: cannot open shared object file", str(error))
    fix = f"install {library[1]}" if library else "install nettop with pip in this Python"
    raise NettopError(f"the compiled helper cannot be loaded: {error}: {fix}") from error

ABI = 1

if lib.nt_abi_version() != ABI:
    raise NettopError(
        f"the compiled helper speaks version {lib.nt_abi_version()}, this package {ABI}: "
        "install nettop with pip in this Python"
    )


def check(result: int, call: str) -> int:
    """The helper's result, or OSError with its errno."""
    if result < 0:
        raise OSError(-result, f"{call}: {os.strerror(-result)}")
    return result


__all__ = ["ABI", "check", "ffi", "lib"]
