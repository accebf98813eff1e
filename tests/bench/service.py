"""A load whose reader is late by a random, heavy-tailed time: request and answer on loopback.

python -m tests.bench.service MEDIAN_MS SECONDS [CONNECTIONS]: in a network namespace of its own,
port 7000. Each connection is asked some 20 times a second; its thread waits until the request is
readable, sleeps (log-normal, sigma 1: the 99th percentile is ten times the median) and reads it.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import subprocess
import sys
import threading
import time

PORT = 7000
SIGMA = 1.0
CLONE_NEWNET = 0x40000000


def serve(conn: socket.socket, median_s: float, seed: int) -> None:
    """Answers until the peer closes."""
    chance = random.Random(seed)
    ready = select.poll()
    ready.register(conn, select.POLLIN)
    while True:
        ready.poll()
        time.sleep(median_s * chance.lognormvariate(0.0, SIGMA))
        if not conn.recv(4096):
            return
        conn.sendall(b"answer")


def ask(until: float, seed: int) -> None:
    """Requests with random pauses."""
    chance = random.Random(seed)
    # The service may be ended first.
    with socket.create_connection(("127.0.0.1", PORT)) as conn, contextlib.suppress(OSError):
        while time.monotonic() < until:
            conn.sendall(b"request")
            conn.recv(4096)
            time.sleep(chance.uniform(0.02, 0.07))


def main(median_ms: float, seconds: float, connections: int = 24) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    until = time.monotonic() + seconds
    with socket.create_server(("127.0.0.1", PORT), backlog=connections) as listener:
        if not os.fork():
            listener.close()
            askers = [threading.Thread(target=ask, args=(until, -n)) for n in range(connections)]
            for thread in askers:
                thread.start()
            for thread in askers:
                thread.join()
            os._exit(0)
        print("up", flush=True)
        for n in range(connections):
            conn, _ = listener.accept()
            threading.Thread(target=serve, args=(conn, median_ms / 1e3, n + 1)).start()
        os.wait()


if __name__ == "__main__":
    if os.environ.get("SERVICE_NAMESPACE") != "own":
        environ = {**os.environ, "SERVICE_NAMESPACE": "own"}
        os.execvpe("unshare", ["unshare", "-n", sys.executable, "-m", "tests.bench.service",
                               *sys.argv[1:]], environ)  # fmt: skip
    main(float(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:]))
