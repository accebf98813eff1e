"""What a host says beside its sockets, against other readers of the same and known answers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.evidence import Mover
from nettop.model.types import Verdict
from nettop.poller import LiveFeed
from nettop.sources import hostcpu, hostnet, links, netns
from nettop.sources.evidence import HostEvidence
from nettop.sources.threads import CpuCgroups, Threads
from nettop.text.words import who_text
from tests.integration.namespaces import inside, needs_root, run
from tests.integration.sends import feed_of

pytestmark = needs_root
NOBODY = 65534
BUSY = "import time\nwhile True: sum(range(1000))"


@contextlib.contextmanager
def files_of(name: str) -> Iterator[tuple[int, Any]]:
    path = f"/run/netns/{name}"
    inode = Path(path).stat().st_ino
    fds = netns.open_fds(inode, path)
    os.close(fds.diag_fd)
    try:
        yield inode, fds
    finally:
        hostnet.close_counters(fds)


def in_space(name: str, *argv: str) -> str:
    return run("ip", "netns", "exec", name, *argv)


def test_counters_are_those_of_nstat(space: str) -> None:
    """After a refused connection, a datagram for nobody, and a listener that is full."""

    def cause() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
            port = server.getsockname()[1]
            clients = [socket.socket() for _ in range(4)]
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port))
            time.sleep(0.05)
            for client in clients:
                client.close()
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"x", (host, port))

    inside(space, cause)
    with files_of(space) as (_, fds):
        got = hostnet.read(fds).evidence
        told = in_space(space, "nstat", "-asz")
        again = hostnet.read(fds).evidence
    nstat = {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)", told, re.MULTILINE)}
    known = set(got) & set(nstat)
    assert len(known) > 60
    assert [n for n in known if not got[n] <= nstat[n] <= again[n]] == []
    assert got["TcpExtListenOverflows"] >= 1
    assert (got["UdpNoPorts"], got["Udp6NoPorts"], got["TcpAttemptFails"]) == (1, 1, 1)


def test_a_full_queue_is_seen_as_tc_and_ip_see_it(veth: tuple[str, str]) -> None:
    near, _ = veth
    tc = ("tc", "qdisc")
    in_space(near, *tc, "add", "dev", "v0", "root", "handle", "7:", "tbf", "rate", "80kbit",
             "burst", "2k", "limit", "10k")  # fmt: skip
    try:
        with files_of(near) as (_, fds):
            asked = links.Links()
            before, _left = asked.devices(fds.route_fd)

            def fill() -> None:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    for _ in range(30):
                        with contextlib.suppress(OSError):  # ENOBUFS: it is full
                            sock.sendto(bytes(1000), ("10.9.0.2", 9))

            inside(near, fill)
            qdiscs, left = asked.qdiscs(fds.route_fd)
            told = in_space(near, "tc", "-s", "qdisc", "show", "dev", "v0")
            assert left == 0
            (tbf,) = (q for q in qdiscs.values() if q.kind == "tbf")
            assert (tbf.handle, tbf.parent) == ("7:", "root")
            drops, overlimits = re.search(r"dropped (\d+), overlimits (\d+)", told).groups()  # type: ignore[union-attr]
            assert tbf.numbers["drops"] == int(drops) >= 15
            assert 0 < tbf.numbers["overlimits"] <= int(overlimits)
            # 10 KB take a second to leave.
            assert 4 <= tbf.numbers["backlog_packets"] <= 10
            assert 4000 <= tbf.numbers["backlog_bytes"] <= 10240
            devices, _left = asked.devices(fds.route_fd)
            told = in_space(near, "ip", "-s", "-s", "link", "show", "dev", "v0")
            (v0,) = (d for d in devices.values() if d.name == "v0")
            sent, packets, _, dropped = re.search(  # type: ignore[union-attr]
                r"TX: .*\n\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", told).groups()  # fmt: skip
            assert v0.numbers.get("tx_dropped", 0) == int(dropped)
            assert v0.numbers["tx_bytes"] <= int(sent)
            assert v0.numbers["tx_packets"] <= int(packets)
            (was,) = (d for d in before.values() if d.name == "v0")
            run("ip", "-n", near, "link", "set", "v0", "down")
            (down,) = (d for d in asked.devices(fds.route_fd)[0].values() if d.name == "v0")
            assert down.numbers["carrier_changes"] > was.numbers["carrier_changes"]
            assert not down.numbers["flags"] & 1
            assert v0.numbers["mtu_bytes"] == 1500
    finally:
        in_space(near, *tc, "del", "dev", "v0", "root")
        run("ip", "-n", near, "link", "set", "v0", "up")


def test_more_devices_than_are_kept_are_counted(
    veth: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "ROOM", 1)
    monkeypatch.setattr(links, "MOST", 2)
    with files_of(veth[0]) as (_, fds):
        few = links.Links()
        devices, left = few.devices(fds.route_fd)
        count = len(in_space(veth[0], "ip", "-o", "link").splitlines())
        assert count >= 2
        assert (len(devices), left) == (2, count - 2)
        monkeypatch.setattr(links, "MOST", 1)
        devices, left = links.Links().devices(fds.route_fd)
        assert (len(devices), left) == (1, count - 1)


def test_softnet_and_pressure_are_those_of_proc() -> None:
    got = HostEvidence().read({}, 1, {}, ())
    raw = Path("/proc/net/softnet_stat").read_text().split("\n")[:-1]
    squeezed = sum(int(line.split()[2], 16) for line in raw)
    assert 0 <= squeezed - sum(c.get("time_squeeze", 0) for c in got.softnet.values()) <= 100
    if not Path("/proc/pressure/cpu").exists():
        assert got.reasons["pressure"] == hostcpu.NO_PRESSURE
        return
    for name in ("cpu", "memory", "io"):
        match = re.search(r"some .*total=(\d+)", Path(f"/proc/pressure/{name}").read_text())
        assert match is not None
        assert got.pressure[name]["some_us"] <= int(match[1])


@contextlib.contextmanager
def child(*argv: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen([sys.executable, "-c", *argv], **more)
    try:
        yield made
    finally:
        made.send_signal(signal.SIGCONT)
        made.kill()
        made.wait(10)


def test_a_starved_thread_waits_and_a_stopped_one_is_known() -> None:
    """Two that want one CPU, one of them at the lowest priority."""
    cpu = min(os.sched_getaffinity(0))
    pinned: dict[str, Any] = {"preexec_fn": lambda: os.sched_setaffinity(0, {cpu})}
    with (
        child(BUSY, **pinned) as greedy,
        child(f"import os; os.nice(19)\n{BUSY}", **pinned) as poor,
    ):
        time.sleep(0.3)
        threads = Threads()
        path = Path(f"/proc/{poor.pid}/schedstat")

        def waited_ns() -> int:
            return int(path.read_text().split()[1])

        least = waited_ns()
        threads.read([poor.pid, greedy.pid])
        begun, before = time.monotonic_ns(), waited_ns()
        time.sleep(2)
        after = waited_ns()
        got = threads.read([poor.pid, greedy.pid])
        most = waited_ns()
        wall_ns = time.monotonic_ns() - begun
        p = got[poor.pid]
        assert p.states == {"R": 1}
        assert p.run_delay_ns is not None
        assert p.cpu_ns is not None
        assert p.longest_run_delay_ns == p.run_delay_ns
        # The kernel's own file of the only thread, read just before and just after each.
        assert after - before <= p.run_delay_ns <= most - least
        # A wait counts once it is over; two tasks of these weights wait some 0.2 s at a time.
        assert p.run_delay_ns > 0.3 * wall_ns
        assert p.cpu_ns < 0.3 * wall_ns
        poor.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, poor.pid, os.WSTOPPED)
        assert threads.read([poor.pid])[poor.pid].states == {"T": 1}


def test_anybody_may_read_the_threads_of_another_user() -> None:
    """So that nothing of it is lost when privileges are given up."""
    code = (
        "import os, sys\n"
        "from nettop.sources.threads import Threads\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "t = Threads(); t.read([int(sys.argv[1])]); got = t.read([int(sys.argv[1])])\n"
        "print(t.reason, got[int(sys.argv[1])].read, got[int(sys.argv[1])].run_delay_ns)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(os.getpid())], capture_output=True,
                          text=True, timeout=30, check=True)  # fmt: skip
    reason, read, delay = done.stdout.split()
    assert reason == "None"
    assert int(read) >= 1
    assert int(delay) >= 0


@contextlib.contextmanager
def limited(pid: int, quota_us: int) -> Iterator[Path]:
    """A cgroup with this quota per 20 ms that holds the process; its directory."""
    of = CpuCgroups()
    if of.root is None:
        pytest.skip("no cgroups")
    directory = Path(of.root, f"nettop-test-{os.getpid()}")
    if of._v1 is None:
        control = Path(of.root, "cgroup.subtree_control")
        if "cpu" not in control.read_text().split():
            pytest.skip("no cpu controller")
    directory.mkdir()
    try:
        if of._v1 is None:
            (directory / "cpu.max").write_text(f"{quota_us} 20000")
        else:
            (directory / "cpu.cfs_period_us").write_text("20000")
            (directory / "cpu.cfs_quota_us").write_text(str(quota_us))
        (directory / "cgroup.procs").write_text(str(pid))
        yield directory
    finally:
        with contextlib.suppress(OSError):
            Path(of.root, "cgroup.procs").write_text(str(pid))
        directory.rmdir()


def test_a_quota_that_is_used_up() -> None:
    with child(BUSY) as hungry, limited(hungry.pid, 2000) as directory:
        threads, mover = Threads(), Mover()
        made = HostEvidence()
        made._threads = threads
        got = mover.tick(made.read({}, 1, {}, [hungry.pid]))
        end = time.monotonic() + 20  # a source that took long rests for more than a second
        while "cgroups" not in got.moved.since_s and time.monotonic() < end:
            time.sleep(1)
            got = mover.tick(made.read({}, 2, {}, [hungry.pid]))
        stat = dict(line.split() for line in (directory / "cpu.stat").read_text().splitlines())
    path = f"/{directory.name}"
    now, up = got.now.cgroups[path], got.moved.cgroups[path]
    assert got.now.processes[hungry.pid].cgroup == path
    assert (now["quota_us"], now["period_us"]) == (2000, 20000)
    assert 0 <= int(stat["nr_throttled"]) - now["nr_throttled"] <= 5
    # A tenth of a CPU: stopped for most of every period until the second read.
    seconds = got.moved.since_s["cgroups"]
    assert 20 * seconds <= up["nr_throttled"] <= 50 * seconds + 5
    assert 0.5e6 < up["throttled_us"] / seconds < 1.0e6
    process = got.now.processes[hungry.pid]
    assert process.cpu_ns is not None
    assert process.over_ns is not None
    assert process.cpu_ns < 0.3 * process.over_ns
    assert process.run_delay_ns is not None
    # What the quota takes counts as waiting too.
    assert process.run_delay_ns > 0.5 * process.over_ns


def test_who_holds_a_sick_socket_is_looked_at(space: str, feed: LiveFeed) -> None:
    """And nobody while all are well."""
    server = inside(space, lambda: socket.create_server(("127.0.0.1", 0)))
    client = inside(space, lambda: socket.create_connection(server.getsockname()))
    served = server.accept()[0]
    with server, client, served:
        feed.tick()
        model = feed.tick()
        assert model.evidence.now.processes == {}
        assert "processes" not in model.evidence.now.read_ns
        client.sendall(b"nobody reads this")
        end = time.monotonic() + 20
        while not model.evidence.now.processes and time.monotonic() < end:
            time.sleep(0.5)
            model = feed.tick()
        assert list(model.evidence.now.processes) == [os.getpid()]
        inode = Path(f"/run/netns/{space}").stat().st_ino
        assert model.evidence.now.devices[inode][1].name == "lo"
        assert model.evidence.now.counters[inode]["TcpRetransSegs"] == 0


READER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sock = server.accept()[0]
while sock.recv(65536):
    exec(sys.argv[1])
"""


@contextlib.contextmanager
def reading(space: str, handler: str) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """A program that reads from a socket, and the other end of it."""
    argv = ["ip", "netns", "exec", space, sys.executable, "-c", READER, handler]
    made = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert made.stdout is not None
    try:
        port = int(made.stdout.readline())
        with inside(space, lambda: socket.create_connection(("127.0.0.1", port))) as sock:
            yield made, sock
    finally:
        made.kill()
        made.wait(10)
        made.stdout.close()


def blamed(space: str, sock: socket.socket, seconds: float) -> list[str]:
    """WHO of the receiving end in each tick with its verdict, while 100 messages a second come."""
    port = sock.getpeername()[1]
    said: list[str] = []
    with feed_of(space) as feed:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(50):
                sock.sendall(b"x" * 100)
                time.sleep(0.01)
            feed.tick()
            rows = (r for r in feed.window(0, 100) if (r.rec.sport, r.rec.state) == (port, 1))
            late = (Verdict.READS, Verdict.UNREAD)
            said += [(who_text(row) or "") if row.holds(*late) else "" for row in rows]
    return said


def test_a_quota_is_blamed_for_what_is_read_late(space: str) -> None:
    """The handler takes 2 ms of CPU for each of 100 messages a second, its cgroup a tenth of it."""
    spin = "t = time.thread_time()\nwhile time.thread_time() - t < 0.002: pass"
    with reading(space, spin) as (program, sock), limited(program.pid, 2000):
        said = blamed(space, sock, 9)
    assert said[-4:] == ["cpu"] * 4, said


def test_a_program_that_sleeps_is_blamed_itself(space: str) -> None:
    with reading(space, "time.sleep(0.1)") as (_, sock):
        said = blamed(space, sock, 5)
    assert said[-3:] == ["app"] * 3, said
    assert "cpu" not in said
