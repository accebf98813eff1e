"""Looking back at the tick in which a socket ended: how it ended is said."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from nettop.changes import Changed
from nettop.errors import NettopError
from nettop.past import PastFeed
from nettop.store.readable import ReadableFrames
from nettop.store.recording import Recording
from nettop.store.saidticks import SaidTicks
from nettop.tui.timeline import arrived_at

NETTOP = [sys.executable, "-m", "nettop"]
RESET = struct.pack("ii", 1, 0)


@pytest.mark.needs_root
def test_a_socket_that_its_peer_reset_is_named_with_how_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "rec.nettop"
    recording = subprocess.Popen(
        [*NETTOP, "record", "-o", str(file), "-d", "0.3"], stderr=subprocess.DEVNULL
    )
    try:
        _wait_for_ticks(file, 2)
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            peer, _ = server.accept()
        local = "{}:{}".format(*client.getsockname())
        _wait_for_ticks(file, _ticks(file) + 2)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        peer.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        client.close()
        _wait_for_ticks(file, _ticks(file) + 2)
    finally:
        recording.terminate()
        recording.wait()
    said = []
    with closing(Recording(file)) as opened, closing(SaidTicks(file)) as ticks:
        source = ReadableFrames(opened)
        with closing(PastFeed(source, filter_text=f"src {local}")) as feed:
            for tick in ticks.changes.after(0):
                feed.seek(tick.seq)
                said.append(arrived_at(tick, feed, "")[1])
            nothing = arrived_at(Changed(tick.seq, frozenset({1 << 40}), 0), feed, "")
    assert any(text.endswith(f" {local}: reset by peer") for text in said), said
    assert nothing == (feed, ""), "of a socket of which nothing is known nothing is said"


def _ticks(file: Path) -> int:
    try:
        with closing(Recording(file)) as opened:
            return len(opened.frames())
    except NettopError:  # there is none yet
        return 0


def _wait_for_ticks(file: Path, n: int) -> None:
    end = time.monotonic() + 60
    while _ticks(file) < n:
        assert time.monotonic() < end, "no recording came"
        time.sleep(0.1)
