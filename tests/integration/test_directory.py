"""A user directory that is slow or dead (a real nss module) holds nothing up."""

from __future__ import annotations

import ctypes
import json
import os
import pty
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.glass import Glass, utf8_decoder

pytest.importorskip("nettop._native", reason="the C helper is not built")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("gcc"), reason="needs root and a C compiler"
)
UIDS = range(50000, 50020)
LATE_S = 5


class Directory:
    """Runs programs under the nss module."""

    def __init__(self, where: Path, seconds: float) -> None:
        self.log = where / "log"
        self._where = where
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-D_GNU_SOURCE",
             f"-DSECONDS={seconds}", f'-DLOG="{self.log}"', "-o", where / "libnss_slow.so.2",
             Path(__file__).with_name("nss_slow.c")],
            check=True,
        )  # fmt: skip
        conf = where / "nsswitch.conf"
        conf.write_text("passwd: files slow\ngroup: files slow\nhosts: files slow\n")

    def argv(self, *args: str) -> list[str]:
        mount = 'mount --bind "$0" /etc/nsswitch.conf && exec "$@"'
        conf = str(self._where / "nsswitch.conf")
        return ["unshare", "-m", "sh", "-c", mount, conf, sys.executable, "-m", "nettop", *args]

    @property
    def environ(self) -> dict[str, str]:
        plain = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
        return plain | {"LD_LIBRARY_PATH": str(self._where), "TERM": "xterm-256color"}

    def run(self, *args: str, **environ: str) -> tuple[subprocess.CompletedProcess[str], float]:
        begin = time.monotonic()
        done = subprocess.run(
            self.argv(*args), env=self.environ | environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done, time.monotonic() - begin

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def slow(tmp_path: Path) -> Directory:
    return Directory(tmp_path, LATE_S)


@pytest.fixture
def port() -> Iterator[int]:
    """Listeners of twenty users that passwd does not know, on one port."""
    socks: list[socket.socket] = []
    setfsuid = ctypes.CDLL(None).setfsuid  # of this thread alone
    for i, uid in enumerate(UIDS):
        setfsuid(uid)
        try:
            socks.append(socket.socket())
        finally:
            setfsuid(0)
        socks[-1].bind((f"127.0.1.{i + 1}", socks[0].getsockname()[1] if i else 0))
        socks[-1].listen()
    yield socks[0].getsockname()[1]
    for s in socks:
        s.close()


def users_of(done: subprocess.CompletedProcess[str]) -> list[tuple[int, str | None]]:
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["sockets"]
    return sorted((s["uid"], s.get("user")) for s in found)


def test_one_tick_does_not_wait(slow: Directory, port: int) -> None:
    args = ("--once", "--json", "--no-bpf", "-l", f"sport = :{port}")
    done, took = slow.run(*args)
    assert users_of(done) == [(uid, None) for uid in UIDS]
    assert took < LATE_S - 1  # the machine may be busy, but nobody was waited for
    assert set(slow.asked()) <= {"uid aside"}
    csv, _ = slow.run("--once", "--csv", "--columns", "user", "--no-bpf", "-l", f"sport = :{port}")
    assert str(UIDS[3]) in csv.stdout


def test_under_sudo_nobody_is_asked_who_called(slow: Directory) -> None:
    done, took = slow.run("--once", "--json", "--no-bpf", SUDO_UID="50001", SUDO_GID="50001")
    assert done.returncode == 0, done.stderr
    assert took < LATE_S - 1
    assert set(slow.asked()) <= {"uid aside"}


def test_a_name_on_the_command_line_is_waited_for(slow: Directory, port: int) -> None:
    done, took = slow.run("--once", "--json", "--no-bpf", "-l", "-U", "dir50003")
    assert [uid for uid, _ in users_of(done)] == [50003]
    assert took >= LATE_S
    local, took = slow.run("--once", "--json", "--no-bpf", "-l", "-U", "daemon")
    assert local.returncode == 0
    assert took < LATE_S - 1


def test_a_directory_that_answers_is_in_the_first_tick(tmp_path: Path, port: int) -> None:
    quick = Directory(tmp_path, 0.001)
    done, _ = quick.run("--once", "--json", "--no-bpf", "-l", f"sport = :{port}")
    assert users_of(done) == [(uid, f"dir{uid}") for uid in UIDS]


def test_the_screen_ticks_and_ends(slow: Directory, port: int) -> None:
    master, slave = pty.openpty()
    begin = time.monotonic()
    child = subprocess.Popen(
        slow.argv("--no-bpf", "-l", "-d", "0.2", "--columns", "user,local", f"sport = :{port}"),
        env=slow.environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    glass, utf8 = Glass(80, 24), utf8_decoder()

    def read_until(text: str, seconds: float) -> float:
        while text not in "\n".join(glass.text):
            assert time.monotonic() - begin < seconds, glass.text
            if select.select([master], [], [], 0.1)[0]:
                with suppress(OSError):
                    glass.feed(utf8.decode(os.read(master, 65536)))
        return time.monotonic() - begin

    try:
        first = read_until(" 500", LATE_S - 1)  # ten of the twenty fit
        assert first < LATE_S - 1
        top = next(line.split()[0] for line in glass.text if " 127.0.1." in line)
        # Without a key: after the one that is being looked up, that of the first row.
        read_until(f"dir{top}", first + 3 * LATE_S)
        os.write(master, b"q")
        ended = time.monotonic()
        while child.poll() is None:
            assert time.monotonic() - ended < 2
            if select.select([master], [], [], 0.05)[0]:
                with suppress(OSError):
                    os.read(master, 65536)
        assert child.returncode == 0
        assert set(slow.asked()) == {"uid aside"}
    finally:
        child.kill()
        child.wait()
        os.close(master)
        os.close(slave)
