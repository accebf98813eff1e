"""The integration tests themselves, on the guest's kernel."""

from __future__ import annotations

import os
from typing import Any

import pytest

# A first tick, or a word over loopback, takes ten times as long under emulation.
os.environ["NETTOP_EMULATED"] = "1"


class _Outcomes:
    """Collects what became of each test."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.why: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("/")[2]
        if report.when == "call" or report.outcome != "passed":
            self.of[name] = report.outcome
        if report.outcome != "passed":
            self.why[name] = str(report.longrepr)[-1500:]


def _ran(*argv: str) -> dict[str, Any]:
    outcomes = _Outcomes()
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=short"]
    pytest.main([*options, *argv], plugins=[outcomes])
    return {"outcomes": outcomes.of, "why": outcomes.why}


def ss_equality() -> dict[str, Any]:
    return _ran("tests/integration/test_ss_equality.py")


def waits() -> dict[str, Any]:
    return _ran("tests/integration/test_wait.py")


def stages() -> dict[str, Any]:
    return _ran("tests/integration/test_stages.py")


def stages_path() -> dict[str, Any]:
    return _ran("tests/integration/test_stages_path.py")


def events() -> dict[str, Any]:
    return _ran("tests/integration/test_events.py")


def stamps() -> dict[str, Any]:
    return _ran("tests/integration/test_stamps.py")


def harm() -> dict[str, Any]:
    return _ran("tests/integration/test_stages_harm.py", "tests/integration/test_events_harm.py")
