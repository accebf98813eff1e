"""Who holds a socket, as the program says it, where /proc/PID/fd does not show it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.collect import PollOptions
from nettop.engine import lib
from nettop.engine.handle import Procs
from nettop.model.types import Owner, Row
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from tests.integration.namespaces import inside, namespace, needs_root, run
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


def test_a_socket_that_ended_is_shown_with_the_program_that_held_it() -> None:
    """A dump may miss a socket once, so it is there for a tick more."""

    def mine() -> list[Row]:
        feed.tick()
        return [row for row, _ in feed.rows_all() if row.rec.sport == port]

    with closing(LiveFeed(PollOptions(rows_all=True, planes=PlaneOptions(bpf=False)))) as feed:
        with holders.holding("own_table", name="nt-brief") as holder:
            port = holder.port
            assert [row.proc.pid for row in mine()] == [holder.pid]
        [row] = mine()
        assert (row.proc.pid, row.proc.comm) == (holder.pid, "nt-brief")
        assert [proc.pid for proc in feed.owners(row)] == [holder.pid]
        assert not mine()


@needs_root
def test_the_kernels_own_sockets_are_known() -> None:
    """A tunnel's, beside one of a program that is on its way to another."""
    with namespace() as space:
        made = subprocess.run(
            ["ip", "-n", space, "link", "add", "vx0", "type", "vxlan", "id", "1", "dstport", "4789",
             "local", "127.0.0.1", "dev", "lo"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"no VXLAN: {made.stderr.strip()}")
        run("ip", "-n", space, "link", "set", "vx0", "up")
        here, there = socket.socketpair()
        sock = inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        socket.send_fds(here, [b"x"], [sock.fileno()])
        sock.close()
        options = PollOptions(netns=(space,), rows_all=True, planes=PlaneOptions())
        with closing(LiveFeed(options)) as feed, closing(here), closing(there):
            owners: dict[int, Owner] = {}
            end = time.monotonic() + 30
            while owners.get(4789) != Owner.KERNEL or owners.get(port) == Owner.UNKNOWN:
                assert time.monotonic() < end, owners
                feed.tick()
                owners = {row.rec.sport: row.proc.owner for row, _ in feed.rows_all()}
            assert owners[port] in (Owner.NOT_FOUND, Owner.HIDDEN)
        with closing(LiveFeed(replace(options, planes=PlaneOptions(bpf=False)))) as feed:
            for _ in range(30):
                feed.tick()
            owners = {row.rec.sport: row.proc.owner for row, _ in feed.rows_all()}
            assert owners[4789] != Owner.KERNEL, "nothing says so"


def test_what_no_process_shows_is_not_called_the_kernels() -> None:
    with holders.holding("in_flight") as holder:
        (got,) = sockets("-d", "3", f"sport = :{holder.port}")
    procs = Procs()
    procs.scan()
    everything = lib.nt_procs_complete(procs.handle)
    # Between two looks at a busy machine not every process may have had its turn.
    assert got.get("owner") in ((None, "not_found") if everything else (None, "hidden"))
    assert "procs" not in got
