"""The host's own counters: the kernel's names, what it means that one moves, which are trouble."""

from __future__ import annotations

from typing import NamedTuple


class Counter(NamedTuple):
    """A counter of /proc/net/{snmp,netstat}."""

    name: str  # as nstat has it
    says: str  # of its growth
    trouble: bool = False  # it stands still on a healthy host


# By the field of HostCounters. What is no counter (sockets in use, memory) is not here.
COUNTERS: dict[str, Counter] = {
    "listen_overflows": Counter(
        "TcpExtListenOverflows",
        "connections refused or delayed because an accept queue was full",
        True,
    ),
    "listen_drops": Counter(
        "TcpExtListenDrops",
        "SYNs and handshakes that a listener dropped, those of full accept queues included",
        True,
    ),
    "udp_rcvbuf_errors": Counter(
        "UdpRcvbufErrors", "datagrams dropped because a receive queue was full", True
    ),
    "udp_in_errors": Counter(
        "UdpInErrors", "datagrams that no program got: full queues, checksums, memory", True
    ),
    "tcp_lost_retransmit": Counter(
        "TcpExtTCPLostRetransmit", "segments that were resent and lost once more", True
    ),
    "tcp_timeouts": Counter(
        "TcpExtTCPTimeouts", "retransmission time-outs, of connections that closed too", True
    ),
    "retrans_segs": Counter("TcpRetransSegs", "segments sent again"),
    "attempt_fails": Counter(
        "TcpAttemptFails", "connects that failed: refused, timed out or reset during the handshake"
    ),
    "estab_resets": Counter("TcpEstabResets", "established connections that ended with a reset"),
    "out_rsts": Counter("TcpOutRsts", "resets sent: for closed ports, or by programs that abort"),
}
