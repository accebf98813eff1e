"""What an engine kept, another takes, and knows the same of every socket, byte for byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from nettop.engine import ffi, lib
from nettop.engine.frames import Packer
from nettop.engine.handle import Engine
from nettop.model.types import NicStage, PlaneHas, Stage
from nettop.sources import netns, stages, wait
from nettop.sources.cgroups import Reached
from nettop.sources.nics import Placed
from tests.integration.namespaces import inside
from tests.integration.sends import cgroup_root, connection, cookie_of, inside_walk, take

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


class _Stamped:
    """Instead of NICs' clocks: one stamp of each of these sockets in every interval."""

    cookies: tuple[int, ...] = ()

    def tick(self, handle: object) -> NicStage:
        placed = [Placed(cookie, 1000 * (i + 1), 70) for i, cookie in enumerate(self.cookies)]
        given = ffi.new("struct nt_stages_placed[]", [tuple(p) for p in sorted(placed)])
        assert not lib.nt_stages_place(handle, given, len(placed))
        return NicStage(70)

    def start(self) -> None: ...

    def stop(self, handle: object) -> None: ...


@pytest.mark.needs_root
@pytest.mark.parametrize("chosen", [False, True], ids=["sampled", "selected"])
def test_stages_follow_from_their_records(space: str, at_once: None, chosen: bool) -> None:
    live, again, late = Engine(), Engine(), Engine()
    packer, unpacker = Packer(), Packer()
    for engine in (live, again, late):
        engine.config.udp = True
        engine.configure()
    fds = inside(space, lambda: netns.open_fds(netns.own_inode(), "/proc/thread-self/ns/net"))
    live.add_netns(inside(space, netns.own_inode), fds.diag_fd)
    plane, status = stages.open_plane(Reached(cgroup_root()), None if chosen else 1)
    assert plane is not None, status.reason
    nics = _Stamped()
    if plane._nics is not None:
        plane._nics = nics  # type: ignore[assignment]
    live.keep(True)
    with ExitStack() as stack:
        walks = stack.enter_context(inside_walk(space))
        stack.callback(plane.close, walks)
        ends: list[socket.socket] = []
        counts = []
        for tick in range(TICKS + 3):
            # The table does not know them before the sweep; those before go on.
            ends += [stack.enter_context(made) for made in connection(space, space)]
            datagrams = inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            ends.append(stack.enter_context(datagrams))
            datagrams.connect(("127.0.0.1", 9))
            if chosen:
                plane.select([cookie_of(s) for s in ends])
            if plane.due:
                plane.apply(walks)
            nics.cookies = tuple(cookie_of(s) for s in ends[-6:])
            for sender, receiver, _ in zip(ends[::3], ends[1::3], ends[2::3], strict=True):
                for _ in range(5):
                    sender.sendall(b"x" * 2000)
                    take(receiver, 2000)
            for _ in range(5):
                datagrams.send(b"x")
                with pytest.raises(ConnectionRefusedError):
                    datagrams.recv(1)
            time.sleep(0.05)
            plane.read(live)
            sweep(live)
            raw = unpacker.unpack(packer.pack(live.kept()))
            again.take(raw)
            expected = rows(live)
            assert rows(again) == expected
            named = [cookie_of(s) for s in ends]
            for cookies in ([], named[:1], named):
                for run in (False, True):
                    assert again.tx(cookies, run=run) == live.tx(cookies, run=run) is not None
            totals = live.tx_interval()
            assert totals is not None
            assert again.tx_interval() == totals
            counts.append(totals[Stage.ACK].count)
            known = {c: row.plane for c in named if (row := live.find(c)) is not None}
            assert known[named[-3]].tx_sends == known[named[0]].tx_sends == 5
            assert bool(known[named[0]].has & PlaneHas.TX_OCTAVES) == (not chosen or tick == 0)
            assert known[named[-1]].tx[Stage.QDISC].count == 5
            assert known[named[-1]].has & PlaneHas.TX_PATH
            # One that begins in the middle knows of its first interval what began in it.
            if tick >= 2:
                late.take(raw)
                seen = late.tx_interval()
                assert seen is not None
                assert seen[Stage.ACK].count == (0 if tick == 2 else counts[-1])
                fresh = named if tick > 2 else [c for c in named if c in known][-3:]
                for cookie in fresh:
                    row = late.find(cookie)
                    assert row is not None
                    assert row.plane.tx_sends == (0 if tick == 2 else known[cookie].tx_sends)
        assert min(counts) > 0
        if plane._nics is not None:
            assert totals is not None
            assert totals[Stage.NIC].count == 6
        live.clear_runs()
        assert all(not h.buckets for h in live.tx([], run=True) or ())
        plane.select([])
        plane._wanted = stages._Selection()
        plane.apply(walks)
        plane.read(live)
        again.take(live.kept())
        assert again.tx([]) is None is live.tx([])
        assert again.tx_interval() is None is live.tx_interval()
        assert rows(again) == rows(live)
