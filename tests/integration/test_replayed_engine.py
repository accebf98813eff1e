"""What an engine kept, another takes, and knows the same of every socket, byte for byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from nettop.ffi import ffi, lib
from nettop.ffi.engine import Engine
from nettop.ffi.frames import Packer
from nettop.sources import netns

TICKS = 4


@pytest.fixture
def traffic() -> Iterator[None]:
    """Some connections, one of which talks."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    pairs = []
    for _ in range(20):
        client = socket.create_connection(listener.getsockname())
        pairs.append((client, listener.accept()[0]))
    ended = threading.Event()

    def talk() -> None:
        client, server = pairs[0]
        while not ended.wait(0.01):
            client.sendall(b"x" * 1000)
            server.recv(1000)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()
    for pair in pairs:
        for end in pair:
            end.close()
    listener.close()


def rows(engine: Engine) -> dict[int, bytes]:
    """Every record by cookie, without the number under which the table happens to hold it."""
    n = engine.order(None, True, 1 << 20, False)
    out = ffi.new("struct nt_row[]", n)
    lib.nt_window(engine.handle, 0, n, out)
    return {int(out[i].rec.cookie): bytes(ffi.buffer(out[i : i + 1])) for i in range(n)}


def test_the_same_follows_from_the_same_bytes(traffic: None) -> None:
    live, again, unpacked = Engine(), Engine(), Engine()
    packer, unpacker = Packer(), Packer()
    for engine in (live, again, unpacked):
        engine.config.rows_all = True
        engine.configure()
    own = netns.own_inode()
    fds = netns.open_fds(own, "/proc/self/ns/net")
    live.add_netns(own, fds.diag_fd)
    live.keep(True)
    for _ in range(TICKS):
        live.begin()
        while live.step(8):
            pass
        live.end()
        kept = live.kept()
        again.take(kept)
        unpacked.take(unpacker.unpack(packer.pack(kept)))
        expected = rows(live)
        assert len(expected) >= 41
        assert rows(again) == expected
        assert rows(unpacked) == expected
        assert again.milliseconds() == live.milliseconds()
        time.sleep(0.15)
    assert sum(row != bytes(len(row)) for row in expected.values()) == len(expected)
