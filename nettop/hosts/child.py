"""The program that carries a stream: ssh, or what --ssh names, in a session of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from nettop.ending import ending
from nettop.errors import NettopError

MOST_UNWRITTEN_BYTES = 64 << 10
ENDS_S = 0.4  # between the end of its input, SIGTERM and SIGKILL
# What Python ignores, and a program expects at its default.
_PYTHONS = (signal.SIGPIPE, signal.SIGXFSZ)


class Child:
    """Three pipes and a process group. Its end is the end of its input: so also where this process
    is killed, the stream at the other end ends."""

    def __init__(self, argv: Sequence[str]) -> None:
        """
        Raises:
            NettopError: it cannot be started.
        """
        ours: list[int] = []
        theirs: list[int] = []
        for writes in (True, False, False):
            read, write = os.pipe2(os.O_CLOEXEC)
            ours.append(write if writes else read)
            theirs.append(read if writes else write)
        try:
            self.pid = os.posix_spawnp(
                argv[0], list(argv), os.environ, setsid=True, setsigmask=(), setsigdef=_PYTHONS,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, n) for n, fd in enumerate(theirs)],
            )  # fmt: skip
        except (OSError, ValueError) as error:
            for fd in ours:
                os.close(fd)
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise NettopError(f"cannot run {argv[0]}: {why}") from None
        finally:
            for fd in theirs:
                os.close(fd)
        self.stdin, self.stdout, self.stderr = ours
        os.set_blocking(self.stdin, False)
        self._lock = threading.Lock()
        self._reaped = False
        self._unwritten = bytearray()
        ending.leftovers.add(self.kill)

    def write(self, data: bytes = b"") -> bool:
        """Without waiting; what it has no room for now goes first at the next call. False: there is
        too much of that, and this is left out."""
        fits = len(self._unwritten) + len(data) <= MOST_UNWRITTEN_BYTES
        if fits:
            self._unwritten += data
        # It reads nothing now, or never again.
        with suppress(BlockingIOError, BrokenPipeError):
            del self._unwritten[: os.write(self.stdin, self._unwritten)]
        return fits

    def close(self) -> int | None:
        """Ends it and waits for it: its exit code, minus a signal's number, None if it was killed
        here."""
        self._close_input()
        code: int | None = None
        asked = False
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                asked = True
                self._send(number)
            status = self._wait(ENDS_S)
            if status is not None:
                code = None if asked else os.waitstatus_to_exitcode(status)
                break
        ending.leftovers.discard(self.kill)
        for fd in (self.stdout, self.stderr):
            os.close(fd)
        return code

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _close_input(self) -> None:
        fd, self.stdin = self.stdin, -1
        if fd >= 0:
            os.close(fd)

    def _send(self, number: int) -> None:
        with self._lock, suppress(OSError):  # it has ended, or is another user's by now
            if not self._reaped:
                os.killpg(self.pid, number)

    def _wait(self, seconds: float) -> int | None:
        end = time.monotonic() + seconds
        while True:
            with self._lock:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._reaped = True
                    return status
            if time.monotonic() > end:
                return None
            time.sleep(0.005)
