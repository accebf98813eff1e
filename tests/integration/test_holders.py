"""Who holds a socket, as the program says it, where /proc/PID/fd does not show it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.ffi import lib
from nettop.ffi.engine import Procs
from tests.native import holders


def sockets(*args: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "nettop", "--once", "--json", "--no-bpf", "-t", "-l", *args],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)["sockets"]
    return found


@pytest.mark.parametrize("way", ["first_thread_ended", "own_table", "registered"])
def test_pid_and_name_find_its_sockets(way: str) -> None:
    name = f"nt-{way}"[:15]
    try:
        with holders.holding(way, name=name) as holder:
            by_pid = sockets("-p", str(holder.pid))
            by_name = sockets(f"comm = {name}")
    except holders.NoIoUringError as e:
        pytest.skip(str(e))
    for (got,) in (by_pid, by_name):
        assert got["local"]["port"] == holder.port
        assert got["procs"] == [{"pid": holder.pid, "comm": name, "fd": holder.fd}]


def test_what_no_process_shows_is_not_called_the_kernels() -> None:
    with holders.holding("in_flight") as holder:
        (got,) = sockets("-d", "3", f"sport = :{holder.port}")
    procs = Procs()
    procs.scan()
    everything = lib.nt_procs_complete(procs.handle)
    # Between two looks at a busy machine not every process may have had its turn.
    assert got.get("owner") in ((None, "not_found") if everything else (None, "hidden"))
    assert "procs" not in got
