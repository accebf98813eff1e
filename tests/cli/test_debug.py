"""--debug FILE and doctor --verbose: what is needed to understand a report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import NETTOP, Run, environment


def test_debug_notes_each_source_and_tick(run: Run, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    done = run("--debug", str(notes), "--ndjson", "-n", "3", "-d", "0.2", "--no-bpf")
    assert done.returncode == 0
    assert notes.stat().st_mode & 0o777 == 0o600
    lines = notes.read_text().splitlines()
    times = [float(line.split(" ", 1)[0]) for line in lines]
    assert times == sorted(times)
    what = [line.split(" ")[1] for line in lines]
    assert what[0] == "nettop"
    assert what.count("sweep") == 3
    assert what.count("procs") >= 3
    assert any("wait" in line and "switched off by --no-bpf" in line for line in lines)


def test_debug_notes_why_it_failed(run: Run, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    assert run("--debug", str(notes), "-N", "no-such-namespace").returncode == 1
    assert "Traceback" in notes.read_text()
    assert "no-such-namespace" in notes.read_text()
    link = tmp_path / "link"
    link.symlink_to(notes)
    done = run("--debug", str(link), "-1")
    assert done.returncode == 1
    assert done.stderr == f"nettop: --debug {link}: is a symbolic link\n"


@pytest.mark.needs_root
@pytest.mark.needs_tools("setpriv")
def test_doctor_verbose_has_libbpfs_own_words() -> None:
    done = subprocess.run(
        ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-all", *NETTOP,
         "doctor", "--verbose"], capture_output=True, text=True, timeout=60, check=False,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert "libbpf: " in done.stdout, (sys.executable, os.geteuid(), done.stdout)
    assert "Operation not permitted" in done.stdout
