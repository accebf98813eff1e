"""What an engine kept, another takes, and knows the same of every socket, byte for byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from nettop.ffi import ffi, lib
from nettop.ffi.engine import Engine
from nettop.ffi.frames import Packer
from nettop.planes import wait
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


def sweep(engine: Engine) -> None:
    engine.begin()
    while engine.step(8):
        pass
    engine.end()


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
        sweep(live)
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


@pytest.mark.needs_root
def test_waits_follow_from_their_records(traffic: None) -> None:
    live, again, late = Engine(), Engine(), Engine()
    packer, unpacker = Packer(), Packer()
    own = netns.own_inode()
    fds = netns.open_fds(own, "/proc/self/ns/net")
    live.add_netns(own, fds.diag_fd)
    plane, status = wait.open_plane(100.0)
    assert plane is not None, status.reason
    with closing(plane):
        plane.watch([own])
        live.keep(True)
        busy: list[int] = []
        counts = []
        for tick in range(TICKS + 2):
            plane.read(live)
            sweep(live)
            raw = unpacker.unpack(packer.pack(live.kept()))
            again.take(raw)
            expected = rows(live)
            assert rows(again) == expected
            for cookies in ([], busy):
                for run in (False, True):
                    assert again.rx_wait(cookies, run=run) == live.rx_wait(cookies, run=run)
            assert again.rx_wait_matched() == live.rx_wait_matched()
            whole = live.rx_wait([])
            assert whole is not None
            counts.append(whole.dist.count)
            # One that begins in the middle knows nothing of its first interval.
            if tick >= 2:
                late.take(raw)
                seen = late.rx_wait([])
                assert seen is not None
                assert seen.dist.count == (0 if tick == 2 else counts[-1])
            busy = [row.cookie for row in live.window(0, 100) if row.plane.wait.count]
            plane.focus(busy)
            time.sleep(0.15)
        assert busy
        assert min(counts[1:]) > 0
        lib.nt_wait_forget(live.handle)
        again.take(live.kept())
        assert again.rx_wait([]) is None is live.rx_wait([])
        assert rows(again) == rows(live)
