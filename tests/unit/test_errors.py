"""What is said of an error of the operating system."""

from __future__ import annotations

import errno
import os

import pytest

from nettop.errors import EXIT_NOT_KNOWN, NettopError, os_text, unanswered


@pytest.mark.parametrize(
    ("number", "path", "said"),
    [
        (errno.EMFILE, "/proc/self/task",
         "/proc/self/task: Too many open files: raise `ulimit -n`"),
        (errno.EMFILE, None, "Too many open files: raise `ulimit -n`"),
        (errno.ENOENT, "/proc/self/task", "/proc is not mounted here: mount -t proc proc /proc"),
        (errno.ENOENT, "/tmp/x", "/tmp/x: No such file or directory"),
        (errno.ENOSPC, None, "No space left on device"),
    ],
)  # fmt: skip
def test_it_is_one_line_with_what_to_do(number: int, path: str | None, said: str) -> None:
    error = OSError(number, os.strerror(number), path)
    assert os_text(error) == said
    with pytest.raises(NettopError) as raised, unanswered():
        raise error
    assert (str(raised.value), raised.value.exit_code) == (said, EXIT_NOT_KNOWN)
