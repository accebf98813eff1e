"""What a host says beside its sockets: parsers, what moved, and that words and keys agree."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields, replace

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine import ffi, lib
from nettop.export.evidence import evidence_object, evidence_of
from nettop.model.evidence import (
    GAUGES,
    SOURCES,
    Device,
    Evidence,
    HostTick,
    Moved,
    Mover,
    Process,
    Qdisc,
    increase,
)
from nettop.sample import Facts, Sample
from nettop.sources import hostcpu
from nettop.sources.drivers import NICS
from nettop.sources.evidence import HostEvidence
from nettop.sources.links import Links
from nettop.sources.threads import CpuCgroups, Threads
from nettop.store.frames import FrameReader, FrameWriter
from nettop.text.evidence import (
    CGROUP,
    CONNTRACK,
    COUNTERS,
    DEVICE,
    DRIVER,
    NEIGHBOURS,
    PRESSURE,
    PROCESS,
    QDISC,
    SOFTNET,
)

_SIX = "0 0 0 0 0 0"
SOFTNET_6_18 = f"a 2 3 {_SIX} 0 4 5 2 0 0\nb 0 0 {_SIX} 0 0 0 3 0 0\n".encode()
SECOND = 10**9


def evidence(at_s: int, **changes: Any) -> Evidence:
    made = Evidence(
        counters={7: {"TcpExtTCPTimeouts": 10, "TcpExtListenDrops": 0}},
        softnet={0: {"dropped": 4}},
        pressure={"cpu": {"some_us": 100, "full_us": 0}},
        devices={7: {2: Device("eth0", {"tx_dropped": 5, "mtu_bytes": 1500})}},
        qdiscs={7: {"2 root 1:": Qdisc(2, "tbf", "1:", "root", {"drops": 3})}},
        processes={12: Process(2, 2, {"S": 1, "T": 1}, "/a", 2 * SECOND, 8, 9,
                               13, 9, 1)},
        cgroups={"/a": {"nr_throttled": 1, "throttled_us": 5000}},
        read_ns=dict.fromkeys(SOURCES, at_s * SECOND),
        reasons={"pressure": "why"},
        left_out={"devices": 3},
        conntrack={7: {"entries": 9, "drop": 1}},
        neighbours={"arp": {"entries": 5, "table_fulls": 2}},
        drivers={7: {2: Device("eth0", {"rx_ring_full": 4})}},
    )  # fmt: skip
    return replace(made, **changes)


def test_softnet_of_two_kernels() -> None:
    got = hostcpu.parse_softnet(SOFTNET_6_18)
    assert got == {
        2: {"dropped": 2, "time_squeeze": 3, "flow_limited": 4, "backlog_packets": 5}
    }  # fmt: skip
    older = b"\n".join(b" ".join(line.split()[:11]) for line in SOFTNET_6_18.splitlines())
    assert hostcpu.parse_softnet(older) == {
        0: {"dropped": 2, "time_squeeze": 3, "flow_limited": 4}
    }  # fmt: skip
    assert hostcpu.parse_softnet(b"\nx y\n1 2\n") == {}


def test_pressure_by_kind() -> None:
    raw = b"some avg10=1.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 total=8\nx total=1\n"
    assert hostcpu.parse_pressure(raw) == {"some_us": 77, "full_us": 8}
    assert hostcpu.parse_pressure(b"some total=x\nfull\n") == {}


def test_what_counts_down_is_another_of_the_same_name() -> None:
    assert increase({"a": 1, "b": 2}, {"a": 4, "b": 2}) == {"a": 3}
    assert increase({}, {"a": 4}) == {"a": 4}
    assert increase({"a": 5, "b": 2}, {"a": 4, "b": 9}) == {}
    assert increase({"a": 5, "b": 2}, {"b": 9}) == {}
    assert increase({"backlog_bytes": 5, "b": 2}, {"b": 9}) == {"b": 7}
    assert increase({"backlog_bytes": 5}, {"backlog_bytes": 9}) == {}


def test_what_moved_between_two_reads() -> None:
    mover = Mover()
    first = mover.tick(evidence(10))
    assert first.moved == Moved()
    assert first.increase("TcpExtTCPTimeouts") is None
    got = mover.tick(evidence(
        12,
        counters={7: {"TcpExtTCPTimeouts": 14, "TcpExtListenDrops": 0}, 8: {"IpOutDiscards": 9}},
        softnet={0: {"dropped": 4}, 1: {"dropped": 2}},
        devices={7: {2: Device("eth0", {"tx_dropped": 6}), 3: Device("new", {"tx_dropped": 8})}},
        qdiscs={7: {"2 root 1:": Qdisc(2, "tbf", "1:", "root", {"drops": 5, "backlog_bytes": 9})}},
        cgroups={"/a": {"nr_throttled": 3, "throttled_us": 9000}},
        conntrack={7: {"entries": 12, "drop": 4}},
        neighbours={"arp": {"entries": 4, "table_fulls": 9}},
        drivers={7: {2: Device("eth0", {"rx_ring_full": 9})}},
    ))  # fmt: skip
    moved = got.moved
    assert moved.conntrack == {7: {"drop": 3}}
    assert moved.neighbours == {"arp": {"table_fulls": 7}}
    assert moved.drivers == {7: {2: {"rx_ring_full": 5}}}
    assert moved.counters == {7: {"TcpExtTCPTimeouts": 4}}
    assert moved.softnet == {1: {"dropped": 2}}
    assert moved.pressure == {}
    assert moved.devices == {7: {2: {"tx_dropped": 1}}}
    assert moved.qdiscs == {7: {"2 root 1:": {"drops": 2}}}
    assert moved.cgroups == {"/a": {"nr_throttled": 2, "throttled_us": 4000}}
    assert moved.since_s == dict.fromkeys(SOURCES, 2.0)
    assert got.increase("TcpExtTCPTimeouts") == 4
    assert got.increase("TcpExtListenDrops") == 0
    assert got.increase("TcpExtNoSuch") is None


def test_a_device_by_another_name_and_a_qdisc_of_another_kind_are_others() -> None:
    mover = Mover()
    mover.tick(evidence(10))
    moved = mover.tick(evidence(
        11,
        devices={7: {2: Device("eth1", {"tx_dropped": 9})}},
        qdiscs={7: {"2 root 1:": Qdisc(2, "fq", "1:", "root", {"drops": 9})}},
    )).moved  # fmt: skip
    assert (moved.devices, moved.qdiscs) == ({}, {})


def test_a_source_that_was_not_read_again_keeps_what_it_had() -> None:
    mover = Mover()
    mover.tick(evidence(10))
    up = {7: {2: Device("eth0", {"tx_dropped": 6})}}
    mover.tick(evidence(11, devices=up))
    read_ns = dict.fromkeys(SOURCES, 12 * SECOND) | {"devices": 11 * SECOND}
    moved = mover.tick(evidence(12, devices=up, read_ns=read_ns)).moved
    assert moved.devices == {7: {2: {"tx_dropped": 1}}}
    assert moved.since_s["devices"] == 1.0
    del read_ns["processes"]
    assert "processes" not in mover.tick(evidence(13, read_ns=read_ns)).moved.since_s


def test_frames_bring_it_back_and_cost_nothing_where_nothing_moved() -> None:
    writer, reader = FrameWriter(), FrameReader()
    quiet = Sample(1, SECOND, SECOND, b"", Facts(evidence=evidence(1)), whole=True)
    first = writer.frame(quiet)
    moved = replace(quiet.facts, evidence=evidence(2, softnet={}, reasons={}))
    later = replace(quiet, seq=2, facts=moved, whole=False)
    second = writer.frame(later)
    assert reader.sample(first).facts == quiet.facts
    assert reader.sample(second).facts == later.facts
    same = replace(later, seq=3)
    assert len(writer.frame(same)) <= len(second) - 30
    assert reader.sample(writer.frame(replace(same, seq=4))).facts == later.facts


def test_snapshots_bring_it_back() -> None:
    mover = Mover()
    mover.tick(evidence(10))
    tick = mover.tick(evidence(
        12, counters={7: {"TcpExtTCPTimeouts": 14, "TcpExtListenDrops": 0}},
        devices={7: {2: Device("eth0", {"tx_dropped": 6})}},
        qdiscs={7: {"2 root 1:": Qdisc(2, "tbf", "1:", "root", {"drops": 5})}},
        softnet={0: {"dropped": 5}}, pressure={"cpu": {"some_us": 101, "full_us": 0}},
        cgroups={"/a": {"nr_throttled": 2, "throttled_us": 5001}},
        conntrack={7: {"entries": 9, "drop": 2}}, neighbours={"arp": {"table_fulls": 3}},
        drivers={7: {2: Device("eth0", {"rx_ring_full": 5})}},
    ))  # fmt: skip
    assert tick.moved.drivers
    assert evidence_of(evidence_object(tick)) == tick
    assert evidence_object(HostTick()) == {}
    assert evidence_of({}) == HostTick()


def test_its_lists_do_not_depend_on_the_order_in_which_it_was_read() -> None:
    """A recording keeps none."""
    one, other = Process(1, 1, {"S": 1}, "/a", 1, 2, 3, 4, 5), {"dropped": 1}
    made = evidence(1, processes={30: one, 4: one}, softnet={1: other, 0: other})
    turned = evidence(1, processes={4: one, 30: one}, softnet={0: other, 1: other})
    objects = [evidence_object(Mover().tick(e)) for e in (made, turned)]
    assert objects[0] == objects[1]
    assert [p["pid"] for p in objects[0]["host_processes"]] == [4, 30]


def test_every_number_has_its_words() -> None:
    link = {f.name for f in fields_of("struct nt_link")} - {"ifindex", "name", "mtu"}
    assert set(DEVICE) - {"mtu_bytes"} == link
    qdisc = {f.name for f in fields_of("struct nt_qdisc")}
    assert set(QDISC) == qdisc - {"ifindex", "handle", "parent", "pad", "pad2", "kind"}
    times = {f.name for f in fields(Process)} - {"states", "cgroup", "names", "frozen"}
    assert set(PROCESS) == times
    known = set(SOFTNET) | set(PRESSURE) | set(DEVICE) | set(QDISC) | set(CGROUP) | set(CONNTRACK)
    assert known >= GAUGES
    assert set(DRIVER) == {ours for wanted in NICS.values() for ours in wanted}
    registries = (
        COUNTERS, SOFTNET, PRESSURE, DEVICE, QDISC, PROCESS, CGROUP, CONNTRACK, NEIGHBOURS, DRIVER,
    )  # fmt: skip
    for registry in registries:
        assert all(m.unit and m.says and not m.says.endswith(".") for m in registry.values())


def fields_of(struct_name: str) -> list[Any]:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

    return [Named(name) for name, _ in ffi.typeof(struct_name).fields]


# --- netlink ---


def attr(kind: int, data: bytes) -> bytes:
    whole = struct.pack("<HH", 4 + len(data), kind) + data
    return whole + bytes(-len(whole) % 4)


def message(kind: int, body: bytes, seq: int = 5, flags: int = 2) -> bytes:
    return struct.pack("<IHHII", 16 + len(body), kind, flags, seq, 0) + body


DONE = message(3, struct.pack("<i", 0))
STATS64 = struct.pack("<24Q", *range(100, 124))
LINK = message(16, struct.pack("<BxHiII", 0, 1, 4, 0x1043, 0) + attr(3, b"eth0\0") + attr(
    4, struct.pack("<I", 1400)) + attr(35, struct.pack("<I", 6)) + attr(23, STATS64))  # fmt: skip


def tc(kind: bytes, xstats: bytes) -> bytes:
    stats = (attr(1, struct.pack("<QI", 1000, 10)) + attr(8, struct.pack("<Q", 1 << 33))
             + attr(3, struct.pack("<5I", 1, 2, 3, 4, 5)) + attr(4, xstats))  # fmt: skip
    head = struct.pack("<B3xiIII", 0, 4, 0x80010000, 0xFFFFFFFF, 2)
    return message(36, head + attr(7, stats) + attr(1, kind + b"\0"))


QDISCS = (
    tc(b"fq", struct.pack("<8Q4I3Q", *range(8), 0, 0, 0, 0, 77, 88, 0))
    + tc(b"fq_codel", struct.pack("<10I", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    + tc(b"codel", struct.pack("<9I", *range(9)))
    + tc(b"pfifo", b"")
)


def parse(kind: str, raw: bytes, most: int = 8) -> tuple[int, list[Any], int]:
    """What it says, what was filled, how many there are."""
    call = lib.nt_links_parse if kind == "link" else lib.nt_qdiscs_parse
    out, count = ffi.new(f"struct nt_{kind}[]", most), ffi.new("uint32_t *")
    end = call(ffi.from_buffer(bytes(raw)), len(raw), 5, out, most, count)
    return end, list(out[0 : min(count[0], most)]), count[0]


def test_a_link_by_its_attributes() -> None:
    end, (link,), count = parse("link", LINK + DONE)
    assert (end, count) == (1, 1)
    assert ffi.string(link.name) == b"eth0"
    assert (link.ifindex, link.flags, link.mtu, link.carrier_changes) == (4, 0x1043, 1400, 6)
    # The places of struct rtnl_link_stats64.
    assert (link.rx_packets, link.tx_packets, link.rx_bytes, link.tx_bytes) == (100, 101, 102, 103)
    assert (link.rx_errors, link.tx_errors) == (104, 105)
    assert (link.rx_dropped, link.tx_dropped) == (106, 107)
    assert (link.rx_over_errors, link.rx_crc_errors) == (111, 112)
    assert (link.rx_fifo_errors, link.rx_missed_errors) == (114, 115)
    assert (link.tx_aborted_errors, link.tx_carrier_errors, link.tx_fifo_errors) == (116, 117, 118)
    assert link.rx_nohandler == 123


def test_qdiscs_by_their_kinds() -> None:
    end, qdiscs, _ = parse("qdisc", QDISCS + DONE)
    assert end == 1
    assert [ffi.string(q.kind) for q in qdiscs] == [b"fq", b"fq_codel", b"codel", b"pfifo"]
    for q in qdiscs:
        assert (q.ifindex, q.handle, q.parent, q.bytes, q.packets) == (
            4, 0x80010000, 0xFFFFFFFF, 1000, 1 << 33)  # fmt: skip
        assert (q.backlog_packets, q.backlog_bytes, q.drops, q.requeues, q.overlimits) == (
            1, 2, 3, 4, 5)  # fmt: skip
    fq, fq_codel, codel, pfifo = qdiscs
    assert (fq.throttled, fq.flows_plimit, fq.ce_mark, fq.horizon_drops) == (3, 4, 77, 88)
    assert (fq_codel.drop_overlimit, fq_codel.ecn_mark, fq_codel.ce_mark,
            fq_codel.drop_overmemory) == (2, 3, 7, 9)  # fmt: skip
    assert (codel.drop_overlimit, codel.ecn_mark, codel.ce_mark) == (5, 6, 8)
    assert pfifo.throttled == pfifo.ecn_mark == 0


def test_how_a_dump_ends() -> None:
    assert parse("link", LINK)[0] == 0
    assert parse("link", LINK * 9 + DONE)[1:] != ([], 0)
    assert parse("link", LINK * 9 + DONE)[2] == 9
    assert parse("link", message(3, struct.pack("<i", 0), flags=0x12))[0] == 2
    assert parse("link", message(2, struct.pack("<i", -16)))[0] == -16
    assert parse("link", message(2, struct.pack("<i", -(2**31))))[0] == -71
    # An answer to another request is none.
    assert parse("link", LINK[:8] + struct.pack("<I", 4) + LINK[12:] + DONE)[2] == 0


@pytest.mark.parametrize(("kind", "whole"), [("link", LINK + DONE), ("qdisc", QDISCS + DONE)])
def test_damaged_messages_are_refused_or_read_within_their_bounds(kind: str, whole: bytes) -> None:
    for n in range(len(whole)):
        end, found, _ = parse(kind, whole[:n])
        assert end in (0, -71), n
        assert len(found) <= 4
    rng = random.Random(1)
    for _ in range(3000):
        raw = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            raw[rng.randrange(len(raw))] = rng.choice((0, 1, 4, 255, rng.randrange(256)))
        end, found, _ = parse(kind, bytes(raw), most=2)
        assert -4096 < end <= 2
        assert len(found) <= 2


# --- this host ---


def test_threads_of_this_process() -> None:
    done = threading.Event()
    helper = threading.Thread(target=done.wait)
    helper.start()
    try:
        threads = Threads()
        first = threads.read([os.getpid(), 2**22 + 1])
        assert list(first) == [os.getpid()]
        assert first[os.getpid()].over_ns is None
        assert first[os.getpid()].cpu_ns is None
        sum(range(10**6))
        got = threads.read([os.getpid()], {os.getpid()})[os.getpid()]
    finally:
        done.set()
        helper.join()
    assert first[os.getpid()].names is None, "none was asked for"
    assert got.names == {str(os.getpid()): Path("/proc/self/comm").read_text().strip()}
    assert got.threads >= 2
    assert got.read == min(got.threads, 32)
    assert got.states["R"] >= 1
    assert got.cpu_ns is not None
    assert got.cpu_ns > 0
    assert got.run_delay_ns is not None
    assert got.ran is not None
    assert got.waited_longer is not None
    assert 1 <= got.ran <= got.read
    assert got.waited_longer <= got.ran
    assert threads.read([]) == {}


def test_a_process_that_says_nothing_it_should_not(tmp_path: Path) -> None:
    """A name with a parenthesis and escape codes; a thread without times."""
    task = tmp_path / "9/task/9"
    task.mkdir(parents=True)
    (task / "schedstat").write_bytes(b"12 34 5\n")
    (task / "stat").write_bytes(b"9 (a) T (\x1b[2J) D 1 2 3\n")
    threads = Threads(str(tmp_path))
    assert threads.read([9])[9].states == {"D": 1}
    (task / "schedstat").unlink()
    assert threads.read([9]) == {}
    assert threads.reason is not None
    assert "CONFIG_SCHED_INFO" in threads.reason


def test_cgroups_by_what_a_process_says(tmp_path: Path) -> None:
    of = CpuCgroups(str(tmp_path))
    of._v1 = None
    (tmp_path / "9").mkdir()
    for text, path in ((b"3:cpu:/v1\n0::/a b\n", "/a b"), (b"0::/../x\n", None), (b"", None)):
        (tmp_path / "9/cgroup").write_bytes(text)
        assert of.of(9) == path
    assert of.of(10) is None
    of._v1 = "/x"
    (tmp_path / "9/cgroup").write_bytes(b"3:cpu,cpuacct:/v1\n0::/v2\n")
    assert of.of(9) == "/v1"


def test_what_is_dear_is_read_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    made = HostEvidence(clock=lambda: now[0])
    reads = []

    def devices(route_fd: int) -> tuple[dict[int, Device], int]:
        reads.append(now[0])
        now[0] += 0.1  # the kernel's lock was held by others
        return {1: Device("lo")}, 2

    monkeypatch.setattr(made._links, "devices", devices)
    monkeypatch.setattr(made._links, "qdiscs", lambda fd: ({}, 0))
    monkeypatch.setattr(made._drivers, "read", lambda netns, fd, devices: ({}, 0))

    class Files:
        sockstat_fd = sockstat6_fd = snmp_fd = snmp6_fd = netstat_fd = -1
        route_fd = 3
        conntrack_fd = -1
        wmem_fd = -1

    for _ in range(4):
        got = made.read({}, 1, {7: Files()}, ())
        now[0] += 1.0
    assert reads == pytest.approx([100.0, 102.1])
    assert got.devices == {7: {1: Device("lo")}}
    assert got.left_out == {"devices": 2}
    assert made.read({}, 1, {}, ()).devices == {}


def test_the_devices_of_this_host_are_those_of_sysfs() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        devices, left_out = Links().devices(route.fileno())
    names = {p.name for p in Path("/sys/class/net").iterdir() if (p / "ifindex").exists()}
    assert left_out == 0
    assert {d.name for d in devices.values()} == names
