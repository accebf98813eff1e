"""Every metric: its name, what it counts, its labels. Help and exposition are made of it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from nettop.metrics.series import Count
from nettop.model.path import Hook

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Metric(Struct, frozen=True):
    """name: without the `_total` of a counter."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()  # beside those of the group
    grouped: bool = False  # one for each group of sockets

    @property
    def unit(self) -> str:
        """As OpenMetrics has it: the name ends in it."""
        last = self.name.rpartition("_")[2]
        return last if last in ("seconds", "bytes") else ""

    @property
    def full_name(self) -> str:
        """As samples are called."""
        return f"{self.name}_total" if self.kind == COUNTER else self.name


def _grouped(name: str, kind: str, text: str, *labels: str) -> Metric:
    return Metric(f"nettop_{name}", kind, text, labels, grouped=True)


def _host(name: str, kind: str, text: str, *labels: str) -> Metric:
    return Metric(f"nettop_{name}", kind, text, labels)


# Of groups of sockets.
SOCKETS = _grouped("sockets", GAUGE, "Sockets now, listeners left out")
UNWELL = _grouped(
    "sockets_unwell", GAUGE,
    "Sockets with a verdict that is unwell, by whose fault it is and the worst such verdict",
    "who", "why",
)  # fmt: skip
UNREAD = _grouped(
    "oldest_unread_seconds",
    GAUGE,
    "Age of the oldest data that is readable and unread; at least "
    "so much where it came before nettop began",
)
ACCEPT = _grouped("accept_queue_ratio", GAUGE, "Used part of the fullest accept queue, 1 is full")
RTT = _grouped(
    "tcp_rtt_seconds", HISTOGRAM,
    "Smoothed round-trip time, once a tick of each socket whose data was acknowledged in it",
)  # fmt: skip
RX_WAIT = _grouped(
    "rx_queue_wait_seconds", HISTOGRAM,
    "Time from when a delivery became readable until the program had read it",
)  # fmt: skip
LIMITED = _grouped(
    "tcp_limited_seconds", COUNTER,
    "Time in which sending was held back by the peer's window (rwnd), the send buffer (sndbuf) or "
    "the congestion window (cwnd)",
    "by",
)  # fmt: skip
COUNTS: Mapping[Count, Metric] = {
    Count.SENT_BYTES: _grouped("tcp_sent_bytes", COUNTER, "Payload sent, resent bytes included"),
    Count.ACKED_BYTES: _grouped(
        "tcp_acknowledged_bytes",
        COUNTER,
        "Payload that peers have; SYN and FIN count as a byte each",
    ),
    Count.RECEIVED_BYTES: _grouped(
        "tcp_received_bytes", COUNTER, "Payload received in order; a FIN counts as a byte"
    ),
    Count.RETRANS_BYTES: _grouped("tcp_retransmitted_bytes", COUNTER, "Payload sent again"),
    Count.RETRANS_SEGMENTS: _grouped("tcp_retransmitted_segments", COUNTER, "Segments sent again"),
    Count.DROPS: _grouped(
        "socket_drops", COUNTER, "Packets that sockets dropped: no room, or damaged"
    ),
    Count.BUSY_MS: _grouped("tcp_busy_seconds", COUNTER, "Time with data to send or in flight"),
    Count.OPENED: _grouped("tcp_connections_opened", COUNTER, "TCP sockets that began"),
    Count.CLOSED: _grouped(
        "tcp_connections_closed", COUNTER, "TCP sockets that ended and left their last numbers"
    ),
    Count.UDP_SENT_BYTES: _grouped("udp_sent_bytes", COUNTER, "Payload sent"),
    Count.UDP_RECEIVED_BYTES: _grouped("udp_received_bytes", COUNTER, "Payload read"),
}
LIMITS: Mapping[str, Count] = {
    "rwnd": Count.RWND_MS, "sndbuf": Count.SNDBUF_MS, "cwnd": Count.CWND_MS,
}  # fmt: skip
IN_MS = frozenset({Count.BUSY_MS, *LIMITS.values()})

# Of the host.
TX_STAGE = _host(
    "tx_stage_seconds", HISTOGRAM, "Where stamped sends spend their time: nettop help planes",
    "stage",
)  # fmt: skip
DROPS = _host("drops", COUNTER, "Packets dropped in this host, by the kernel's reason", "reason")
EVENTS = _host("events", COUNTER, "Events of sockets, by type: nettop help planes", "type")
EVENTS_UNLISTED = _host("events_unlisted", COUNTER, "Events that are counted and left no record")
CLOSED_UNKNOWN = _host(
    "tcp_connections_closed_unknown", COUNTER,
    "TCP sockets that closed without a record: what they did after the last tick is not counted",
)  # fmt: skip
TCP_STATE = _host("tcp_sockets", GAUGE, "TCP sockets of the polled namespaces", "state")
COUNTERS: Mapping[str, Metric] = {
    "out_segs": _host("host_tcp_segments_sent", COUNTER, "TcpOutSegs"),
    "in_segs": _host("host_tcp_segments_received", COUNTER, "TcpInSegs"),
    "retrans_segs": _host("host_tcp_segments_retransmitted", COUNTER, "TcpRetransSegs"),
    "tcp_timeouts": _host("host_tcp_timeouts", COUNTER, "TcpExtTCPTimeouts"),
    "tcp_lost_retransmit": _host("host_tcp_retransmits_lost", COUNTER, "TcpExtTCPLostRetransmit"),
    "active_opens": _host("host_tcp_active_opens", COUNTER, "TcpActiveOpens"),
    "passive_opens": _host("host_tcp_passive_opens", COUNTER, "TcpPassiveOpens"),
    "attempt_fails": _host("host_tcp_attempts_failed", COUNTER, "TcpAttemptFails"),
    "estab_resets": _host("host_tcp_connections_reset", COUNTER, "TcpEstabResets"),
    "out_rsts": _host("host_tcp_resets_sent", COUNTER, "TcpOutRsts"),
    "listen_overflows": _host("host_tcp_listen_overflows", COUNTER, "TcpExtListenOverflows"),
    "listen_drops": _host("host_tcp_listen_drops", COUNTER, "TcpExtListenDrops"),
    "udp_in_errors": _host("host_udp_receive_errors", COUNTER, "UdpInErrors"),
    "udp_rcvbuf_errors": _host("host_udp_receive_buffer_errors", COUNTER, "UdpRcvbufErrors"),
}
GAUGES: Mapping[str, Metric] = {
    "tcp_mem_pages": _host("host_tcp_memory_bytes", GAUGE, "Memory of all TCP sockets"),
    "tcp_orphan": _host("host_tcp_orphans", GAUGE, "TCP sockets that no program holds"),
}
PATH = Metric(
    "ebpf_exporter_netstack_latency_seconds", HISTOGRAM,
    "Latency for packets (skbs) to reach various points in the kernel network stack", ("hook",),
)  # fmt: skip
HOOK_LABELS: Mapping[Hook, str] = {
    Hook.IP: "ip-start",
    Hook.TCP: "tcp-start",
    Hook.UDP: "udp-start",
    Hook.TCP_QUEUED: "tcp-socket-enqueued",
    Hook.UDP_QUEUED: "udp-socket-enqueued",
    Hook.TCP_READ: "tcp-socket-read",
    Hook.UDP_READ: "udp-socket-read",
}

# Of nettop itself.
BUILD = _host("build_info", GAUGE, "1; the version of nettop", "version")
SOURCE = _host("source_up", GAUGE, "1: the source is read, 0.5: in part, 0: off", "source")
TICKS = _host("ticks", COUNTER, "Ticks that were polled")
MISSED = _host("ticks_missed", COUNTER, "Deadlines that passed while a tick was polled")
LAST_TICK = _host("last_tick_timestamp_seconds", GAUGE, "When the last tick was polled, Unix time")
POLL_CPU = _host("poll_cpu_seconds", GAUGE, "CPU time of the last tick's poll")
LOST = _host("lost_events", COUNTER, "Records of events that the kernel had no room for")
GROUPS = _host("groups", GAUGE, "Groups with series of their own")
FOLDED = _host("groups_folded", GAUGE, "Groups that are counted as `other` now")
FOLDS = _host("groups_fold", COUNTER, "How often a group was counted as `other`")
SERIES = _host("series", GAUGE, "Series of the last scrape")
SERIES_MAX = _host("series_max", GAUGE, "The most series there are: --series-max")
SCRAPES = _host("http_requests", COUNTER, "Answered requests", "code")
CUT_OFF = _host("http_connections_cut", COUNTER, "Connections closed before their end", "reason")
CPU = Metric("process_cpu_seconds", COUNTER, "CPU time of nettop")
RSS = Metric("process_resident_memory_bytes", GAUGE, "Memory of nettop")
STARTED = Metric("process_start_time_seconds", GAUGE, "When nettop started, Unix time")

OF_GROUPS = (SOCKETS, UNWELL, UNREAD, ACCEPT, RTT, RX_WAIT, LIMITED, *COUNTS.values())
OF_HOST = (
    TX_STAGE, DROPS, EVENTS, EVENTS_UNLISTED, CLOSED_UNKNOWN, TCP_STATE, *COUNTERS.values(),
    *GAUGES.values(), PATH,
)  # fmt: skip
OF_NETTOP = (
    BUILD, SOURCE, TICKS, MISSED, LAST_TICK, POLL_CPU, LOST, GROUPS, FOLDED, FOLDS, SERIES,
    SERIES_MAX, SCRAPES, CUT_OFF, CPU, RSS, STARTED,
)  # fmt: skip
ALL = (*OF_GROUPS, *OF_HOST, *OF_NETTOP)
