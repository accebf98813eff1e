"""The cgroup tree from where it is not to be seen: other mounts, a container's view of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.sources.mounts import read_mounts
from tests.integration.namespaces import needs_root, run
from tests.integration.sends import cgroup_root

pytestmark = needs_root

# As `ip netns exec` leaves it: /sys is mounted anew, and nothing is mounted in it.
NO_CGROUPS = [
    "unshare",
    "-m",
    "sh",
    "-c",
    'umount -l /sys && mount -t sysfs s /sys && exec "$@"',
    "x",
]
# As a container with a cgroup namespace of its own sees it.
CONTAINER = [
    "unshare", "-m", "-C", "-p", "--fork", "--mount-proc", "sh", "-c",
    'umount -l /sys && mount -t sysfs s /sys && mount -t cgroup2 c /sys/fs/cgroup && exec "$@"',
    "x",
]  # fmt: skip


@contextmanager
def child_cgroup() -> Iterator[Path]:
    where = Path(cgroup_root(), f"nettop-test-{os.getpid()}")
    where.mkdir()
    try:
        yield where
    finally:
        where.rmdir()


def cgroup2_mounts() -> list[str]:
    return [m.point for m in read_mounts() if m.fstype == "cgroup2"]


def joined(group: Path) -> list[str]:
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "x"]


def nettop(surroundings: list[str], *args: str) -> Any:
    done = subprocess.run(
        [*surroundings, sys.executable, "-m", "nettop", *args],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def stages(surroundings: list[str]) -> dict[str, Any]:
    """What doctor says of the plane."""
    report = nettop(surroundings, "doctor", "--json")
    return next(s for s in report["sources"] if s["name"] == "stages")


def test_ip_netns_exec_costs_nothing() -> None:
    name = f"nts{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        assert stages(["ip", "netns", "exec", name]) == stages([])
    finally:
        run("ip", "netns", "del", name)


def test_sends_are_stamped_where_no_cgroup_is_mounted() -> None:
    if stages([]).get("method") != "bpf_timestamping":
        pytest.skip("this kernel stamps no sends through a cgroup")
    before, ended = cgroup2_mounts(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        peer, _ = server.accept()

        def send() -> None:
            while not ended.wait(0.02):
                client.sendall(b"x" * 100)
                peer.recv(200)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            args = ("--once", "--json", "-d", "2", "--tx-sample", "1", f"dport = :{port}")
            got = nettop(NO_CGROUPS, *args)
        finally:
            ended.set()
            sender.join()
            client.close()
            peer.close()
    (sock,) = got["sockets"]
    assert sock["tx"]["ack"]["count"] > 5, sock["tx"]
    assert cgroup2_mounts() == before, "nettop mounts where nobody sees it"


def test_a_cgroup_has_its_name_where_none_is_mounted() -> None:
    with child_cgroup() as group:
        script = (
            "import socket; s = socket.create_server(('127.0.0.1', 0));"
            "print(s.getsockname()[1], flush=True); input()"
        )
        holder = subprocess.Popen(
            [*joined(group), sys.executable, "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert holder.stdout is not None
            port = int(holder.stdout.readline())
            for text in (f"sport = :{port}", f"cgroup = {group.name}"):
                got = nettop(NO_CGROUPS, "--once", "--json", "--no-bpf", "-l", text)
                (sock,) = got["sockets"]
                assert sock["cgroup"] == f"/{group.name}"
        finally:
            holder.communicate("\n")


def test_a_container_says_that_it_sees_a_part() -> None:
    with child_cgroup() as group:
        got = stages([*joined(group), *CONTAINER])
    assert got["state"] == "partial"
    assert got["reason"] == "only cgroups below the container's own are in reach"
    assert "--cgroupns=host" in got["fix"]


def test_the_hosts_first_process_shows_the_whole() -> None:
    """A container with the host's processes: --pid=host."""
    pids_shared = [a for a in CONTAINER if a not in ("-p", "--fork", "--mount-proc")]
    with child_cgroup() as group:
        assert stages([*joined(group), *pids_shared]) == stages([])


def test_where_no_sys_is_mounted_the_kernel_is_not_blamed() -> None:
    got = stages(["unshare", "-m", "sh", "-c", 'umount -l /sys && exec "$@"', "x"])
    assert got["state"] == "off"
    assert got["reason"].startswith("/sys is not mounted here")


def test_what_may_not_be_mounted_has_a_fix() -> None:
    """Without the privilege to mount, and no process to see through."""
    without = [
        "setpriv",
        "--bounding-set=-sys_admin,-sys_ptrace",
        "--inh-caps=-sys_admin,-sys_ptrace",
    ]
    hidden = [a.replace(" && mount -t cgroup2 c /sys/fs/cgroup", "") for a in CONTAINER]
    got = stages([*hidden, *without])
    assert got["state"] in ("partial", "off")
    assert "no cgroup v2 is mounted here, and it may not be mounted" in got["reason"]
    assert got["fix"] == "run with CAP_SYS_ADMIN"
