"""What nettop says when it cannot do something: one line and an exit code."""

from __future__ import annotations

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
