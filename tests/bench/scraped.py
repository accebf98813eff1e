"""A real Prometheus that reads a real nettop serve: what it has against other sources of the same.

    python -m tests.bench.scraped [SECONDS]

Root, prometheus, tc. In a network namespace of its own, behind a queue of 6 Mbit/s that drops: a
bulk transfer, a program that reads late, one that does not read, connections that end at once, UDP.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nettop.commands import unit
from tests.bench.harness import CLONE_NEWNET

NETTOP, PROMETHEUS = "127.0.0.1:9478", "127.0.0.1:9090"
CONFIG = """\
global: {scrape_interval: 2s, evaluation_interval: 2s}
rule_files: [nettop-rules.yml]
scrape_configs:
  - job_name: nettop
    static_configs: [{targets: ["%s"]}]
"""
# Each is a process of its own; the first argument is a file for the bytes that were received.
TRAFFIC = {
    "bulk": """
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", 7001))
def send():
    sock = socket.create_connection(("127.0.0.1", 7001))
    while True:
        sock.sendall(bytes(20_000)); time.sleep(0.02)
threading.Thread(target=send, daemon=True).start()
got, (conn, _), out = 0, listener.accept(), open(sys.argv[1], "w")
while some := conn.recv(1 << 16):
    got += len(some)
    out.seek(0); out.write(f"{got:020}"); out.flush()
""",
    "late": """
import socket, threading, time
listener = socket.create_server(("127.0.0.1", 7002))
def send():
    sock = socket.create_connection(("127.0.0.1", 7002))
    while True:
        sock.sendall(bytes(100)); time.sleep(0.05)
threading.Thread(target=send, daemon=True).start()
conn, _ = listener.accept()
while conn.recv(1 << 16):
    time.sleep(0.4)
""",
    "stuck": """
import socket, time
listener = socket.create_server(("127.0.0.1", 7003))
sock = socket.create_connection(("127.0.0.1", 7003))
conn, _ = listener.accept()
sock.sendall(bytes(1000)); time.sleep(10_000)
""",
    "churn": """
import socket, threading, time
listener = socket.create_server(("127.0.0.1", 7004))
def connect():
    while True:
        with socket.create_connection(("127.0.0.1", 7004)) as sock:
            sock.sendall(bytes(100))
        time.sleep(0.05)
threading.Thread(target=connect, daemon=True).start()
while True:
    conn, _ = listener.accept()
    while conn.recv(4096): pass
    conn.close()
""",
    "udp": """
import socket, threading, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.bind(("127.0.0.1", 7005))
def send():
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); out.connect(("127.0.0.1", 7005))
    while True:
        out.send(bytes(500)); time.sleep(0.02)
threading.Thread(target=send, daemon=True).start()
while True:
    sock.recv(4096)
""",
}


def ask(path: str, **words: str | float) -> Any:
    url = f"http://{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)["data"]


def query(expression: str, at_s: float) -> list[Any]:
    found: list[Any] = ask("query", query=expression, time=at_s)["result"]
    return found


def value(expression: str, at_s: float) -> float:
    return sum(float(one["value"][1]) for one in query(expression, at_s))


def kernel() -> dict[str, int]:
    """TCP's own counters."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    heads, numbers = [line for line in lines if line[0] == "Tcp:"]
    return {name: int(n) for name, n in zip(heads[1:], numbers[1:], strict=True)}


def of_ss() -> tuple[int, int]:
    """bytes_sent and bytes_retrans of the bulk transfer."""
    said = subprocess.run(
        ["ss", "-tinH", "dport", "=", ":7001"], capture_output=True, text=True, check=True
    ).stdout
    sent, again = (re.search(rf"{n}:(\d+)", said) for n in ("bytes_sent", "bytes_retrans"))
    return int(sent[1]) if sent else 0, int(again[1]) if again else 0


@contextmanager
def running(folder: Path) -> Iterator[None]:
    started: list[subprocess.Popen[bytes]] = []
    (folder / "prometheus.yml").write_text(CONFIG % NETTOP)
    (folder / unit.RULES).write_text(unit.packaged(unit.RULES))
    nettop = [sys.executable, "-m", "nettop", "serve", NETTOP, "--tx-sample", "5", "--path", "--by",
              "process,service,peer,container,netns"]  # fmt: skip
    prometheus = ["prometheus", f"--config.file={folder}/prometheus.yml",
                  f"--storage.tsdb.path={folder}/data", f"--web.listen-address={PROMETHEUS}",
                  "--log.level=warn"]  # fmt: skip
    try:
        started.append(subprocess.Popen(nettop))
        for name, script in TRAFFIC.items():
            started.append(subprocess.Popen([sys.executable, "-c", script, folder / name]))
        started.append(subprocess.Popen(prometheus))
        yield
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)


def main(seconds: float = 60.0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    queue = "tc qdisc add dev lo root tbf rate 6mbit burst 128k latency 20ms"
    for line in ("ip link set lo up", queue):
        subprocess.run(line.split(), check=True)
    with tempfile.TemporaryDirectory() as name, running(Path(name)):
        folder = Path(name)
        time.sleep(15)
        before_s, before, ss_before = time.time(), kernel(), of_ss()
        got_before = int((folder / "bulk").read_text())
        time.sleep(seconds)
        after_s, after, ss_after = time.time(), kernel(), of_ss()
        got_after = int((folder / "bulk").read_text())
        time.sleep(5)
        _compare(before_s, after_s, {
            "nettop_host_tcp_segments_sent_total": after["OutSegs"] - before["OutSegs"],
            "nettop_host_tcp_segments_retransmitted_total":
                after["RetransSegs"] - before["RetransSegs"],
            "nettop_host_tcp_passive_opens_total": after["PassiveOpens"] - before["PassiveOpens"],
            'nettop_tcp_connections_opened_total{role="server",port="7004"}':
                after["PassiveOpens"] - before["PassiveOpens"],
            'nettop_tcp_sent_bytes_total{role="client",port="7001"}': ss_after[0] - ss_before[0],
            'nettop_tcp_retransmitted_bytes_total{role="client",port="7001"}':
                ss_after[1] - ss_before[1],
            'nettop_tcp_received_bytes_total{role="server",port="7001"}': got_after - got_before,
        })  # fmt: skip
        _ask_all(after_s)


def _compare(before_s: float, after_s: float, known: dict[str, int]) -> None:
    print(f"increase in {after_s - before_s:.0f} s, by Prometheus and by the other source")
    for expression, elsewhere in known.items():
        # As it was scraped last: at most a scrape and a tick (3 s) older than the other source.
        grown = value(expression, after_s) - value(expression, before_s)
        ratio = f"{grown / elsewhere:.3f}" if elsewhere else "-"
        print(f"  {expression:66} {grown:12.0f} {elsewhere:12}  {ratio}")


def _legend(form: str, labels: dict[str, str]) -> str:
    """What Grafana calls a series."""
    return " ".join(re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m[1], ""), form).split())


def _ask_all(at_s: float) -> None:
    """Each query of the dashboard, for all that $by may be."""
    dashboard = json.loads(unit.packaged(unit.DASHBOARD))
    (by,) = [v for v in dashboard["templating"]["list"] if v["name"] == "by"]
    for option in by["options"]:
        empty, unnamed, alike = [], [], []
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"].replace("$by", option["value"])
                expression = expression.replace("$__rate_interval", "20s")
                found = query(expression.replace("$instance", ".*"), at_s)
                form = target["legendFormat"].replace("${by:text}", option["text"])
                names = [_legend(form, one["metric"]) for one in found]
                if not found:
                    empty.append(panel["title"])
                if panel["type"] in ("timeseries", "state-timeline"):
                    unnamed += [panel["title"]] * names.count("")
                    alike += [panel["title"]] * (len({*names}) < len(names))
        print(f"by {option['text']}: without data: {', '.join(empty) or 'none'}; series of"
              f" no name: {len(unnamed)}; called alike: {len(alike)}")  # fmt: skip
    for group in ask("rules")["groups"]:
        for rule in group["rules"]:
            state = rule.get("state", "")
            print(f"  {rule['health']} {rule['name']} {state}")
    (target,) = ask("targets")["activeTargets"]
    print(f"scrape: {target['health']}, {target['lastScrapeDuration'] * 1e3:.1f} ms,"
          f" {value('scrape_samples_scraped', at_s):.0f} samples")  # fmt: skip
    for one in query("sum by (who, why) (nettop_sockets_unwell)", at_s):
        print(f"  unwell: {one['metric']} {one['value'][1]}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
