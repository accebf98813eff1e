"""What nettop says when it cannot do something: one line and an exit code."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_NOT_KNOWN = 3  # of commands whose 0 and 1 are answers
EXIT_INTERRUPTED = 130


class NettopError(Exception):
    """A failure in one line: what, why, what to do."""

    exit_code = EXIT_FAILURE
    below: tuple[str, ...] = ()  # lines to show under it: a broken filter and its mark


class UsageError(NettopError):
    """The command line, filter or key is wrong."""

    exit_code = EXIT_USAGE


def os_text(error: OSError) -> str:
    """One line, with what to do where it is known."""
    if isinstance(error, FileNotFoundError) and str(error.filename).startswith("/proc/self/"):
        return "/proc is not mounted here: mount -t proc proc /proc"
    where = f"{error.filename}: " if error.filename else ""
    advice = ": raise `ulimit -n`" if error.errno == errno.EMFILE else ""
    return f"{where}{error.strerror or error}{advice}"


@contextmanager
def unanswered() -> Iterator[None]:
    """Of commands whose exit codes 0 and 1 are answers: a failure is none, and has its own."""
    try:
        yield
    except (UsageError, BrokenPipeError):
        raise
    except NettopError as error:
        error.exit_code = EXIT_NOT_KNOWN
        raise
    except OSError as error:
        failure = NettopError(os_text(error))
        failure.exit_code = EXIT_NOT_KNOWN
        raise failure from error
