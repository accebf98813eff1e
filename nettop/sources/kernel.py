"""What the running kernel is, where its structures do not show it."""

from __future__ import annotations

import os
import re
import struct
from functools import cache
from pathlib import Path

from nettop.model.tcpinfo import TAIL_6_18, TAIL_7_0, InfoField

BTF = Path("/sys/kernel/btf/vmlinux")
_BTF_MAGIC = 0xEB9F
# struct btf_header: magic, version, flags, hdr_len, then offset and length of types and of strings
_BTF_HEADER = struct.Struct("=HBBIIIII")


@cache
def tcp_info_tail() -> tuple[InfoField, ...]:
    """The layout of tcp_info's last word, which has two meanings of one length.

    7.0 renamed it: its BTF has a member tcpi_ecn_mode. Without BTF the release decides;
    of an unknown kernel nothing is shown.
    """
    names = names_of(BTF)
    if names is None:
        return tail_of_release(os.uname().release)
    if b"\0tcpi_ecn_mode\0" in names:
        return TAIL_7_0
    return TAIL_6_18 if b"\0tcpi_accecn_fail_mode\0" in names else ()


def names_of(btf: Path) -> bytes | None:
    """All names of a kernel's BTF, each after a NUL; the types, which are most of it, are not read.

    None: there is none that can be read.
    """
    try:
        with btf.open("rb") as file:
            magic, _, _, header, _, _, at, length = _BTF_HEADER.unpack(file.read(_BTF_HEADER.size))
            if magic != _BTF_MAGIC:
                return None
            file.seek(header + at)
            names = file.read(length)
    except (OSError, struct.error):
        return None
    return names if len(names) == length else None


def tail_of_release(release: str) -> tuple[InfoField, ...]:
    """The same from the name of the kernel, such as 6.18.5-amd64."""
    match = re.match(r"(\d+)\.(\d+)", release)
    if not match:
        return ()
    version = int(match[1]), int(match[2])
    if version >= (7, 0):
        return TAIL_7_0
    return TAIL_6_18 if version >= (6, 18) else ()
