"""Giving up privileges, in processes of their own: what is left must be enough and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop import privilege

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have privileges to drop")

PRELUDE = f"""
import ctypes, json, os, socket, subprocess, sys, threading
sys.path[:0] = {[str(Path(p).absolute()) for p in sys.path if p]!r}
from nettop import privilege
from nettop.engine.handle import Procs
def status():
    lines = open("/proc/self/status").read().splitlines()
    return dict(line.split(":\\t") for line in lines if ":\\t" in line)
"""


def run(script: str, **env: str) -> Any:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")} | env
    out = subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        capture_output=True, text=True, timeout=30, check=False, env=environ,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


AFTER_DROP = """
sock = socket.socket()
# Runs as root, holds the socket; ends by itself, since it can no longer be ended from here.
child = subprocess.Popen(["sleep", "3"], pass_fds=[sock.fileno()],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
inode = os.fstat(sock.fileno()).st_ino
kept = privilege.drop(%s)
sock.close()
procs = Procs()
stats = procs.scan()
in_thread = {}
def look():
    in_thread["caps"] = sorted(privilege.held())
    in_thread["owners"] = [p.pid for p in procs.owners(inode)]
t = threading.Thread(target=look); t.start(); t.join()
path = "%s"
open(path, "w").close()
def refused(call):
    try:
        call()
    except OSError:
        return True
    return False
st = status()
print(json.dumps({
    "kept": sorted(kept.capabilities), "uid": kept.uid, "user": kept.user, "note": kept.note,
    "held": sorted(privilege.held()), "permitted": sorted(privilege.permitted()),
    "thread": in_thread, "child": child.pid, "uids": os.getresuid(), "gids": os.getresgid(),
    "groups": os.getgroups(), "nnp": st["NoNewPrivs"].strip(), "inh": int(st["CapInh"], 16),
    "amb": int(st["CapAmb"], 16), "owner": os.stat(path).st_uid,
    "no_root": refused(lambda: os.setresuid(0, 0, 0)) if os.getuid() else None,
    "unreadable": stats.unreadable,
    "no_raw": refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
}))
"""
NAMES = ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]


@needs_root
def test_under_sudo_root_is_given_up_but_names_remain(tmp_path: Path) -> None:
    """/proc/PID/fd of root's processes must still be readable as the invoking user."""
    where = tmp_path / "out"
    where.mkdir()
    os.chown(where, 65534, 65534)
    for part in (tmp_path, *tmp_path.parents[:-1]):
        if part.stat().st_uid == os.getuid() and str(part).startswith("/tmp/pytest"):
            part.chmod(0o755)
    got = run(AFTER_DROP % ("False", where / "file"), SUDO_UID="65534", SUDO_GID="65534")
    assert got["uids"] == [65534] * 3
    assert got["gids"] == [65534] * 3
    assert got["groups"] == [65534]
    assert (got["uid"], got["user"], got["note"]) == (65534, "nobody", None)
    assert got["kept"] == got["held"] == got["permitted"] == NAMES
    assert got["thread"]["caps"] == NAMES
    assert got["thread"]["owners"] == [got["child"]]
    assert got["owner"] == 65534
    assert got["nnp"] == "1"
    assert (got["inh"], got["amb"]) == (0, 0)
    assert got["no_root"] is True
    assert got["no_raw"] is True


@needs_root
def test_under_sudo_the_groups_are_those_of_the_caller() -> None:
    """As the process that called sudo has them; sudo itself stands between, as root."""
    got = run(
        "ready, go = os.pipe()\n"
        "if os.fork():\n"
        "    os.setgroups([54321, 65534]); os.setresgid(65534, 65534, 65534)\n"
        "    os.setresuid(65534, 65534, 65534)\n"
        "    os.write(go, b'x'); os.wait(); os._exit(0)\n"
        "os.read(ready, 1)\n"
        "if os.fork():\n"
        "    os.wait(); os._exit(0)\n"
        "privilege.drop(False)\n"
        "print(json.dumps([os.getuid(), os.getgroups()]), flush=True)\n",
        SUDO_UID="65534", SUDO_GID="65534",
    )  # fmt: skip
    assert got == [65534, [54321, 65534]]


@needs_root
def test_as_root_without_sudo_only_capabilities_go(tmp_path: Path) -> None:
    got = run(AFTER_DROP % ("True", tmp_path / "file"))
    assert got["uids"] == [0, 0, 0]
    wanted = sorted([*NAMES, "CAP_SYS_ADMIN"])
    assert got["kept"] == got["held"] == got["permitted"] == wanted
    assert got["thread"]["owners"] == [got["child"]]
    assert got["no_raw"] is True
    assert got["nnp"] == "1"


@needs_root
def test_the_drop_costs_no_process(tmp_path: Path) -> None:
    """As many processes are readable after it as before."""
    got = run(
        "before = Procs().scan().unreadable\n"
        "privilege.drop(False)\n"
        "print(json.dumps([before, Procs().scan().unreadable]))\n",
        SUDO_UID="65534", SUDO_GID="65534",
    )  # fmt: skip
    assert got[1] <= got[0] + 1  # a process that ends or begins between the two


@needs_root
def test_without_capabilities_nothing_is_kept() -> None:
    got = run(
        "os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "kept = privilege.drop(True)\n"
        "print(json.dumps([sorted(kept.capabilities), sorted(privilege.permitted()), kept.uid]))\n",
        SUDO_UID="1", SUDO_GID="1",
    )  # fmt: skip
    assert got == [[], [], 65534]


@needs_root
@pytest.mark.parametrize(
    ("uid", "gid"), [("0", "0"), ("x", "1"), ("-5", "1"), ("4294967295", "1"), ("1", "")]
)
def test_nonsense_from_the_environment_changes_no_user(uid: str, gid: str) -> None:
    got = run(
        "print(json.dumps([privilege.drop(False).uid, os.getuid()]))\n",
        SUDO_UID=uid, SUDO_GID=gid,
    )  # fmt: skip
    assert got == [0, 0]


@needs_root
def test_a_container_without_setuid_says_that_it_stays_root() -> None:
    got = run(
        "from nettop.engine import lib\n"
        "keep = privilege._mask({'CAP_SYS_PTRACE': ''})\n"
        "assert lib.nt_caps_keep(keep) == 0\n"
        "kept = privilege.drop(False)\n"
        "print(json.dumps([kept.uid, sorted(kept.capabilities), kept.note]))\n",
        SUDO_UID="65534", SUDO_GID="65534",
    )  # fmt: skip
    assert got[:2] == [0, ["CAP_SYS_PTRACE"]]
    assert "CAP_SETUID" in got[2]


def test_other_threads_would_keep_theirs() -> None:
    got = run(
        "stop = threading.Event(); t = threading.Thread(target=stop.wait); t.start()\n"
        "try:\n    privilege.drop(False)\n    said = None\n"
        "except RuntimeError as e:\n    said = str(e)\n"
        "stop.set(); t.join()\n"
        "print(json.dumps([said, status()['NoNewPrivs'].strip()]))\n"
    )
    assert got == ["privileges must be dropped before other threads start", "0"]


def test_names_agree_with_the_kernel() -> None:
    status = Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith("CapEff:"))
    bits = int(line.split()[1], 16)
    assert privilege.held() == {n for i, n in enumerate(privilege.CAPABILITIES) if bits >> i & 1}
    assert privilege.CAPABILITIES[2] == "CAP_DAC_READ_SEARCH"
    assert privilege.CAPABILITIES[19] == "CAP_SYS_PTRACE"
    assert privilege.CAPABILITIES[40] == "CAP_CHECKPOINT_RESTORE"
