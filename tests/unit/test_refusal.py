"""EPERM: what is really missing, and to whom it helps to say sudo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nettop import refusal

ALL = frozenset(refusal.CAPABILITIES)
HOST = "         0          0 4294967295\n"


@pytest.mark.parametrize(
    ("files", "held", "uid", "why", "fix"),
    [
        ({}, frozenset(), 1000, "needs CAP_BPF and CAP_PERFMON", "sudo nettop"),
        ({}, ALL - {"CAP_SYS_ADMIN", "CAP_BPF"}, 1000, "needs CAP_BPF", "sudo nettop"),
        ({}, frozenset(), 0, "needs CAP_BPF and CAP_PERFMON, which root lacks here",
         "give the container CAP_BPF and CAP_PERFMON"),
        ({}, frozenset({"CAP_SYS_ADMIN"}), 0, "refused in spite of every capability", None),
        ({"proc/self/uid_map": "0 1000 1\n"}, ALL, 0, "needs CAP_BPF and CAP_PERFMON on the host: "
         "capabilities of a user namespace do not count",
         "nettop outside of the user namespace (rootless container)"),
        ({"sys/kernel/security/lockdown": "none integrity [confidentiality]\n"}, ALL, 0,
         "kernel lockdown is set to confidentiality", "boot without lockdown=confidentiality"),
        ({"sys/kernel/security/lockdown": "none [integrity] confidentiality\n"}, ALL, 0,
         "refused in spite of every capability", None),
        ({"proc/self/status": "Name:\tx\nSeccomp:\t2\n"}, ALL, 0, "a seccomp filter refuses it",
         "run the container with seccomp=unconfined"),
        ({"proc/self/attr/current": "docker-default (enforce)\n\x1b"}, ALL, 0,
         "a security module refuses it to docker-default (enforce)??", "change its policy"),
        ({"proc/self/attr/current": "unconfined\n", "sys/kernel/security/lsm": "lockdown,tomoyo"},
         ALL, 0, "refused in spite of every capability; security modules: lockdown,tomoyo", None),
    ],
)  # fmt: skip
def test_what_is_missing(
    tmp_path: Path, files: dict[str, str], held: frozenset[str], uid: int, why: str, fix: str | None
) -> None:
    for name, text in ({"proc/self/uid_map": HOST} | files).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert refusal.explain(refusal.BPF, root=tmp_path, held=held, uid=uid) == (why, fix)


SAY = """
from nettop.sources.loaded import Planes
from nettop.sources import PlaneOptions
for s in Planes(PlaneOptions()).statuses():
    if s.name in ("wait", "stages"):
        print(s.state, s.reason, "|", s.fix)
"""


@pytest.mark.needs_root
@pytest.mark.needs_tools("setpriv", "unshare")
@pytest.mark.parametrize(
    ("how", "why", "fix"),
    [
        (["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"], "which root lacks here",
         "give the container CAP_BPF and CAP_PERFMON"),
        (["unshare", "--user", "--map-root-user"], "capabilities of a user namespace do not count",
         "outside of the user namespace"),
        (["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], "needs CAP_BPF",
         "sudo nettop"),
    ],
)  # fmt: skip
def test_root_is_not_told_to_use_sudo(how: list[str], why: str, fix: str) -> None:
    done = subprocess.run(
        [*how, sys.executable, "-c", SAY], capture_output=True, text=True, timeout=30, check=False
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert line.startswith("off ")
        assert why in line
        assert fix in line.partition("|")[2]
