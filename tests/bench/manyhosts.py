"""Many hosts of which some are ill: whether the ticks of the others stay on time; bytes of a host.

  python -m tests.bench.manyhosts ill      50 hosts: 10 dead; one each stopped, behind a slow line,
                                           sending garbage, with its clock a day ahead
  python -m tests.bench.manyhosts keys     how long a filter takes until rows of it are there
  python -m tests.bench.manyhosts bytes    one host of 1,000 and 10,000 sockets, top rows and all

Root, sshd, tc. Hosts are nettops on this machine, each a stream of its own. `ill` says for those
that are well how late their ticks came, against one interval after the one before: first while
none is stopped, then while one is. The slow line has 256 kbit/s and a queue of at most 100 ms, by
tbf between two network namespaces, and holds each chunk HELD_S in each direction besides, so that a
round trip takes 200 ms.
"""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from nettop.hosts.feed import HostsFeed, HostTick
from nettop.model.hosts import LIVE
from nettop.query.compile import compile_filter
from tests.bench.harness import load
from tests.bench.illhosts import GARBAGE, a_day_ahead
from tests.bench.manypeers import rss_mb

WELL, REFUSED, MUTE = 36, 5, 5
STREAM = [sys.executable, "-m", "nettop", "stream", "--control", "-d", "1", "--no-bpf"]
HELD_S = 0.1
DELAYED = [sys.executable, "-m", "tests.bench.delayed", str(HELD_S)]
FAR, NEAR, PORT = "10.99.0.2", "10.99.0.1", 7777
UP_S, LOOK_S = 90.0, 20.0
FILTERS = 20


@contextmanager
def slow_line() -> Iterator[list[str]]:
    """What carries a stream of a host at its far end."""
    near, far = f"ntb{os.getpid()}n", f"ntb{os.getpid()}f"
    steps = [
        f"ip netns add {near}", f"ip netns add {far}",
        f"ip link add name nta netns {near} type veth peer name ntb netns {far}",
        f"ip -n {near} addr add {NEAR}/24 dev nta", f"ip -n {far} addr add {FAR}/24 dev ntb",
        f"ip -n {near} link set nta up", f"ip -n {far} link set ntb up",
        f"tc -n {far} qdisc add dev ntb root tbf rate 256kbit burst 4k latency 100ms",
    ]  # fmt: skip
    server = None
    with TemporaryDirectory(prefix="nettop-bench-") as folder:
        Path("/run/sshd").mkdir(exist_ok=True)  # as its service makes it
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{key}"],
                           check=True)  # fmt: skip
        try:
            for step in steps:
                subprocess.run(step.split(), check=True)
            options = {
                "Port": PORT, "HostKey": f"{folder}/host", "StrictModes": "no", "UsePAM": "no",
                "PermitRootLogin": "yes", "AuthorizedKeysFile": f"{folder}/user.pub",
                "PidFile": "none",
            }  # fmt: skip
            words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
            enter = ["ip", "netns", "exec"]
            server = subprocess.Popen(
                [*enter, far, "/usr/sbin/sshd", "-D", "-f", "/dev/null", *words]
            )
            time.sleep(1)
            yield [
                *enter, near, "ssh", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                "-o", f"ProxyCommand={shlex.join([*DELAYED, '%h', '%p'])}",
                "-i", f"{folder}/user", "-p", str(PORT), FAR, shlex.join(STREAM),
            ]  # fmt: skip
        finally:
            if server is not None:
                server.terminate()
                server.wait()
            for name in (near, far):
                subprocess.run(["ip", "netns", "del", name], check=False)


class Arrivals:
    """When the ticks of each host came."""

    def __init__(self, feed: HostsFeed) -> None:
        self.at: dict[str, list[float]] = {}
        self._lock = threading.Lock()
        feed.on_tick = self._came

    def _came(self, tick: HostTick) -> None:
        with self._lock:
            self.at.setdefault(tick.name, []).append(time.monotonic())

    def late(self, names: list[str], since: float, until: float) -> tuple[list[float], int]:
        """Seconds beyond one interval, and how many ticks are missing."""
        out: list[float] = []
        missing = 0
        with self._lock:
            for name in names:
                came = [t for t in self.at.get(name, []) if since <= t <= until]
                out += [b - a - 1.0 for a, b in itertools.pairwise(came)]
                missing += max(0, int(until - since) - len(came))
        return out, missing


def said(what: str, late: list[float], missing: int) -> None:
    late.sort()
    at = [late[min(len(late) - 1, int(len(late) * q))] * 1e3 for q in (0.5, 0.99)]
    print(f"{what}: {len(late)} ticks, later than one interval by p50 {at[0]:.1f} ms, "
          f"p99 {at[1]:.1f} ms, at most {late[-1] * 1e3:.1f} ms; {missing} missing")  # fmt: skip


def ill() -> None:
    """Fifty hosts."""
    with slow_line() as over_slow_line:
        hosts = {f"well-{n}": STREAM for n in range(WELL)}
        hosts |= {"stopped": STREAM, "slow": over_slow_line}
        hosts |= {"garbage": GARBAGE, "day": a_day_ahead(STREAM)}
        hosts |= {f"refused-{n}": ["false"] for n in range(REFUSED)}
        hosts |= {f"mute-{n}": ["sleep", "1000"] for n in range(MUTE)}
        feed = HostsFeed(hosts, delay_s=1.0, top=500)
        arrivals = Arrivals(feed)
        well = [name for name in hosts if name.startswith("well")]
        answer = [*well, "stopped", "slow", "day"]
        feed.begin()
        try:
            end = time.monotonic() + UP_S
            while time.monotonic() < end and len(arrivals.at) < len(answer):
                time.sleep(0.2)
            up = [h.name for h in feed.hosts() if h.state == LIVE]
            print(f"{len(hosts)} hosts, {len(up)} live")
            time.sleep(5)
            begin = time.monotonic()
            time.sleep(LOOK_S)
            said("before", *arrivals.late(well, begin, time.monotonic()))
            child = feed._links[list(hosts).index("stopped")]._child
            assert child is not None
            os.killpg(child.pid, signal.SIGSTOP)
            begin, cpu_s = time.monotonic(), time.process_time()
            asked_s: list[float] = []
            while time.monotonic() < begin + LOOK_S:
                at = time.monotonic()
                feed.latest()
                feed.window(0, 50)
                asked_s.append(time.monotonic() - at)
                time.sleep(0.2)
            until = time.monotonic()
            share = (time.process_time() - cpu_s) / (until - begin)
            print(f"this end: {share:.1%} of a core, {rss_mb(os.getpid()):.0f} MB; "
                  f"a screen of rows after {median(asked_s) * 1e3:.1f} ms, at most "
                  f"{max(asked_s) * 1e3:.0f}")  # fmt: skip
            said("one is stopped", *arrivals.late(well, begin, until))
            said("behind the slow line", *arrivals.late(["slow"], begin, until))
            for host in feed.hosts():
                if not host.name.startswith("well"):
                    rate = "–" if host.bytes_per_s is None else f"{host.bytes_per_s / 1e3:.1f} KB/s"
                    lag = "–" if host.lag_s is None else f"{host.lag_s * 1e3:.0f} ms"
                    off = host.clock_offset_ns
                    clock = "–" if off is None else f"{off / 1e9:.3f} s"
                    print(f"  {host.name}: {host.state} {host.reason or ''} {rate} lag {lag} "
                          f"clock {clock}")  # fmt: skip
            os.killpg(child.pid, signal.SIGCONT)
        finally:
            feed.close()


def keys() -> None:
    """From the key that ends a filter to the tick whose rows it chose, less the wait for a tick."""
    with slow_line() as over_slow_line:
        for name, argv in (("at hand", STREAM), ("behind the slow line", over_slow_line)):
            feed = HostsFeed({"host": argv}, delay_s=1.0, top=500)
            wanted, came = [""], threading.Event()

            def took(tick: HostTick, wanted: list[str] = wanted, came: Any = came) -> None:
                chosen = tick.sample.facts.chosen
                if chosen is not None and chosen.filter_text == wanted[0]:
                    came.set()

            feed.on_tick = took
            took_s: list[float] = []
            feed.begin()
            try:
                feed.wait(lambda feed=feed: feed.answered, time.monotonic() + UP_S)  # type: ignore[misc]
                time.sleep(3)
                for n in range(FILTERS):
                    time.sleep(0.1 + n / FILTERS)  # at any time between two ticks
                    came.clear()
                    wanted[0] = f"port = :{7000 + n}"
                    begin = time.monotonic()
                    feed.set_filter(compile_filter(wanted[0], feed.names))
                    took_s.append((time.monotonic() - begin) if came.wait(20) else 20.0)
            finally:
                feed.close()
            low, middle, high = (f(took_s) * 1e3 for f in (min, median, max))
            print(f"{name}: a filter is there after {middle:.0f} ms ({low:.0f} to {high:.0f})")


def bytes_of_a_host() -> None:
    """Over 20 s, without the first tick, which is whole."""
    for sockets in (1000, 10_000):
        with load(sockets, active=100) as there:
            space = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net"
            stream = ["nsenter", f"--net={space}", *STREAM]
            for top in (500, None):
                feed = HostsFeed({"host": stream}, delay_s=1.0, top=top)
                arrivals = Arrivals(feed)
                feed.begin()
                link = feed._links[0]
                rates: list[float] = []
                end = time.monotonic() + 30
                while len(arrivals.at.get("host", [])) < 20 and time.monotonic() < end:
                    time.sleep(0.5)
                    rate = link.state.bytes_per_s
                    if rate is not None and len(arrivals.at.get("host", [])) > 12:
                        rates.append(rate)
                feed.close()
                rows = f"top {top}" if top else "all"
                low, middle, high = (f(rates) / 1e3 for f in (min, median, max))
                print(f"{there} sockets, {rows} rows: {middle:.1f} KB/s ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    {"ill": ill, "keys": keys, "bytes": bytes_of_a_host}[sys.argv[1]]()
