"""The integration tests themselves, on the guest's kernel."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.strays import MARK
from tests.vm.scenarios.planes import examined

# A first tick, or a word over loopback, takes ten times as long under emulation.
os.environ["NETTOP_EMULATED"] = "1"
os.environ[MARK] = "guest"  # nothing needs to be cleaned up in what is switched off
_FOLDER = "tests/integration"
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # others take seconds to load
_PLUGINS = ("pytest_asyncio.plugin", "pytest_rerunfailures", "pytest_timeout")
_OPTIONS = (*(f"-p{name}" for name in _PLUGINS), "-q", "-p", "no:cacheprovider", "--no-header",
            "--tb=short", "--reruns", "2", "--durations=0", "--durations-min=1",
            "--timeout=300")  # fmt: skip


class _Outcomes:
    """Collects what became of each test."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.why: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.of[report.nodeid] = report.outcome
        if report.outcome != "passed":
            self.why[report.nodeid] = str(report.longrepr)[-2000:]


def chosen() -> dict[str, Any]:
    """NETTOP_VM_TESTS: {file: -k expression}, "" for all of it. What fails is tried again, twice at
    most: a guest stands still for a while when the machine is busy."""
    wanted: dict[str, str] = json.loads(os.environ["NETTOP_VM_TESTS"])
    # Else each test would wait in vain for what a plane that is off never says.
    methods = {s.name: s.method for s in examined().sources}
    for plane, method in json.loads(os.environ["NETTOP_VM_METHODS"]).items():
        assert methods[plane] == method, f"{plane}: {methods[plane]}, not {method}"
    words = " or ".join(f"({file} and ({k}))" if k else file for file, k in wanted.items())
    outcomes = _Outcomes()
    files = [f"{_FOLDER}/{file}" for file in wanted]
    pytest.main([*_OPTIONS, "-k", words, *files], plugins=[outcomes])
    return {"outcomes": outcomes.of, "why": outcomes.why}
