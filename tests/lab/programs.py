"""Real programs with a known fault, each in namespaces of its own, and what nettop says of them.

  python -m tests.lab.programs [-o FOLDER] [NAME …]

Root; nginx, PostgreSQL, PgBouncer, redis, iperf3, wrk, iproute2, cgroup v1 for CPU quotas. A fault
starts its programs; then `nettop why` looks at the namespaces of both hosts for some seconds, and
after it the live screen does. FOLDER gets the findings as NAME.txt and the screen as
NAME-120x40.svg (screenshots/programs).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.screenshots import plain
from tests.lab.servers import NGINX_CONF, postgres_bin

HERE, ROUTER, THERE = "nettop-here", "nettop-router", "nettop-there"
AT_HERE, AT_THERE = "10.73.1.1", "10.73.2.1"
WARM_S, LOOK_S = 6.0, 8
SIZE, KEYS = "120x40", "down,home,~1"  # of the screen: the first row is chosen
CGROUP = Path("/sys/fs/cgroup/cpu/nettop-programs")


class Bed:
    """Two hosts and a router between them."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.children: list[subprocess.Popen[bytes]] = []

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return done.stdout

    def make(self) -> None:
        for name in (HERE, ROUTER, THERE):
            self.run("ip", "netns", "add", name)
            self.run("ip", "-n", name, "link", "set", "lo", "up")
        for name, far, at, via in (
            (HERE, "to-here", AT_HERE, "10.73.1.2"), (THERE, "to-there", AT_THERE, "10.73.2.2"),
        ):  # fmt: skip
            self.run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", far,
                     "netns", ROUTER)  # fmt: skip
            self.run("ip", "-n", name, "addr", "add", f"{at}/24", "dev", "eth0")
            self.run("ip", "-n", ROUTER, "addr", "add", f"{via}/24", "dev", far)
            self.run("ip", "-n", name, "link", "set", "eth0", "up")
            self.run("ip", "-n", ROUTER, "link", "set", far, "up")
            self.run("ip", "-n", name, "route", "add", "default", "via", via)
        self.run("ip", "netns", "exec", ROUTER, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def spawn(self, where: str, *argv: str, user: str = "", cgroup: bool = False) -> int:
        """cgroup: in the one that gets a twentieth of a CPU."""
        as_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        # Before `ip netns exec`, which mounts another /sys.
        enter = f"echo $$ > {CGROUP}/tasks && exec " if cgroup else "exec "
        log = (self.scratch / "log").open("ab")
        child = subprocess.Popen(
            ["sh", "-c", enter + '"$@"', "sh", "ip", "netns", "exec", where, *as_user, *argv],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.scratch,
            start_new_session=True,
        )  # fmt: skip
        log.close()
        self.children.append(child)
        return child.pid

    def program(self, where: str, text: str, *, cgroup: bool = False, name: str = "app") -> None:
        """A small program in Python, of this name."""
        file = self.scratch / f"{name}.py"
        file.write_text(f"import ctypes; ctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\n{text}")
        self.spawn(where, sys.executable, str(file), cgroup=cgroup)

    def shape(self, where: str, device: str, rate: str) -> None:
        self.run("tc", "-n", where, "qdisc", "add", "dev", device, "root", "tbf", "rate", rate,
                 "burst", "16k", "limit", "500k")  # fmt: skip

    def close(self) -> None:
        for child in reversed(self.children):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(child.pid, number)
                    child.wait(3)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
                break
        for name in (HERE, ROUTER, THERE):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        if CGROUP.exists():
            for pid in (CGROUP / "tasks").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.5)
            CGROUP.rmdir()


@contextmanager
def bed() -> Iterator[Bed]:
    if there := [name for name in (HERE, ROUTER, THERE) if Path("/run/netns", name).exists()]:
        raise SystemExit(f"there already: {', '.join(there)}; by another run, or ip netns del NAME")
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # PostgreSQL runs as its own user
        made = Bed(Path(scratch))
        try:
            made.make()
            yield made
        finally:
            made.close()


FAULTS: dict[str, Callable[[Bed], None]] = {}


def fault(start: Callable[[Bed], None]) -> Callable[[Bed], None]:
    FAULTS[start.__name__] = start
    return start


SERVE = """
import select, socket, sys, time
def serve(port, work):
    ls = socket.create_server(("0.0.0.0", port), backlog=512)
    poll, of = select.epoll(), {}
    poll.register(ls, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == ls.fileno():
                c, _ = ls.accept(); of[c.fileno()] = c; poll.register(c, select.EPOLLIN); continue
            got = of[fd].recv(4096)
            if not got:
                poll.unregister(fd); of.pop(fd).close(); continue
            work(got)
            of[fd].send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
"""
ASK = """
import socket, threading, time
def ask(host, port, gap):
    s = socket.create_connection((host, port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        s.sendall(b"q" * 100); s.recv(4096); time.sleep(gap)
def many(host, port, n, gap):
    for _ in range(n):
        threading.Thread(target=ask, args=(host, port, gap)).start()
"""


@fault
def nginx_slow_upstream(on: Bed) -> None:
    """The upstream handles one request at a time, 200 ms each: its program reads late."""
    conf = NGINX_CONF.format(dir=on.scratch, address=AT_HERE, port=8080).replace(
        "limit_rate 200k;",
        f"location / {{ proxy_pass http://{AT_THERE}:8000; proxy_http_version 1.1; }}",
    )
    (on.scratch / "nginx.conf").write_text(conf)
    on.program(THERE, f"{SERVE}\nserve(8000, lambda got: time.sleep(0.2))", name="upstream")
    time.sleep(0.5)
    on.spawn(HERE, "nginx", "-p", str(on.scratch), "-c", str(on.scratch / "nginx.conf"),
             "-e", str(on.scratch / "error.log"))  # fmt: skip
    time.sleep(0.5)
    on.spawn(HERE, "wrk", "-t1", "-c8", "-d60s", f"http://{AT_HERE}:8080/")


def _postgres(on: Bed, *, cgroup: bool = False) -> str:
    data = on.scratch / "data"
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    subprocess.run(["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups",
                    str(postgres_bin("initdb")), "-D", str(data), "-A", "trust", "-E", "UTF8"],
                   check=True, capture_output=True, cwd=on.scratch)  # fmt: skip
    with (data / "pg_hba.conf").open("a") as file:
        file.write("host all all 10.0.0.0/8 trust\n")
    on.spawn(THERE, str(postgres_bin("postgres")), "-D", str(data), "-k", str(data),
             "-c", f"listen_addresses={AT_THERE}", user="postgres", cgroup=cgroup)  # fmt: skip
    ask = f"{shutil.which('psql')} -h {AT_THERE} -U postgres postgres"
    for _ in range(100):
        done = subprocess.run(["ip", "netns", "exec", HERE, *ask.split(), "-c", "select 1"],
                              check=False, capture_output=True)  # fmt: skip
        if not done.returncode:
            break
        time.sleep(0.1)
    on.run("ip", "netns", "exec", HERE, str(postgres_bin("pgbench")), "-h", AT_THERE,
           "-U", "postgres", "-iq", "postgres")  # fmt: skip
    return ask


@fault
def postgres_locked_row(on: Bed) -> None:
    """Each waits for a lock inside PostgreSQL: requests were read, no socket and no path is ill."""
    ask = _postgres(on)
    on.spawn(HERE, "sh", "-c", "(echo 'begin; update pgbench_branches set bbalance = 0;'; sleep 60)"
             f" | {ask}")  # fmt: skip
    time.sleep(0.5)
    on.spawn(HERE, str(postgres_bin("pgbench")), "-h", AT_THERE, "-U", "postgres", "-c8", "-T60",
             "-n", "postgres")  # fmt: skip


@fault
def postgres_small_pool(on: Bed) -> None:
    """PgBouncer, with two connections for 20 clients, has read what waits: no socket is ill."""
    _postgres(on)
    (on.scratch / "pool.ini").write_text(
        f"[databases]\npostgres = host={AT_THERE} port=5432 user=postgres\n"
        f"[pgbouncer]\nlisten_addr = {AT_THERE}\nlisten_port = 6432\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
    )
    (on.scratch / "ask.sql").write_text("select pg_sleep(0.1);\n")
    on.spawn(THERE, str(shutil.which("pgbouncer")), str(on.scratch / "pool.ini"), user="postgres")
    time.sleep(1.0)
    on.spawn(HERE, str(postgres_bin("pgbench")), "-h", AT_THERE, "-p", "6432", "-U", "postgres",
             "-c20", "-T60", "-n", "-f", str(on.scratch / "ask.sql"), "postgres")  # fmt: skip


def _a_twentieth() -> None:
    CGROUP.mkdir(exist_ok=True)
    (CGROUP / "cpu.cfs_period_us").write_text("100000")
    (CGROUP / "cpu.cfs_quota_us").write_text("5000")


@fault
def postgres_without_cpu(on: Bed) -> None:
    """PostgreSQL's cgroup gives all its workers a twentieth of a CPU."""
    _a_twentieth()
    (CGROUP / "cpu.cfs_quota_us").write_text("-1")
    _postgres(on, cgroup=True)
    _a_twentieth()
    on.spawn(HERE, str(postgres_bin("pgbench")), "-h", AT_THERE, "-U", "postgres", "-c8", "-T60",
             "-S", "-n", "postgres")  # fmt: skip


@fault
def redis_keys(on: Bed) -> None:
    """KEYS * of 600,000 keys: redis's one thread serves nobody else meanwhile."""
    on.spawn(THERE, "redis-server", "--bind", AT_THERE, "--protected-mode", "no", "--save", "",
             "--daemonize", "no")  # fmt: skip
    time.sleep(0.5)
    redis = ("redis-cli", "-h", AT_THERE)
    on.run("ip", "netns", "exec", HERE, *redis, "eval",
           "for i=1,600000 do redis.call('set','key:'..i,i) end", "0")  # fmt: skip
    on.spawn(HERE, "sh", "-c", f"while :; do redis-cli -h {AT_THERE} keys '*' >/dev/null; "
             "sleep 0.3; done")  # fmt: skip
    on.program(HERE, f"{ASK}\nmany('{AT_THERE}', 6379, 40, 0.2)".replace(
        'b"q" * 100', 'b"GET key:7\\r\\n"'), name="clients")  # fmt: skip


@fault
def epoll_without_cpu(on: Bed) -> None:
    """A server with one thread, whose cgroup gives it a twentieth of a CPU."""
    _a_twentieth()
    work = "lambda got: sum(range(20000))"
    on.program(THERE, f"{SERVE}\nserve(8000, {work})", cgroup=True, name="server")
    time.sleep(1.0)
    on.program(HERE, f"{ASK}\nmany('{AT_THERE}', 8000, 20, 0.1)", name="clients")


def _iperf(on: Bed) -> None:
    on.spawn(THERE, "iperf3", "-s", "-B", AT_THERE)
    on.program(THERE, f"{SERVE}\nserve(8000, lambda got: None)", name="server")
    time.sleep(0.5)
    on.program(HERE, f"{ASK}\nmany('{AT_THERE}', 8000, 2, 0.05)", name="clients")
    time.sleep(2.0)
    on.spawn(HERE, "iperf3", "-c", AT_THERE, "-t60", "-C", "cubic")


@fault
def iperf3_own_queue(on: Bed) -> None:
    """A transfer fills the queue of its own device: others that send by it wait there as well."""
    on.shape(HERE, "eth0", "10mbit")
    _iperf(on)


@fault
def iperf3_remote_queue(on: Bed) -> None:
    """The same queue, at the router: this end has no queue, the path is long."""
    on.shape(ROUTER, "to-there", "10mbit")
    _iperf(on)


def findings(report: str) -> str:
    """Without the numbers of the host, which are this machine's."""
    if report.startswith("nothing"):
        return report.partition(":")[0]
    _, _, rest = report.partition("\n\n")
    for title in ("Numbers of the host", "Not known", "nettop itself"):
        rest = rest.partition(f"\n\n{title}")[0]
    return rest.rstrip()


def looked_at() -> list[str]:
    return ["-N", HERE, "-N", THERE]


def asked_why() -> str:
    """Prints all that nettop says of it; returns the findings."""
    nettop = os.environ.get("NETTOP", str(Path(sys.executable).parent / "nettop"))
    done = subprocess.run(
        [nettop, "why", "--for", f"{LOOK_S}s", *looked_at()],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    print(done.stdout, done.stderr, flush=True)
    return findings(done.stdout)


def screen(on: Bed) -> str:
    """The live screen after some seconds, the worst socket chosen."""
    picture = on.scratch / "screen.svg"
    argv = [sys.executable, "-m", "tests.lab.shoot", str(picture), SIZE, str(LOOK_S), KEYS]
    # A home of its own: no filter that somebody used before.
    done = subprocess.run(
        ["env", f"HOME={on.scratch}", "SSH_CONNECTION=", *argv, *looked_at()],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"no screen: {done.stderr[-2000:]}")
    return plain(picture.read_text())


def main() -> None:
    about = argparse.ArgumentParser(description=__doc__)
    about.add_argument("-o", "--out", type=Path)
    about.add_argument("names", nargs="*", default=[*FAULTS])
    asked = about.parse_args()
    for name in asked.names:
        print(f"=== {name}: {FAULTS[name].__doc__}\n")
        with bed() as on:
            FAULTS[name](on)
            time.sleep(WARM_S)
            said = asked_why()
            if asked.out:
                asked.out.mkdir(parents=True, exist_ok=True)
                (asked.out / f"{name}-{SIZE}.svg").write_text(screen(on))
                (asked.out / f"{name}.txt").write_text(f"{FAULTS[name].__doc__}\n\n{said}\n")


if __name__ == "__main__":
    main()
