"""Every number that `ss -tinmOeH` prints of an idle socket is the number that nettop has."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from nettop.engine import check, ffi, lib
from nettop.engine.handle import Engine
from nettop.model.types import Detail, Row
from tests.integration.namespaces import inside, namespace, needs_root, run

pytestmark = [
    needs_root,
    pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss from iproute2"),
]

STATE_OF_SS = {"ESTAB": "ESTABLISHED", "LISTEN": "LISTEN", "TIME-WAIT": "TIME_WAIT",
               "CLOSE-WAIT": "CLOSE_WAIT", "FIN-WAIT-2": "FIN_WAIT2"}  # fmt: skip
# Printed under the kernel's own name.
SAME = ("bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received", "segs_out", "segs_in",
        "data_segs_out", "data_segs_in", "delivered", "delivered_ce", "rcv_space", "rcv_ssthresh",
        "snd_wnd", "rcv_wnd", "advmss", "dsack_dups", "reord_seen", "rcv_ooopack", "reordering",
        "unacked", "lost", "sacked", "rehash")  # fmt: skip
RENAMED = {
    "mss": "snd_mss",
    "pmtu": "pmtu",
    "rcvmss": "rcv_mss",
    "cwnd": "snd_cwnd",
    "ssthresh": "snd_ssthresh",
    "notsent": "notsent_bytes",
    "backoff": "backoff",
}
MILLISECONDS = {"rto": "rto", "ato": "ato", "minrtt": "min_rtt", "rcv_rtt": "rcv_rtt"}
SINCE = {"lastsnd": "last_data_sent", "lastrcv": "last_data_recv", "lastack": "last_ack_recv"}
RATES = {"pacing_rate": "pacing_rate", "delivery_rate": "delivery_rate"}
SKMEM = {"r": "rmem_alloc", "rb": "rcvbuf", "t": "wmem_alloc", "tb": "sndbuf", "f": "fwd_alloc",
         "w": "wmem_queued", "o": "optmem", "bl": "backlog", "d": "drops"}  # fmt: skip
OPTIONS = {"ts": 1, "sack": 2, "ecn": 8, "ecnseen": 16, "fastopen": 32}


def sockets_in(name: str, stack: ExitStack) -> None:
    """Idle connections with a past, and listeners, over IPv4 and IPv6."""

    def make() -> list[socket.socket]:
        held = []
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = socket.create_server((host, 0), family=family, backlog=7)
            address = listener.getsockname()[:2]
            for n in (0, 1, 7000):
                client = socket.create_connection(address)
                server, _ = listener.accept()
                client.sendall(b"x" * n)
                if n:
                    server.recv(n - 400 if n > 400 else n)
                    server.sendall(b"y" * 10)
                held += [client, server]
            pending = socket.create_connection(address)  # never accepted
            held += [listener, pending]
        mapped = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        client = socket.create_connection(("127.0.0.1", mapped.getsockname()[1]))
        server, _ = mapped.accept()
        client.sendall(b"z" * 50)
        return [*held, mapped, client, server]

    for s in inside(name, make):
        stack.enter_context(closing(s))


def close_some_in(name: str) -> None:
    """Leaves a TIME_WAIT of each family, for a minute."""

    def make() -> None:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.create_server((host, 0), family=family) as listener:
                first = socket.create_connection(listener.getsockname()[:2])
                second, _ = listener.accept()
                first.close()
                second.recv(1)
                second.close()

    inside(name, make)


def engine_of(name: str) -> Engine:
    """An engine that has swept the namespace once, all states included."""
    fds = ffi.new("struct nt_netns_fds *")
    ns = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        check(lib.nt_netns_open(ns, fds), "nt_netns_open")
        inode = os.fstat(ns).st_ino
    finally:
        os.close(ns)
    engine = Engine()
    engine.config.tcp_states = 0xFFFFFFFF
    engine.config.rows_all = 1
    engine.configure()
    engine.add_netns(inode, fds.diag_fd)
    for fd in (fds.sockstat_fd, fds.snmp_fd, fds.netstat_fd, fds.sockstat6_fd, fds.snmp6_fd,
               fds.route_fd):  # fmt: skip
        if fd >= 0:
            os.close(fd)
    return engine


def sweep(engine: Engine) -> list[tuple[Row, Detail | None]]:
    engine.begin()
    while engine.step(16):
        pass
    engine.end()
    n = engine.order(None, True, 1000, False)
    return [(row, engine.detail(row.cookie)) for row in engine.window(0, n)]


def parse(line: str) -> dict[str, Any]:
    """One line of ss: the columns, `key:value` words and the words that stand alone."""
    state, rqueue, wqueue, local, remote, *rest = line.split()
    text = " ".join(rest)
    out: dict[str, Any] = {"state": state, "rqueue": int(rqueue), "wqueue": int(wqueue),
                           "local": local, "remote": remote, "words": set()}  # fmt: skip
    mem = re.search(r"skmem:\(([^)]*)\)", text)
    if mem:
        out["skmem"] = {m[1]: int(m[2]) for m in re.finditer(r"([a-z]+)(\d+)", mem[1])}
    text = re.sub(r"(skmem|bbr):\([^)]*\)", "", text)
    for m in re.finditer(r"(pacing_rate|delivery_rate|send) (\d+)bps(?:/(\d+)bps)?", text):
        out[m[1]] = int(m[2])
    for word in text.split():
        key, colon, value = word.partition(":")
        if colon:
            out.setdefault(key, value)
        else:
            out["words"].add(word)
    return out


def address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]").replace("::ffff:", "")
    return ("" if host in ("*", "0.0.0.0", "::") else host), ("0" if port == "*" else port)


def compare(said: dict[str, Any], row: Row, detail: Detail | None, within_ms: float) -> int:
    """Asserts that both agree in every field that ss printed; returns how many were compared.

    within_ms: how long after ss began both had read.
    """
    rec, n = row.rec, 0

    def same(name: str, theirs: Any, ours: Any) -> None:
        nonlocal n
        n += 1
        assert ours == theirs, (
            f"{said['local']} {said['remote']} {name}: ss {theirs}, nettop {ours}"
        )

    same("state", STATE_OF_SS[said["state"]], row.state_name)
    same("rqueue", said["rqueue"], rec.rqueue)
    same("wqueue", said["wqueue"], rec.wqueue)
    host, port = address(said["local"])
    same("local", (host, port), (row.local_addr if any(rec.src) else "", str(rec.sport)))
    host, port = address(said["remote"])
    same("remote", (host, port), (row.remote_addr if any(rec.dst) else "", str(rec.dport)))
    same("inode", int(said["ino"]), rec.inode)
    same("uid", int(said.get("uid", 0)), rec.uid)
    if detail is None or not detail.tcp_info:
        assert row.state_name == "TIME_WAIT"
        return n
    info = detail.tcp_info
    for key in SAME:
        if key in said:
            same(key, int(said[key]), info[key])
    for key, name in RENAMED.items():
        if key in said:
            same(key, int(said[key]), info[name])
    for key, name in MILLISECONDS.items():
        if key in said:
            same(key, float(said[key]), pytest.approx(info[name] / 1000, rel=1e-5))
    if "rtt" in said:
        rtt, var = said["rtt"].split("/")
        same("rtt", float(rtt), pytest.approx(info["rtt"] / 1000, rel=1e-5))
        same("rttvar", float(var), pytest.approx(info["rttvar"] / 1000, rel=1e-5))
        same("srtt", float(rtt), pytest.approx(rec.rtt_us / 1000, rel=1e-5))
    for key, name in RATES.items():
        if key in said:
            same(key, said[key], pytest.approx(info[name] * 8, rel=1e-5))
    if "send" in said:
        rate = info["snd_cwnd"] * info["snd_mss"] * 8e6 / info["rtt"]
        same("send", said["send"], pytest.approx(rate, rel=1e-5))
    if "retrans" in said:
        same("retrans", said["retrans"], f"{info['retrans']}/{info['total_retrans']}")
    else:
        same("retrans", 0, info["total_retrans"])
    if "wscale" in said:
        same("wscale", said["wscale"], f"{info['snd_wscale']},{info['rcv_wscale']}")
    for word, bit in OPTIONS.items():
        if row.state_name != "LISTEN":
            same(word, word in said["words"], bool(info["options"] & bit))
    if row.state_name != "LISTEN":
        same("app_limited", "app_limited" in said["words"], bool(info["delivery_rate_app_limited"]))
        for key, name in SINCE.items():
            # Milliseconds that run on between the two programs, in jiffies.
            n += 1
            assert 0 <= info[name] - int(said.get(key, 0)) <= within_ms + 10, key
    same("cc", True, row.cong in said["words"])
    for key, name in SKMEM.items():
        same(f"skmem {key}", said["skmem"][key], detail.skmem[name])
    return n


@pytest.fixture(scope="module")
def quiet_namespace() -> Iterator[str]:
    with namespace() as name, ExitStack() as stack:
        sockets_in(name, stack)
        time.sleep(0.3)  # delayed ACKs
        yield name


def test_every_field_of_idle_sockets(quiet_namespace: str) -> None:
    engine = engine_of(quiet_namespace)
    close_some_in(quiet_namespace)
    time.sleep(0.3)
    began = time.monotonic()
    said = [
        parse(line)
        for line in run("ip", "netns", "exec", quiet_namespace, "ss", "-tinmOeHa").splitlines()
    ]
    rows = {row.cookie: (row, detail) for row, detail in sweep(engine)}
    within_ms = (time.monotonic() - began) * 1e3
    assert len(said) == len(rows) >= 20
    compared = 0
    for one in said:
        row, detail = rows[int(one["sk"], 16)]
        compared += compare(one, row, detail, within_ms)
    assert {row.state_name for row, _ in rows.values()} >= {"ESTABLISHED", "LISTEN", "TIME_WAIT"}
    assert {row.rec.family for row, _ in rows.values()} == {2, 10}
    assert compared > 600


def test_another_namespace_is_not_mixed_in(quiet_namespace: str) -> None:
    with namespace() as other:
        assert sweep(engine_of(other)) == []


def test_sockets_without_ss(quiet_namespace: str) -> None:
    """SO_COOKIE and getsockopt(TCP_INFO) of our own socket are a third source."""

    def make() -> tuple[socket.socket, socket.socket]:
        listener = socket.create_server(("127.0.0.1", 0))
        return socket.create_connection(listener.getsockname()), listener

    with namespace() as name:
        client, listener = inside(name, make)
        with client, listener:
            rows = {row.cookie: detail for row, detail in sweep(engine_of(name))}
            cookie = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, 57, 8), "little")
            raw = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)
            detail = rows[cookie]
            assert detail is not None
            assert detail.tcp_info_len == len(raw)
            assert int.from_bytes(raw[68:72], "little") == detail.tcp_info["rtt"]
            assert int.from_bytes(raw[80:84], "little") == detail.tcp_info["snd_cwnd"]


def test_nobody_sees_the_same(quiet_namespace: str) -> None:
    """tcp_info needs no privilege: an unprivileged ss agrees too."""
    began = time.monotonic()
    done = subprocess.run(
        ["ip", "netns", "exec", quiet_namespace, "setpriv", "--reuid=65534", "--clear-groups",
         "ss", "-tinmOeH"],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    rows = {row.cookie: (row, detail) for row, detail in sweep(engine_of(quiet_namespace))}
    within_ms = (time.monotonic() - began) * 1e3
    for line in done.stdout.splitlines():
        one = parse(line)
        compare(one, *rows[int(one["sk"], 16)], within_ms)
