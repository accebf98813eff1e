"""Events leave the kernel as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from nettop.engine.handle import Engine
from nettop.sources.events import open_plane
from tests.integration.bpfobjects import held, left_of, until
from tests.integration.namespaces import needs_root

pytestmark = needs_root


def test_nothing_stays_in_the_kernel(space: str) -> None:
    before = held(os.getpid())
    plane, status = open_plane()
    assert plane is not None, status.reason
    ids = {kind: now - before[kind] for kind, now in held(os.getpid()).items()}
    assert all(left_of(ids).values())
    began = time.monotonic()
    plane.close()
    assert time.monotonic() - began < 1
    assert plane.read(Engine()) is None
    until(lambda: not any(left_of(ids).values()))


def test_nothing_stays_after_a_kill() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "from nettop.sources.events import open_plane\n"
         "p, _ = open_plane()\nprint(p is not None, flush=True)\nimport time\ntime.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"True\n"
        ids = held(child.pid)
        assert all(left_of(ids).values())
        child.send_signal(signal.SIGKILL)
    until(lambda: not any(left_of(ids).values()))
