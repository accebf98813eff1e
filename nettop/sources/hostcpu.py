"""What a host says of its CPUs: /proc/net/softnet_stat, and pressure stall times."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from nettop.model.evidence import Numbers

PROC = Path("/proc")
RESOURCES = ("cpu", "memory", "io")
NO_PRESSURE = "this kernel keeps no pressure stall times (CONFIG_PSI, psi=1)"
# Columns of softnet_seq_show(); kernels append some.
_DROPPED, _SQUEEZED, _FLOW_LIMITED, _BACKLOG, _CPU = 1, 2, 10, 11, 12


def parse_softnet(raw: bytes) -> dict[int, Numbers]:
    """By CPU, SOFTNET's names; what is 0 is left out, and a CPU without any."""
    found: dict[int, Numbers] = {}
    for at, line in enumerate(raw.split(b"\n")):
        try:
            words = [int(word, 16) for word in line.split()]
        except ValueError:  # no line of numbers
            continue
        if len(words) <= _FLOW_LIMITED:
            continue
        numbers = {
            "dropped": words[_DROPPED],
            "time_squeeze": words[_SQUEEZED],
            "flow_limited": words[_FLOW_LIMITED],
            "backlog_packets": words[_BACKLOG] if len(words) > _BACKLOG else 0,
        }
        known = {name: number for name, number in numbers.items() if number}
        if known:
            found[words[_CPU] if len(words) > _CPU else at] = known
    return found


def parse_pressure(raw: bytes) -> Numbers:
    """`some avg10=… total=N` lines: some_us, full_us."""
    found = {}
    for line in raw.decode("ascii", "replace").splitlines():
        kind, _, rest = line.partition(" ")
        total = rest.rpartition("total=")[2]
        if kind in ("some", "full") and total.isascii() and total.isdigit():
            found[f"{kind}_us"] = int(total)
    return found


def read_softnet(proc: Path = PROC) -> dict[int, Numbers]:
    """
    Raises:
        OSError: it is not there.
    """
    return parse_softnet(read_whole(f"{proc}/net/softnet_stat"))


def read_pressure(proc: Path = PROC) -> Mapping[str, Numbers]:
    """By resource, as far as the kernel has them; empty: it keeps none."""
    found = {}
    for resource in RESOURCES:
        numbers = pressure_of(f"{proc}/pressure/{resource}")
        if numbers:
            found[resource] = numbers
    return found


def pressure_of(path: str) -> Numbers:
    """Of one file; empty where the kernel keeps none."""
    try:
        return parse_pressure(read_small(path))
    except OSError:
        return {}


def read_small(path: str, most_bytes: int = 4096) -> bytes:
    """The beginning of a small file, in three system calls.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, most_bytes)
    finally:
        os.close(fd)


def read_whole(path: str) -> bytes:
    """A file of lines, of which the kernel gives some at a time.

    Raises:
        OSError: it cannot be read.
    """
    parts: list[bytes] = []
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while part := os.read(fd, 16384):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)
