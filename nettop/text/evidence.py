"""What a host's own numbers are and say, as evidence beside its sockets: one registry of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# So the status of the TX stages begins where the user did not select their sockets.
STAMPED_BY_ITSELF = "by itself, of"


class Meaning(NamedTuple):
    """Of one number."""

    unit: str
    says: str  # what it says of sockets when it grows, or stands high


# /proc/net/{snmp,snmp6,netstat}, named as nstat does: the group, then the kernel's own name.
COUNTERS: Mapping[str, Meaning] = {
    # what was lost inside this host, on its way out
    "TcpExtTCPSpuriousRtxHostQueues": Meaning(
        "segments", "due to be sent again while the first copy still lay in this host's own queue"
    ),
    "TcpExtTCPRetransFail": Meaning("segments", "sent again, and refused by this host itself"),
    "IpOutDiscards": Meaning("packets", "dropped by this host on their way out (IPv4)"),
    "Ip6OutDiscards": Meaning("packets", "dropped by this host on their way out (IPv6)"),
    "IpOutNoRoutes": Meaning("packets", "dropped for want of a route (IPv4)"),
    "Ip6OutNoRoutes": Meaning("packets", "dropped for want of a route (IPv6)"),
    "IpInDiscards": Meaning("packets", "dropped by this host on their way in (IPv4)"),
    "Ip6InDiscards": Meaning("packets", "dropped by this host on their way in (IPv6)"),
    "IpReasmFails": Meaning("datagrams", "whose fragments did not come together (IPv4)"),
    "Ip6ReasmFails": Meaning("datagrams", "whose fragments did not come together (IPv6)"),
    "IpExtInCEPkts": Meaning("packets", "that a queue on the way marked as congested (ECN)"),
    # receive buffers
    "TcpExtTCPBacklogDrop": Meaning(
        "segments", "dropped because a program held its socket too long"
    ),
    "TcpExtTCPRcvQDrop": Meaning("segments", "dropped because a receive buffer was full"),
    "TcpExtRcvPruned": Meaning("segments", "dropped because a full receive buffer gave no room"),
    "TcpExtPruneCalled": Meaning("times", "a receive buffer was full and had to be made smaller"),
    "TcpExtOfoPruned": Meaning("times", "data out of order was thrown away for room"),
    "TcpExtTCPRcvCollapsed": Meaning("buffers", "copied together to save memory"),
    "TcpExtTCPOFODrop": Meaning("segments", "out of order, dropped for want of room"),
    "TcpExtTCPOFOQueue": Meaning("segments", "came out of order: a hole was before them"),
    # windows
    "TcpExtTCPToZeroWindowAdv": Meaning("times", "this host closed its window: nothing was read"),
    "TcpExtTCPWantZeroWindowAdv": Meaning("times", "it wanted to, and could not take back room"),
    "TcpExtTCPFromZeroWindowAdv": Meaning("times", "this host opened its window again"),
    "TcpExtTCPZeroWindowDrop": Meaning("segments", "that a peer sent into a closed window"),
    "TcpExtTCPWinProbe": Meaning("probes", "sent into a peer's closed window"),
    # memory
    "TcpExtTCPMemoryPressures": Meaning("times", "TCP ran short of memory (tcp_mem)"),
    "TcpExtTCPMemoryPressuresChrono": Meaning("ms", "that TCP was short of memory"),
    "TcpExtTCPAbortOnMemory": Meaning("connections", "given up for want of memory"),
    "TcpExtTCPWqueueTooBig": Meaning("times", "a write queue was too big to be cut further"),
    # listeners
    "TcpExtListenOverflows": Meaning("connections", "lost because an accept queue was full"),
    "TcpExtListenDrops": Meaning("SYNs", "and handshakes that listeners dropped"),
    "TcpExtTCPReqQFullDrop": Meaning("SYNs", "dropped because a SYN queue was full"),
    "TcpExtTCPReqQFullDoCookies": Meaning("SYNs", "answered by a cookie: the SYN queue was full"),
    "TcpExtSyncookiesSent": Meaning("SYNs", "answered by a cookie"),
    "TcpExtSyncookiesFailed": Meaning("ACKs", "whose cookie was not ours"),
    "TcpExtTCPDeferAcceptDrop": Meaning("ACKs", "without data, dropped as the listener asked"),
    "TcpExtTCPTimeWaitOverflow": Meaning("connections", "beyond tcp_max_tw_buckets"),
    "TcpAttemptFails": Meaning("connections", "that never came up"),
    # resends
    "TcpRetransSegs": Meaning("segments", "sent again"),
    "TcpExtTCPTimeouts": Meaning("times", "no answer came and a timer ran out"),
    "TcpExtTCPSynRetrans": Meaning("SYNs", "and their answers sent again"),
    "TcpExtTCPLostRetransmit": Meaning("segments", "lost again after they were sent again"),
    "TcpExtTCPLossProbes": Meaning("probes", "of a tail that was not acknowledged"),
    "TcpExtTCPLossProbeRecovery": Meaning("losses", "that such a probe repaired"),
    "TcpExtTCPFastRetrans": Meaning("segments", "sent again at the peer's hint"),
    "TcpExtTCPSlowStartRetrans": Meaning("segments", "sent again after a timeout"),
    "TcpExtTCPSpuriousRTOs": Meaning("timeouts", "that were too early: the answer came late"),
    # no loss, though it looks like one
    "TcpExtTCPSACKReorder": Meaning("times", "packets overtook each other (SACK)"),
    "TcpExtTCPRenoReorder": Meaning("times", "packets overtook each other (without SACK)"),
    "TcpExtTCPTSReorder": Meaning("times", "packets overtook each other (timestamps)"),
    "TcpExtTCPDSACKRecv": Meaning("reports", "of a peer that something came twice"),
    "TcpExtTCPDSACKOfoRecv": Meaning("reports", "that something out of order came twice"),
    "TcpExtTCPDSACKRecvSegs": Meaning("segments", "that peers reported twice"),
    "TcpExtTCPDSACKOldSent": Meaning("segments", "that came here twice"),
    "TcpExtTCPDSACKOfoSent": Meaning("segments", "out of order that came here twice"),
    # damage, and what middleboxes do
    "TcpInErrs": Meaning("segments", "that came damaged"),
    "TcpInCsumErrors": Meaning("segments", "with a wrong checksum"),
    "TcpExtPAWSEstab": Meaning("segments", "refused for an old timestamp"),
    "TcpExtTSEcrRejected": Meaning("segments", "refused for a timestamp never sent"),
    "TcpExtTCPChallengeACK": Meaning("ACKs", "that challenge a segment out of the window"),
    "TcpExtTCPMTUPFail": Meaning("probes", "of a larger packet that did not get through"),
    # how connections end
    "TcpExtTCPAbortOnClose": Meaning("connections", "reset: the program closed with data unread"),
    "TcpExtTCPAbortOnData": Meaning(
        "connections", "reset: data came after the close, or the program closed without linger"
    ),
    "TcpExtTCPAbortOnTimeout": Meaning("connections", "given up: no answer for too long"),
    "TcpExtTCPAbortOnLinger": Meaning(
        "connections", "reset: the program gave their end no time (TCP_LINGER2)"
    ),
    "TcpExtTCPKeepAlive": Meaning("probes", "of idle connections"),
    # UDP
    "UdpInErrors": Meaning("datagrams", "dropped on their way in (IPv4)"),
    "UdpRcvbufErrors": Meaning("datagrams", "dropped: a receive buffer was full (IPv4)"),
    "UdpSndbufErrors": Meaning("datagrams", "not sent: a send buffer was full (IPv4)"),
    "UdpMemErrors": Meaning("datagrams", "dropped: UDP was short of memory (IPv4)"),
    "UdpInCsumErrors": Meaning("datagrams", "with a wrong checksum (IPv4)"),
    "UdpNoPorts": Meaning("datagrams", "for a port without a socket (IPv4)"),
    "Udp6InErrors": Meaning("datagrams", "dropped on their way in (IPv6)"),
    "Udp6RcvbufErrors": Meaning("datagrams", "dropped: a receive buffer was full (IPv6)"),
    "Udp6SndbufErrors": Meaning("datagrams", "not sent: a send buffer was full (IPv6)"),
    "Udp6MemErrors": Meaning("datagrams", "dropped: UDP was short of memory (IPv6)"),
    "Udp6InCsumErrors": Meaning("datagrams", "with a wrong checksum (IPv6)"),
    "Udp6NoPorts": Meaning("datagrams", "for a port without a socket (IPv6)"),
}

# /proc/net/softnet_stat, by CPU.
SOFTNET: Mapping[str, Meaning] = {
    "dropped": Meaning("packets", "dropped: the CPU's backlog was full (netdev_max_backlog)"),
    "time_squeeze": Meaning("times", "the CPU stopped taking packets with more to take"),
    "flow_limited": Meaning("packets", "dropped: one flow filled the CPU's backlog"),
    "backlog_packets": Meaning("packets", "wait for the CPU now"),
}

# /proc/pressure/{cpu,memory,io}.
PRESSURE: Mapping[str, Meaning] = {
    "some_us": Meaning("µs", "that at least one task waited for it"),
    "full_us": Meaning("µs", "that all tasks waited for it"),
}

# RTM_GETLINK, by device.
DEVICE: Mapping[str, Meaning] = {
    "rx_packets": Meaning("packets", "received"),
    "tx_packets": Meaning("packets", "sent"),
    "rx_bytes": Meaning("bytes", "received"),
    "tx_bytes": Meaning("bytes", "sent"),
    "rx_errors": Meaning("packets", "that came damaged"),
    "tx_errors": Meaning("packets", "that could not be sent"),
    "rx_dropped": Meaning("packets", "dropped after they were received"),
    "tx_dropped": Meaning("packets", "dropped on their way out"),
    "rx_missed_errors": Meaning("packets", "that the device had no room for: the host was slow"),
    "rx_fifo_errors": Meaning("packets", "that overran the device's own queue"),
    "rx_over_errors": Meaning("packets", "that were too many or too long for the device"),
    "rx_crc_errors": Meaning("packets", "damaged on the wire"),
    "rx_nohandler": Meaning("packets", "that no protocol wanted"),
    "tx_fifo_errors": Meaning("packets", "that the device's queue ran dry or over with"),
    "tx_carrier_errors": Meaning("packets", "not sent: the link was gone"),
    "tx_aborted_errors": Meaning("packets", "given up by the device"),
    "carrier_changes": Meaning("times", "the link came or went"),
    "flags": Meaning("bits", "IFF_UP and others"),
    "mtu_bytes": Meaning("bytes", "largest packet"),
}

# RTM_GETQDISC, by qdisc.
QDISC: Mapping[str, Meaning] = {
    "bytes": Meaning("bytes", "that left it"),
    "packets": Meaning("packets", "that left it"),
    "drops": Meaning("packets", "dropped"),
    "overlimits": Meaning("times", "it held packets back"),
    "requeues": Meaning("packets", "that the device sent back"),
    "backlog_bytes": Meaning("bytes", "wait in it now"),
    "backlog_packets": Meaning("packets", "wait in it now"),
    "throttled": Meaning("times", "fq let a flow wait: pacing"),
    "flows_plimit": Meaning("packets", "dropped: one flow filled its share (fq)"),
    "horizon_drops": Meaning("packets", "dropped: due too far in the future (fq)"),
    "drop_overlimit": Meaning("packets", "dropped: the queue was full"),
    "drop_overmemory": Meaning("packets", "dropped: the queue took too much memory"),
    "ecn_mark": Meaning("packets", "marked instead of dropped"),
    "ce_mark": Meaning("packets", "marked: they waited longer than ce_threshold"),
}

# /proc/net/stat/nf_conntrack, by namespace that follows connections.
CONNTRACK: Mapping[str, Meaning] = {
    "entries": Meaning("connections", "in its table now"),
    "entries_most": Meaning("connections", "that fit (nf_conntrack_max)"),
    "drop": Meaning("packets", "dropped: the table was full, or no entry could be made"),
    "early_drop": Meaning("connections", "thrown out of a full table for a new one"),
    "insert_failed": Meaning("packets", "dropped: another had made the entry just before"),
    "invalid": Meaning("packets", "that fit no connection"),
}

# /proc/net/stat/{arp,ndisc}_cache, of the whole host.
NEIGHBOURS: Mapping[str, Meaning] = {
    "entries": Meaning("neighbours", "in the table now"),
    "entries_most": Meaning("neighbours", "that fit (gc_thresh3)"),
    "table_fulls": Meaning("times", "a neighbour was not looked for: the table was full"),
    "unresolved_discards": Meaning("packets", "dropped: too many waited for a neighbour's answer"),
    "res_failed": Meaning("neighbours", "that did not answer"),
    "forced_gc_runs": Meaning("times", "the table was tidied up for want of room"),
}

# ETHTOOL_GSTATS, by device whose driver is known; nettop.sources.drivers has the drivers' names.
DRIVER: Mapping[str, Meaning] = {
    "rx_ring_full": Meaning(
        "packets", "that the NIC had no free buffer for: the host was slow to take them"
    ),
    "rx_driver_drops": Meaning("packets", "dropped by the driver after they were received"),
    "rx_port_discards": Meaning("packets", "dropped by the NIC itself: its own memory was full"),
    "tx_ring_full": Meaning("times", "the driver's queue was full and sends had to wait"),
    "allowance_bandwidth_in": Meaning(
        "packets", "held or dropped by the cloud: more bytes came than the instance is allowed"
    ),
    "allowance_bandwidth_out": Meaning(
        "packets", "held or dropped by the cloud: more bytes left than the instance is allowed"
    ),
    "allowance_packets": Meaning(
        "packets", "held or dropped by the cloud: more packets than the instance is allowed"
    ),
    "allowance_connections": Meaning(
        "packets", "dropped by the cloud: more connections than the instance is allowed"
    ),
    "allowance_link_local": Meaning(
        "packets", "to the cloud's own services (DNS, NTP, metadata) dropped: more than allowed"
    ),
    "rx_pauses": Meaning("frames", "by which the other end of the cable asked for a pause"),
    "tx_pauses": Meaning("frames", "by which this NIC asked the other end for a pause"),
    "tx_stamps_skipped": Meaning("sends", "that the NIC did not timestamp: it had one under way"),
    "tx_stamps_lost": Meaning("sends", "whose timestamp the NIC never gave"),
}

# /proc/PID/task/TID/schedstat and stat, of processes that hold sockets with a verdict.
PROCESS: Mapping[str, Meaning] = {
    "threads": Meaning("threads", "there are"),
    "read": Meaning("threads", "of these, that were read"),
    "over_ns": Meaning("ns", "between its last two reads: what follows is of that time"),
    "cpu_ns": Meaning("ns", "that its threads ran"),
    "run_delay_ns": Meaning("ns", "that its threads were ready before a CPU was given to them"),
    "ran": Meaning("threads", "that ran, new ones too"),
    "waited_longer": Meaning("threads", "of these, that waited for a CPU longer than they ran"),
    "longest_tid": Meaning("thread id", "of the thread that waited longest for a CPU"),
    "longest_run_delay_ns": Meaning("ns", "that it was ready before a CPU was given to it"),
    "longest_cpu_ns": Meaning("ns", "that it ran meanwhile"),
}

# cpu.stat, cpu.max and cpu.pressure of the cgroups of these processes and those above.
CGROUP: Mapping[str, Meaning] = {
    "nr_periods": Meaning("periods", "in which it wanted to run"),
    "nr_throttled": Meaning("periods", "in which its quota was used up and it was stopped"),
    "throttled_us": Meaning("µs", "that it was stopped by its quota"),
    "quota_us": Meaning("µs", "of CPU that it may use in a period"),
    "period_us": Meaning("µs", "that a period of the quota takes"),
    "some_us": Meaning("µs", "that at least one of its tasks waited for a CPU"),
    "full_us": Meaning("µs", "that all its tasks waited for a CPU"),
}

# Looks at the root qdiscs of devices between two reads, while a round trip is long.
QUEUE: Mapping[str, Meaning] = {
    "looks": Meaning("times", "it was looked at"),
    "filled": Meaning("times", "of these, that something waited in it"),
    "mean_bytes": Meaning("bytes", "waited in it, in the mean of these"),
}

# /proc/PID/schedstat of the kernel threads that take packets in, while a socket has a verdict.
RECEIVER: Mapping[str, Meaning] = {
    "cpu_ns": Meaning("ns", "that it ran"),
    "run_delay_ns": Meaning("ns", "that it had packets to take and no CPU was given to it"),
    "runs": Meaning("times", "that a CPU was given to it"),
}

# /proc/sys/net/ipv4, by namespace.
SYSCTL: Mapping[str, Meaning] = {
    "tcp_wmem_most_bytes": Meaning("bytes", "that the kernel lets a send buffer grow to"),
}

# Letters of proc_pid_stat(5) that explain why nothing is read.
STATES: Mapping[str, str] = {
    "R": "runs or is ready to",
    "S": "sleeps",
    "D": "waits for a disk or a device, and cannot be woken",
    "T": "is stopped by a signal",
    "t": "is stopped by a debugger",
    "Z": "has ended, and its parent has not noticed",
    "X": "has ended",
    "I": "is idle in the kernel",
}
