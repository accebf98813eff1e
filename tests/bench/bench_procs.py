"""Cost of socket → process: first map, steady state, and under churn, as ratios of one run.

  python tests/bench/bench_procs.py [--sockets 20000] [--processes 250] [--fdscan PROGRAM]

PROGRAM is a plain scanner of /proc/*/fd in C that prints {"cpu_ms": …} for `-m link` and
`-m inc`. psutil is measured if it is installed. All load is made here and ends with it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from nettop.ffi import lib
from nettop.ffi.engine import Procs

ROUNDS = 7


def load(sockets: int, processes: int) -> list[int]:
    """Child processes that hold this many connected TCP sockets between them; their pids."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    big = 10
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, sockets // big + 100)), hard))
    ready_r, ready_w = os.pipe()
    pids = []
    for i in range(processes):
        pid = os.fork()
        if pid == 0:
            held = connected(sockets // big // 2 if i < big else 0)
            os.write(ready_w, b".")
            os.close(ready_r)
            time.sleep(600 if held else 0)
            os._exit(0)
        pids.append(pid)
    got = 0
    while got < processes:
        got += len(os.read(ready_r, 4096))
    os.close(ready_r)
    os.close(ready_w)
    return pids


def connected(pairs: int) -> list[socket.socket]:
    """Both ends of so many loopback connections; without any, two sockets for nothing."""
    if not pairs:
        return [socket.socket(), socket.socket()]
    held = []
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        for _ in range(pairs):
            client = socket.create_connection(server.getsockname())
            # No TIME_WAIT is left behind.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            held += [client, server.accept()[0]]
    return held


def cpu_ms(work: Callable[[], object]) -> float:
    begin = time.process_time_ns()
    work()
    return (time.process_time_ns() - begin) / 1e6


def yardstick(program: str | None, mode: str) -> float | None:
    if program is None:
        return None
    out = subprocess.run([program, "-r", "5", "-m", mode], capture_output=True, check=True)
    return float(json.loads(out.stdout)["cpu_ms"])


def show(what: str, ms: float, other: float | None, name: str) -> None:
    ratio = f"   {ms / other:6.3f} x {name} ({other:.3f} ms)" if other else ""
    print(f"{what:<34}{ms:9.3f} ms{ratio}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sockets", type=int, default=20000)
    parser.add_argument("--processes", type=int, default=250)
    parser.add_argument("--fdscan")
    args = parser.parse_args()
    pids = load(args.sockets, args.processes)
    try:
        measure(args.fdscan)
    finally:
        for pid in pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    return 0


def measure(fdscan: str | None) -> None:
    first, link, inc, steady = [], [], [], []
    for _ in range(ROUNDS):
        first.append(cpu_ms(lambda: Procs().scan()))
        if (ms := yardstick(fdscan, "link")) is not None:
            link.append(ms)
    procs = Procs()
    stats = procs.scan()
    print(f"{stats.processes} processes, {stats.sockets} socket descriptors")
    show("first map", statistics.median(first), statistics.median(link) if link else None, "fdscan")
    for _ in range(ROUNDS):
        steady += [cpu_ms(procs.scan) for _ in range(5)]
        if (ms := yardstick(fdscan, "inc")) is not None:
            inc.append(ms)
    show("steady state", statistics.median(steady), statistics.median(inc) if inc else None,
         "fdscan inc")  # fmt: skip
    cold = []
    for _ in range(ROUNDS):
        time.sleep(1)
        cold.append(cpu_ms(procs.scan))
    show("steady state, one scan a second", statistics.median(cold), None, "")
    churn(procs)
    try:
        import psutil
    except ImportError:
        return
    peer = statistics.median(cpu_ms(lambda: psutil.net_connections("tcp")) for _ in range(3))
    show("first map", statistics.median(first), peer, "psutil.net_connections")
    show("steady state", statistics.median(steady), peer, "psutil.net_connections")


def churn(procs: Procs) -> None:
    """This process holds 5000 sockets and replaces 50 of them between two scans."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    held = [socket.socket() for _ in range(5000)]
    for reports in (False, True):
        costs = []
        for turn in range(ROUNDS):
            old = [os.fstat(s.fileno()).st_ino for s in held[:50]]
            for s in held[:50]:
                s.close()
            # One more or less than before, so that the count shows the change.
            held = held[50:] + [socket.socket() for _ in range(50 + (1 if turn % 2 else -1))]
            if reports:
                for inode in old:
                    lib.nt_procs_gone(procs.handle, inode)
            costs.append(cpu_ms(procs.scan))
        how = "closes reported" if reports else "closes not reported"
        show(f"50 of 5000 replaced, {how}", statistics.median(costs), None, "")
    for s in held:
        s.close()


if __name__ == "__main__":
    sys.exit(main())
