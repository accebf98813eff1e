"""A NIC with a PHC for programs that run with fake_nic.c preloaded, and the knobs of it."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nic.c")
DEVICE, NIC = "/dev/ptp7", "fake0"


class World(ctypes.Structure):
    """struct world of fake_nic.c."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in (
            "tx_type", "rx_filter", "flags", "sets", "refuse_set", "refuse_get", "refuse_open",
            "cross_timestamping", "refuse_precise", "refuse_extended", "busy", "phc_index")),
        *((name, ctypes.c_uint32) for name in ("so_timestamping", "tx_types", "rx_filters")),
        *((name, ctypes.c_int32) for name in ("widen_to", "stopped", "reads")),
        *((name, ctypes.c_int64) for name in (
            "offset_ns", "ppb", "refuse_all", "step_after", "step_ns", "window_ns", "start_ns")),
    )  # fmt: skip


class Fake:
    """The world file, and programs run in that world."""

    def __init__(self, folder: Path) -> None:
        self.library = build(folder)
        self.path = folder / "world"
        self.path.write_bytes(bytes(ctypes.sizeof(World)))
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.world = World.from_buffer(self._map)
        self.set(
            phc_index=7,
            so_timestamping=0x5F,  # all of hardware and software
            tx_types=0b11,
            rx_filters=0b11,
            window_ns=1000,
            start_ns=time.time_ns(),
        )

    def set(self, **values: int) -> None:
        for name, value in values.items():
            assert hasattr(self.world, name), name
            setattr(self.world, name, value)

    @property
    def setting(self) -> tuple[int, int, int]:
        return self.world.tx_type, self.world.rx_filter, self.world.flags

    @property
    def environ(self) -> dict[str, str]:
        return os.environ | {
            "LD_PRELOAD": str(self.library),
            "NT_FAKE_WORLD": str(self.path),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(str(Path(p).absolute()) for p in sys.path if p),
        }

    def nettop(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "nettop", *argv)

    def python(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *argv], capture_output=True, text=True, timeout=60, check=False,
            env=self.environ,
        )  # fmt: skip


def compiler() -> str | None:
    return shutil.which(os.environ.get("CC", "cc"))


def build(folder: Path) -> Path:
    """The library that is preloaded."""
    library = folder / "fake_nic.so"
    cc = compiler()
    assert cc is not None
    flags = ["-O1", "-shared", "-fPIC", "-D_GNU_SOURCE"]
    subprocess.run([cc, *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True, timeout=60)
    return library
