"""Parsers of the kernel's counter files, over the text of several kernels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import fields

from nettop.model.types import HostCounters
from nettop.sources import hostnet

SOCKSTAT = b"""sockets: used 290
TCP: inuse 12 orphan 3 tw 7 alloc 20 mem 9
UDP: inuse 4 mem 2
UDPLITE: inuse 0
RAW: inuse 0
FRAG: inuse 0 memory 0
"""
SOCKSTAT6 = b"TCP6: inuse 5\nUDP6: inuse 1\nFRAG6: inuse 0 memory 0\n"
SNMP = b"""Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs \
OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 -1 100 101 102 103 104 105 106 107 108 109 110
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
Udp: 1 2 3 4 5
"""
NETSTAT = b"""TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts TCPLostRetransmit
TcpExt: 0 21 22 23 24
IpExt: InNoRoutes
IpExt: 0
"""


def test_every_counter_has_its_place() -> None:
    got = hostnet.counters(SOCKSTAT, SOCKSTAT6, SNMP, NETSTAT).host
    assert got == HostCounters(
        tcp_inuse=17, tcp_orphan=3, tcp_time_wait=7, tcp_alloc=20, tcp_mem_pages=9, udp_inuse=5,
        curr_estab=104, active_opens=100, passive_opens=101, attempt_fails=102, estab_resets=103,
        out_rsts=109, out_segs=106, in_segs=105, retrans_segs=107, udp_in_errors=3,
        udp_rcvbuf_errors=5, listen_overflows=21, listen_drops=22, tcp_timeouts=23,
        tcp_lost_retransmit=24,
    )  # fmt: skip
    assert all(getattr(got, f.name) is not None for f in fields(HostCounters))


def test_what_is_missing_is_none_and_not_zero() -> None:
    assert hostnet.counters(b"", b"", b"", b"") == hostnet.NetCounters()
    got = hostnet.counters(SOCKSTAT, b"", b"Tcp: ActiveOpens\nTcp: 5\n", b"").host
    assert (got.tcp_inuse, got.active_opens) == (12, 5)
    assert (got.retrans_segs, got.listen_drops) == (None, None)


@pytest.mark.parametrize(
    "raw",
    [b"Tcp: A B C\nTcp: 1 2\n", b"Tcp: A\n", b"Tcp: A x\nTcp: 1 y\n", b"\xff\xfe\n:::\n", b"Tcp:"],
)
def test_damaged_files_do_not_raise(raw: bytes) -> None:
    for values in hostnet.parse_snmp(raw).values():
        assert set(values) <= {"A", "B", "x"}
    hostnet.parse_sockstat(raw)
    assert hostnet.counters(raw, raw, raw, raw) == hostnet.NetCounters()


def test_names_and_numbers_of_different_blocks_do_not_mix() -> None:
    assert hostnet.parse_snmp(b"A: x\nB: y\nB: 1\nA: 2\n") == {"B": {"y": "1"}}


def test_sum_counts_host_wide_numbers_once() -> None:
    one = hostnet.counters(SOCKSTAT, SOCKSTAT6, SNMP, NETSTAT).host
    two = hostnet.total([one, one, HostCounters()])
    assert (two.tcp_inuse, two.tcp_time_wait, two.retrans_segs) == (34, 14, 214)
    assert (two.tcp_orphan, two.tcp_alloc, two.tcp_mem_pages) == (3, 20, 9)
    assert hostnet.total([]) == HostCounters()


@dataclass
class Files:
    sockstat_fd: int = -1
    sockstat6_fd: int = -1
    snmp_fd: int = -1
    snmp6_fd: int = -1
    netstat_fd: int = -1
    route_fd: int = -1
    conntrack_fd: int = -1
    wmem_fd: int = -1


def test_reads_open_files_from_the_beginning_every_time(tmp_path: Path) -> None:
    path = tmp_path / "snmp"
    path.write_bytes(SNMP + b"X: " + b"n " * 20000 + b"\nX: " + b"1 " * 20000 + b"\nY: z\nY: 8\n")
    fd = os.open(path, os.O_RDONLY)
    files = Files(snmp_fd=fd)
    for _ in range(2):
        assert hostnet.read(files) == hostnet.counters(b"", b"", path.read_bytes(), b"")
    hostnet.close_counters(files)
    hostnet.close_counters(files)
    assert files == Files()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_the_running_kernel_has_every_counter() -> None:
    net = Path("/proc/self/net")
    raw = [(net / n).read_bytes() if (net / n).exists() else b""
           for n in ("sockstat", "sockstat6", "snmp", "netstat")]  # fmt: skip
    got = hostnet.counters(*raw).host
    missing = [f.name for f in fields(HostCounters) if getattr(got, f.name) is None]
    assert missing == []


def test_the_evidence_is_named_as_nstat_does() -> None:
    snmp6 = (
        b"Ip6OutDiscards                  \t7\nUdp6RcvbufErrors\t8\nUdp6X 9\nbad\nUdp6InErrors x\n"
    )
    got = hostnet.counters(b"", b"", SNMP, NETSTAT, snmp6).evidence
    assert got == {
        "Ip6OutDiscards": 7, "Udp6RcvbufErrors": 8, "TcpExtSyncookiesSent": 0,
        "TcpExtListenOverflows": 21, "TcpExtListenDrops": 22, "TcpExtTCPTimeouts": 23,
        "TcpExtTCPLostRetransmit": 24, "TcpAttemptFails": 102, "TcpRetransSegs": 107,
        "TcpInErrs": 108, "TcpInCsumErrors": 110, "UdpNoPorts": 2, "UdpInErrors": 3,
        "UdpRcvbufErrors": 5,
    }  # fmt: skip
