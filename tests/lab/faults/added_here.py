"""Faults of a program, or of its host."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.faults import work
from tests.lab.faults.bed import TB, VA6, VB, Bed
from tests.lab.faults.registry import Steps, client, scenario, server
from tests.lab.faults.truth import Sockets, View


@scenario("kern", "the table of connections (nf_conntrack) of the client's own host is full",
          client(42101, "kern", "connecting", state="SYN_SENT"),
          client(42102, "none", "connected before"))  # fmt: skip
def conntrack_full(bed: Bed) -> Steps:
    bed.run(
        "A", *["iptables", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"]
    )
    bed.spawn("B", work.answer, 42102)
    bed.spawn("A", work.ask, VB, 42102, 0.02, connections=2)
    bed.spawn("A", work.hold, VB, 42102, 60)
    bed.spawn("B", work.serve_brief, 42101)
    time.sleep(1)
    bed.spawn("A", work.brief, VB, 42101, 4)
    yield
    bed.host_sysctl("net.netfilter.nf_conntrack_max", "40")
    yield
    bed.undo.pop()()


def scan(F: mmap.mmap, net: str, per_s: int) -> None:
    """A datagram to ever another address of a link; each waits for an answer in a send buffer."""
    sockets = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(20)]
    for s in sockets:
        s.setblocking(False)
    n = 0
    while not F[1]:
        for _ in range(per_s // 20 if F[0] else 0):
            n = (n + 1) % 60_000
            with contextlib.suppress(OSError):
                sockets[n % 20].sendto(b"x", (f"{net}::{n + 4096:x}", 9))
        time.sleep(0.05)


def call_around(F: mmap.mmap, net: str, port: int, n: int) -> None:
    """Short connections to ever another of n hosts on the link."""

    def one(last: int) -> None:
        with contextlib.suppress(EOFError, OSError), work.tcp("::") as s:
            s.settimeout(8)
            s.connect((f"{net}::{last:x}", port))
            s.sendall(b"q" * 100)
            work.exactly(s, 200)

    i = 0
    while not F[1]:
        i += 1
        threading.Thread(target=one, args=(256 + i % n,), daemon=True).start()
        time.sleep(0.2)


@scenario("kern", "a scan fills the table of neighbours (IPv6) of this host; it calls 200 hosts",
          client(42103, "kern", "connecting", state="SYN_SENT"),
          hold=12)  # fmt: skip
def neighbours_full(bed: Bed) -> Steps:
    net = VA6.partition("::")[0]
    for last in range(256, 456):
        bed.ip("M", f"addr add {net}::{last:x}/64 dev mA nodad")
    bed.spawn("M", work.serve_brief, 42103, address="::")
    bed.spawn("A", call_around, net, 42103, 200)
    bed.spawn("A", scan, net, 3000)
    yield


def direct_writer(place: str) -> Callable[[bytes], object]:
    """Writes 64 KB to the disk itself, and waits for it."""
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    page = mmap.mmap(-1, 65536)
    return lambda _data: os.pwrite(fd, page, 0)


def disk_of(place: str) -> str:
    number = Path(place).stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


@scenario("app", "the reader writes what it reads to a slow disk (128 KB/s by its cgroup)",
          server(42104, "app", "reader", also=("kern",)),
          client(42104, "peer", "sender", "peer_window", blank_ok=True))  # fmt: skip
def slow_disk(bed: Bed) -> Steps:
    place = tempfile.mkdtemp(dir="/var/tmp")
    file = f"{place}/log"
    bed.undo.append(lambda: shutil.rmtree(place))
    group = bed.cgroup("blkio", blkio__throttle__write_bps_device=f"{disk_of(place)} 131072")
    bed.spawn("B", work.drain, 42104, read=4096, after=direct_writer(file), cgroup=group)
    bed.spawn("A", work.pour, VB, 42104, 20_000, 0.05)
    yield


def hoard(F: mmap.mmap, port: int) -> None:
    """Accepts, and reads nothing."""
    kept = []
    with work.listener(port) as server:
        while True:
            kept.append(server.accept()[0])


@scenario("kern", "the receiver's cgroup has 512 KB for the memory of TCP, which another program "
          "of it fills with what it does not read; bulk on a 20 ms path",
          server(42105, "kern", "receiver"),
          client(42105, "peer", "sender", also=("net",), blank_ok=True))  # fmt: skip
def tcp_memory_pressure(bed: Bed) -> Steps:
    bed.path(0.01)
    group = bed.cgroup("memory", memory__kmem__tcp__limit_in_bytes=str(512 << 10))
    bed.spawn("B", work.drain, 42105, cgroup=group)
    bed.spawn("B", hoard, 42199, cgroup=group)
    bed.spawn("A", work.pour, TB, 42105, 65536, 0.04)
    yield
    for _ in range(4):
        bed.spawn("A", work.pour, VB, 42199, 65536, 0)
    yield


@scenario("kern", "the reader's pages are thrown out for want of memory in its cgroup (24 MB)",
          server(42106, "app", "reader", also=("kern", "cpu")))  # fmt: skip
def memory_pressure(bed: Bed) -> Steps:
    place = tempfile.mkdtemp(dir="/var/tmp")
    file = Path(place) / "table"
    bed.undo.append(lambda: shutil.rmtree(place))
    size = 96 << 20
    with file.open("wb") as out:
        out.write(os.urandom(size))
        os.fsync(out.fileno())
        # Pages that are there are of another cgroup, and would stay.
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    group = bed.cgroup("memory", memory__limit_in_bytes=str(24 << 20))
    slow = bed.cgroup("blkio", blkio__throttle__read_bps_device=f"{disk_of(place)} 1048576")
    table = mmap.mmap(os.open(file, os.O_RDONLY), size, prot=mmap.PROT_READ)

    def look_up(data: bytes) -> None:
        """Rows all over the table."""
        at = int.from_bytes(os.urandom(4), "big")
        for n in range(16):
            table[(at + n * 7_654_321) % size]

    def reader(F: mmap.mmap) -> None:
        (Path(slow) / "cgroup.procs").write_text(str(os.getpid()))
        table.madvise(mmap.MADV_RANDOM)
        work.drain(F, 42106, after=look_up)

    bed.spawn("B", reader, cgroup=group)
    bed.spawn("A", work.pour, VB, 42106, 100, 0.01)
    yield


def long_firewall(bed: Bed, name: str, rules: int) -> None:
    """What each datagram that comes in is compared with."""
    lines = ["-A INPUT -p udp -m udp --sport 1 -j DROP"] * rules
    with tempfile.NamedTemporaryFile("w") as out:
        out.write("\n".join(["*filter", *lines, "COMMIT", ""]))
        out.flush()
        bed.run(name, "iptables-restore", out.name)


@scenario("kern", "a storm of packets: the reader's core takes them in for another program",
          server(42107, "cpu", "reader", also=("kern",)),
          client(42107, "net", "sender", also=("peer", "kern"), blank_ok=True),
          hold=10)  # fmt: skip
def softirq_storm(bed: Bed) -> Steps:
    long_firewall(bed, "B", 100)
    bed.run("B", "sh", "-c", "echo 2 > /sys/class/net/vB/queues/rx-0/rps_cpus")
    bed.spawn("B", work.drain, 42107, cpu=1)
    bed.spawn("A", work.pour, VB, 42107, 100, 0.01)
    bed.spawn("B", work.swallow, 42198, cpu=1)
    bed.spawn("A", work.flood, VB, 42198, 16, cpu=0)
    yield


@scenario("kern", "RPS gives all packets to one core, which takes in a flood",
          server(42108, "kern", "RPC server", also=("cpu",), blank_ok=True),
          client(42108, "net", "RPC client", also=("peer",), blank_ok=True), hold=10)  # fmt: skip
def rps_one_cpu(bed: Bed) -> Steps:
    long_firewall(bed, "B", 400)
    for name, device in (("B", "vB"), ("M", "mA")):
        bed.run(name, "sh", "-c", f"echo 2 > /sys/class/net/{device}/queues/rx-0/rps_cpus")
    bed.spawn("B", work.answer, 42108, cpu=0)
    bed.spawn("A", work.ask, VB, 42108, 0.01, cpu=0)
    bed.spawn("A", work.flood, VB, 9, 16)
    bed.spawn("A", work.flood, VB, 9, 1000)
    yield


@scenario("kern", "tcp_rmem of the receiver's namespace is 8 KB; bulk on a 50 ms path",
          server(42109, "kern", "receiver", also=("app",)),
          client(42109, "peer", "sender", "peer_window"), warm=1)  # fmt: skip
def tcp_rmem_tiny(bed: Bed) -> Steps:
    bed.path(0.025)
    bed.run("B", "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 8192 8192")
    bed.spawn("B", work.drain, 42109)
    yield
    bed.spawn("A", work.pour, TB, 42109, 65536, 0)
    yield


@scenario("app", "the server of an RPC is stopped (SIGSTOP); its clients wait for answers",
          server(42110, "app", "server"),
          client(42110, "peer", "clients", blank_ok=True))  # fmt: skip
def server_stopped(bed: Bed) -> Steps:
    pid = bed.spawn("B", work.answer, 42110)
    bed.spawn("A", work.ask, VB, 42110, 0.05, connections=5)
    yield
    bed.kill(pid, signal.SIGSTOP)
    yield
    bed.kill(pid, signal.SIGCONT)


def half_open(F: mmap.mmap, address: str, port: int) -> None:
    """SYNs whose answers are dropped."""
    while not F[1]:
        kept = []
        for source in range(42500, 42540) if F[0] else ():
            s = work.tcp()
            s.setblocking(False)
            s.bind(("0.0.0.0", source))
            s.connect_ex((address, port))
            kept.append(s)
        time.sleep(1)
        for s in kept:
            s.close()


@scenario("app", "the accept loop takes 400 ms a connection, and half-open ones come as well",
          View("B", "listener", "app", Sockets((42111, 42111), side="local", listening=True),
               ("accept",)))  # fmt: skip
def slow_accept_and_syns(bed: Bed) -> Steps:
    bed.iptables("A", "-A INPUT -p tcp --dport 42500:42539 -j DROP")
    bed.spawn("B", work.serve_brief, 42111, backlog=16, sleep_s=0.4)
    time.sleep(0.2)
    bed.spawn("A", work.brief, VB, 42111, 8)
    bed.spawn("A", half_open, VB, 42111)
    yield


def corked(F: mmap.mmap, address: str, port: int) -> None:
    """An RPC client that corks its requests under fault, and never uncorks them."""
    s = work.connected(address, port)
    while not F[1]:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(F[0]))
        s.sendall(b"q" * 100)
        work.exactly(s, 200)
        time.sleep(0.01)


@scenario("app", "the client leaves its socket corked: 200 ms a request",
          client(42112, "app", "client"),
          server(42112, "peer", "server", blank_ok=True))  # fmt: skip
def corked_requests(bed: Bed) -> Steps:
    bed.spawn("B", work.answer, 42112)
    bed.spawn("A", corked, VB, 42112)
    yield


@scenario("kern", "bulk fills this host's own egress queue (tbf, 8 Mbit/s, 120 KB) until it drops; "
          "an RPC goes by it too",
          client(42113, "kern", "bulk"),
          client(42114, "kern", "RPC client"),
          hold=15)  # fmt: skip
def own_queue_bulk(bed: Bed) -> Steps:
    tbf = "qdisc add dev vA root tbf rate 8mbit burst 10k limit 120k"
    bed.run("A", "tc", *tbf.split())
    bed.spawn("B", work.drain, 42113)
    bed.spawn("B", work.answer, 42114)
    bed.spawn("A", work.ask, VB, 42114, 0.05)
    yield
    bed.spawn("A", work.pour, VB, 42113, 65536, 0)
    yield


def look_first(F: mmap.mmap, port: int) -> None:
    """Reads each message 60 ms after it came: its kernel acknowledges it after 40 ms."""

    def one(c: socket.socket) -> None:
        while select.select([c], [], []):
            time.sleep(0.06)
            if not c.recv(4096):
                return

    work.each(work.listener(port), one)


@scenario("kern", "datagrams keep this host's own egress queue full (tbf, 8 Mbit/s, 30 KB) beside "
          "a thin stream whose messages are acknowledged 40 ms late",
          client(42116, "kern", "sender"),
          hold=15)  # fmt: skip
def own_queue_delayed_acks(bed: Bed) -> Steps:
    tbf = "qdisc add dev vA root tbf rate 8mbit burst 10k limit 30k"
    bed.run("A", "tc", *tbf.split())
    bed.spawn("B", look_first, 42116)
    bed.spawn("A", work.pour, VB, 42116, 100, 0.15)
    bed.spawn("A", work.flood, VB, 42199, 1000)
    yield
