"""The session's network: a server `web`, and behind three links its users, a database, a far site.

Addresses: web is .1 on each link. Only the link to the far site is slow (tbf) and loses packets.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

WEB, USERS, DB, FAR = NAMES = ("web", "users", "db", "offsite")
WEB_USERS, USERS_IP = "10.20.0.1", "10.20.0.2"
WEB_DB, DB_IP = "10.30.0.1", "10.30.0.9"
WEB_FAR, FAR_IP = "10.40.0.1", "10.40.0.7"
RATE, LOSS = "40mbit", 0.015


def run(*argv: str) -> None:
    """A command that must succeed.

    Raises:
        RuntimeError: with the command and what it said.
    """
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")


def inside(name: str, argv: Sequence[str]) -> list[str]:
    """The command, to be run in that namespace."""
    return ["nsenter", f"--net=/run/netns/{name}", *argv]


def build() -> dict[str, int]:
    """Makes the namespaces and links of this mount namespace; inode of each."""
    # Named namespaces live under /run; an empty one of our own hides the machine's.
    run("mount", "-t", "tmpfs", "none", "/run")
    for name in NAMES:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    for peer, web_ip, peer_ip in (
        (USERS, WEB_USERS, USERS_IP),
        (DB, WEB_DB, DB_IP),
        (FAR, WEB_FAR, FAR_IP),
    ):
        run(
            "ip", "-n", WEB, "link", "add", peer, "type", "veth", "peer", "name", WEB, "netns", peer
        )
        for at, device, address in ((WEB, peer, web_ip), (peer, WEB, peer_ip)):
            run("ip", "-n", at, "addr", "add", f"{address}/24", "dev", device)
            run("ip", "-n", at, "link", "set", device, "up")
    run("tc", "-n", WEB, "qdisc", "add", "dev", FAR, "root", "tbf",
        "rate", RATE, "burst", "32kb", "latency", "20ms")  # fmt: skip
    run(*inside(FAR, ["iptables", "-w", "-A", "INPUT", "-p", "tcp", "-m", "statistic",
                      "--mode", "random", "--probability", str(LOSS), "-j", "DROP"]))  # fmt: skip
    return {name: Path("/run/netns", name).stat().st_ino for name in NAMES}
