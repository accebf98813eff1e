"""When the guests of tests/vm are booted beside the tests of other folders."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import lanes
from tests.integration import conftest as integration
from tests.vm import conftest

TESTS = Path(__file__).parents[1]


def item(path: str) -> Any:
    return SimpleNamespace(path=TESTS / path)


def test_beside_a_guest_are_files_that_time_nothing() -> None:
    for path in (TESTS / "integration" / f"test_{name}.py" for name in lanes.BESIDE_A_GUEST):
        assert path.exists(), path
        assert path.name not in integration._TIMED


def test_they_come_last_of_what_is_no_guest() -> None:
    paths = ("vm/test_kernels.py", "integration/test_diag.py", "integration/test_wait.py",
             "integration/test_scope.py", "unit/test_bands.py")  # fmt: skip
    items = [item(path) for path in paths]
    conftest.pytest_collection_modifyitems(items)
    assert [str(each.path.relative_to(TESTS)) for each in items] == [
        "integration/test_wait.py", "unit/test_bands.py",
        "integration/test_diag.py", "integration/test_scope.py", "vm/test_kernels.py",
    ]  # fmt: skip


def test_the_guest_is_booted_with_the_first_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    booted = []

    def behind(names: list[str], how: str) -> Any:
        booted.append((names, how))
        return SimpleNamespace(names=names)

    monkeypatch.setattr(conftest, "Behind", behind)
    ahead: list[Any] = []
    of_them = [f"integration/test_diag.py::test_{name}" for name in "ab"]
    plugin = conftest._Beside(ahead, "newest", frozenset(of_them))
    plugin.pytest_runtest_logstart("integration/test_wait.py::test_a")
    monkeypatch.setattr("os.getpid", lambda: 1)
    plugin.pytest_runtest_logstart(of_them[1])
    assert not ahead, "that was another process, which runs tests beside this one"
    monkeypatch.undo()
    monkeypatch.setattr(conftest, "Behind", behind)
    for nodeid in reversed(of_them):
        plugin.pytest_runtest_logstart(nodeid)
    assert booted == [(["newest"], "beside")]
    assert [each.names for each in ahead] == [["newest"]]
