"""The host's own counters: /proc/net/{sockstat,sockstat6,snmp,snmp6,netstat} of each namespace.

They hold what no dump of sockets shows: connections that are closed by now, TIME_WAIT,
refused and overflowed ones. Errors of Udp and Ip are those of IPv4; TCP's cover IPv6 as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct, field

from nettop.model.types import HostCounters
from nettop.text.evidence import COUNTERS

_CHUNK = 16384

# Field of HostCounters → (line, word) of the file. Two sources are added up.
_SOCKSTAT = {
    "tcp_inuse": (("TCP", "inuse"), ("TCP6", "inuse")),
    "tcp_orphan": (("TCP", "orphan"),),
    "tcp_time_wait": (("TCP", "tw"),),
    "tcp_alloc": (("TCP", "alloc"),),
    "tcp_mem_pages": (("TCP", "mem"),),
    "udp_inuse": (("UDP", "inuse"), ("UDP6", "inuse")),
}
_SNMP = {
    "curr_estab": ("Tcp", "CurrEstab"),
    "active_opens": ("Tcp", "ActiveOpens"),
    "passive_opens": ("Tcp", "PassiveOpens"),
    "attempt_fails": ("Tcp", "AttemptFails"),
    "estab_resets": ("Tcp", "EstabResets"),
    "out_rsts": ("Tcp", "OutRsts"),
    "out_segs": ("Tcp", "OutSegs"),
    "in_segs": ("Tcp", "InSegs"),
    "retrans_segs": ("Tcp", "RetransSegs"),
    "udp_in_errors": ("Udp", "InErrors"),
    "udp_rcvbuf_errors": ("Udp", "RcvbufErrors"),
    "listen_overflows": ("TcpExt", "ListenOverflows"),
    "listen_drops": ("TcpExt", "ListenDrops"),
    "tcp_timeouts": ("TcpExt", "TCPTimeouts"),
    "tcp_lost_retransmit": ("TcpExt", "TCPLostRetransmit"),
}
# Counted once for the whole host, whichever namespace is asked (sockstat_seq_show).
_HOST_WIDE = frozenset({"tcp_orphan", "tcp_alloc", "tcp_mem_pages"})


class NetFiles(Protocol):
    """Open files of one namespace; -1 where there is none."""

    sockstat_fd: int
    sockstat6_fd: int
    snmp_fd: int
    snmp6_fd: int
    netstat_fd: int
    route_fd: int  # a socket of NETLINK_ROUTE
    conntrack_fd: int  # /proc/net/stat/nf_conntrack
    wmem_fd: int  # /proc/sys/net/ipv4/tcp_wmem


_FILES = (
    "sockstat_fd", "sockstat6_fd", "snmp_fd", "snmp6_fd", "netstat_fd", "route_fd",
    "conntrack_fd", "wmem_fd",
)  # fmt: skip


def close_counters(files: NetFiles) -> None:
    """Closes the files and the socket; a second call does nothing."""
    for name in _FILES:
        fd = getattr(files, name)
        if fd >= 0:
            os.close(fd)
            setattr(files, name, -1)


def parse_sockstat(raw: bytes) -> dict[str, dict[str, str]]:
    """`TCP: inuse 5 orphan 0 …` lines of sockstat and sockstat6."""
    found: dict[str, dict[str, str]] = {}
    for line in raw.decode("ascii", "replace").splitlines():
        title, _, rest = line.partition(":")
        words = rest.split()
        found[title] = dict(zip(words[::2], words[1::2], strict=False))
    return found


def parse_snmp(raw: bytes) -> dict[str, dict[str, str]]:
    """Pairs of lines of snmp and netstat: `Tcp: Name …`, then `Tcp: number …` in the same order.

    The numbers are left as they stand there: of three hundred some ninety are used, every tick and
    in every namespace.
    """
    found: dict[str, dict[str, str]] = {}
    names: tuple[str, list[str]] = ("", [])
    for line in raw.decode("ascii", "replace").splitlines():
        title, _, rest = line.partition(":")
        words = rest.split()
        if title != names[0]:
            names = (title, words)
            continue
        found.setdefault(title, {}).update(zip(names[1], words, strict=False))
        names = ("", [])
    return found


def parse_snmp6(raw: bytes) -> dict[str, int]:
    """Lines `Udp6InErrors   0` of snmp6; those that COUNTERS has."""
    found = {}
    for line in raw.decode("ascii", "replace").splitlines():
        words = line.split()
        value = _whole(words[1]) if len(words) == 2 and words[0] in COUNTERS else None
        if value is not None:
            found[words[0]] = value
    return found


class NetCounters(Struct, frozen=True):
    """What one namespace counts."""

    host: HostCounters = field(default_factory=HostCounters)
    evidence: Mapping[str, int] = field(default_factory=dict)  # by COUNTERS; what it has of them


def counters(
    sockstat: bytes, sockstat6: bytes, snmp: bytes, netstat: bytes, snmp6: bytes = b""
) -> NetCounters:
    """Of one namespace; None, or no entry, for what its files do not hold."""
    sock = parse_sockstat(sockstat) | parse_sockstat(sockstat6)
    mib = parse_snmp(snmp) | parse_snmp(netstat)
    values: dict[str, int | None] = {}
    for name, places in _SOCKSTAT.items():
        parts = [p for line, word in places if (p := _pick(sock, line, word)) is not None]
        values[name] = sum(parts) if parts else None
    for name, (line, word) in _SNMP.items():
        values[name] = _pick(mib, line, word)
    evidence = parse_snmp6(snmp6)
    for name, (line, word) in _EVIDENCE.items():
        value = _pick(mib, line, word)
        if value is not None:
            evidence[name] = value
    return NetCounters(HostCounters(**values), evidence)


_GROUP = re.compile(r"(TcpExt|IpExt|Tcp|Udp|Ip)(?!6)(\w+)")
_EVIDENCE = {name: match.groups() for name in COUNTERS if (match := _GROUP.fullmatch(name))}


def _pick(table: Mapping[str, Mapping[str, str]], line: str, word: str) -> int | None:
    text = table.get(line, {}).get(word)
    return _whole(text) if text is not None else None


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def total(parts: Iterable[HostCounters]) -> HostCounters:
    """The sum over namespaces; a counter is None only if every namespace lacks it."""
    columns = list(parts)
    values: dict[str, int | None] = {}
    for name in HostCounters.__struct_fields__:
        known = [v for p in columns if (v := getattr(p, name)) is not None]
        merge = max if name in _HOST_WIDE else sum
        values[name] = merge(known) if known else None
    return HostCounters(**values)


def read(files: NetFiles) -> NetCounters:
    """Reads what one namespace counts."""
    return counters(
        read_fd(files.sockstat_fd),
        read_fd(files.sockstat6_fd),
        read_fd(files.snmp_fd),
        read_fd(files.netstat_fd),
        read_fd(files.snmp6_fd),
    )


def read_line(fd: int) -> bytes:
    """A file of some numbers, in one call; empty if it is not there."""
    try:
        return os.pread(fd, 256, 0) if fd >= 0 else b""
    except OSError:
        return b""


def read_fd(fd: int) -> bytes:
    """The whole file from its beginning; empty if it is not there."""
    if fd < 0:
        return b""
    parts: list[bytes] = []
    at = 0
    try:
        while chunk := os.pread(fd, _CHUNK, at):
            parts.append(chunk)
            at += len(chunk)
    except OSError:
        return b""
    return b"".join(parts)
