"""Runs nettop as a program, as a shell would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
NETTOP = [sys.executable, "-m", "nettop"]


def environment(**changes: str | None) -> dict[str, str]:
    """This environment in a UTF-8 locale, less what would change the output, with changes."""
    out = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "LC_CTYPE")}
    out |= {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    for name, value in changes.items():
        out.pop(name, None)
        if value is not None:
            out[name] = value
    return out


def until_swept(notes: Path, sweep: int) -> None:
    """Waits until a nettop with --debug has polled so often."""
    deadline = time.monotonic() + 20
    while not notes.exists() or f" sweep {sweep}:" not in notes.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def run() -> Run:
    def call(
        *args: str, env: dict[str, str] | None = None, cwd: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*NETTOP, *args], capture_output=True, text=True, timeout=30,
            stdin=subprocess.DEVNULL, env=env or environment(), cwd=cwd, check=False,
        )  # fmt: skip

    return call


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP connection over loopback whose server side has 5 unread bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        client.sendall(b"hello")
        with client, accepted:
            yield client, accepted
