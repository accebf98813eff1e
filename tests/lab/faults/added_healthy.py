"""What looks ill and is not."""

from __future__ import annotations

import mmap
import socket
import struct
import time

from tests.lab.faults import work
from tests.lab.faults.bed import TB, VB, Bed
from tests.lab.faults.registry import Steps, client, healthy, scenario, server
from tests.lab.faults.truth import Sockets, View


@scenario("healthy", "the reader asks to be woken for 50 KB at once (SO_RCVLOWAT)",
          *healthy(42130))  # fmt: skip
def receive_low_water(bed: Bed) -> Steps:
    bed.spawn("B", work.drain, 42130, lowat=50_000)
    bed.spawn("A", work.pour, VB, 42130, 5_000, 0.05)
    yield


@scenario("healthy", "long poll: 20 clients, each answered after 6 s", *healthy(42131), hold=20)
def long_poll_many(bed: Bed) -> Steps:
    bed.spawn("B", work.answer, 42131, think_s=6.0)
    bed.spawn("A", work.ask, VB, 42131, 0.05, connections=20)
    yield


def record_reader(F: mmap.mmap, port: int) -> None:
    """Reads a head of 5 bytes, then as much as it says."""

    def one(c: socket.socket) -> None:
        while True:
            (size,) = struct.unpack("!3xH", work.exactly(c, 5))
            work.exactly(c, size)

    work.each(work.listener(port), one)


def record_writer(F: mmap.mmap, address: str, port: int) -> None:
    s = work.connected(address, port)
    record = struct.pack("!3xH", 16384) + b"x" * 16384
    while not F[1]:
        for _ in range(4):
            s.sendall(record)
        time.sleep(0.03)


@scenario("healthy", "records of 16 KB, each read as a head and the rest, as TLS libraries do",
          *healthy(42132))  # fmt: skip
def records(bed: Bed) -> Steps:
    bed.spawn("B", record_reader, 42132)
    time.sleep(0.2)
    bed.spawn("A", record_writer, VB, 42132)
    yield


def half_closer(F: mmap.mmap, address: str, port: int) -> None:
    """Sends its request, closes its half, takes the answer for a long time."""
    s = work.connected(address, port)
    s.sendall(b"q" * 100)
    s.shutdown(socket.SHUT_WR)
    while s.recv(65536):
        pass


def slow_answer(F: mmap.mmap, port: int) -> None:
    def one(c: socket.socket) -> None:
        work.exactly(c, 100)
        while not F[1]:
            c.sendall(b"a" * 10_000)
            time.sleep(0.1)

    work.each(work.listener(port), one)


@scenario("healthy", "half closed: the client asked and closed its half, the answer takes a minute",
          client(42133, "none", "client", state="FIN_WAIT2"),
          server(42133, "none", "server", state="CLOSE_WAIT"),
          warm=1, hold=68, before=58)  # fmt: skip
def half_closed(bed: Bed) -> Steps:
    bed.spawn("B", slow_answer, 42133)
    time.sleep(0.2)
    bed.spawn("A", half_closer, VB, 42133)
    yield


@scenario("healthy", "200 KB at once, twice a second, read at once", *healthy(42134))
def bursts(bed: Bed) -> Steps:
    bed.spawn("B", work.drain, 42134)
    bed.spawn("A", work.pour, VB, 42134, 200_000, 0.5)
    yield


@scenario("healthy", "bursts of 100 KB a second on a 30 ms path, read at once", *healthy(42135))
def bursts_far(bed: Bed) -> Steps:
    bed.path(0.015)
    bed.spawn("B", work.drain, 42135)
    bed.spawn("A", work.pour, TB, 42135, 100_000, 1.0)
    yield


@scenario("healthy", "RPC over MPTCP",
          View("A", "client", "none", Sockets((42136, 42136), proto="mptcp", side="remote")),
          View("B", "server", "none", Sockets((42136, 42136), proto="mptcp", side="local")),
          client(42136, "none", "client's subflow"),
          server(42136, "none", "server's subflow"))  # fmt: skip
def mptcp(bed: Bed) -> Steps:
    bed.spawn("B", work.answer, 42136, protocol=work.IPPROTO_MPTCP)
    bed.spawn("A", work.ask, VB, 42136, 0.02, protocol=work.IPPROTO_MPTCP)
    yield


@scenario("healthy", "a reader that sleeps 5 ms between batches, 1,000 messages a second",
          *healthy(42137))  # fmt: skip
def batches(bed: Bed) -> Steps:
    bed.spawn("B", work.drain, 42137, sleep_s=0.005)
    bed.spawn("A", work.pour, VB, 42137, 100, 0.001)
    yield
