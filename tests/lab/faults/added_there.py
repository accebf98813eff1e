"""Faults of the network, and of both sides at once."""

from __future__ import annotations

import contextlib
import mmap
import socket
import threading
import time

from tests.lab.faults import work
from tests.lab.faults.bed import TB, VB, Bed
from tests.lab.faults.path import LOST, MARKED, THINNED
from tests.lab.faults.registry import Steps, client, scenario, server
from tests.lab.faults.truth import Sockets, View


@scenario("net", "answers over 1,200 bytes vanish on their way to the client (MTU black hole)",
          server(42120, "net", "server", "rto", "loss"),
          client(42120, "net", "client", also=("peer",), blank_ok=True))  # fmt: skip
def mtu_hole_to_client(bed: Bed) -> Steps:
    bed.spawn("B", work.answer, 42120, size=5000)
    bed.spawn("A", work.ask, VB, 42120, 0.05, size=5000)
    yield
    bed.run(
        "M",
        *[
            "iptables",
            "-A",
            "FORWARD",
            "-d",
            "10.42.1.1",
            "-m",
            "length",
            "--length",
            "1200:65535",
            "-j",
            "DROP",
        ],
    )
    yield
    bed.iptables("M", "-F FORWARD")


@scenario("net", "a queue on the way marks 30 % of the packets (ECN), none is lost; bulk, 20 ms",
          client(42121, "net", "sender"),
          server(42121, "none", "receiver"))  # fmt: skip
def ecn_marks(bed: Bed) -> Steps:
    path = bed.path(0.01)
    for name in "AB":
        bed.run(name, "sysctl", "-qw", "net.ipv4.tcp_ecn=1")
    bed.spawn("B", work.drain, 42121)
    bed.spawn("A", work.pour, TB, 42121, 20_000, 0.02)
    yield
    path.set(MARKED, 0.3)
    yield
    path.set(MARKED, 0.0)


@scenario("healthy", "a modem thins ACKs: up to three in a row give way to a newer one; 4 Mbit/s",
          client(42122, "none", "sender"), server(42122, "none", "receiver"))  # fmt: skip
def ack_thinning(bed: Bed) -> Steps:
    path = bed.path(0.01)
    bed.spawn("B", work.drain, 42122)
    bed.spawn("A", work.pour, TB, 42122, 10_000, 0.02)
    yield
    path.set(THINNED, 1.0)
    yield
    path.set(THINNED, 0.0)


def proxy(F: mmap.mmap, port: int, onward: int) -> None:
    """Passes on what comes, a connection onward for each."""

    def one(c: socket.socket) -> None:
        with work.connected("127.0.0.1", onward, sndbuf=65536) as out:
            while data := c.recv(16384):
                out.sendall(data)

    work.each(work.listener(port), one)


@scenario("peer", "a proxy between a lossy path (2 %) and a server that reads late",
          server(42124, "app", "server behind the proxy", "reads_late", "unread"),
          client(42124, "peer", "proxy, onward", "peer_window", end="B"),
          server(42123, "peer", "proxy, front", "reads_late", "unread"),
          client(42123, "peer", "sender", "peer_window", also=("net",)))  # fmt: skip
def proxy_between(bed: Bed) -> Steps:
    path = bed.path(0.005)
    bed.spawn("B", work.drain, 42124, read=16384, sleep_s=0.15)
    bed.spawn("B", proxy, 42123, 42124)
    time.sleep(0.2)
    bed.spawn("A", work.pour, TB, 42123, 10_000, 0.02)
    yield
    path.set(LOST, 0.02)
    yield
    path.set(LOST, 0.0)


def resolver(F: mmap.mmap, address: str, port: int) -> None:
    """A query every 200 ms, each from a socket that waits a second for the answer."""

    def one() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            s.connect((address, port))
            s.send(b"q" * 40)
            try:
                s.recv(512)
            except OSError:
                return

    while not F[1]:
        threading.Thread(target=one, daemon=True).start()
        time.sleep(0.2)


def name_server(F: mmap.mmap, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("0.0.0.0", port))
        while True:
            query, who = s.recvfrom(512)
            if not F[0]:
                s.sendto(query, who)


@scenario("peer", "DNS over UDP: queries are read, none is answered; no end can know",
          View("A", "resolver", "peer", Sockets((42125, 42125), proto="udp", side="remote"),
               also=("net",), blank_ok=True),
          View("B", "server", "app", Sockets((42125, 42125), proto="udp", side="local"),
               blank_ok=True))  # fmt: skip
def dns_without_answer(bed: Bed) -> Steps:
    bed.spawn("B", name_server, 42125)
    bed.spawn("A", resolver, VB, 42125)
    yield


BACKENDS = tuple(f"10.42.2.{last}" for last in range(11, 18))
GRAY = BACKENDS[4]  # the one that becomes slow


def backends(F: mmap.mmap, port: int) -> None:
    """A server at each address; under fault one of them thinks 25 ms before each answer."""

    def serve(address: str) -> None:
        def one(c: socket.socket) -> None:
            while True:
                work.exactly(c, 100)
                if F[0] and address == GRAY:
                    time.sleep(0.025)
                c.sendall(b"a" * 200)

        work.each(work.listener(port, address), one)

    for address in BACKENDS:
        threading.Thread(target=serve, args=(address,), daemon=True).start()
    while not F[1]:
        time.sleep(0.1)


def balancer(F: mmap.mmap, port: int) -> None:
    """Asks each of them, one connection to each."""

    def one(address: str) -> None:
        s = work.connected(address, port)
        with contextlib.suppress(EOFError, OSError):
            while not F[1]:
                s.sendall(b"q" * 100)
                work.exactly(s, 200)
                time.sleep(0.04)

    threads = [threading.Thread(target=one, args=(a,), daemon=True) for a in BACKENDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@scenario("peer", "one of seven backends at a port thinks 25 ms; its client can only suppose so",
          client(8126, "peer", "clients of all", blank_ok=True),
          server(8126, "none", "servers"), hold=10, tail=2)  # fmt: skip
def gray_backend(bed: Bed) -> Steps:
    for address in BACKENDS:
        bed.ip("B", f"addr add {address}/24 dev vB")
    bed.spawn("B", backends, 8126)
    bed.spawn("A", balancer, 8126)
    yield
