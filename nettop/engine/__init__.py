"""The compiled helper: the only package that imports nettop._native.

Functions of the helper release the GIL while they run, return 0 or a count, and
-errno on failure; `check` turns that into an OSError that names the call.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from nettop.engine.abi import version_of
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


def _same_interface() -> bool:
    """Whether the helper was built from the headers that lie beside this package, if any do."""
    headers = Path(__file__).parents[2] / "native" / "include"
    if not (headers / "nt_wire.cdef.h").exists():
        return True  # installed: both came at once
    return bool(lib.nt_abi_version() == version_of(headers))


if not _same_interface():
    raise NettopError(
        "the compiled helper was built from other headers than native/include has now: "
        "install nettop with pip in this Python"
    )


def check(result: int, call: str) -> int:
    """The helper's result, or OSError with its errno."""
    if result < 0:
        raise OSError(-result, f"{call}: {os.strerror(-result)}")
    return result


__all__ = ["check", "ffi", "lib"]
