"""Tests that time nothing, by several processes at once.

Most of their time is waiting: for a screen, for a program that starts. The processes take them file
by file; this one is among them, says what came of all, and goes on alone with what times something.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import multiprocessing as mp
import os
import pickle
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from _pytest.config import create_terminal_writer

_HERE = Path(__file__).parent
# What waits comes first; the many small files last, so that all end together.
FOLDERS = ("ending", "tui", "cli", "probe", "suite", "native", "clocks", "unit", "export",
           "hygiene")  # fmt: skip
ENOUGH = 300  # tests; fewer are not worth it
_WAIT_S = 0.1
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def threads_that_never_end() -> list[threading.Thread]:
    """The interpreter would wait for these."""
    return [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]


def folder_of(item: pytest.Item) -> str:
    """Of the tests' folders; empty for a test that is elsewhere."""
    if not item.path.is_relative_to(_HERE):
        return ""
    return item.path.relative_to(_HERE).parts[0]


class _Queue:
    """Numbers of files, each for the process that asks first."""

    def __init__(self, count: int) -> None:
        self._read, write = os.pipe()
        os.write(write, b"".join(n.to_bytes(2, "little") for n in range(count)))
        os.close(write)

    def take(self) -> int | None:
        number = os.read(self._read, 2)
        return int.from_bytes(number, "little") if number else None


@dataclass(slots=True)
class _Lane:
    """A process that runs tests, and what it wrote that is not said yet."""

    process: mp.process.BaseProcess
    wrote: BinaryIO
    unsaid: list[tuple[str, Any]] = field(default_factory=list)


class _Writer:
    """A lane's side: all goes into its file, as the other process does not read all the time."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config, self._file = config, path.open("wb", buffering=0)

    def say(self, kind: str, what: Any) -> None:
        self._file.write(pickle.dumps((kind, what)))

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.say("start", (nodeid, location))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        plain = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self.say("report", plain)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self.say("finish", (nodeid, location))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: Any, nodeid: str, location: Any
    ) -> None:
        if when != "runtest":
            return  # said before there were lanes
        w = warning_message
        plain = warnings.WarningMessage(str(w.message), w.category, w.filename, w.lineno)
        names = ("warning_message", "when", "nodeid", "location")
        self.say("warning", dict(zip(names, (plain, when, nodeid, location), strict=True)))


class Lanes:
    """The plugin: its part of the run comes before what times something."""

    def __init__(self) -> None:
        self.pids: list[int] = []  # of lanes, whose namespaces are named after them
        self.left: list[str] = []  # threads of theirs that do not end
        self._lanes: list[_Lane] = []
        self._files: list[list[pytest.Item]] = []
        self._done: set[int] = set()  # numbers of files
        self._said: set[str] = set()  # tests of lanes

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        option = session.config.option
        beside = [item for item in session.items if folder_of(item) in FOLDERS]
        alone = [item for item in session.items if folder_of(item) not in FOLDERS]
        if (
            len(beside) < ENOUGH or session.testsfailed or option.collectonly or option.usepdb
            or option.capture == "no" or len(os.sched_getaffinity(0)) < 2
        ):  # fmt: skip
            return None
        beside.sort(key=lambda item: FOLDERS.index(folder_of(item)))
        self._files = [list(items) for _, items in groupby(beside, key=lambda item: item.path)]
        with tempfile.TemporaryDirectory(prefix="nettop-lanes-") as folder:
            try:
                self._run(session, Path(folder), alone[0] if alone else None)
            finally:
                self._end()
        for item, next_item in zip_longest(alone, alone[1:]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            _stop_if_asked(session)
        return True

    def _run(self, session: pytest.Session, folder: Path, then: pytest.Item | None) -> None:
        queue = _Queue(len(self._files))
        for number in range(len(os.sched_getaffinity(0))):
            self._lanes.append(_started(session, self._files, queue, folder / str(number)))
            self.pids.append(self._lanes[-1].process.pid or 0)
        for number in _run_files(session, self._files, queue, then):
            self._done.add(number)
            self._read(session)
        while running := [x.process.sentinel for x in self._lanes if x.process.is_alive()]:
            wait(running, _WAIT_S)
            self._read(session)
        self._read(session)
        for lane in self._lanes:
            self._say(session, lane)
        _stop_if_asked(session)
        self._fail_what_did_not_end(session)

    def _read(self, session: pytest.Session) -> None:
        """What lanes have finished is said here, file by file."""
        for lane in self._lanes:
            for kind, what in _records(lane.wrote):
                if kind == "done":
                    self._say(session, lane)
                    self._done.add(what)
                elif kind == "left":
                    self.left += what
                else:
                    lane.unsaid.append((kind, what))
        _stop_if_asked(session)

    def _say(self, session: pytest.Session, lane: _Lane) -> None:
        hook, config = session.config.hook, session.config
        for kind, what in lane.unsaid:
            if kind == "start":
                hook.pytest_runtest_logstart(nodeid=what[0], location=what[1])
            elif kind == "finish":
                hook.pytest_runtest_logfinish(nodeid=what[0], location=what[1])
                self._said.add(what[0])
            elif kind == "report":
                report = hook.pytest_report_from_serializable(config=config, data=what)
                hook.pytest_runtest_logreport(report=report)
            elif kind == "warning":
                hook.pytest_warning_recorded.call_historic(kwargs=what)
        lane.unsaid.clear()

    def _fail_what_did_not_end(self, session: pytest.Session) -> None:
        """Where a lane died; the others took the files that were left."""
        ends = " and ".join(str(lane.process.exitcode) for lane in self._lanes)
        why = f"not run to its end: the processes of tests ended with {ends}"
        for number, items in enumerate(self._files):
            for item in items if number not in self._done else ():
                if item.nodeid not in self._said:
                    report = pytest.TestReport(
                        item.nodeid, item.location, {}, "failed", why, "call"
                    )
                    item.ihook.pytest_runtest_logreport(report=report)
        _stop_if_asked(session)

    def _end(self) -> None:
        for lane in self._lanes:
            lane.process.kill()
            lane.process.join()
            lane.wrote.close()


def _started(
    session: pytest.Session, files: list[list[pytest.Item]], queue: _Queue, path: Path
) -> _Lane:
    path.touch()
    process = mp.get_context("fork").Process(
        target=_lane, args=(session, files, queue, path, os.getpid())
    )
    process.start()
    return _Lane(process, path.open("rb"))


def _lane(
    session: pytest.Session, files: list[list[pytest.Item]], queue: _Queue, path: Path, parent: int
) -> None:
    """In the new process, which ends when the one that started it does."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    plugins = session.config.pluginmanager
    terminal = plugins.getplugin("terminalreporter")
    marked = terminal._tw.hasmarkup
    terminal._tw = create_terminal_writer(session.config, io.StringIO())
    terminal._tw.hasmarkup = marked
    capture = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()  # into files that are the other process's too
    capture.start_global_capturing()
    capture.suspend_global_capture()
    writer = _Writer(session.config, path)
    plugins.register(writer)
    with contextlib.suppress(KeyboardInterrupt, session.Failed, session.Interrupted):
        for number in _run_files(session, files, queue, None):
            writer.say("done", number)
    writer.say("left", [f"thread {thread.name}" for thread in threads_that_never_end()])
    os._exit(0)


def _run_files(
    session: pytest.Session, files: list[list[pytest.Item]], queue: _Queue,
    then: pytest.Item | None,
) -> Iterator[int]:  # fmt: skip
    """Runs files as long as there are any, and says the number of each. The next one is taken
    before the last test of one, which must know what need not be torn down."""
    number = queue.take()
    while number is not None:
        following: int | None = None
        for item, next_item in zip_longest(files[number], files[number][1:]):
            if next_item is None:
                following = queue.take()
                next_item = files[following][0] if following is not None else then
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            _stop_if_asked(session)
        yield number
        number = following


def _stop_if_asked(session: pytest.Session) -> None:
    """As pytest's own loop."""
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _records(wrote: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Those that are whole."""
    while True:
        place = wrote.tell()
        try:
            record = pickle.load(wrote)
        except (EOFError, pickle.UnpicklingError):
            wrote.seek(place)
            return
        yield record
