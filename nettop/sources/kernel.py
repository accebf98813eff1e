"""What the running kernel is, where its structures do not show it."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from nettop.model.tcpinfo import TAIL_6_18, TAIL_7_0, InfoField

BTF = Path("/sys/kernel/btf/vmlinux")


@cache
def tcp_info_tail() -> tuple[InfoField, ...]:
    """The layout of tcp_info's last word, which has two meanings of one length.

    7.0 renamed it: its BTF has a member tcpi_ecn_mode. Without BTF the release decides;
    of an unknown kernel nothing is shown.
    """
    try:
        btf = BTF.read_bytes()
    except OSError:
        return tail_of_release(os.uname().release)
    if b"\0tcpi_ecn_mode\0" in btf:
        return TAIL_7_0
    return TAIL_6_18 if b"\0tcpi_accecn_fail_mode\0" in btf else ()


def tail_of_release(release: str) -> tuple[InfoField, ...]:
    """The same from the name of the kernel, such as 6.18.5-amd64."""
    match = re.match(r"(\d+)\.(\d+)", release)
    if not match:
        return ()
    version = int(match[1]), int(match[2])
    if version >= (7, 0):
        return TAIL_7_0
    return TAIL_6_18 if version >= (6, 18) else ()
