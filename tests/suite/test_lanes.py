"""Tests that time nothing are run by several processes: each once, shown as ever, and the others
after them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import strays

ROOT = Path(__file__).resolve().parents[2]
FILES = 6
GUEST = ("scope", "replay", "tables", "udp_moved", "serve", "path")
_HEAD = "import multiprocessing, os, pathlib, threading, time\nHERE = pathlib.Path({folder!r})\n"
_NOTED = """
import pytest

@pytest.fixture(autouse=True)
def noted(request):
    with (HERE / "ran").open("a") as file:
        print(os.getpid(), request.node.name, file=file, flush=True)
    time.sleep(0.05)
"""
_PLUGIN = (
    "from tests import lanes\nlanes._HERE, lanes.ENOUGH = __import__('pathlib').Path({!r}), 2\n"
)

pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="lanes need two processors"
)


def run_lanes(
    folder: Path, beside: str, *words: str, alone: str = "pass", guest: Sequence[str] = ()
) -> tuple[int, str]:
    """A run of its own, with tests of both kinds: what it ended with, and said. guest: of files of
    tests/integration that several processes run too."""
    head = (_HEAD + _NOTED).format(folder=str(folder))
    for name in ("unit", "integration"):
        (folder / name).mkdir()
    for n in range(FILES):
        (folder / f"unit/test_{n}.py").write_text(
            f"{head}\ndef test_{n}_one():\n    pass\n\ndef test_{n}_two():\n    {beside}\n"
            f"\ndef test_{n}_three():\n    pass\n"
        )
    (folder / "integration/test_last.py").write_text(f"{head}\ndef test_last():\n    {alone}\n")
    for name in guest:
        (folder / f"integration/test_{name}.py").write_text(f"{head}\ndef test_{name}(): pass\n")
    (folder / "few.py").write_text(_PLUGIN.format(str(folder)))
    environ = {k: v for k, v in os.environ.items() if k != strays.MARK}
    path = os.pathsep.join([str(ROOT), str(folder), *filter(None, sys.path)])
    environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    names = ("tests.conftest", "few", "pytest_timeout", "pytest_asyncio.plugin", "no:cacheprovider")
    plugins = [word for name in names for word in ("-p", name)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-c", str(ROOT / "pyproject.toml"),
         "--rootdir", str(folder), *words, str(folder)],
        env=environ, cwd=folder, text=True, capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def ran(folder: Path) -> tuple[list[str], list[str]]:
    """Processes, and tests, in the order in which they began."""
    pairs = [line.split() for line in (folder / "ran").read_text().splitlines()]
    return [pid for pid, _ in pairs], [name for _, name in pairs]


def test_each_is_run_once_by_one_of_several_and_the_others_last(tmp_path: Path) -> None:
    code, out = run_lanes(tmp_path, "pass")
    assert (code, f"{3 * FILES + 1} passed" in out) == (0, True), out
    pids, names = ran(tmp_path)
    wanted = {f"test_{n}_{which}" for n in range(FILES) for which in ("one", "two", "three")}
    assert len(names) == len(set(names))
    assert set(names[:-1]) == wanted
    assert names[-1] == "test_last"
    assert len(set(pids)) > 1
    assert [len({pid for pid, name in zip(pids, names, strict=True) if f"_{n}_" in name})
            for n in range(FILES)] == [1] * FILES  # fmt: skip


def test_what_runs_beside_a_guest_is_of_several_processes_again(tmp_path: Path) -> None:
    assert all(name > "last" for name in GUEST), "so that they come after the one that is alone"
    code, out = run_lanes(tmp_path, "pass", guest=GUEST)
    assert (code, f"{3 * FILES + 1 + len(GUEST)} passed" in out) == (0, True), out
    pids, names = ran(tmp_path)
    assert names[3 * FILES] == "test_last"
    assert set(names[3 * FILES + 1 :]) == {f"test_{name}" for name in GUEST}
    assert len(names) == len(set(names))
    beside = pids[3 * FILES + 1 :]
    assert pids[3 * FILES] in beside, "the one that runs the others takes part"
    assert len(set(beside)) > 1


def test_failures_are_shown_with_what_was_printed(tmp_path: Path) -> None:
    code, out = run_lanes(tmp_path, "print('some words'); assert HERE == 2")
    assert (code, f"{FILES} failed, {2 * FILES + 1} passed" in out) == (1, True), out
    assert len(re.findall("^some words$", out, re.MULTILINE)) == FILES
    assert (
        len(re.findall(r"^E +AssertionError: assert .*Path\(.*\) == 2", out, re.MULTILINE)) == FILES
    )


def test_the_first_failure_may_end_it(tmp_path: Path) -> None:
    code, out = run_lanes(tmp_path, "assert HERE == 2", "-x")
    assert (code, "test_last" in ran(tmp_path)[1]) == (1, False), out
    assert "stopping after 1 failures" in out


def test_what_a_process_that_died_did_not_run_has_failed(tmp_path: Path) -> None:
    code, out = run_lanes(tmp_path, "multiprocessing.parent_process() and os._exit(7)")
    assert code == 1
    failed, passed = map(int, re.findall(r"(\d+) failed, (\d+) passed", out)[-1])
    assert failed + passed == 3 * FILES + 1
    assert failed >= 2
    assert re.search("not run to its end: the processes of tests ended with .*7", out), out


def test_a_thread_that_is_left_in_one_is_named_and_a_failure(tmp_path: Path) -> None:
    thread = "threading.Thread(target=time.sleep, args=(60,), name='for-ever')"
    code, out = run_lanes(tmp_path, f"multiprocessing.parent_process() and {thread}.start()")
    assert code == 1
    assert "left behind by the tests" in out
    assert "thread for-ever" in out
