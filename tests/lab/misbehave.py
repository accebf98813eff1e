"""Programs that do what nettop blames: `reader` never reads, `listener` never accepts.

  python -m tests.lab.misbehave reader|listener ADDRESS PORT
  python -m tests.lab.misbehave sender|callers ADDRESS PORT

`sender` writes to the reader for ever; `callers` fill the listener's queue.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from pathlib import Path

BACKLOG = 4  # the kernel lets one more wait


def reader(address: str, port: int) -> None:
    with socket.create_server((address, port)) as server:
        held, _ = server.accept()
        with held:
            time.sleep(3600)


def listener(address: str, port: int) -> None:
    with socket.create_server((address, port), backlog=BACKLOG):
        time.sleep(3600)


def sender(address: str, port: int) -> None:
    with socket.create_connection((address, port)) as connection:
        while True:
            connection.sendall(bytes(4096))
            time.sleep(0.01)


def callers(address: str, port: int) -> None:
    held = []
    for _ in range(BACKLOG + 1):
        caller = socket.socket()
        caller.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            caller.connect((address, port))
        held.append(caller)
        time.sleep(0.05)
    time.sleep(3600)


ROLES = {"reader": reader, "listener": listener, "sender": sender, "callers": callers}
NAMES = {"reader": "report-reader", "listener": "queue-worker", "sender": "report-sender",
         "callers": "job-submitter"}  # fmt: skip

if __name__ == "__main__":
    role, where, number = sys.argv[1:4]
    Path("/proc/self/comm").write_text(NAMES[role])
    ROLES[role](where, int(number))
