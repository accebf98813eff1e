"""Whether nettop's memory, descriptors and CPU stay flat on a machine whose sockets come and go.

  python -m tests.bench.soak [MINUTES]

Runs by itself (60 minutes, or as many as are named): the live screen beside 10,000 connections and
20 a second that open, exchange a line and close. A line every five minutes; the first is of a
look-back that is not full yet.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

import psutil

from tests.bench.harness import load
from tests.bench.terminal import Terminal

SOCKETS, CHURN_PER_S, EVERY_S = 10_000, 20, 300


def churn(ends: threading.Event) -> None:
    """Connections of a moment to a service that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        while not ends.wait(1 / CHURN_PER_S):
            with socket.create_connection(server.getsockname()) as near:
                far, _ = server.accept()
                with far:
                    near.sendall(b"x" * 100)
                    far.sendall(far.recv(100))
                    near.recv(100)


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    ends = threading.Event()
    with (
        load(SOCKETS, seconds=minutes * 60 + 60),
        Terminal([sys.executable, "-m", "nettop"]) as nettop,
    ):
        threading.Thread(target=churn, args=(ends,), daemon=True).start()
        process = psutil.Process(nettop.pid)
        begin, cpu = time.monotonic(), sum(process.cpu_times()[:2])
        print("min   RSS MB  descriptors  threads  CPU %", flush=True)
        for n in range(1, minutes * 60 // EVERY_S + 1):
            nettop.run(begin + n * EVERY_S - time.monotonic())
            nettop.output.clear()
            now = sum(process.cpu_times()[:2])
            print(
                f"{n * EVERY_S // 60:3}  {process.memory_info().rss / 1e6:7.1f}"
                f"  {process.num_fds():11}  {process.num_threads():7}"
                f"  {100 * (now - cpu) / EVERY_S:5.1f}",
                flush=True,
            )
            cpu = now
        ends.set()


if __name__ == "__main__":
    main()
