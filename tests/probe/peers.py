"""Far ends for probes: reflect itself, an echo that misbehaves, a service."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nettop.probe.connect import resolve
from nettop.probe.legs import PARTS
from nettop.probe.opening import AnyProber, open_prober
from nettop.probe.options import parse_probe

NETTOP = (sys.executable, "-m", "nettop")


@contextlib.contextmanager
def reflector(
    *words: str, netns: str | None = None
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A running `nettop reflect`, and where it says that it is bound."""
    inside = ("ip", "netns", "exec", netns) if netns else ()
    process = subprocess.Popen(
        [*inside, *NETTOP, "reflect", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        yield process, re.findall(r"(?:tcp|udp) (\S+?)[,;]", first)
    finally:
        process.terminate()
        process.wait(timeout=5)
        assert process.stdout is not None
        process.stdout.close()


@contextlib.contextmanager
def reporting() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running UDP reflector that reports as JSON five times a second, and its port."""
    port = free_port()
    process = subprocess.Popen(
        [*NETTOP, "reflect", "udp", f"127.0.0.1:{port}", "--json", "-d", "0.2"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: queued_bytes(port) is not None)
        yield process, port
    finally:
        process.kill()
        process.communicate()


def reports(process: subprocess.Popen[str], messages: int) -> list[dict[str, Any]]:
    """Those that tell of anything, until so many messages are in them."""
    found: list[dict[str, Any]] = []
    assert process.stdout is not None
    while sum(said["rx_wait"]["count"] for said in found) < messages:
        said = json.loads(process.stdout.readline())["protos"]["udp"]
        if said["rx_wait"]["count"]:
            found.append(said)
    return found


def queued_bytes(port: int) -> int | None:
    """What waits in the UDP socket of that port of 127.0.0.1; None: nobody has it."""
    return _queue("udp", port, "07")


def queued_connections(port: int) -> int | None:
    """What waits to be accepted there; None: nobody listens."""
    return _queue("tcp", port, "0A")


def _queue(proto: str, port: int, state: str) -> int | None:
    for line in Path(f"/proc/net/{proto}").read_text().splitlines()[1:]:
        words = line.split()
        if (words[1], words[3]) == (f"0100007F:{port:04X}", state):
            return int(words[4].partition(":")[2], 16)
    return None


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Returns when it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def unexplained(legs: Mapping[str, Any]) -> tuple[int, int]:
    """By how much all round trips are longer than their parts together, and the most that answers
    whose own departure was never told can account for."""
    known = [legs[leg.value]["sum_ns"] for leg in PARTS if leg.value in legs]
    untold = legs["round"]["count"] - legs.get("net_back", {"count": 0})["count"]
    return legs["round"]["sum_ns"] - sum(known), untold * legs["round"]["max_ns"]


def free_port() -> int:
    """A port that nobody had a moment ago, of both protocols."""
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        return int(tcp.getsockname()[1])


def nettop(*words: str, netns: str | None = None, timeout: float = 20) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    inside = ("ip", "netns", "exec", netns) if netns else ()
    done = subprocess.run(
        [*inside, *NETTOP, *words], capture_output=True, text=True, timeout=timeout, check=False
    )
    return done.returncode, done.stdout, done.stderr


def probed(*words: str) -> AnyProber:
    """A whole run of a prober in this process."""
    options = parse_probe(words, {})
    prober = open_prober(options, resolve(options.host, options.port, options.proto, 0))
    try:
        prober.run(lambda _point: None)
    finally:
        prober.close()
    return prober


Answers = Callable[[int, bytes], Sequence[bytes]]


@contextlib.contextmanager
def udp_peer(answers: Answers) -> Iterator[int]:
    """Sends back what answers(number, datagram) says; gives its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        stop = threading.Event()

        def serve() -> None:
            number = 0
            while not stop.is_set():
                try:
                    data, address = sock.recvfrom(65536)
                except TimeoutError:
                    continue
                for answer in answers(number, data):
                    sock.sendto(answer, address)
                number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(sock.getsockname()[1])
        finally:
            stop.set()
            thread.join()
