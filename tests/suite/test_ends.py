"""The suite ends: a test that hangs, what a test leaves behind, signals that are ignored."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import strays

ROOT = Path(__file__).resolve().parents[2]

HANGS = {
    "in a call that a signal interrupts": "time.sleep(60)",
    "in a wait for a thread": "threading.Thread(target=time.sleep, args=(60,)).start()\n"
    "    next(t for t in threading.enumerate() if t is not threading.main_thread()).join()",
}
# A mutex that is locked twice: no signal ends the call.
DEADLOCK = "libc = ctypes.CDLL(None)\n    mutex = ctypes.create_string_buffer(64)\n" + (
    "    libc.pthread_mutex_lock(mutex)\n" * 2
)
LEAVES = """
    subprocess.Popen(["sleep", "61.25"], start_new_session=True, env={"PATH": os.environ["PATH"],
                     "NETTOP_TEST_RUN": os.environ["NETTOP_TEST_RUN"]})
    threading.Thread(target=time.sleep, args=(60,), name="for-ever").start()
"""
LOOKS = """
    words = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == (
        "SigBlk:\\t0000000000000000\\nSigIgn:\\t0000000000000000\\n")
"""


def run_inside(folder: Path, body: str, *before: str, limit_s: int = 60) -> subprocess.Popen[str]:
    """A run of its own of two tests: one that does this, one that passes."""
    file = folder / "test_inner.py"
    file.write_text(
        f"import ctypes, os, subprocess, threading, time\n\ndef test_one():\n    {body.strip()}\n\n"
        "def test_two():\n    pass\n"
    )
    environ = {k: v for k, v in os.environ.items() if k != strays.MARK}
    environ |= {"NETTOP_TEST_LAST_RESORT_S": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}  # fmt: skip
    names = ("tests.conftest", "pytest_timeout", "pytest_asyncio.plugin", "no:cacheprovider")
    plugins = [word for name in names for word in ("-p", name)]
    return subprocess.Popen(
        [*before, sys.executable, "-m", "pytest", "-q", *plugins, f"--timeout={limit_s}", "-c",
         str(ROOT / "pyproject.toml"), str(file)],
        env=environ, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def sleepers() -> list[str]:
    return [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and _words(p) == SLEEPER]


SLEEPER = b"sleep\x0061.25\0"


def _words(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("where", HANGS)
def test_a_test_that_hangs_fails_and_the_run_goes_on(tmp_path: Path, where: str) -> None:
    out, _ = run_inside(tmp_path, HANGS[where], limit_s=1).communicate(timeout=40)
    assert "1 failed, 1 passed" in out, out
    assert re.search(r"test_inner.py:\d+: Failed|Failed: Timeout", out)


def test_what_no_signal_interrupts_ends_the_run(tmp_path: Path) -> None:
    inner = run_inside(tmp_path, DEADLOCK, limit_s=1)
    out, _ = inner.communicate(timeout=40)
    assert inner.returncode == 1
    assert re.search(r'test_inner.py", line \d+ in test_one', out), out


def test_what_is_left_behind_is_ended_and_a_failure(tmp_path: Path) -> None:
    inner = run_inside(tmp_path, LEAVES)
    out, _ = inner.communicate(timeout=40)
    assert inner.returncode == 1
    assert re.search(r"left behind.*\nthread for-ever\nprocess \d+: sleep 61.25", out), out
    assert sleepers() == []


def test_a_run_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    inner = run_inside(tmp_path, f"{LEAVES}\n    time.sleep(60)")
    deadline = time.monotonic() + 20
    while not sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleepers()
    inner.kill()
    inner.communicate(timeout=20)
    while sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleepers() == []


@pytest.mark.needs_tools("setpriv")
def test_a_guest_ends_with_who_boots_it() -> None:
    words = ["sleep", "61.25"]
    body = f"from tests.vm import guest; guest._run({words}, dict(), None, 60)"
    booting = subprocess.Popen([sys.executable, "-c", body], cwd=ROOT)
    deadline = time.monotonic() + 20
    while not sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleepers()
    booting.kill()
    booting.wait()
    while sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleepers() == []


@pytest.mark.parametrize("before", [(), ("nohup",), ("setsid", "-w")], ids=str)
def test_signals_that_are_ignored_are_not_in_what_tests_start(
    tmp_path: Path, before: tuple[str, ...]
) -> None:
    shell = ("sh", "-c", "trap '' INT HUP TERM QUIT TSTP TTIN TTOU; exec \"$@\"", "sh")
    out, _ = run_inside(tmp_path, LOOKS, *shell, *before).communicate(timeout=40)
    assert "2 passed" in out, out


def test_signals_that_are_blocked_are_not_in_what_tests_start(tmp_path: Path) -> None:
    numbers = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        inner = run_inside(tmp_path, LOOKS)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert "2 passed" in inner.communicate(timeout=40)[0]
