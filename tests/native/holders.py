"""A program that holds sockets in unusual places, one way by name; it prints what it did."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYS_EXIT = 60 if platform.machine() == "x86_64" else 93
SYS_IO_URING_SETUP, SYS_IO_URING_REGISTER = 425, 427
ROOT = Path(__file__).resolve().parents[2]
IORING_REGISTER_FILES = 2
CLONE_FILES = 0x400
NO_IO_URING = "no io_uring: "

libc = ctypes.CDLL(None, use_errno=True)


def _listener() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.set_inheritable(True)
    return sock


def tell(sock: socket.socket, fd: int, *, close: bool = False) -> None:
    told = os.fstat(sock.fileno()).st_ino, fd, sock.getsockname()[1]
    if close:
        sock.close()
    print(*told, flush=True)


def sleep() -> None:
    time.sleep(30)


def ring_of(files: list[int]) -> int:
    """An io_uring instance with these files registered."""
    fd: int = libc.syscall(SYS_IO_URING_SETUP, 4, ctypes.create_string_buffer(120))
    if fd < 0:
        print(NO_IO_URING + os.strerror(ctypes.get_errno()), flush=True)
        sys.exit()
    table = (ctypes.c_int * len(files))(*files)
    if libc.syscall(SYS_IO_URING_REGISTER, fd, IORING_REGISTER_FILES, table, len(files)) < 0:
        raise OSError(ctypes.get_errno(), "io_uring_register")
    return fd


def first_thread_ended() -> None:
    sock = _listener()
    threading.Thread(target=sleep).start()
    tell(sock, sock.fileno())
    libc.syscall(SYS_EXIT, 0)


def own_table() -> None:
    def run() -> None:
        libc.unshare(CLONE_FILES)
        sock = _listener()
        tell(sock, sock.fileno())
        sleep()

    threading.Thread(target=run).start()
    sleep()


def registered() -> None:
    sock = _listener()
    ring = ring_of([-1, sock.fileno(), 0])
    tell(sock, ring, close=True)
    sleep()


def registered_in_own_table() -> None:
    def run() -> None:
        libc.unshare(CLONE_FILES)
        registered()

    threading.Thread(target=run).start()
    sleep()


def in_flight() -> None:
    here, there = socket.socketpair()
    sock = _listener()
    socket.send_fds(here, [b"x"], [sock.fileno()])
    tell(sock, -1, close=True)
    sys.stdin.readline()
    _, (fd,), _, _ = socket.recv_fds(there, 1, 1)
    print(fd, flush=True)
    sleep()


def late() -> None:
    """Everything comes after the process was first looked at."""
    sys.stdin.readline()
    own_table()


def many_threads() -> None:
    for _ in range(50):
        threading.Thread(target=sleep).start()
    own_table()


WAYS: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        first_thread_ended, own_table, registered, registered_in_own_table, in_flight, late,
        many_threads,
    )
}  # fmt: skip


@dataclass
class Holder:
    """A running one, and what it said of its socket."""

    process: subprocess.Popen[str]
    inode: int = 0
    fd: int = 0
    port: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def read(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.startswith(NO_IO_URING):
            raise NoIoUringError(line.strip())
        self.inode, self.fd, self.port = (int(word) for word in line.split())

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


class NoIoUringError(Exception):
    """The kernel refuses io_uring."""


@contextmanager
def holding(way: str, *, name: str | None = None) -> Iterator[Holder]:
    """Runs one; name: what the process is called."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.native.holders", way, name or ""],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    holder = Holder(process)
    try:
        if way != "late":
            holder.read()
        yield holder
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    if sys.argv[2]:
        libc.prctl(15, sys.argv[2].encode(), 0, 0, 0)  # PR_SET_NAME
    WAYS[sys.argv[1]]()
