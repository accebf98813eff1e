"""The number of the helper's interface: a hash of its headers. The build runs this file too."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path


def version_of(headers: Path) -> int:
    """Of the *.cdef.h in that folder, names and contents; 1 to 2^31 - 1."""
    crc = 0
    for path in sorted(headers.glob("*.cdef.h")):
        crc = zlib.crc32(path.name.encode() + b"\0" + path.read_bytes(), crc)
    return crc & 0x7FFFFFFF or 1


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(f"#define NT_ABI_VERSION {version_of(Path(sys.argv[1]))}\n")
