"""A reader that is frozen with its cgroup, by the freezers of this machine: known answers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nettop.sources.cgroups import reached
from nettop.sources.freezers import Freezers
from nettop.sources.threads import Threads

pytestmark = pytest.mark.needs_root


@contextlib.contextmanager
def paused(pid: int, version: int) -> Iterator[str]:
    """The process is in the cgroup of this path, and frozen with the one above it."""
    root = reached().path if version == 2 else Freezers()._v1
    if root is None:
        pytest.skip(f"no freezer of cgroup v{version}")
    outer = Path(root, f"nettop-test-{os.getpid()}")
    inner = outer / "web"
    inner.mkdir(parents=True)
    switch = outer / ("cgroup.freeze" if version == 2 else "freezer.state")
    try:
        (inner / "cgroup.procs").write_text(str(pid))
        switch.write_text("1" if version == 2 else "FROZEN")
        yield f"/{outer.name}/web"
    finally:
        switch.write_text("0" if version == 2 else "THAWED")
        Path(root, "cgroup.procs").write_text(str(pid))
        inner.rmdir()
        outer.rmdir()


@pytest.mark.parametrize("version", [1, 2])
def test_a_process_that_is_frozen_with_its_cgroup(version: int) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        threads = Threads()
        time.sleep(0.3)  # it sleeps by then
        assert threads.read([child.pid])[child.pid].frozen is None
        with paused(child.pid, version) as path:
            threads._freezers = Freezers()  # it was in another cgroup a moment ago
            end = time.monotonic() + 5
            while (found := threads.read([child.pid])[child.pid]).frozen is None:
                assert time.monotonic() < end, found
                time.sleep(0.05)
            assert found.frozen == path
        assert threads.read([child.pid])[child.pid].frozen is None
        child.kill()
