"""python -m nettop, and the program that pip installs."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys

# Until the ending's own handlers are there: no traceback out of an import, and nothing to undo yet.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from nettop.ending import ending

DESCRIPTORS = 65536  # BPF planes take a hundred, each network namespace three, each host one


def run() -> None:
    """Runs nettop and ends the process, which nothing that hangs may hold up."""
    gc.disable()  # until the command is known: imports make no garbage
    ending.begin()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    from nettop.cli import main

    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass  # its reader is gone
    if ending.number is not None:
        ending.die(ending.number)
    os._exit(code)


if __name__ == "__main__":
    run()
