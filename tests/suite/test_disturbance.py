"""A timed test is tried again only where the machine was busy with others."""

from __future__ import annotations

import os
import time

import pytest

from tests.integration import disturbance
from tests.integration.disturbance import Disturbance


def test_a_busy_core_disturbs() -> None:
    cores = os.sched_getaffinity(0)
    spinner = None
    measured = Disturbance()
    try:
        os.sched_setaffinity(0, {min(cores)})
        spinner = os.fork()
        if spinner == 0:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                pass
            os._exit(0)
        end = time.monotonic() + 20
        while not measured and time.monotonic() < end:
            sum(range(10_000))
        assert measured
    finally:
        if spinner:
            os.kill(spinner, 9)
            os.waitpid(spinner, 0)
        os.sched_setaffinity(0, cores)


def test_a_quiet_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disturbance, "_waited_ns", lambda: 500)
    monkeypatch.setattr(disturbance, "_stolen", lambda: 3)
    measured = Disturbance()
    assert not measured
    monkeypatch.setattr(disturbance, "_stolen", lambda: 4)
    assert measured
    measured.begin()
    assert not measured
