"""Guests that are booted while the tests of other folders run, by a process of their own.

Behind these, when nothing else wants the processors, until the tests of guests are reached; or
beside tests that leave a processor to it. What each said, or why it failed, is left in a folder:
`python -m tests.vm behind FOLDER NAME...`, or `beside`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.vm import boots
from tests.vm.guest import GuestFailed, GuestReport

NICE = 10
PATIENCE = 4  # limits of time: tests take half of the processors, and at times all


def boot(folder: Path, names: list[str], *, idle: bool) -> None:
    """Boots them one after the other; idle: when nothing else wants the processors."""
    if idle:
        after_all_others()
    for name in names:
        said: GuestReport | Exception
        try:
            said = boots.named(name).run()
        except Exception as why:  # whoever asks for it gets it
            said = why
        unfinished = folder / f"{name}.new"
        unfinished.write_bytes(pickle.dumps(said))
        unfinished.rename(folder / name)


def after_all_others() -> None:
    """This process, and those that it starts, run when nothing else wants the processors. It leads
    a session: kernels that share the processors out by session (autogroup) look at SCHED_IDLE
    within one alone. Of those it gets a tenth of what others want too: in a guest that stands
    still for a minute what it waits for ends."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _set_session_nice(os.getpid(), NICE)


def _set_session_nice(pid: int, nice: int) -> None:
    with contextlib.suppress(OSError):  # a kernel without, or it has ended
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


class Behind:
    """That process; closed with the run of the tests."""

    def __init__(self, names: list[str], how: str = "behind") -> None:
        self.names = names
        self._folder = tempfile.TemporaryDirectory(prefix="nettop-guests-")
        self._log = Path(self._folder.name) / "log"
        environ = os.environ | {"NETTOP_VM_PATIENCE": str(PATIENCE)}
        argv = [sys.executable, "-m", "tests.vm", how, self._folder.name, *names]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                argv, cwd=Path(__file__).parents[2], env=environ, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def as_others(self) -> None:
        """From now on they have their share of the processors."""
        _set_session_nice(self._process.pid, 0)
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            for each in (process, *process.children(recursive=True)):
                for thread in Path(f"/proc/{each.pid}/task").glob("*"):
                    with contextlib.suppress(OSError):  # gone meanwhile
                        os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))

    def report(self, name: str) -> GuestReport:
        """Waits for it.

        Raises:
            Unavailable, GuestFailed: as the boot.
        """
        file = Path(self._folder.name) / name
        while not file.exists():
            if self.ended and not file.exists():
                raise GuestFailed(f"no {name}:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)
        said = pickle.loads(file.read_bytes())
        if isinstance(said, GuestReport):
            return said
        raise said

    def until_ended(self) -> None:
        self._process.wait()

    def close(self) -> None:
        if not self.ended:
            process = psutil.Process(self._process.pid)
            for each in (*process.children(recursive=True), process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        self._process.wait()
        self._folder.cleanup()
