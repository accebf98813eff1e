"""Events and the path of received packets follow from their records, in another engine too."""

from __future__ import annotations

import os
import struct
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nettop.engine import eventlog, ffi, lib
from nettop.engine.eventlog import EventLog
from nettop.engine.frames import Packer
from nettop.engine.handle import Engine, Procs
from nettop.engine.pathtick import path_tick
from nettop.model.events import EventType
from nettop.model.path import Hook
from nettop.sources import events, netns
from tests.integration.namespaces import namespace
from tests.integration.test_replayed_engine import TICKS, rows, sweep
from tests.integration.trouble import Trouble

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


def test_reasons_have_the_names_that_the_sample_gives_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, event = ffi.new("struct nt_events_head *"), ffi.new("struct nt_event *")
    drop, reason = ffi.new("struct nt_drop *"), ffi.new("struct nt_reason[2]")
    head.read, head.now.first_seq, head.now.next_seq, head.begun_ns = 7, 50, 51, 10**8
    head.now.seen[EventType.DROP] = 1
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
    assert log.befallen([EventType.DROP], filtered=False) == ({(5, EventType.DROP)}, 0)
    monkeypatch.setattr(eventlog, "ORDERLY_DROPS", {"INVENTED"})
    assert log.befallen([EventType.DROP], filtered=False) == (set(), 0)
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
