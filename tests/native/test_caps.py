"""nt_caps_keep and nt_netns_open at the level of the calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

native = pytest.importorskip("nettop._native", reason="the C helper is not built")

PTRACE, SYS_RESOURCE = 1 << 19, 1 << 24


def in_child(script: str) -> Any:
    prelude = (
        "import json, os, sys\n"
        f"sys.path[:0] = {[str(Path(p).absolute()) for p in sys.path if p]!r}\n"
        "from nettop._native import ffi, lib\n"
        "def caps():\n"
        "    e, p = ffi.new('uint64_t *'), ffi.new('uint64_t *')\n"
        "    assert lib.nt_caps_get(e, p) == 0\n"
        "    return [e[0], p[0]]\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", prelude + script],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have capabilities")
def test_keeps_exactly_what_is_asked_for_and_had() -> None:
    before, after, again = in_child(
        "a = caps()\n"
        f"assert lib.nt_caps_keep({PTRACE | 1 << 12}) == 0\n"
        "b = caps()\n"
        f"assert lib.nt_caps_keep({PTRACE} | (1 << 63)) == 0\n"
        "print(json.dumps([a, b, caps()]))\n"
    )
    assert before[1] & PTRACE
    assert after == [(PTRACE | 1 << 12) & before[1]] * 2
    assert again == [PTRACE] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have capabilities")
def test_the_upper_half_is_kept_apart() -> None:
    bpf = 1 << 39
    (before, after) = in_child(
        f"a = caps()\nassert lib.nt_caps_keep({bpf}) == 0\nprint(json.dumps([a, caps()]))\n"
    )
    assert after == [bpf & before[1]] * 2


def test_nothing_kept_leaves_nothing_and_sets_no_new_privs() -> None:
    left, status = in_child(
        "assert lib.nt_caps_keep(0) == 0\n"
        "print(json.dumps([caps(), open('/proc/self/status').read()]))\n"
    )
    assert left == [0, 0]
    assert "NoNewPrivs:\t1" in status
    assert "CapAmb:\t0000000000000000" in status
    assert "CapInh:\t0000000000000000" in status


def test_a_descriptor_that_is_no_namespace_is_refused() -> None:
    fds = native.ffi.new("struct nt_netns_fds *")
    with Path("/dev/null").open("rb") as null:
        assert native.lib.nt_netns_open(null.fileno(), fds) < 0


def test_the_own_namespace_opens_without_privilege() -> None:
    got = in_child(
        "if os.geteuid() == 0:\n"
        "    os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
        "f = ffi.new('struct nt_netns_fds *')\n"
        "err = lib.nt_netns_open(-1, f)\n"
        "fds = [f.diag_fd, f.sockstat_fd, f.snmp_fd, f.netstat_fd]\n"
        "flags = [os.get_inheritable(x) for x in fds]\n"
        "a = os.pread(f.snmp_fd, 65536, 0)\n"
        "print(json.dumps([err, min(fds) > 2, any(flags), len(a) > 100]))\n"
    )
    assert got == [0, True, False, True]
