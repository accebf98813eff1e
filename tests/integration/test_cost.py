"""What the planes cost, by their own counters and by the kernel's."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from nettop.engine import lib
from nettop.model.cost import Cost
from nettop.poller import LiveFeed
from nettop.sources import meter
from tests.integration.namespaces import needs_root
from tests.integration.sends import connection, feed_of, take

pytestmark = [needs_root, pytest.mark.usefixtures("at_once")]


# As the screen does it, beside the main thread; what it keeps, in MB.
KEEPS = """
from threading import Thread
from nettop.cli import main  # loads what the planes need of Python
from nettop.sources.loaded import PlaneOptions, Planes

def kept():
    line = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1e3

before = kept()
loading = Thread(target=lambda: planes.append(Planes(PlaneOptions())))
planes = []
loading.start()
loading.join()
print(kept() - before)
planes[0].close()
"""


def test_the_types_of_the_kernel_are_not_kept() -> None:
    """libbpf reads 5 MB of them for each object that is loaded."""
    ran = subprocess.run(
        [sys.executable, "-c", KEEPS], capture_output=True, text=True, timeout=60, check=True
    )
    assert 0 < float(ran.stdout) < 6


def busy(space: str, seconds: float) -> int:
    """Messages over loopback, each read at once; how many."""
    sender, receiver = connection(space, space)
    sent = 0
    with sender, receiver:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sender.sendall(b"x")
            take(receiver, 1)
            sent += 1
    return sent


def measured(feed: LiveFeed, space: str) -> Cost:
    """A burst with traffic in it."""
    feed.measure_cost(True)
    feed.tick()
    busy(space, 1.0)
    cost = feed.tick().cost
    feed.measure_cost(False)
    return cost


def test_programs_are_timed_while_somebody_looks(space: str) -> None:
    with feed_of(space, every=1) as feed:
        feed.tick()
        assert feed.tick().cost.programs == ()
        cost = measured(feed, space)
        known = {(p.plane, p.name): p for p in cost.programs}
        ready = known["wait", "wait_ready"]
        assert ready.ns_per_run is not None
        assert 20 < ready.ns_per_run < 20_000
        assert cost.programs_reason is None
        assert cost.programs_age_s is not None
        assert cost.bpf_ns_per_run is not None
        # Our own counters say the same of those that had something to do.
        ours = cost.plane_runs_per_s["wait"]
        told = ready.runs_per_s + known["wait", "wait_tcp_taken"].runs_per_s
        assert ours == pytest.approx(told, rel=0.2)
        assert cost.bpf_runs_per_s == pytest.approx(sum(cost.plane_runs_per_s.values()))
        # The kernel's statistics are off again: nothing is counted any more.
        feed.measure_cost(True)
        again = feed.tick().cost
        assert again.programs == cost.programs, "not before ten seconds have passed"


def test_without_the_privilege_it_says_so(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> object:
            if name == "nt_bpf_stats_open":
                return lambda: -1
            return getattr(lib, name)

    monkeypatch.setattr(meter, "lib", Refusing())
    with feed_of(space) as feed:
        cost = measured(feed, space)
    assert cost.programs == ()
    assert cost.programs_reason == meter.NO_PRIVILEGE
    assert cost.bpf_ns_per_run is None
    assert cost.plane_runs_per_s["wait"] > 100
