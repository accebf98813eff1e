"""A session with real servers, isolated from the machine and removed with its first process.

The session runs in mount, network, UTS and PID namespaces of its own: whatever ends it, even
SIGKILL, ends all its programs, and with them its network namespaces and mounts. Its files lie in
one temporary directory. nettop runs in its mount and network namespaces, but sees the PIDs of the
machine, as it would there.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import links
from tests.lab.servers import Servers

ROOT = Path(__file__).resolve().parents[2]
HOST = "web-1"
START_S = 60


@dataclass(frozen=True, slots=True)
class Session:
    """A running session."""

    pid: int  # of the process that holds its namespaces
    netns: dict[str, int]  # name → inode
    scratch: Path

    def inside(
        self, argv: Sequence[str], name: str | None = None, folder: Path = ROOT
    ) -> list[str]:
        """The command, to be run in that folder in the session, or in one of its network
        namespaces."""
        enter = ["nsenter", "-t", str(self.pid), "--mount", "--uts", "--net"]
        # The mount namespace's root is the machine's, so programs are where they were.
        here = ["nsenter", f"--net=/run/netns/{name}"] if name else []
        return [*enter, f"--wd={folder}", *here, *argv]


@contextlib.contextmanager
def running(seconds: int) -> Iterator[Session]:
    """Everything set up, for at most so long; ended and removed afterwards.

    Raises:
        RuntimeError: it did not come up; with what was said.
    """
    with tempfile.TemporaryDirectory(prefix="nettop-lab-") as scratch:
        Path(scratch).chmod(0o755)
        argv = ["unshare", "--mount", "--uts", "--net", "--pid", "--fork", "--kill-child=SIGKILL",
                sys.executable, "-m", "tests.lab.session", str(seconds), scratch]  # fmt: skip
        program = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            if not select.select([program.stdout], [], [], START_S)[0]:
                raise RuntimeError("the session did not come up in time")
            said = program.stdout.readline()
            if not said:
                raise RuntimeError("the session did not come up")
            yield Session(program.pid, json.loads(said), Path(scratch))
        finally:
            program.stdin.close()
            try:
                program.wait(timeout=10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
            program.stdout.close()


def main(seconds: int, scratch: Path) -> None:
    """The first process of the session: ends with its standard input, or after so long."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    socket.sethostname(HOST)
    servers = Servers(scratch, seconds)
    try:
        inodes = links.build()
        servers.start()
        print(json.dumps(inodes), flush=True)
        select.select([sys.stdin], [], [], seconds)
    finally:
        servers.stop()


if __name__ == "__main__":
    os.chdir(ROOT)
    main(int(sys.argv[1]), Path(sys.argv[2]))
