"""A line that takes time: standard input goes to HOST PORT, and back, each chunk held so long.

  python -m tests.bench.delayed SECONDS HOST PORT

For ssh -o ProxyCommand, where the kernel has no netem. Each chunk is held by itself, so that what
follows closely is not held twice; no more than MOST_BYTES are on their way in one direction.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from queue import Queue

CHUNK, MOST_BYTES = 1 << 14, 1 << 20


def carry(source: int, target: int, held_s: float, close: socket.socket | None) -> None:
    """Until the end of the source has been passed on."""
    way: Queue[tuple[float, bytes]] = Queue(MOST_BYTES // CHUNK)

    def take() -> None:
        data = b"-"
        while data:
            data = os.read(source, CHUNK)
            way.put((time.monotonic() + held_s, data))

    threading.Thread(target=take, daemon=True).start()
    while True:
        at_s, data = way.get()
        time.sleep(max(0.0, at_s - time.monotonic()))
        if not data:
            break
        while data:
            data = data[os.write(target, data) :]
    if close is not None:
        close.shutdown(socket.SHUT_WR)


def main(held_s: float, host: str, port: int) -> None:
    with socket.create_connection((host, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there = threading.Thread(target=carry, args=(0, sock.fileno(), held_s, sock), daemon=True)
        there.start()
        carry(sock.fileno(), 1, held_s, None)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
