"""What a run of the tests leaves behind: processes that inherited its mark, and its namespaces.

python -m tests.strays PID MARK    waits for the end of that run, however it ends, and cleans up
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "NETTOP_TEST_RUN"
GRACE_S = 3.0  # what is about to end by itself may
_NAMESPACES = Path("/run/netns")


def processes(pid: int, mark: str) -> dict[int, str]:
    """Children of that process, and whatever has its mark: pid to command line."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in (pid, os.getpid()):
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            state, parent = (
                (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            )
            if state == "Z":
                continue
            if int(parent) == pid or wanted in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(entry.name)] = words.decode("utf-8", "replace").strip()
    return found


def namespaces(pid: int) -> list[str]:
    """Those that tests.integration.namespaces made in that process."""
    return sorted(path.name for path in _NAMESPACES.glob(f"nt{pid}-*"))


def clean(pid: int, *lanes: int, mark: str, besides: frozenset[int] = frozenset()) -> list[str]:
    """Ends and removes what is still there after a while; says what that was. lanes: processes of
    the same run."""
    deadline = time.monotonic() + GRACE_S
    while (found := processes(pid, mark)).keys() - besides and time.monotonic() < deadline:
        time.sleep(0.05)
    said = []
    for stray in found.keys() - besides:
        said.append(f"process {stray}: {found[stray][:200]}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(stray, signal.SIGKILL)
    for name in [name for each in (pid, *lanes, *found) for name in namespaces(each)]:
        said.append(f"network namespace {name}")
        subprocess.run(["ip", "netns", "del", name], check=False, timeout=30)
    return said


def watch(mark: str) -> subprocess.Popen[bytes]:
    """A process that cleans up after this one, should that be killed; it ends with it."""
    environ = {k: v for k, v in os.environ.items() if k != MARK}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.strays", str(os.getpid()), mark],
        cwd=Path(__file__).resolve().parents[1], env=environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def main(pid: int, mark: str) -> None:
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        pass
    else:
        select.select([watched], [], [])
    for line in clean(pid, mark=mark):
        print(f"tests: ended {line}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
