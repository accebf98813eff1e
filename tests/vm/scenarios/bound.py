"""Waits for a program's sockets, however slow the machine is."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

_PORT = 9000
_STATES = {"tcp": "0A", "udp": "07"}  # listening; bound, without a peer


def until_bound(program: subprocess.Popen[Any], *protos: str) -> None:
    """It runs in its own namespace, so that these are its sockets."""
    deadline = time.monotonic() + 60
    for proto in protos:
        sign = f":{_PORT:04X} 00000000:0000 {_STATES[proto]}"
        while sign not in Path(f"/proc/{program.pid}/net/{proto}").read_text():
            assert program.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it is not bound"
            time.sleep(0.05)
