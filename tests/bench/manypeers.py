"""nettop serve on a host of 50,000 sockets with 10,000 peers: series, scrapes, CPU, memory.

  python -m tests.bench.manypeers [SECONDS [WORDS of nettop serve ...]]

Root. In a network namespace of its own: a server takes 25,000 connections of one program, from
10,000 addresses, each of a network of its own as nettop groups peers; ACTIVE of them ask and are
answered in a second, others each time (NETTOP_ACTIVE: so many), and CHURN connections a second come
and go. First the CPU of nettop for HALF_S without a scraper, then for as long with one that asks as
Prometheus does each EVERY_S, and so on until SECONDS are over. No scrape may have more series than
--series-max, and memory is to stay as it is.
"""

from __future__ import annotations

import ctypes
import gzip
import os
import re
import select
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.bench.harness import CLONE_NEWNET

CONNECTIONS, PEERS, CHURN = 25_000, 10_000, 50
ACTIVE = int(os.environ.get("NETTOP_ACTIVE", "6250"))  # a quarter
SERVER = ("10.0.0.1", 7000)
HALF_S, EVERY_S, SETTLE_S = 45.0, 15.0, 15.0
SERIES_MAX = 10_000
WORDS = ["--by", "process,service,peer", "--top", "100000", "--series-max", str(SERIES_MAX)]
ADDRESS = "127.0.0.1:9478"
ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3"
PAIRS = 2  # of processes: a limit of descriptors may be 20,000
_CHUNK = 4096


def serve() -> None:
    """Answers 100 bytes with 1,000."""
    listener = socket.create_server(SERVER, backlog=4096, reuse_port=True)
    listener.setblocking(False)
    ready = select.epoll()
    ready.register(listener, select.EPOLLIN)
    peers: dict[int, socket.socket] = {}
    print("up", flush=True)
    while True:
        for fd, _ in ready.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                peers[sock.fileno()] = sock
                ready.register(sock, select.EPOLLIN)
            elif peers[fd].recv(_CHUNK):
                peers[fd].send(bytes(1000))
            else:
                ready.unregister(fd)
                peers.pop(fd).close()


def _connected(n: int) -> socket.socket:
    peer = n % PEERS
    source = f"10.{1 + peer // 250}.{peer % 250}.1"
    return socket.create_connection(SERVER, source_address=(source, 0))


def ask(part: int) -> None:
    held = [_connected(n) for n in range(part, CONNECTIONS, PAIRS)]
    print("up", flush=True)
    at = 0
    while True:
        next_s = time.monotonic() + 1.0
        asked = [held[(at + i * 7) % len(held)] for i in range(ACTIVE // PAIRS)]
        at += 1
        for sock in asked:
            sock.send(bytes(100))
        for sock in asked:
            sock.recv(_CHUNK)
        for n in range(CHURN // PAIRS):
            with _connected(at * CHURN + n * PAIRS + part) as sock:
                sock.send(bytes(100))
                sock.recv(_CHUNK)
        time.sleep(max(0.0, next_s - time.monotonic()))


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def scrape() -> tuple[float, int, bytes]:
    """Seconds, bytes as sent, the text."""
    headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
    begin = time.perf_counter()
    asked = urllib.request.Request(f"http://{ADDRESS}/metrics", headers=headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        raw: bytes = answer.read()
    return time.perf_counter() - begin, len(raw), gzip.decompress(raw)


def answers() -> bool:
    """Its first tick is over."""
    try:
        scrape()
    except urllib.error.URLError:
        return False
    return True


def series_of(text: bytes) -> int:
    return sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))


def said(text: bytes, name: str) -> int:
    """A metric without labels."""
    found = re.search(rf"^{name} (\S+)$".encode(), text, re.MULTILINE)
    return round(float(found[1])) if found else -1


def scraped(began_s: float, most: int) -> bool:
    """Prints a scrape; whether it kept to the limit."""
    took_s, sent, text = scrape()
    series = series_of(text)
    print(f"  {time.monotonic() - began_s:6.0f} s: {series} series in {len(text) / 1e3:.0f} KB,"
          f" {sent / 1e3:.0f} KB sent, in {took_s * 1e3:.0f} ms;"
          f" {said(text, 'nettop_groups')} groups,"
          f" {said(text, 'nettop_groups_folded')} folded;"
          f" {said(text, 'nettop_ticks_total')} ticks,"
          f" {said(text, 'nettop_ticks_missed_total')} missed", flush=True)  # fmt: skip
    return series <= most


def measured(nettop: subprocess.Popen[bytes], seconds: float, most: int) -> None:
    while not answers():
        time.sleep(1)
    time.sleep(SETTLE_S)
    began_s = time.monotonic()
    over = 0
    before = cpu_s(nettop.pid)
    time.sleep(HALF_S)
    print(f"without a scraper: {100 * (cpu_s(nettop.pid) - before) / HALF_S:.1f} % of a core, "
          f"{rss_mb(nettop.pid):.1f} MB", flush=True)  # fmt: skip
    while time.monotonic() - began_s < max(seconds, 2 * HALF_S):
        before, half_s = cpu_s(nettop.pid), time.monotonic()
        while time.monotonic() < half_s + HALF_S - 1:
            over += not scraped(began_s, most)
            time.sleep(EVERY_S)
        share = 100 * (cpu_s(nettop.pid) - before) / (time.monotonic() - half_s)
        print(f"a scrape each {EVERY_S:.0f} s: {share:.1f} % of a core, "
              f"{rss_mb(nettop.pid):.1f} MB", flush=True)  # fmt: skip
    print(f"scrapes of more than {most} series: {over}")


def main(seconds: float, words: Sequence[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    for line in ("link set lo up", "route add local 10.0.0.0/8 dev lo"):
        subprocess.run(["ip", *line.split()], check=True)
    most = int(words[words.index("--series-max") + 1]) if "--series-max" in words else SERIES_MAX
    started: list[subprocess.Popen[bytes]] = []
    try:
        parts = [["--server"]] * PAIRS + [["--clients", str(n)] for n in range(PAIRS)]
        for part in parts:
            argv = [sys.executable, "-m", "tests.bench.manypeers", *part]
            started.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
            out = started[-1].stdout
            assert out is not None
            if not out.readline():
                raise RuntimeError("the load did not come up")
        nettop = subprocess.Popen([sys.executable, "-m", "nettop", "serve", ADDRESS, *words])
        started.append(nettop)
        measured(nettop, seconds, most)
    finally:
        for process in reversed(started):
            process.kill() if process.stdout else process.terminate()
            process.wait(30)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--server"]:
        serve()
    elif sys.argv[1:2] == ["--clients"]:
        ask(int(sys.argv[2]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0, sys.argv[2:] or WORDS)
