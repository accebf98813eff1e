"""--debug FILE: what each source did and how long it took, a line each; nothing without it."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nettop import __version__
from nettop.errors import NettopError
from nettop.invoker import invoking_user

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_fd = -1


def begin(path: str) -> None:
    """Notes go to this file from now on, behind what is in it.

    Raises:
        NettopError: it cannot be written.
    """
    global _fd
    try:
        _fd = os.open(path, _FLAGS, 0o600)
        owner = invoking_user(os.environ)
        if owner is not None and os.fstat(_fd).st_size == 0:
            os.fchown(_fd, *owner)
    except OSError as error:
        reason = "is a symbolic link" if Path(path).is_symlink() else os.strerror(error.errno or 0)
        raise NettopError(f"--debug {path}: {reason}") from None


def begin_run(path: str | None, argv: Sequence[str]) -> None:
    """Begins where --debug is given, with what this run is.

    Raises:
        NettopError: it cannot be written.
    """
    if path is not None:
        begin(path)
        note("nettop", f"{__version__} on {os.uname().release}: {' '.join(argv)}")


def on() -> bool:
    return _fd >= 0


def note(what: str, text: object = "") -> None:
    """One line: monotonic seconds, what, text."""
    global _fd
    if _fd < 0:
        return
    lines = str(text).splitlines() or [""]
    now = time.monotonic()
    out = "".join(f"{now:.6f} {what} {line}\n" for line in lines)
    try:
        os.write(_fd, out.encode("utf-8", "backslashreplace"))
    except OSError:
        _fd = -1  # a full disk ends the notes, not nettop


def failure() -> None:
    """The exception that is being handled, with its traceback."""
    if _fd >= 0:
        note("failed", traceback.format_exc())


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Notes how long the block took: wall and CPU of this thread."""
    if _fd < 0:
        yield
        return
    wall, cpu = time.monotonic(), time.thread_time()
    try:
        yield
    finally:
        spent = f"{(time.monotonic() - wall) * 1e3:.2f} ms, {(time.thread_time() - cpu) * 1e3:.2f}"
        note(what, f"{spent} ms CPU")
