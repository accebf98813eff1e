"""Network namespaces and sockets for tests; everything made here is removed again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TypeVar

import pytest

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
_numbers = count()

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making a network namespace needs root")


def run(*argv: str) -> str:
    """A command's output; its error text if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.strip()}"
    return done.stdout


@contextlib.contextmanager
def namespace() -> Iterator[str]:
    """A fresh named namespace with lo up."""
    name = f"nt{os.getpid()}-{next(_numbers)}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        run("ip", "netns", "del", name)


@contextlib.contextmanager
def pair() -> Iterator[tuple[str, str]]:
    """Two namespaces joined by veth: 10.9.0.1 / fd00::1 and 10.9.0.2 / fd00::2."""
    with namespace() as a, namespace() as b:
        run("ip", "-n", a, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", b)
        for name, last in ((a, "1"), (b, "2")):
            run("ip", "-n", name, "addr", "add", f"10.9.0.{last}/24", "dev", "v0")
            run("ip", "-n", name, "addr", "add", f"fd00::{last}/64", "dev", "v0", "nodad")
            run("ip", "-n", name, "link", "set", "v0", "up")
        _introduce(a, b)
        yield a, b


def _introduce(a: str, b: str) -> None:
    """Neighbours are found before the first connection, whose first RTT would tell of that."""
    for host in ("10.9.0.2", "fd00::2"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        datagrams = partial(socket.socket, family, socket.SOCK_DGRAM)
        near, far = inside(a, datagrams), inside(b, datagrams)
        with near, far:
            far.bind((host, 0))
            far.settimeout(5)
            near.sendto(b"x", far.getsockname()[:2])
            far.recv(1)


def inside(name: str, work: Callable[[], T]) -> T:
    """Calls work in a thread that has entered the namespace; sockets it makes stay in there."""

    def enter() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            if libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {name}")
        finally:
            os.close(fd)
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(enter).result()
