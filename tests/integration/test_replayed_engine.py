"""What an engine kept, another takes, and knows the same of every socket, byte for byte."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nettop.ffi import ffi, lib
from nettop.ffi.engine import Engine, Procs
from nettop.ffi.eventlog import EventLog
from nettop.ffi.frames import Packer
from nettop.ffi.pathtick import path_tick
from nettop.model.events import EventType
from nettop.model.path import Hook
from nettop.planes import events, wait
from nettop.sources import netns
from tests.integration.namespaces import namespace
from tests.integration.trouble import Trouble

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


# --- events ---


def said(engine: Engine, cookies: list[int]) -> dict[str, Any]:
    """Every answer about events."""
    log = EventLog(engine)
    return {
        "tick": log.tick(),
        "of the interval": log.of_interval(100, filtered=False),
        "recent": log.recent(most=4096),
        "of sockets": [log.recent([cookie], most=4096) for cookie in cookies],
        "closed": log.closed(most=4096),
        "drops": [log.drops_of([cookie]) for cookie in cookies],
        "memory": [log.memory([cookie]) for cookie in cookies],
        "of none": log.memory(),
    }


@pytest.mark.needs_root
def test_events_follow_from_their_records() -> None:
    procs = Procs()
    live, again, unpacked, late = Engine(procs), Engine(), Engine(), Engine()
    packer, unpacker = Packer(), Packer()
    plane, status = events.open_plane(confined=True)
    assert plane is not None, status.reason
    with namespace() as name, closing(Trouble(name)) as trouble, closing(plane):
        inode = Path(f"/run/netns/{name}").stat().st_ino
        live.add_netns(inode, netns.open_fds(inode, f"/run/netns/{name}").diag_fd)
        plane.watch([inode])
        live.keep(True)
        ended_ns = 0
        for tick in range(TICKS):
            trouble.cause()
            said_ns = time.monotonic_ns()
            plane.read(live)
            sweep(live)
            procs.scan()
            live.keep_owners(everything=tick in (0, 2))
            raw = live.kept()
            again.take(raw)
            unpacked.take(unpacker.unpack(packer.pack(raw)))
            expected, known = said(live, trouble.cookies), rows(live)
            for engine in (again, unpacked):
                assert said(engine, trouble.cookies) == expected
                assert rows(engine) == known
            # One that begins in the middle knows the intervals that it saw, and says since when.
            if tick >= 2:
                late.take(raw)
                seen = said(late, trouble.cookies)
                for key in ("tick", "drops"):
                    assert seen[key] == expected[key]
                events_seen, events_said = (s["of the interval"][0] for s in (seen, expected))
                assert [e.seq for e in events_seen] == [e.seq for e in events_said]
                if tick == 2:
                    assert seen["of none"].since_ns > ended_ns
                    assert seen["recent"] == events_seen
                else:
                    assert events_seen == events_said, "whose they are too"
            ended_ns = said_ns
    kinds = {event.type for event in expected["recent"]}
    assert kinds >= {
        EventType.RETRANSMIT, EventType.DROP, EventType.RESET_RECEIVED, EventType.CLOSED,
    }  # fmt: skip
    drops = [e for e in expected["recent"] if e.type is EventType.DROP]
    assert {"SOCKET_RCVBUFF", "NETFILTER_DROP"} <= {e.reason for e in drops}
    # No process was at work there: the name is the table's.
    mine = {e.pid for e in drops if e.cookie == trouble.cookies[0]}
    assert os.getpid() in mine
    assert any(c.event.pid == os.getpid() for c in expected["closed"])
    assert sum(sum(m.counts) for m in expected["memory"]) > 30
    assert expected["drops"][0]


def section(kind: int, arg: int, body: bytes) -> bytes:
    head = struct.pack("=QIIII", 10**9, kind, len(body), 0, arg)
    return head + body + bytes(-len(body) % 8)


def test_reasons_have_the_names_that_the_sample_gives_them() -> None:
    head, event = ffi.new("struct nt_events_head *"), ffi.new("struct nt_event *")
    drop, reason = ffi.new("struct nt_drop *"), ffi.new("struct nt_reason[2]")
    head.read, head.now.first_seq, head.now.next_seq, head.begun_ns = 7, 50, 51, 10**8
    event.type, event.cookie, event.reason, event.at_ns = EventType.DROP, 5, 3, 10**8
    drop.cookie, drop.count, drop.reason = 5, 2, 3
    reason[0].reason, reason[0].count, reason[0].interval, reason[0].name = 3, 9, 2, b"INVENTED"
    reason[1].reason, reason[1].count = 2 << 16 | 8, 1
    closed = ffi.sizeof("struct nt_closed") << 16
    sizes = [ffi.sizeof(f"struct nt_{name}") for name in ("event", "reason", "drop")]
    began = section(lib.NT_S_EVENTS, 0, bytes(ffi.buffer(head)))
    record = section(lib.NT_S_EVENT_RECORDS, sizes[0] | closed, bytes(ffi.buffer(event)))
    whole = (
        began
        + record
        + section(lib.NT_S_DROP_REASONS, sizes[1], bytes(ffi.buffer(reason)))
        + section(lib.NT_S_DROPS, sizes[2], bytes(ffi.buffer(drop)))
    )
    engine = Engine()
    log = EventLog(engine)
    assert log.tick() is None
    assert log.memory() is None
    engine.take(whole)
    tick = log.tick()
    assert tick is not None
    assert [(r.name, r.packets) for r in tick.reasons] == [("INVENTED", 9), ("8 of subsystem 2", 1)]
    assert [(d.reason, d.packets) for d in log.drops_of([5])] == [("INVENTED", 2)]
    assert [(e.reason, e.seq) for e in log.recent([5])] == [("INVENTED", 50)]
    engine.take(section(lib.NT_S_EVENTS_OFF, 0, b""))
    assert log.tick() is None
    assert log.memory() is None
    assert not log.recent()
    assert not log.drops_of([5])
    # Records without an interval, of other sizes, or cut.
    for bad in (
        record,
        began + section(lib.NT_S_EVENT_RECORDS, 8, bytes(8)),
        began + section(lib.NT_S_EVENT_RECORDS, sizes[0] | closed, bytes(sizes[0] - 8)),
        began + section(lib.NT_S_DROPS, sizes[2], bytes(sizes[2] - 8)),
    ):
        with pytest.raises(OSError, match="Protocol error"):
            Engine().take(bad)


# --- path ---


def path_section(hook: Hook, read: int, counts: dict[int, int], max_ns: int) -> bytes:
    """struct nt_path_head and the buckets, which only grow."""
    buckets = [counts.get(bucket, 0) for bucket in range(lib.NT_FINE_BUCKETS)]
    total = sum(counts.values())
    head = struct.pack("<6QII", total * 1000, max_ns, read, 2, 3, 4, read, 0)
    return section(lib.NT_S_PATH, hook, head + struct.pack(f"<{len(buckets)}Q", *buckets))


def test_the_path_follows_from_its_sums() -> None:
    whole, unpacked, late = Engine(), Engine(), Engine()
    packer, unpacker = Packer(), Packer()
    assert path_tick(whole) is None
    for read, counts in enumerate(({}, {50: 3}, {50: 4, 90: 6}, {50: 4, 90: 7}), 1):
        raw = path_section(Hook.TCP, read, counts, 10 * read) + path_section(Hook.IP, read, {}, 0)
        whole.take(raw)
        unpacked.take(unpacker.unpack(packer.pack(raw)))
        tick = path_tick(whole)
        assert tick is not None
        assert path_tick(unpacked) == tick
        assert set(tick) == {Hook.TCP, Hook.IP}
        tcp = tick[Hook.TCP]
        assert tcp.now.dist.count == (0, 3, 7, 1)[read - 1]
        assert tcp.run.dist.count == (0, 3, 10, 11)[read - 1]
        assert tcp.counts == (read, 2, 3, 4)
        if read > 1:
            # It began in the middle: what its first interval adds it cannot know.
            late.take(raw)
            seen = path_tick(late)
            assert seen is not None
            assert seen[Hook.TCP].now.dist.count == (None, 0, 7, 1)[read - 1]
            assert seen[Hook.TCP].run.dist.count == (None, 0, 7, 8)[read - 1]
    assert tcp.now.dist.max_ns == tcp.run.dist.max_ns == 40
    assert tcp.now.dist.sum_ns == 1000
    whole.clear_runs()
    tick = path_tick(whole)
    assert tick is not None
    assert (tick[Hook.TCP].run.dist.count, tick[Hook.TCP].now.dist.count) == (0, 1)
    with pytest.raises(OSError, match="Protocol error"):
        whole.take(section(lib.NT_S_PATH, 7, raw[24 : 24 + 64 + 8 * lib.NT_FINE_BUCKETS]))
