"""Tests that time nothing, by several processes at once.

Most of their time is waiting: for a screen, for a program that starts, for the next tick. The
processes take them file by file; this one is among them, says what came of all, and goes on alone
with what times something. What waits in namespaces of its own comes after that, again by several,
beside a guest (tests/vm).
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
# Files of tests/integration that time nothing, need one processor at most, and do not judge how
# busy the machine is: those that take long first.
BESIDE_A_GUEST = (
    "why", "mptcp", "events", "replay", "surroundings", "feed", "scope", "diag",
    "limited", "replayed_engine", "past_ended", "netns", "tables", "privilege", "serve",
    "events_drops", "replayed_events", "events_harm", "wait_methods", "ss_equality", "udp_moved",
    "path",
)  # fmt: skip
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


def is_beside_a_guest(item: pytest.Item) -> bool:
    return folder_of(item) == "integration" and _name_of(item) in BESIDE_A_GUEST


def _name_of(item: pytest.Item) -> str:
    return item.path.stem.removeprefix("test_")


def _turn(item: pytest.Item) -> int:
    """Of those that several processes run together: which comes first."""
    if is_beside_a_guest(item):
        return BESIDE_A_GUEST.index(_name_of(item))
    return FOLDERS.index(folder_of(item))


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
    """The plugin: what several processes run, and what this one runs alone, in turn."""

    def __init__(self) -> None:
        self.pids: list[int] = []  # of lanes, whose namespaces are named after them
        self.left: list[str] = []  # threads of theirs that do not end

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        option, processors = session.config.option, len(os.sched_getaffinity(0))
        first = [item for item in session.items if folder_of(item) in FOLDERS]
        others = [item for item in session.items if folder_of(item) not in FOLDERS]
        if (
            len(first) < ENOUGH or session.testsfailed or option.collectonly or option.usepdb
            or option.capture == "no" or processors < 2
        ):  # fmt: skip
            return None
        self._together(session, first, processors + 1)
        for beside_a_guest, items in groupby(others, key=is_beside_a_guest):
            if beside_a_guest:
                self._together(session, list(items), processors)
            else:
                _alone(session, list(items))
        return True

    def _together(self, session: pytest.Session, items: list[pytest.Item], more: int) -> None:
        """more: processes beside this one."""
        together = _Together(session, sorted(items, key=_turn))
        try:
            together.run(more)
        finally:
            together.end()
            self.pids += together.pids
            self.left += together.left


def _alone(session: pytest.Session, items: list[pytest.Item]) -> None:
    for item, next_item in zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
        _stop_if_asked(session)


class _Together:
    """Files that several processes run, and what came of them."""

    def __init__(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        self.pids: list[int] = []
        self.left: list[str] = []
        self._session = session
        self._lanes: list[_Lane] = []
        self._files = [list(of) for _, of in groupby(items, key=lambda item: item.path)]
        self._done: set[int] = set()  # numbers of files
        self._said: set[str] = set()  # tests of lanes

    def run(self, more: int) -> None:
        """more: processes beside this one."""
        with tempfile.TemporaryDirectory(prefix="nettop-lanes-") as folder:
            queue = _Queue(len(self._files))
            for number in range(more):
                path = Path(folder, str(number))
                self._lanes.append(_started(self._session, self._files, queue, path))
                self.pids.append(self._lanes[-1].process.pid or 0)
            for number in _run_files(self._session, self._files, queue):
                self._done.add(number)
                self._read()
            while running := [x.process.sentinel for x in self._lanes if x.process.is_alive()]:
                wait(running, _WAIT_S)
                self._read()
            self._read()
        for lane in self._lanes:
            self._say(lane)
        _stop_if_asked(self._session)
        self._fail_what_did_not_end()

    def _read(self) -> None:
        """What lanes have finished is said here, file by file."""
        for lane in self._lanes:
            for kind, what in _records(lane.wrote):
                if kind == "done":
                    self._say(lane)
                    self._done.add(what)
                elif kind == "left":
                    self.left += what
                else:
                    lane.unsaid.append((kind, what))
        _stop_if_asked(self._session)

    def _say(self, lane: _Lane) -> None:
        hook, config = self._session.config.hook, self._session.config
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

    def _fail_what_did_not_end(self) -> None:
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
        _stop_if_asked(self._session)

    def end(self) -> None:
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
        for number in _run_files(session, files, queue):
            writer.say("done", number)
    writer.say("left", [f"thread {thread.name}" for thread in threads_that_never_end()])
    os._exit(0)


def _run_files(
    session: pytest.Session, files: list[list[pytest.Item]], queue: _Queue
) -> Iterator[int]:
    """Runs files as long as there are any, and says the number of each. The next one is taken
    before the last test of one, which must know what need not be torn down."""
    number = queue.take()
    while number is not None:
        following: int | None = None
        for item, next_item in zip_longest(files[number], files[number][1:]):
            if next_item is None:
                following = queue.take()
                next_item = files[following][0] if following is not None else None
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
