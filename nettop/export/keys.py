"""Every key of the JSON nettop.snapshot/1, with unit and meaning; `[]` marks elements of a list."""

from __future__ import annotations

from nettop.export import evidence
from nettop.model.path import Hook
from nettop.model.tcpinfo import TAIL_6_18, TAIL_7_0, TCP_INFO, InfoField
from nettop.text.fields import DERIVED
from nettop.text.verdicts import CAUSES, NAMES, VERDICTS

SCHEMA = "nettop.snapshot/1"

_DIST = {
    "count": "how many; 0: the others are left out",
    "p50_ns": "median, the upper edge of its bucket",
    "p90_ns": "90th percentile",
    "p99_ns": "99th percentile; below 100 the longest",
    "max_ns": "the longest",
    "sum_ns": "all together",
}

_STAGES = {
    "copy": "call entered to end of copy, without sndbuf",
    "sndbuf": "waiting for send-buffer space",
    "tcp": "end of copy to the first handing down: cwnd, pacing, Nagle, TSQ",
    "qdisc": "first handing down to the driver",
    "nic": "driver to wire, by the NIC's clock; a part of ack",
    "ack": "last departure to ACK",
    "total": "call entered to ACK",
}

_LAST = {
    "rtt": "smoothed round-trip time, µs",
    "rttvar": "its mean deviation, µs",
    "min_rtt": "windowed minimum round-trip time, µs",
    "bytes_sent": "payload sent, with retransmissions",
    "bytes_acked": "payload that the peer acknowledged; a SYN or FIN counts as a byte",
    "bytes_received": "payload received; a FIN counts as a byte",
    "bytes_retrans": "payload sent again",
    "segs_out": "segments sent",
    "segs_in": "segments received",
    "data_segs_out": "segments sent that carried data",
    "data_segs_in": "segments received that carried data",
    "total_retrans": "segments sent again, with tries that this host's own queue refused",
    "lost": "segments that were ever marked lost",
    "delivered": "segments that arrived, according to ACKs",
    "delivered_ce": "of these, marked by ECN",
    "snd_ssthresh": "slow start threshold, segments",
    "snd_mss": "bytes of a full segment",
    "unread": "bytes received that the program never took",
    "unacked": "bytes written that the peer never acknowledged",
    "reord_seen": "reordering events",
    "dsack_dups": "duplicates that the peer reported (DSACK)",
    "rcv_ooopack": "segments that came out of order",
}

_CAUSES = "; ".join(
    f"of {v.name} {', '.join(CAUSES[because] for because in v.causes)}"
    for v in VERDICTS.values()
    if v.causes
)

_TOP = {
    "schema": f'"{SCHEMA}"',
    "taken": "UTC time of the poll, RFC 3339 with nanoseconds",
    "interval_s": "seconds between this poll and the one before; left out in the first, which "
    "has no rates",
    "intervals": "ended so far; most verdicts must hold in two of three, so that with fewer than 2 "
    "none of those is known",
    "host": "name of the host",
    "kernel": "release of its kernel",
    "nettop": "version that wrote this",
    "filter": "the filter in force, as it was written",
    "thresholds": "those of verdicts that are not the defaults: unread_ms=100,900 (watch, unwell)",
    "sources": "the planes and whether they work",
    "sources[].name": "diag, procs, wait, stages, path, events, stamps or clocks",
    "sources[].state": "ok, partial or off",
    "sources[].method": "how it reads",
    "sources[].reason": "why it is off or partial, or of what it is on by itself",
    "sources[].fix": "the command that would fix it",
    "cost": "what nettop itself took",
    "cost.cpu_pct": "CPU of the whole process, percent of one core",
    "cost.poll_ms": "CPU of this poll, ms",
    "cost.bpf_runs_per_s": "runs of nettop's BPF programs that had something to do, per second",
    "cost.bpf_ns_per_run": "ns per run",
    "cost.lost_events": "records lost since the start",
    "cost.missed_ticks": "polls left out because the one before took too long, since the start",
    "cost.rss_bytes": "resident memory of nettop",
    "cost.interval_s": "interval in force",
    "cost.stretched": "why it is longer than was asked for",
    "totals": "sums; of all polled sockets unless said otherwise",
    "totals.tcp": "TCP sockets that are listed: in TIME_WAIT or SYN_RECV, or bound and not "
    "connected, only with -a or a filter for such a state; absent if one of the dumps that list "
    "them failed (sources say why), or none was asked for; the same of udp and mptcp",
    "totals.udp": "UDP sockets",
    "totals.mptcp": "MPTCP connections; with -a or -l listeners too",
    "totals.by_state": "TCP sockets by state; TIME_WAIT from sockstat",
    "totals.by_state.*": "how many",
    "totals.matched": "sockets that pass the filter",
    "totals.unwell": "of these, unwell",
    "totals.watch": "of these, to be watched",
    "totals.who": "of these, by whose fault",
    "totals.who.*": "[to be watched, unwell] of app, cpu, kern, nic, net, peer; ? is not known, "
    "or only likely",
    "totals.opened": "sockets first seen in this poll",
    "totals.closed": "sockets gone since the poll before",
    "totals.tx_bytes_per_s": "payload acknowledged, matched sockets",
    "totals.rx_bytes_per_s": "payload received, matched sockets",
    "totals.matched_retrans_per_s": "segments resent per second, matched sockets",
    "totals.retr_pct": "bytes resent of bytes sent, percent, matched sockets",
    "totals.retrans_per_s": "segments resent per second in the polled namespaces (RetransSegs), "
    "whatever the filter, sockets that closed included",
    "totals.resets_per_s": "established connections reset per second in the polled namespaces "
    "(EstabResets), whatever the filter",
    "totals.netns": "network namespaces polled",
    "totals.netns_hidden": "further namespaces that exist",
    "totals.duplicates": "sockets that one dump listed twice, counted once",
    "totals.restarts": "dumps begun again",
    "totals.malformed": "messages that were skipped",
    "totals.truncated": "messages cut short",
    **evidence.KEYS,
    "readers": "sockets with a verdict whose reader is known to be one thread, of several that its "
    "process has; left out where none is",
    "readers[].cookie": "of the socket",
    "readers[].tid": "thread id; its name stands in host_processes",
    "rx_wait": "how long received data waited for its program: under a filter or a choice of "
    "protocols of the sockets that match; else of "
    "all sockets of the polled namespaces, those that are no rows or that closed too; left out "
    "while the plane is off",
    **{f"rx_wait.{name}": text for name, text in _DIST.items()},
    "rx_wait.octaves": "true: percentiles but max_ns are upper edges of octaves, at most twice too "
    "high",
    "rx_wait.buckets": "[lower edge ns, upper edge ns, count], those that hold any",
    "path": "with --path: how long received packets took to each hook, all of the host",
    "path.*": "by hook: " + ", ".join(hook.name.lower() for hook in Hook),
    **{f"path.*.{name}": text for name, text in _DIST.items()},
    "path.*.buckets": "[lower edge ns, upper edge ns, count], those that hold any",
    "path.*.unstamped": "packets since the start without a time of reception; left out if 0, as "
    "the next three, which were not measured either",
    "path.*.foreign": "with a time of departure instead",
    "path.*.impossible": "from the future, or older than a minute",
    "path.*.head_of_line": "read late for want of an earlier segment",
    "tx": "where stamped sends spent their time, all of them whatever the filter; left out while "
    "nothing is selected",
    **{
        f"tx.{stage}{dot}{name}": text
        for stage, about in _STAGES.items()
        for dot, name, text in (("", "", about), *((".", n, t) for n, t in _DIST.items()))
    },
    "tx.nic.bar_ns": "± of it: the NIC's clock and the system's were read one after the other",
    "tx.nic.waiting": "NICs' stamps whose clock is to be read once more; left out if 0",
    "tx.nic.unplaced": "hardware timestamps so far that could not be converted to system "
    "time: no clock, or no reading around them",
    "tx.nic.before_software": "that lie before the driver's own stamp by more than the bar",
    "events": "what happened in the interval to sockets that match (without a filter: in the "
    "polled namespaces; what closed matches by its ends, state and process), newest first, at most "
    "1000; left out while the plane is off",
    "events[].at": "UTC time, RFC 3339 with nanoseconds",
    "events[].type": "retransmit, drop, reset_sent, reset_received, error, state, cong or closed",
    "events[].proto": "tcp, udp or a number of IPPROTO_",
    "events[].netns": "inode of the network namespace",
    "events[].cookie": "of the socket; left out where the kernel names none",
    "events[].local": "local end, as of sockets",
    "events[].local.addr": "numeric address",
    "events[].local.port": "port",
    "events[].remote": "remote end",
    "events[].remote.addr": "numeric address",
    "events[].remote.port": "port",
    "events[].proc": "who opened or accepted it, where the kernel saw that",
    "events[].proc.pid": "process id",
    "events[].proc.comm": "name (the kernel's comm)",
    "events[].state": "TCP state in which it happened",
    "events[].reason": "the kernel's name of a drop's or a reset's reason",
    "events[].errno": "the socket's error",
    "events[].bytes": "of the packet or segment",
    "events[].last": "of closed: the last numbers of the socket; tcp_info's names and units",
    "events[].last.why": "how it ended, in words",
    "events[].last.uid": "user id",
    "events[].last.life_ns": "since it connected or was accepted; left out if that was before "
    "nettop came",
    **{f"events[].last.{name}": text for name, text in _LAST.items()},
    "events[].last.rx_wait": "how long its data waited while it was traced; by octaves, so "
    "percentiles and max_ns are at most twice too high",
    "events[].last.tx": "by stage: count and sum_ns of its stamped sends",
    "events[].text": "the numbers in words",
    "events_untold": "events of the polled namespaces that no list has, since the start, by type: "
    "too many at once, no room, or beyond the 1000 of a list",
    "events_untold.*": "how many",
    "hosts": "with -H: each host by its name there; beside these keys those of its own snapshot "
    "(taken, interval_s, host, kernel, sources, cost, totals, …), by its own clock",
    "hosts.*.state": "asked (no tick yet), live, silent (it says nothing any more) or lost",
    "hosts.*.reason": "why it is not live",
    "hosts.*.again_s": "seconds until a lost one is tried again",
    "hosts.*.nettop": "version of nettop there",
    "hosts.*.clock_offset_ns": "its system clock less this host's",
    "hosts.*.clock_bar_ns": "± of that: half of the round trip in which it was measured, and "
    "0.05 % of the time since",
    "hosts.*.bytes_per_s": "that come from it, mean of 10 s",
    "hosts.*.lag_s": "since its newest tick was polled, by both clocks",
    "hosts.*.skipped_ticks": "left out there since this end was too slow",
    "hosts.*.top": "rows of it that are sent at most; left out: all that match",
    "sockets": "every socket that matches, in the order of the sort key",
}

_SOCKET = {
    "host": "with -H: the host that it is on",
    "netns": "inode of the network namespace",
    "netns_name": "its name, if it has one",
    "cookie": "the kernel's name for the socket (SO_COOKIE), unique until reboot",
    "proto": "tcp, udp or mptcp",
    "family": "inet (IPv4-mapped too) or inet6",
    "state": "TCP state; of UDP ESTABLISHED if connected, else CLOSE",
    "local": "local end",
    "local.addr": "numeric address",
    "local.port": "port",
    "remote": "remote end; the unspecified address and port 0 if there is none",
    "remote.addr": "numeric address",
    "remote.port": "port",
    "procs": "the processes that hold it",
    "procs[].pid": "process id",
    "procs[].comm": "name (the kernel's comm)",
    "procs[].fd": "descriptor",
    "procs_more": "how many further processes hold it that procs does not list",
    "owner": "when no process is known to hold it: kernel (its own), orphan (closed by its program)"
    ", not_accepted, not_found (it may be held where nothing shows it, for instance on its way to"
    " another process), hidden (not every process may be looked into)",
    "uid": "owner",
    "user": "the owner's name",
    "inode": "inode; left out of a socket that has none (orphan, not accepted, TIME_WAIT)",
    "cgroup": "cgroup v2 path",
    "cgroup_id": "inode of that directory",
    "container": "container, pod or service of that path",
    "ifindex": "device that it is bound to, or the link of its link-local addresses",
    "dev": "name of that device",
    "cong": "congestion control",
    "rqueue": "bytes received and not read; of a listener connections that wait for accept(), of "
    "UDP and MPTCP the memory that they take",
    "wqueue": "bytes written and not acknowledged; of a listener the limit of its queue",
    "timer": "the timer that is armed",
    "timer.kind": "retransmit, keepalive, time_wait, probe or the kernel's number",
    "timer.retrans": "how often it fired in a row",
    "missed": "true: this poll did not list it: gone, or passed over once; the numbers are older",
    "first_interval": "true: first seen in this poll, so there are no rates",
    "tcp_info": "struct tcp_info: the kernel's names without tcpi_, in the kernel's units",
    "tcp_info_len": "bytes of it that the kernel sent",
    "meminfo": "INET_DIAG_MEMINFO, bytes",
    "meminfo.*": "rmem, wmem, fmem, tmem",
    "skmem": "INET_DIAG_SKMEMINFO, bytes; drops counts packets",
    "skmem.*": "the kernel's SK_MEMINFO_ names in lower case",
    "cong_info": "what the congestion control says of itself (bbr, dctcp, vegas)",
    "cong_info.*": "the kernel's names without prefix, in the kernel's units",
    "attrs": "socket options that the kernel reports",
    "attrs.*": "tos, tclass, shutdown, v6only, mark, class_id, ulp, sockopt bits",
    "drops": "packets that this socket dropped in all",
    "rates": "of this interval",
    "rates.tx_bytes_per_s": "payload acknowledged by the peer; of UDP what the program sent",
    "rates.rx_bytes_per_s": "payload received in order; of UDP what the program read",
    "rates.flow_bytes_per_s": "the larger of both, mean of about 5 s",
    "rates.flow_received": "true: more of that mean was received than sent; false: it was not",
    "rates.retrans_per_s": "segments resent",
    "rates.retr_pct": "bytes resent of bytes sent in the last 5 to 10 s, percent, less the share "
    "of segments that DSACK proved spurious",
    "rates.drops_per_s": "packets dropped",
    "derived": "made of two others; what is unknown is left out",
    **{f"derived.{f.csv_name}": f"{f.help} ({f.formula})" for f in DERIVED},
    "limited": "what held sending back: shares 0 to 1 of the last window of at least 1 s",
    "limited.rwnd": "the peer's window",
    "limited.sndbuf": "the send buffer: as the kernel counts it, and while all in it is on its "
    "way and less than a third of it is free",
    "limited.cwnd": "the congestion window: it was full at the end of the window of time",
    "limited.in_flight": "none of these: waiting for an ACK, for pacing, or (Nagle, a cork) for "
    "more to fill a segment with",
    "limited.idle": "nothing to send",
    "level": "ok, watch or unwell; sinks 10 s after the last verdict",
    "strength": "log2 of value / threshold of the worst verdict",
    "verdicts": f"what is wrong now, worst first: {', '.join(NAMES)}",
    "who": "whose fault the worst is: app, cpu, kern, nic, net or peer; with ? it is likely but "
    "not certain, ? alone: not known from this host",
    "why": "the worst in words with its number",
    "was": "without a verdict, while the level sinks: the word of the last one, as why begins",
    "verdict_details": "the worst two",
    "verdict_details[].name": "as in verdicts",
    "verdict_details[].who": "whose fault, as in who",
    "verdict_details[].cause": "what the number counts, where that is not always the same: "
    f"{_CAUSES}; this_host: lost before the wire; cpu_not_given: it was ready and waited for a CPU"
    "; stopped: by a signal or a debugger; disk: it waited for one; many_at_once: its process "
    "reads many sockets late; own_queue: half or more of it is the wait in this host's own queue; "
    "link: the device has none, or had none; receive: this host takes packets in late; sysctl: a "
    "limit of this host; other_end: the other end is on this host, and says it",
    "verdict_details[].value": "the number that it was judged by; of peer_window 101 "
    "stands for a window that is shut, up to 100 it is a share of the time",
    "verdict_details[].unit": ", ".join(dict.fromkeys(v.unit for v in VERDICTS.values())),
    "verdict_details[].of": "p99: the value is the 99th percentile of the interval's waits",
    "rx_wait": "how long received data waits for the program",
    **{f"rx_wait.{name}": text for name, text in _DIST.items()},
    "rx_wait.count": "deliveries that the program read in the interval; of a listener those that "
    "came before accept()",
    "rx_wait.octaves": "true: percentiles but max_ns are upper edges of octaves, at most twice too "
    "high: only sockets on the screen, or few enough, have finer ones",
    "rx_wait.traced": "false: to spare CPU the plane traces 1 socket in so many, and not this one",
    "rx_wait.bounded_samples": "of these, waited at least as long as was counted",
    "rx_wait.approx_samples": "of these, may have waited up to the length of a merged entry less",
    "rx_wait.oldest_unread_ns": "age of the oldest unread data now",
    "rx_wait.readable": "false: poll() does not call it readable (urgent data, or fewer bytes than "
    "SO_RCVLOWAT); left out otherwise",
    "rx_wait.bounded": "true: at least that",
    "rx_wait.method": "exact: each delivery was timed; tcp_probe: each segment, in order or not; "
    "poll: from tcpi_last_data_recv and the queue's movement",
    "rx_wait.standing_ns": "so long all that was read had waited 5 ms or more, as what is unread "
    "now has; from 100 ms on",
    "rx_wait.split": "what the program did while received data waited for it in this interval, "
    "where that was measured; where the parts make less than waiting_ns the rest is unknown",
    "rx_wait.split.waiting_ns": "so long something was unread",
    "rx_wait.split.wake_ns": "of it, until a thread that slept on the socket was woken",
    "rx_wait.split.cpu_ns": "the program was ready and no CPU was given to it",
    "rx_wait.split.ran_ns": "it ran, and did something else",
    "rx_wait.split.asleep_ns": "it slept, and not on this socket",
    "rx_wait.split.stopped_ns": "it was stopped by a signal or a debugger",
    "rx_wait.split.takes": "waits that ended with a read",
    "rx_wait.split.others": "of these, such as another thread read than was expected",
    "udp": "what a UDP socket moved in the interval, where every datagram is counted (wait plane)",
    "udp.rx_bytes": "that the program read",
    "udp.tx_bytes": "that it sent",
    "udp.rx_datagrams": "that it read, or batches of them (UDP_GRO)",
    "udp.tx_datagrams": "that it sent, or batches of them (UDP_SEGMENT)",
    "udp.over_ns": "length of the interval",
    "tx": "where sampled sends spent their time",
    **{
        f"tx.{stage}{dot}{name}": text
        for stage, about in _STAGES.items()
        for dot, name, text in (("", "", about), *((".", n, t) for n, t in _DIST.items()))
    },
    "tx.nic.bar_ns": "± of it: the NIC's clock and the system's were read one after the other",
    "tx.octaves": "true: percentiles are upper edges of octaves, as of rx_wait",
    "tx.sends": "sampled sends that were acknowledged in the interval",
    "tx.incomplete": "sampled sends whose stamps are lost: mostly a later one joined them, and the "
    "kernel stamps both as one",
    "tx.open": "sampled sends that no ACK has covered yet",
    "tx.resent": "times that a sampled send left again",
    "tx.method": "bpf_timestamping; tracepoints: of datagrams the qdisc stage, and of TCP qdisc "
    "and ack before Linux 6.15",
}  # fmt: skip

_INFO_UNITS = {
    "us": "µs", "bytes_per_s": "bytes/s", "state": "number", "bits": "bits", "flag": "0 or 1",
}  # fmt: skip


def _info_help(item: InfoField) -> str:
    return f"{item.help} [{_INFO_UNITS.get(item.unit, item.unit)}]"


def _keys() -> dict[str, str]:
    out = dict(_TOP)
    for key, text in _SOCKET.items():
        out[f"sockets[].{key}"] = text
        if key == "tcp_info":
            for item in (*TCP_INFO, *TAIL_7_0, *TAIL_6_18):
                out.setdefault(f"sockets[].tcp_info.{item.name}", _info_help(item))
    return out


KEYS: dict[str, str] = _keys()
