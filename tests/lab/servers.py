"""The programs of the session, each in its namespace with its files in one temporary directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests.lab import links

ROOT = Path(__file__).resolve().parents[2]
NGINX_PORT, POSTGRES_PORT, IPERF_PORT, READER_PORT, LISTENER_PORT = 8080, 5432, 5201, 9000, 9100
# limit_rate: traffic that does not take the whole CPU.
NGINX_CONF = """
user www-data;
worker_processes 2;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  keepalive_requests 100000;
  server {{
    listen {address}:{port};
    root {dir}/www;
    limit_rate 200k;
  }}
}}
"""


def postgres_bin(name: str) -> str | None:
    """A program of PostgreSQL's server, which Debian keeps out of PATH; the newest there is."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def missing() -> list[str]:
    """What the session needs and this machine lacks."""
    tools = ("nginx", "wrk", "iperf3", "ip", "tc", "iptables", "nsenter", "unshare", "mount")
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    return lacking + [tool for tool in ("initdb", "postgres", "pgbench") if not postgres_bin(tool)]


class Servers:
    """Starts everything; stop() ends it all."""

    def __init__(self, scratch: Path, seconds: int) -> None:
        self.scratch = scratch
        self.seconds = seconds
        self.children: list[subprocess.Popen[bytes]] = []
        self.log = (scratch / "log").open("wb")

    def start(self) -> None:
        self._nginx()
        self._postgres()
        self._iperf()
        self._misbehaving()

    def stop(self) -> None:
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(timeout=3)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.log.close()

    def _spawn(self, where: str, argv: Iterable[str], user: str | None = None) -> None:
        child = subprocess.Popen(
            links.inside(where, [*argv]) if user is None
            else links.inside(where, ["setpriv", "--reuid", user, "--regid", user,
                                      "--init-groups", *argv]),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            cwd=ROOT if user is None else self.scratch,
        )  # fmt: skip
        self.children.append(child)

    def _nginx(self) -> None:
        www = self.scratch / "www"
        www.mkdir()
        (www / "index.html").write_bytes(b"x" * 262144)
        (www / "index.html").chmod(0o644)
        conf = self.scratch / "nginx.conf"
        conf.write_text(
            NGINX_CONF.format(dir=self.scratch, address=links.WEB_USERS, port=NGINX_PORT)
        )
        errors = str(self.scratch / "error.log")
        self._spawn(links.WEB, ["nginx", "-p", str(self.scratch), "-c", str(conf), "-e", errors])
        self._wait("nginx", lambda: answers(links.WEB, links.WEB_USERS, NGINX_PORT))
        url = f"http://{links.WEB_USERS}:{NGINX_PORT}/"
        self._spawn(links.USERS, ["wrk", "-t1", "-c12", f"-d{self.seconds}s", url])

    def _postgres(self) -> None:
        initdb, postgres, pgbench = (postgres_bin(n) for n in ("initdb", "postgres", "pgbench"))
        if not (initdb and postgres and pgbench):
            raise RuntimeError("PostgreSQL's server programs are missing")
        home = self.scratch / "pg"
        home.mkdir()
        shutil.chown(home, "postgres")
        as_postgres = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        data = str(home / "data")
        env = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        subprocess.run(
            [*as_postgres, initdb, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"],
            stdout=self.log, stderr=self.log, cwd=home, env=env, check=True, timeout=60,
        )  # fmt: skip
        with (home / "data/pg_hba.conf").open("a") as hba:
            hba.write(f"host all all {links.WEB_DB}/32 trust\n")
        self._spawn(
            links.DB,
            [postgres, "-D", data, "-k", str(home), "-p", str(POSTGRES_PORT), "-F",
             "-c", f"listen_addresses=127.0.0.1,{links.DB_IP}", "-c", "autovacuum=off"],
            user="postgres",
        )  # fmt: skip
        self._wait("postgres", lambda: answers(links.DB, links.DB_IP, POSTGRES_PORT))
        reach = ["-U", "postgres", "-h", links.DB_IP, "-p", str(POSTGRES_PORT), "postgres"]
        self._wait("pgbench -i", lambda: self._done(links.WEB, [pgbench, "-i", "-q", *reach]), 30)
        self._spawn(
            links.WEB,
            [pgbench, "-n", "-S", "-c", "6", "-R", "150", "-T", str(self.seconds), *reach],
        )

    def _iperf(self) -> None:
        port = str(IPERF_PORT)
        self._spawn(links.FAR, ["iperf3", "-s", "-B", links.FAR_IP, "-p", port])
        self._wait("iperf3", lambda: listens(links.FAR, IPERF_PORT))
        self._spawn(
            links.WEB,
            ["iperf3", "-c", links.FAR_IP, "-p", port, "-P", "2", "-t", str(self.seconds)],
        )

    def _misbehaving(self) -> None:
        for server, client, port in (
            ("reader", "sender", READER_PORT),
            ("listener", "callers", LISTENER_PORT),
        ):
            for role, where in ((server, links.WEB), (client, links.USERS)):
                self._spawn(where, [sys.executable, "-m", "tests.lab.misbehave", role,
                                    links.WEB_USERS, str(port)])  # fmt: skip
                self._wait(server, partial(listens, links.WEB, port))

    def _done(self, where: str, argv: list[str]) -> bool:
        done = subprocess.run(
            links.inside(where, argv), stdout=self.log, stderr=self.log, timeout=60, check=False
        )
        return done.returncode == 0

    def _wait(self, what: str, ready: Callable[[], bool], limit_s: float = 20) -> None:
        end = time.monotonic() + limit_s
        while not ready():
            if time.monotonic() > end:
                raise RuntimeError(f"{what} did not come up; see {self.scratch}/log")
            time.sleep(0.1)


def listens(where: str, port: int) -> bool:
    out = subprocess.run(
        links.inside(where, ["ss", "-tlnH", "sport", "=", f":{port}"]), capture_output=True,
        check=True,
    )  # fmt: skip
    return bool(out.stdout.strip())


def answers(where: str, address: str, port: int) -> bool:
    """A connection succeeds, from inside the namespace."""
    code = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"
    argv = [sys.executable, "-c", code, address, str(port)]
    return subprocess.run(links.inside(where, argv), capture_output=True).returncode == 0
