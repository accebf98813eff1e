"""What holds for all tests: markers, time limits, signals, and that nothing stays behind."""

from __future__ import annotations

import compileall
import contextlib
import faulthandler
import os
import shutil
import signal
import sys
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests import lanes, strays
from tests.rootless import without_capabilities

_HERE = Path(__file__).parent
# Folders whose tests need neither root nor BPF, and end soon.
PURE = ("export", "hygiene", "unit")
# A test that its time limit does not end (a call that never returns to Python, a loop of callbacks
# that swallows what is raised) ends the whole run so much later, with the stacks of all threads.
LAST_RESORT_S = float(os.environ.get("NETTOP_TEST_LAST_RESORT_S", "60"))
_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP,
            signal.SIGTTIN, signal.SIGTTOU)  # fmt: skip

_stderr = pytest.StashKey[int]()
_mark = pytest.StashKey[str]()
_watcher = pytest.StashKey[int]()
_left = pytest.StashKey[list[str]]()
_status = pytest.StashKey[int]()
_lanes = pytest.StashKey[lanes.Lanes]()


def pytest_configure(config: pytest.Config) -> None:
    _hear_signals()
    config.stash[_stderr] = os.dup(2)  # the tests' own is captured
    config.stash[_lanes] = lanes.Lanes()
    config.pluginmanager.register(config.stash[_lanes])
    if strays.MARK not in os.environ:  # else one inside another's test, which cleans up for both
        config.stash[_mark] = os.environ[strays.MARK] = uuid.uuid4().hex
        config.stash[_watcher] = strays.watch(config.stash[_mark]).pid
        _keep_bytecode()


def _hear_signals() -> None:
    """In a script's background and under nohup signals are ignored, and would be in all that the
    tests start; what is caught here is at its default there."""
    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _keep_bytecode() -> None:
    """Whatever the environment says: the tests start Python a thousand times, and guests, where all
    takes ten times as long, read what is kept here."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    for folder in (_HERE, _HERE.parent / "nettop"):
        compileall.compile_dir(folder, quiet=2, workers=0)  # one for each processor


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if lanes.folder_of(item) in PURE and not item.get_closest_marker("needs_root"):
            item.add_marker(pytest.mark.pure)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root")
    names = [name for mark in item.iter_markers("needs_tools") for name in mark.args]
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """pytest-timeout raises in the main thread; this is what comes after that."""
    faulthandler.dump_traceback_later(
        settings.timeout + LAST_RESORT_S, exit=True, file=item.config.stash[_stderr]
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    held: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if item.get_closest_marker("pure") and os.geteuid() == 0 and _is_roots_own(_HERE):
        held = without_capabilities()
    try:
        with held:
            return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _is_roots_own(path: Path) -> bool:
    """Root can read it without being root."""
    return all(folder.stat().st_uid == 0 for folder in (path, *path.parents))


def pytest_enter_pdb() -> None:
    faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    stash = session.config.stash
    left = [f"thread {thread.name}" for thread in lanes.threads_that_never_end()]
    left += stash[_lanes].left
    if _watcher in stash:
        pids = (os.getpid(), *stash[_lanes].pids)
        left += strays.clean(*pids, mark=stash[_mark], besides=frozenset({stash[_watcher]}))
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    stash[_left], stash[_status] = left, session.exitstatus


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if left := config.stash.get(_left, []):
        terminalreporter.section("left behind by the tests, and ended", red=True)
        for line in left:
            terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if _status in config.stash and lanes.threads_that_never_end():
        faulthandler.dump_traceback(file=config.stash[_stderr])
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_status])
