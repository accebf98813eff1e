"""Programs, maps and links of BPF: those that a process holds, and which are still in the kernel.

By process, so that a nettop beside the tests does not count.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.integration.sockops import bpf

_FD_OF_ID = {"prog": 13, "map": 14, "link": 30}  # commands of bpf()
KINDS = tuple(_FD_OF_ID)
Ids = dict[str, set[int]]


def held(pid: int) -> Ids:
    """By the descriptors of a process; the programs of its links too."""
    out: Ids = {kind: set() for kind in KINDS}
    for text in _fdinfo(pid):
        for kind, number in re.findall(r"(?m)^(prog|map|link)_id:\s+(\d+)", text):
            out[kind].add(int(number))
    return out


def linked(pid: int, name: str) -> bool:
    """Whether the process has a program of that name attached."""
    ids = {item["id"] for item in shown("prog") if item.get("name") == name}
    texts = [text for text in _fdinfo(pid) if "link_id:" in text]
    return any(int(n) in ids for text in texts for n in re.findall(r"prog_id:\s+(\d+)", text))


def tracepoints(pid: int) -> Counter[str]:
    """How many programs the process has attached to each of the kernel's raw tracepoints."""
    return Counter(re.findall(r"(?m)^tp_name:\s+(\S+)", "\n".join(_fdinfo(pid))))


def verified(pid: int) -> list[int]:
    """Instructions that the verifier followed, of each program that a process holds."""
    return [int(n) for text in _fdinfo(pid) for n in re.findall(r"verified_insns:\s+(\d+)", text)]


def _fdinfo(pid: int) -> list[str]:
    texts = []
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            texts.append(path.read_text())
    return texts


def shown(kind: str) -> list[dict[str, object]]:
    """bpftool's list; asked again while something in it is just going away."""
    for _ in range(50):
        done = subprocess.run(["bpftool", "-j", kind, "show"], capture_output=True, text=True)
        if not done.returncode:
            found: list[dict[str, object]] = json.loads(done.stdout or "[]")
            return found
        time.sleep(0.02)
    raise AssertionError(done.stderr)


def left_of(ids: Ids) -> Ids:
    """Those that the kernel still has; they are freed a moment after their last user has gone."""
    return {kind: {number for number in ids[kind] if _exists(kind, number)} for kind in KINDS}


def _exists(kind: str, number: int) -> bool:
    try:
        os.close(bpf(_FD_OF_ID[kind], struct.pack("=I", number)))
    except FileNotFoundError:
        return False
    return True


class Map:
    """A hash map that a process holds, by its name: entries of it, in bytes."""

    _LOOKUP, _UPDATE, _DELETE = 1, 2, 3

    def __init__(self, pid: int, name: str) -> None:
        found = [item for item in shown("map") if item.get("name") == name]
        [item] = [item for item in found if item["id"] in held(pid)["map"]]
        self._size = int(str(item["bytes_value"]))
        self._fd = bpf(_FD_OF_ID["map"], struct.pack("=I", item["id"]))

    def pop(self, key: bytes) -> bytes:
        value = bytearray(self._size)
        self._at(self._LOOKUP, key, value)
        self._at(self._DELETE, key, bytearray())
        return bytes(value)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._at(self._UPDATE, key, bytearray(value))

    def close(self) -> None:
        os.close(self._fd)

    def _at(self, command: int, key: bytes, value: bytearray) -> None:
        places = [(ctypes.c_char * len(b)).from_buffer(b) for b in (bytearray(key), value)]
        addresses = [ctypes.addressof(place) if len(place) else 0 for place in places]
        bpf(command, struct.pack("=I4xQQ", self._fd, *addresses))


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Returns when it holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
