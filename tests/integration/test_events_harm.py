"""Events leave the kernel as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from nettop.planes.events import open_plane
from tests.integration.namespaces import needs_root, run

pytestmark = needs_root

# Programs and maps of the plane, as bpftool calls them.
NAMES = frozenset(
    ("drop_rx", "retransmit_err", "retransmit_syn", "reset_sent_reas", "reset_received",
     "error_report", "cong_state", "drops_even", "drops_odd", "reasons", "records")
)  # fmt: skip


def held(what: str) -> set[int]:
    """Ids of what bpftool lists of this kind that is the events plane's."""
    out = run("bpftool", "-j", what, "show")
    if what == "link":
        ours = {item["id"] for item in json.loads(run("bpftool", "-j", "prog", "show"))
                if item.get("name") in NAMES}  # fmt: skip
        return {item["id"] for item in json.loads(out) if item.get("prog_id") in ours}
    return {item["id"] for item in json.loads(out) if item.get("name") in NAMES}


def settle(what: str, wanted: set[int]) -> set[int]:
    """Programs and maps are freed a moment after their last user has gone."""
    for _ in range(50):
        left = held(what) - wanted
        if not left:
            break
        time.sleep(0.1)
    return left


def test_nothing_stays_in_the_kernel(space: str) -> None:
    before = {what: held(what) for what in ("prog", "map", "link")}
    plane, status = open_plane()
    assert plane is not None, status.reason
    assert held("prog") - before["prog"]
    assert held("map") - before["map"]
    assert held("link") - before["link"]
    began = time.monotonic()
    plane.close()
    assert time.monotonic() - began < 1
    assert plane.read() is None
    assert plane.recent() == ()
    for what, known in before.items():
        assert settle(what, known) == set()
    child = subprocess.Popen(
        [sys.executable, "-c", "from nettop.planes.events import open_plane\n"
         "p, _ = open_plane()\nprint(p is not None, flush=True)\nimport time\ntime.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"True\n"
    assert held("prog") - before["prog"]
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    for what, known in before.items():
        assert settle(what, known) == set()
