"""What nettop says when it cannot do something: one line and an exit code."""

from __future__ import annotations

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
        where = f"{error.filename}: " if error.filename else ""
        failure = NettopError(f"{where}{error.strerror or error}")
        failure.exit_code = EXIT_NOT_KNOWN
        raise failure from error
