"""The command of --then: by the shell, with what held in its environment and never in its text."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from nettop import privilege
from nettop.ending import ending
from nettop.errors import NettopError

SHELL = "/bin/sh"
LIMIT_S = 600.0  # after which it is ended
KILL_S = 0.3  # from SIGTERM to SIGKILL
_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)  # ignored by Python, not by who started nettop


class Command:
    """Runs beside the caller; it and what it started in its process group can be ended.

    It has no capability and no_new_privs, whoever started nettop, and reads nothing.
    """

    def __init__(self, text: str, values: Mapping[str, str]) -> None:
        """values: added to the environment."""
        self._text = text
        self._environ = {**os.environ, **values}
        self._thread: threading.Thread | None = None
        self._pid: int | None = None
        self._failure: OSError | None = None
        self._status = 0  # as waitpid() has it
        self._until = 0.0
        self._lock = threading.Lock()
        self._begun, self._done = threading.Event(), threading.Event()

    def start(self) -> None:
        """
        Raises:
            NettopError: it cannot be started.
        """
        ending.leftovers.add(self._kill)
        self._until = time.monotonic() + LIMIT_S
        # Capabilities belong to a thread, and a process takes over those of its maker's.
        self._thread = threading.Thread(target=self._run, name="nettop-then", daemon=True)
        self._thread.start()
        self._begun.wait()
        if self._failure is not None:
            reason = os.strerror(self._failure.errno or 0)
            raise NettopError(f"--then: cannot run {SHELL}: {reason}")

    def _run(self) -> None:
        try:
            privilege.drop_all()
            pid = os.posix_spawn(
                SHELL, [SHELL, "-c", self._text], self._environ,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
                setpgroup=0, setsigmask=(), setsigdef=_PYTHONS,
            )  # fmt: skip
        except OSError as error:
            self._failure = error
            self._begun.set()
            self._done.set()
            return
        self._pid = pid
        self._begun.set()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with self._lock:  # from here on its number may become another process's
            self._pid = None
        self._status = os.waitpid(pid, 0)[1]
        self._done.set()

    @property
    def started(self) -> bool:
        return self._begun.is_set() and self._failure is None

    def wait(self) -> str:
        """How it ended; it is ended after LIMIT_S."""
        if not self._done.wait(max(0.0, self._until - time.monotonic())):
            self.end()
            return f"ended after {LIMIT_S / 60:.0f} min"
        if os.WIFSIGNALED(self._status):
            return f"ended by signal {os.WTERMSIG(self._status)}"
        return f"exit code {os.WEXITSTATUS(self._status)}"

    def end(self) -> None:
        """SIGTERM to its process group, then SIGKILL; nothing where it has ended."""
        if self._thread is not None and self._begun.wait(KILL_S):
            self._send(signal.SIGTERM)
            if not self._done.wait(KILL_S):
                self._kill()
                self._done.wait(KILL_S)
        ending.leftovers.discard(self._kill)

    def _kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with self._lock, suppress(OSError):  # it is another user's by now
            if self._pid is not None:
                os.killpg(self._pid, number)
