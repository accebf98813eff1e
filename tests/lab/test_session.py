"""A real session: nginx under wrk, PostgreSQL under pgbench, a lossy link, two culprits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import links, servers
from tests.lab.session import Session, running

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces, qdiscs and servers need root"),
    pytest.mark.skipif(bool(servers.missing()), reason=f"missing: {', '.join(servers.missing())}"),
]
WATCHED_S = 8


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with running(90) as made:
        yield made


@pytest.fixture(scope="module")
def ticks(session: Session) -> list[dict[str, Any]]:
    """One object per second, all namespaces."""
    argv = [sys.executable, "-m", "nettop", "-N", "all", "--ndjson", "-n", str(WATCHED_S)]
    done = subprocess.run(
        session.inside(argv, links.WEB), capture_output=True, timeout=60, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def sockets(tick: dict[str, Any], netns: int, **wanted: Any) -> list[dict[str, Any]]:
    """Sockets of a namespace whose comm, local or remote port are these."""
    found = []
    for s in tick["sockets"]:
        comms = {p["comm"] for p in s.get("procs", ())}
        have = {"comm": comms, "lport": {s["local"]["port"]}, "rport": {s["remote"]["port"]}}
        if s["netns"] == netns and all(value in have[key] for key, value in wanted.items()):
            found.append(s)
    return found


def test_servers_and_their_clients_are_named(session: Session, ticks: list[dict[str, Any]]) -> None:
    last = ticks[-1]
    assert len(sockets(last, session.netns[links.WEB], comm="nginx")) == 12
    assert len(sockets(last, session.netns[links.USERS], comm="wrk")) == 12
    assert len(sockets(last, session.netns[links.DB], comm="postgres")) == 6
    assert len(sockets(last, session.netns[links.WEB], comm="pgbench")) == 6
    assert {s.get("netns_name") for s in last["sockets"]} >= set(links.NAMES)


def test_rates_are_those_of_the_servers(session: Session, ticks: list[dict[str, Any]]) -> None:
    for s in sockets(ticks[-1], session.netns[links.WEB], comm="nginx"):
        # limit_rate 200k, and pauses between requests
        assert 50_000 < s["rates"]["flow_bytes_per_s"] < 400_000


def test_what_another_namespace_drops_and_what_waits_in_the_own_queue_is_this_hosts(
    session: Session, ticks: list[dict[str, Any]]
) -> None:
    """What is lost is lost at the far site, a namespace here, or in web's own tbf, where what
    waits does so too."""
    web = session.netns[links.WEB]
    seen = {
        (s["verdicts"][0], s["who"])
        for tick in ticks[4:]  # the queue was looked at by then
        for s in sockets(tick, web, comm="iperf3", rport=servers.IPERF_PORT)
        if s["verdicts"]
    }
    assert {("loss", "kern"), ("qdisc", "kern")} & seen, seen
    whose = {"loss": {"kern"}, "rto": {"kern"}, "drops": {"kern"}, "qdisc": {"kern"},
             "rtt": {"net?", "kern"}}  # fmt: skip
    assert all(who in whose.get(name, {who}) for name, who in seen), seen
    resent = [
        s["tcp_info"]["total_retrans"]
        for s in sockets(ticks[-1], web, comm="iperf3", rport=servers.IPERF_PORT)
    ]
    assert sum(resent) > 10
    # The far site may lose nothing for a second.
    assert max(tick["totals"]["retrans_per_s"] for tick in ticks[1:]) > 0


def test_who_does_not_read(session: Session, ticks: list[dict[str, Any]]) -> None:
    (stuck,) = sockets(ticks[-1], session.netns[links.WEB], comm="report-reader")
    assert stuck["who"] == "app"
    assert "reads_late" in stuck["verdicts"]
    assert stuck["rx_wait"]["oldest_unread_ns"] > 2_000_000_000
    (held,) = sockets(ticks[-1], session.netns[links.USERS], comm="report-sender")
    assert held["who"] == "peer"
    assert "peer_window" in held["verdicts"]


def test_who_does_not_accept(session: Session, ticks: list[dict[str, Any]]) -> None:
    found = sockets(ticks[-1], session.netns[links.WEB], comm="queue-worker")
    assert [(s["state"], s["who"], s["verdicts"]) for s in found] == [("LISTEN", "app", ["accept"])]


def test_nobody_else_is_blamed(session: Session, ticks: list[dict[str, Any]]) -> None:
    for name, comm in ((links.WEB, "nginx"), (links.DB, "postgres"), (links.WEB, "pgbench")):
        for s in sockets(ticks[-1], session.netns[name], comm=comm):
            assert s["level"] != "unwell", (comm, s["verdicts"])


def test_an_ordinary_user_still_sees_the_network(session: Session) -> None:
    argv = ["setpriv", "--reuid", "nobody", "--clear-groups", sys.executable, "-m", "nettop",
            "--json", "-d", "1"]  # fmt: skip
    done = subprocess.run(
        session.inside(argv, links.WEB), capture_output=True, timeout=60, check=True
    )
    tick = json.loads(done.stdout)
    states = {s["name"]: s for s in tick["sources"]}
    assert states["diag"]["state"] == "ok"
    assert states["wait"]["state"] == "off"
    assert "CAP_BPF" in states["wait"]["reason"]
    assert states["wait"]["fix"] == "sudo nettop"
    assert any(s["remote"]["port"] == servers.IPERF_PORT for s in tick["sockets"])
    assert not any(s.get("procs") for s in tick["sockets"])
