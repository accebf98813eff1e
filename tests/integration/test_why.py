"""nettop why over faults made for it: the right party is named, in one finding each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from tests.cli.conftest import NETTOP, environment
from tests.integration.namespaces import inside, namespace, needs_root, pair, run
from tests.integration.sends import connection

pytestmark = [needs_root, pytest.mark.needs_tools("iptables")]
LOOK_S = 6

SERVER = """
import socket, sys, threading
from pathlib import Path
Path("/proc/self/comm").write_text(sys.argv[1])
server = socket.create_server(("10.9.0.2", int(sys.argv[2])), backlog=4)
def serve(held):
    while held.recv(65536):
        pass
print("ready", flush=True)
while sys.argv[1] != "queue-worker":
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
sys.stdin.read()
"""
CLIENT = """
import socket, sys, time
from pathlib import Path
Path("/proc/self/comm").write_text(sys.argv[1])
held = []
for _ in range(int(sys.argv[3])):
    client = socket.socket()
    client.setblocking(False)
    try:
        client.connect(("10.9.0.2", int(sys.argv[2])))
    except BlockingIOError:
        pass
    held.append(client)
    time.sleep(0.02)
print("ready", flush=True)
while True:
    for client in held:
        try:
            client.send(bytes(2000))
        except (BlockingIOError, OSError):
            pass
    time.sleep(0.05)
"""


def program(stack: ExitStack, namespace: str, code: str, *argv: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", code, *argv],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    stack.callback(child.wait)
    stack.callback(child.kill)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def said(*namespaces: str) -> dict[str, Any]:
    """What a look at them says."""
    argv = [word for name in namespaces for word in ("-N", name)]
    done = subprocess.run(
        [*NETTOP, "why", "--for", f"{LOOK_S}s", "--json", *argv], capture_output=True,
        timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr.decode()
    out: dict[str, Any] = json.loads(done.stdout)
    assert bool(out["findings"]) is (done.returncode == 1)
    return out


@pytest.fixture(scope="module")
def faults() -> Iterator[tuple[dict[str, Any], str, str]]:
    """At once: a program that is stopped, one that does not accept, a path that loses packets."""
    with pair() as (here, there), ExitStack() as stack:
        stopped = program(stack, there, SERVER, "report-reader", "7001")
        program(stack, there, SERVER, "queue-worker", "7002")
        program(stack, there, SERVER, "api-server", "7003")
        program(stack, here, CLIENT, "report-sender", "7001", "3")
        program(stack, here, CLIENT, "job-submitter", "7002", "9")
        program(stack, here, CLIENT, "api-client", "7003", "5")
        os.kill(stopped.pid, signal.SIGSTOP)
        lossy = ("INPUT", "-p", "tcp", "--dport", "7003", "-m", "statistic", "--mode", "random",
                 "--probability", "0.1", "-j", "DROP")  # fmt: skip
        run("ip", "netns", "exec", there, "iptables", "-A", *lossy)
        time.sleep(3)
        yield said(here, there), here, there


def test_each_fault_is_one_finding_that_names_the_right_party(
    faults: tuple[dict[str, Any], str, str],
) -> None:
    out, _, _ = faults
    named = [f for f in out["findings"] if "party" in f]
    found = {(f["who"], f["party"].rpartition("/")[0] or f["party"]): f for f in named}
    parties = [f["summary"] for f in out["findings"]]
    reader = found["app", "report-reader"]
    assert (reader["verdict"], reader["count"]) == ("reads_late", 3), parties
    assert any("stopped by a signal" in e["says"] for e in reader["evidence"])
    worker = next(f for f in out["findings"] if f.get("party", "").startswith("queue-worker/"))
    assert (worker["who"], worker["verdict"]) == ("app", "accept"), parties
    lossy = next(f for f in out["findings"] if f["verdict"] == "loss")
    # Both namespaces are polled, so the firewall that drops is known to be of this host.
    assert lossy["who"] in ("kern", "net"), parties
    assert lossy["count"] >= 1
    sender = found["peer", "10.9.0.2:7001"]
    assert (sender["verdict"], sender["count"]) == ("peer_window", 3), parties
    # Seen from the end whose firewall it is, that is this host's own doing.
    refused = [f for f in out["findings"] if f["who"] == "kern"]
    assert any("api-server" in {s["comm"] for s in f["sockets"]} for f in refused), parties
    # The program behind the lossy path is accused of nothing, but for reads that are late while
    # other programs use the CPU.
    bystander = [f for f in out["findings"] if "api-server" in f.get("party", "")]
    assert all((f["verdict"], f["level"]) == ("reads_late", "watch") for f in bystander), parties


def test_the_host_confirms_it(faults: tuple[dict[str, Any], str, str]) -> None:
    out, _, _ = faults
    grew = {m["name"]: m for m in out["host_moved"]}
    assert grew["TcpRetransSegs"]["grew"] > 0
    assert out["drop_reasons"].get("NETFILTER_DROP", 0) > 0
    assert out["sockets"] >= 20


def test_a_healthy_connection_is_nothing() -> None:
    with pair() as (here, there):
        sender, receiver = connection(here, there, "10.9.0.2")
        with closing(sender), closing(receiver):
            inside(here, lambda: sender.sendall(b"x"))
            receiver.recv(1)
            out = said(here, there)
    assert out["findings"] == []
    assert out["sockets"] == 2


def test_who_was_refused_is_said() -> None:
    """Connections to a port where nothing listens, and datagrams, each by its program."""
    asks = """
import socket, sys, time
from pathlib import Path
Path("/proc/self/comm").write_text("asks")
end = time.monotonic() + float(sys.argv[1])
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.connect(("127.0.0.1", 9))
asked = refused = 0
while time.monotonic() < end:
    asked += 1
    with socket.socket() as sock:
        refused += sock.connect_ex(("127.0.0.1", 9)) != 0
    try:
        datagrams.send(b"x")
    except ConnectionRefusedError:
        pass
    time.sleep(0.05)
print(asked, refused)
"""
    with namespace() as space:
        words = [sys.executable, "-c", asks, str(LOOK_S + 3)]
        asking = subprocess.Popen(["ip", "netns", "exec", space, *words], stdout=subprocess.PIPE)
        done = subprocess.run(
            ["ip", "netns", "exec", space, *NETTOP, "why", "--for", str(LOOK_S), "--json"],
            env=environment(), stdout=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
        asked, refused = map(int, asking.communicate(timeout=30)[0].split())
    assert asked == refused
    said = {r["proto"]: r for r in json.loads(done.stdout)["refused"]}
    assert said.keys() == {"tcp", "udp"}
    for one in said.values():
        assert (one["remote"], one["programs"]) == ("127.0.0.1:9", ["asks"])
        assert 0.3 * asked <= one["count"] <= asked
