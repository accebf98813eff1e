"""Far ends for probes: reflect itself, an echo that misbehaves, a service."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from nettop.probe.connect import resolve
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
