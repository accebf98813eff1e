"""Real network namespaces: found by name and by process, entered, counted, asked for sockets."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine.handle import Procs
from nettop.errors import NettopError
from nettop.sources import hostnet, netns
from nettop.sources.mounts import parse_mountinfo

NAME = f"nettop-test-{os.getpid()}"
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and ip(8) to make a namespace"
)
LISTEN_IN_NETNS = """
import socket, sys
sock = socket.socket(socket.AF_INET6)
sock.bind(("::", 0)); sock.listen(7)
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def space() -> Iterator[str]:
    made = subprocess.run(["ip", "netns", "add", NAME], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"ip netns add: {made.stderr.decode().strip()}")
    yield NAME
    subprocess.run(["ip", "netns", "del", NAME], check=True)


@pytest.fixture
def listener(space: str) -> Iterator[tuple[int, int]]:
    """(pid, port) of a program that listens inside."""
    child = subprocess.Popen(
        ["ip", "netns", "exec", space, sys.executable, "-c", LISTEN_IN_NETNS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdin is not None
    yield child.pid, int(child.stdout.readline())
    child.stdin.close()
    child.wait(5)
    child.stdout.close()


def listening_ports(diag_fd: int) -> dict[int, int]:
    """port → backlog limit of the TCP listeners that a sock_diag descriptor shows."""
    sock = socket.socket(fileno=os.dup(diag_fd))
    found = {}
    with sock:
        sock.settimeout(5)
        for family in (socket.AF_INET, socket.AF_INET6):
            request = struct.pack("=BBBBI48s", family, socket.IPPROTO_TCP, 0, 0, 1 << 10, b"")
            sock.send(struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0) + request)
            more = True
            while more:
                raw = sock.recv(65536)
                while raw:
                    length, kind = struct.unpack_from("=IH", raw)
                    if kind != 20:
                        assert kind == 3, "the kernel refused the dump"
                        more = False
                        break
                    port = struct.unpack_from(">H", raw, 20)[0]
                    found[port] = struct.unpack_from("=I", raw, 16 + 60)[0]
                    raw = raw[(length + 3) & ~3 :]
    return found


@needs_root
def test_listener_is_seen_only_inside_its_namespace(listener: tuple[int, int]) -> None:
    pid, port = listener
    inside = Path(f"/proc/{pid}/ns/net").stat().st_ino
    found = netns.resolve([NAME])
    assert list(found) == [inside]
    fds = netns.open_fds(inside, found[inside])
    here = netns.open_fds(netns.own_inode(), netns.OWN_PATH)
    try:
        assert listening_ports(fds.diag_fd) == {port: 7}
        assert port not in listening_ports(here.diag_fd)
        counters = hostnet.read(fds).host
        assert counters.tcp_inuse == 1
        assert counters.curr_estab == 0
        assert Path("/proc/self/ns/net").stat().st_ino == netns.own_inode() != inside
    finally:
        for f in (fds, here):
            hostnet.close_counters(f)
            os.close(f.diag_fd)


@needs_root
def test_descriptors_stay_readable_after_the_namespace_lost_its_name(space: str) -> None:
    ((inode, path),) = netns.resolve([space]).items()
    fds = netns.open_fds(inode, path)
    assert hostnet.read(fds) == hostnet.read(fds)
    assert hostnet.read(fds).host.tcp_inuse == 0
    hostnet.close_counters(fds)
    os.close(fds.diag_fd)


@needs_root
def test_all_finds_named_and_unnamed_namespaces(space: str) -> None:
    child = subprocess.Popen(["unshare", "--net", "sleep", "20"])
    try:
        own = netns.own_inode()
        for _ in range(500):
            unnamed = Path(f"/proc/{child.pid}/ns/net").stat().st_ino
            if unnamed != own:
                break
            time.sleep(0.01)
        assert unnamed != own
        procs = Procs()
        procs.scan()
        for table in (procs, Procs(), None):
            found = netns.resolve(["all"], table)
            assert next(iter(found)) == own
            assert found[unnamed] == f"/proc/{child.pid}/ns/net"
            assert f"/run/netns/{space}" in found.values()
            assert set(found) == netns.visible(table)
        assert netns.resolve([str(child.pid), str(child.pid)]) == {
            unnamed: f"/proc/{child.pid}/ns/net"
        }
    finally:
        child.kill()
        child.wait()
    with pytest.raises(NettopError, match="has ended"):
        netns.open_fds(unnamed, f"/proc/{child.pid}/ns/net")


@needs_root
def test_entering_without_privilege_says_what_is_needed(space: str) -> None:
    script = f"""
import os, sys
sys.path[:0] = {[str(Path(p).absolute()) for p in sys.path if p]!r}
from nettop.errors import NettopError
from nettop.sources import netns
((inode, path),) = netns.resolve([{space!r}]).items()
os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
try:
    netns.open_fds(inode, path)
except NettopError as e:
    print(e)
own = netns.open_fds(netns.own_inode(), netns.OWN_PATH)
print(own.diag_fd >= 0, own.snmp_fd >= 0)
try:
    netns.resolve(["1"])
except NettopError as e:
    print(e)
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    lines = out.stdout.splitlines()
    assert len(lines) == 3, out.stderr
    assert "needs CAP_SYS_ADMIN" in lines[0]
    assert lines[1] == "True True"
    assert "CAP_SYS_PTRACE" in lines[2]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("no-such-namespace", "no network namespace is called no-such-namespace"),
        ("evil\x1b[2J", r"evil\?\[2J"),
        ("999999999", "there is no process 999999999"),
        ("٣", "no network namespace"),
        ("", "no network namespace"),
    ],
)
def test_unknown_namespaces_are_errors_in_one_line(spec: str, text: str) -> None:
    with pytest.raises(NettopError, match=text) as caught:
        netns.resolve([spec])
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_no_spec_is_the_own_namespace() -> None:
    assert netns.resolve([]) == {netns.own_inode(): netns.OWN_PATH}


def test_mounts_and_processes_are_put_together() -> None:
    mounts = parse_mountinfo(
        b"1 2 0:4 net:[111] /var/run/netns/blue rw - nsfs nsfs rw\n"
        b"1 2 0:4 net:[111] /mnt/other rw - nsfs nsfs rw\n"
        b"1 2 0:4 net:[222] /somewhere/else rw - nsfs nsfs rw\n"
        b"1 2 0:4 mnt:[333] /run/netns/not-net rw - nsfs nsfs rw\n"
        b"1 2 0:4 net:[444] /run/netns/fake rw - tmpfs tmpfs rw\n"
    )
    own, *others = netns.enumerate_all({555: 12, 111: 13}, mounts)
    assert own.inode == netns.own_inode()
    assert others == [
        netns.Namespace(111, "/var/run/netns/blue", "blue"),
        netns.Namespace(222, "/somewhere/else", None),
        netns.Namespace(555, "/proc/12/ns/net", None),
    ]


def test_opening_many_times_leaks_no_descriptor() -> None:
    gc.collect()  # what tests before this one left to be collected
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        fds = netns.open_fds(netns.own_inode(), netns.OWN_PATH)
        hostnet.close_counters(fds)
        os.close(fds.diag_fd)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
