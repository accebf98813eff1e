"""The rules about causes, one entry each; the first that holds for a socket is its cause."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from nettop.causes.holders import disk, frozen, stopped
from nettop.causes.readers import not_taken_up, passes_on
from nettop.causes.rule import Found, Rule
from nettop.causes.scene import (
    DROPPED,
    IFF_LOWER_UP,
    IFF_UP,
    QUEUED,
    STANDS,
    TCP_LISTEN,
    DeviceKey,
    QueueWait,
    Scene,
)
from nettop.model.causes import Candidate, Evidence, QueueOf
from nettop.model.types import AF_INET, WHO_MAYBE, Because, Proto, Verdict, Who
from nettop.text import units

_LOSSES = (Verdict.LOSS, Verdict.RTO)
_SENDING = (Verdict.RTO, Verdict.LOSS, Verdict.RTT, Verdict.SNDBUF)
_DELAYED = (Because.UNUSUAL, Because.OTHER_END)
_SILENT = ("INCOMPLETE", "FAILED")  # of a neighbour that was asked for, and of none else
_READING = (Verdict.UNREAD, Verdict.READS, Verdict.ACCEPT)
QUEUE_NS = 5 * 10**6  # of a mean wait in the own queue, from which on it counts: as of a stage
DELAYED_NS = 40 * 10**6  # TCP_DELACK_MIN: so long a peer may keep the ACK of few segments
LONG_NS = 10 * 10**6  # over its minimum, and twice that or more: a long round trip
LEAST_OPENING = 3  # connections to one port, without an answer at once
FIRST_BYTES = 537  # the SYN counts as one; a first message that fits every path
LEAST_DROPS = 3  # of a queue between two reads; fewer may be those of other flows
FULL_SHARE = 0.9  # of a table, from which on it has no room
LATE_SHARE = 0.1  # of the time that a device's own thread waits for a CPU
SOFTIRQ_SHARE, SOFTIRQ_READS = 0.5, 3  # and ksoftirqd, over so many reads or more
_PLAIN_DEVICE = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def _name(key: DeviceKey, scene: Scene) -> str:
    device = scene.device(key)
    return device.name if device else f"device {key[1]}"


def _in_command(name: str) -> str:
    """A device's name as a command may have it; others may hold what a shell obeys."""
    return name if _PLAIN_DEVICE.fullmatch(name) else "DEVICE"


# --- on the way out ---


def _link(socket: Candidate, scene: Scene) -> Found | None:
    """There is no route, or the device that it sends by has no link, or had none just now."""
    key = scene.device_key(socket)
    if key is None:
        return None
    if key[1] == 0:
        said = "this host has no route to the peer any more, or one that refuses all packets"
        return Found((Evidence("host", said),), Who.KERN, next_step="ip route get {host}; ip link",
                     shared=(socket.netns, socket.dst))  # fmt: skip
    device = scene.device(key)
    if device is None:
        return None
    flags, name = device.numbers.get("flags", 0), device.name
    in_step = _in_command(name)
    step = f"ip -s link show dev {in_step}; ethtool {in_step}; dmesg | grep {in_step}"
    if not flags & IFF_UP:
        said, who = f"{name} is switched off", Who.KERN
    elif not flags & IFF_LOWER_UP:
        said, who = f"{name} has no link: the cable, or the port at its other end", Who.NIC
    elif scene.carrier_changed(key):
        changes = device.numbers.get("carrier_changes", 0)
        said, who = f"the link of {name} was gone a short time ago ({changes} changes)", Who.NIC
        return Found((Evidence("host", said, changes, "count"),), who, next_step=step, shared=key,
                     party=name)  # fmt: skip
    else:
        return None
    return Found((Evidence("host", said),), who, next_step=step, shared=key, party=name)


def _connections(socket: Candidate, scene: Scene) -> Found | None:
    """The table of connections of its namespace is full, and what it sends is dropped here."""
    now = scene.tick.now.conntrack.get(socket.netns, {})
    drops = scene.tick.moved.conntrack.get(socket.netns, {}).get("drop", 0)
    entries, most = now.get("entries", 0), now.get("entries_most", 0)
    if not drops or not most or entries < FULL_SHARE * most or scene.refused(socket) is None:
        return None
    said = (
        f"the table of connections (nf_conntrack) is full, {entries} of {most}: {drops} packets "
        "dropped since the last look"
    )
    step = "sysctl net.netfilter.nf_conntrack_max; conntrack -S; conntrack -L: who has so many"
    return Found((Evidence("host", said, entries, "count"),), Who.KERN, next_step=step,
                 shared=socket.netns)  # fmt: skip


def _neighbours(socket: Candidate, scene: Scene) -> Found | None:
    """The table of neighbours is full, and what it sends is dropped here."""
    table = "arp" if socket.family == AF_INET else "ndisc"
    fulls = scene.tick.moved.neighbours.get(table, {}).get("table_fulls", 0)
    if not fulls or scene.refused(socket) is None:
        return None
    entries = scene.tick.now.neighbours[table].get("entries", 0)
    said = (
        f"the table of neighbours ({table}) is full, {entries} in it: {fulls} times no room for "
        "another since the last look"
    )
    family = "ipv4" if table == "arp" else "ipv6"
    step = f"sysctl net.{family}.neigh.default.gc_thresh3; ip neigh: who is looked for"
    return Found((Evidence("host", said, fulls, "count"),), Who.KERN, next_step=step,
                 shared=table)  # fmt: skip


def _next_hop(socket: Candidate, scene: Scene) -> Found | None:
    """What it sends waits for a next hop that does not answer, and is dropped here: the fault is
    not here. Its neighbour's state says so at once; the drops follow 3 s later, of IPv4 alone."""
    hop, out = scene.next_hop(socket), scene.dropped_out(socket)
    silent = hop is not None and hop.state in _SILENT and socket.holds(Verdict.RTO)
    again = socket.total_retrans - out.total_retrans if out else 0
    missed = out.no_next_hop if out and out.no_next_hop * 2 >= again else 0
    if not silent and not missed:
        return None
    key = scene.device_key(socket)
    name = _name(key, scene) if key and key[1] else ""
    gateway = hop.gateway if hop is not None else None
    whom = f"the gateway {gateway}" if gateway else "the next hop"
    whom += f" on {name}" if name else ""
    by_arp = ":" not in gateway if gateway else socket.family == AF_INET
    asked = "ARP" if by_arp else "neighbour discovery"
    evidence = []
    if silent and hop is not None:
        said = f"{whom} does not answer {asked} (its neighbour entry is {hop.state})"
        evidence.append(Evidence("host", said))
        said = f"{units.counted(missed, 'packet')} of it dropped here for that, none of them left"
    else:
        said = (
            f"{whom} does not answer {asked}: {units.counted(missed, 'packet')} of it dropped here "
            "for that, none of them left"
        )
    if missed:
        evidence.append(Evidence("events", said, missed, "count"))
    step = (
        f"ip route get {{host}}: the next hop; ip neigh show dev {_in_command(name)}: FAILED or "
        "INCOMPLETE did not answer"
    )
    party = f"gateway {gateway} on {name}" if gateway and name else name
    return Found(tuple(evidence), Who.NET, next_step=step, shared=(key, gateway), party=party)


# What dropped it, by the kernel's reason or how that begins, and where that is counted.
_DROPPED_BY = {
    "NETFILTER_DROP": ("the firewall", "nft list ruleset, iptables -vnL, ip6tables -vnL: which "
                       "rule counts drops"),
    "QDISC_": ("a queue", "tc -s qdisc: which queue counts drops"),
    "TC_EGRESS": ("a filter of tc", "tc -s filter show dev DEVICE egress, for each device"),
    "CPU_BACKLOG": ("the queue of a CPU", "cat /proc/net/softnet_stat: its second column; sysctl "
                    "net.core.netdev_max_backlog"),
    "": ("a device", "ip -s link: which device counts drops, and is it up"),
}  # fmt: skip


def _dropped_by(socket: Candidate, scene: Scene) -> tuple[str, str]:
    """What dropped most of its packets lately, and a step; "" where the events do not say it."""
    ends = frozenset({(socket.src, socket.sport), (socket.dst, socket.dport)})
    packets: Counter[str] = Counter()
    for seen in scene.drops.get(ends, ()):
        if seen.netns == socket.netns:
            packets[seen.reason] += seen.packets
    if not packets:
        return "", ""
    reason = packets.most_common(1)[0][0]
    what, step = next(v for k, v in _DROPPED_BY.items() if reason.startswith(k))
    return f" by {what} ({reason})", step


def _refused(socket: Candidate, scene: Scene) -> Found | None:
    """Dropped before TCP took it as sent, so that it counts no resend, or on the way in."""
    seen = scene.refused(socket)
    if seen is None or socket.holds(*_LOSSES):  # these say it themselves
        return None
    packets, again, since_s = seen
    if packets < 2 or packets <= again:
        return None
    per_s = packets / max(since_s, 1.0)
    by, step = _dropped_by(socket, scene)
    said = (
        f"{packets} packets of it dropped here in {units.time(max(since_s, 1.0) * 1e9)}{by}, that "
        "this end does not count as lost: not yet sent, or the peer's"
    )
    return Found((Evidence("events", said, packets, "count"),), Who.KERN, per_s, next_step=step,
                 shared=socket.netns)  # fmt: skip


def _waits(wait: QueueWait, name: str) -> str:
    return (
        f"{units.amount(wait.backlog_bytes)} wait in the {wait.kind} of {name}, which sends "
        f"{units.rate(wait.bytes_per_s)}B/s, so {units.time(wait.wait_ns)} long"
    )


def _datagrams(socket: Candidate, scene: Scene) -> Found | None:
    """What it sends stands in this host's queue; nothing answers a datagram, so no round trip says
    it, and where its sends are measured they say it themselves."""
    key = scene.queue_key(socket)
    wait = scene.queue_wait(key) if key and not socket.qdisc_count else None
    if key is None or wait is None or wait.wait_ns < QUEUE_NS:
        return None
    name = _name(key, scene)
    evidence = [Evidence("host", _waits(wait, name), wait.wait_ns, "ns")]
    if socket.queued_bytes:
        said = f"{units.amount(socket.queued_bytes)} of what it sent had not left this host"
        evidence.append(Evidence("diag", said, socket.queued_bytes, "bytes"))
    return Found(tuple(evidence), Who.KERN, wait.wait_ns / 1e6, shared=key, party=name)


def _spent(
    socket: Candidate, scene: Scene, key: DeviceKey | None, name: str, least_ns: float
) -> tuple[float, str, str] | None:
    """The time in the own queue, by which source, and in words; None: less, or not known."""
    if socket.qdisc_count:
        spent_ns = socket.qdisc_sum_ns / socket.qdisc_count
        if spent_ns < least_ns:
            return None
        said = f"its sends wait {units.time(spent_ns)} in the qdisc (mean of {socket.qdisc_count})"
        return spent_ns, "stages", said
    like = scene.measured_alike(socket)
    if like is not None and like.wait_ns >= least_ns:
        others = "another socket" if like.sockets == 1 else f"{like.sockets} other sockets"
        said = (
            f"sends of {others} by the same device to the same peer wait "
            f"{units.time(like.wait_ns)} in the qdisc (mean of {like.sends})"
        )
        return like.wait_ns, "stages", said
    wait = scene.queue_wait(key) if key else None
    if wait is not None and wait.wait_ns >= least_ns:
        return wait.wait_ns, "host", _waits(wait, name)
    beside = scene.measured_beside(socket)
    if beside is None or beside[0].wait_ns < least_ns:
        return None
    wait_ns, sends, sockets = beside[0]
    others = "another socket" if sockets == 1 else f"{sockets} other sockets"
    said = (
        f"sends of {others} wait {units.time(wait_ns)} in the {beside[1]} of {name} (mean of "
        f"{sends}), which has one queue for all"
    )
    return wait_ns, "stages", said


def _queue(socket: Candidate, scene: Scene) -> Found | None:
    """Its own host's queue takes half or more of what srtt is over its minimum."""
    over_ns = (socket.rtt_us - socket.min_rtt_us) * 1e3
    # Of sends that are measured QDISC holds by itself, with the slowest as its number; it is
    # asked about where it took the place of a long round trip.
    long = socket.holds(Verdict.RTT) or over_ns >= max(LONG_NS, socket.min_rtt_us * 1e3)
    asked = socket.holds(Verdict.RTT, Verdict.QDISC) and (long or not socket.qdisc_count)
    if not asked or not socket.min_rtt_us or over_ns <= 0:
        return None
    key = scene.device_key(socket)
    name = _name(key, scene) if key else ""
    # What may be the peer's delayed ACK, up to half, is no fault: the queue need not explain it.
    delayed_ns = min(DELAYED_NS, over_ns / 2) if socket.few else 0.0
    spent = _spent(socket, scene, key, name, (over_ns - delayed_ns) / 2)
    if spent is None:
        return None
    spent_ns, source, said = spent
    said = f"{said}; srtt is {units.time(over_ns)} over its minimum"
    if spent_ns * 2 < over_ns:
        rest_ns = min(DELAYED_NS, over_ns - spent_ns)
        said += f", of which the peer's delayed ACK may be {units.time(rest_ns)}"
    evidence = Evidence(source, said, spent_ns, "ns")
    # What waits now is not quite what srtt is of, and no path is shorter than its minimum.
    rest_ns = max(socket.min_rtt_us * 1e3, socket.rtt_us * 1e3 - spent_ns)
    path = f"the path (without this queue the round trip takes some {units.time(rest_ns)})"
    return Found((evidence,), Who.KERN, min(spent_ns, over_ns) / 1e6, Verdict.QDISC,
                 ruled_out=(Evidence("diag", path),), shared=key and QueueOf(*key),
                 party=name)  # fmt: skip


def _undecided(socket: Candidate, scene: Scene) -> Found | None:
    """Whether the path or the own queue makes the round trip long is not known yet."""
    if scene.queue_undecided(socket):
        said = "the queue that it sends by was not looked at long enough yet"
        return Found((Evidence("host", said),), Who.NET | WHO_MAYBE, verdict=Verdict.RTT)
    key, over_ns = scene.device_key(socket), (socket.rtt_us - socket.min_rtt_us) * 1e3
    wait = scene.flows_wait(key) if key and not socket.qdisc_count else None
    if key is None or wait is None or not socket.min_rtt_us or wait.wait_ns * 2 < over_ns:
        return None
    said = (
        f"packets wait {units.time(wait.wait_ns)} in the {wait.kind} of {_name(key, scene)}, in "
        "the mean of all flows; how long its own do there is not measured"
    )
    step = "sudo nettop stamps its sends by itself, and then says how long they wait there"
    return Found((Evidence("host", said, wait.wait_ns, "ns"),), Who.NET | WHO_MAYBE,
                 verdict=Verdict.RTT, next_step=step, shared=key)  # fmt: skip


def _path_of_others(socket: Candidate, scene: Scene) -> Found | None:
    """A round trip that is unusual for it and may be the peer's delayed ACK; that of another socket
    to the same host is long too, and cannot be that."""
    if socket.because != Because.UNUSUAL or socket.verdict != Verdict.RTT:
        return None
    over_us = socket.rtt_us - socket.min_rtt_us
    other = scene.long_to(socket, over_us / 2)
    if other is None:
        return None
    said = (
        f"the round trip of another connection to the same host takes {units.time(other * 1e3)} "
        "longer than its minimum, and no delayed ACK explains that"
    )
    ruled_out = Evidence("diag", "a peer that answers late (the other does not wait for its ACKs)")
    return Found((Evidence("diag", said, other * 1e3, "ns"),), Who.NET, ruled_out=(ruled_out,),
                 shared=(socket.netns, socket.family, socket.dst))  # fmt: skip


def _resends_refused(socket: Candidate, scene: Scene) -> Found | None:
    """What was sent again was refused here, and counts as sent again all the same: by segment,
    where an event is a packet of many."""
    moved = scene.counted(socket.netns)
    refused, again = moved.get("TcpExtTCPRetransFail", 0), moved.get("TcpRetransSegs", 0)
    if not socket.dropped_here or refused < LEAST_DROPS or refused * 2 < again:
        return None
    said = f"of {again} segments that were sent again this host itself refused {refused}"
    return Found((Evidence("host", said, refused, "count"),), Who.KERN, shared=socket.netns)


def _queue_drops(socket: Candidate, scene: Scene) -> Found | None:
    """The queue that it sends by drops: where no event says whose packets, as many as were sent
    again; else half of those that this host dropped of it, or more."""
    key = scene.device_key(socket)
    if key is None or not key[1] or (scene.events and not socket.dropped_here):
        return None
    drops = scene.queue_drops(key)
    again = scene.counted(socket.netns).get("TcpRetransSegs", 0)
    if drops < LEAST_DROPS or drops * 2 < (socket.dropped_here if scene.events else again):
        return None
    name = _name(key, scene)
    said = f"the queue of {name} dropped {drops} packets, {again} segments were sent again"
    sure = drops >= again or scene.events
    who = Who.KERN if sure else Who.KERN | WHO_MAYBE
    return Found((Evidence("host", said, drops, "count"),), who, shared=QueueOf(*key),
                 party=name)  # fmt: skip


def _elsewhere_here(socket: Candidate, scene: Scene) -> Found | None:
    """Another namespace of this host drops its packets, or those of its peer."""
    seen = scene.dropped_elsewhere(socket)
    if seen is None:
        return None
    packets = "1 packet" if seen.packets == 1 else f"{seen.packets} packets"
    said = (
        f"{packets} of this connection dropped in another namespace of this host (netns "
        f"{seen.netns}, {seen.reason}) in the last 10 s"
    )
    step = f"in that namespace (lsns -t net: {seen.netns}): nft list ruleset, tc -s qdisc"
    ruled_out = Evidence("events", "the path between hosts (both ends are here)")
    return Found((Evidence("events", said, seen.packets, "count"),), Who.KERN,
                 ruled_out=(ruled_out,), next_step=step, shared=seen.netns)  # fmt: skip


def _sysctl(socket: Candidate, scene: Scene) -> Found | None:
    """The send buffer is as large as this host lets one grow."""
    most = scene.tick.now.sysctls.get(socket.netns, {}).get("tcp_wmem_most_bytes")
    if not most or socket.sndbuf != most:
        return None
    said = f"the send buffer has grown to the limit of this host, {units.amount(most)} (tcp_wmem)"
    step = "sysctl net.ipv4.tcp_wmem: its third number limits all send buffers that grow"
    ruled_out = Evidence("diag", "the program (SO_SNDBUF would have set another size)")
    return Found((Evidence("diag", said, most, "bytes"),), Who.KERN, ruled_out=(ruled_out,),
                 next_step=step, shared=socket.netns)  # fmt: skip


def _not_accepted(socket: Candidate, scene: Scene) -> Found | None:
    """The peer's accept queue is full: its kernel drops SYNs, and the end of handshakes."""
    if socket.proto != Proto.TCP or not socket.dport or socket.acked_bytes > FIRST_BYTES:
        return None
    listener = scene.full_listener(socket)
    if listener is not None:
        whose = f" of process {listener.pid}" if listener.pid else ""
        said = f"its peer is a listener{whose} on this host, whose accept queue is full"
        step = f"nettop -l -p {listener.pid}" if listener.pid else "nettop -l"
        return Found((Evidence("diag", said),), Who.PEER, next_step=step, shared=listener.cookie)
    silent = scene.silent_at(socket)
    if not silent:
        return None
    said = (
        f"{silent} connection{' was' if silent == 1 else 's were'} open to the same port whose "
        "handshake its host had answered, and nothing since"
    )
    ruled_out = Evidence("diag", "the path (its host answers handshakes)")
    return Found((Evidence("diag", said, silent, "count"),), Who.PEER, ruled_out=(ruled_out,),
                 shared=(socket.netns, socket.dst, socket.dport))  # fmt: skip


def _open_some(socket: Candidate, scene: Scene) -> Found | None:
    """Of one port some connections come up and others wait: its queue is full, or packets are lost;
    which of them this end cannot know yet."""
    if socket.proto != Proto.TCP or not socket.dport or socket.acked_bytes > FIRST_BYTES:
        return None
    waiting, answered = scene.opening_at(socket)
    if waiting < LEAST_OPENING or not answered:
        return None
    said = (
        f"{waiting} connections to the same port wait for a first answer, {answered} got it late: "
        "its listener's queue is full, or the path loses packets"
    )
    return Found((Evidence("diag", said, waiting, "count"),), Who.NET | WHO_MAYBE,
                 next_step="ss -ltn at {host}: is the queue of its listener (Recv-Q) full",
                 shared=(socket.netns, socket.dst, socket.dport))  # fmt: skip


# --- on the way in, and at the program ---


def _receive(socket: Candidate, scene: Scene) -> Found | None:
    """A thread that takes packets in waits for a CPU, half or more of what srtt is over its
    minimum each time."""
    over_ns = (socket.rtt_us - socket.min_rtt_us) * 1e3
    # What waits for a CPU now and then comes sometimes at once: a round trip that is always as long
    # has another cause.
    if not socket.min_rtt_us or over_ns <= 0 or socket.rttvar_us * 4e3 < over_ns:
        return None
    key = scene.device_key(socket)
    name = _name(key, scene) if key else ""
    for thread in scene.receivers_late():
        kind, _, rest = thread.name.partition("/")
        # Its name holds as much of the device's as there is room for.
        of_device = bool(name) and name.startswith(rest.rpartition("-")[0] or rest)
        if kind == "napi" and not of_device:
            continue
        # ksoftirqd does more than that, and packets come to one CPU of several.
        least = LATE_SHARE if kind == "napi" else SOFTIRQ_SHARE
        if kind != "napi" and thread.reads < SOFTIRQ_READS:
            continue
        if thread.share < least or thread.wait_ns * 2 < over_ns:
            continue
        said = (
            f"{thread.name}, which takes packets in, waited for a CPU "
            f"{min(thread.share, 1) * 100:.0f}% of the time, {units.time(thread.wait_ns)} each "
            f"time, of the {units.time(over_ns)} that "
            "srtt is over its minimum"
        )
        return Found((Evidence("host", said, thread.wait_ns, "ns"),), Who.KERN,
                     shared=thread.name, party=thread.name)  # fmt: skip
    return None


def _half_open(socket: Candidate, scene: Scene) -> Found | None:
    """A listener that drops while its accept queue has room: the handshakes are not completed."""
    if socket.state != TCP_LISTEN or socket.holds(Verdict.ACCEPT):
        return None
    counted = scene.counted(socket.netns)
    drops = counted.get("TcpExtListenDrops", 0)
    if drops < LEAST_DROPS or counted.get("TcpExtListenOverflows", 0) * 2 >= drops:
        return None
    said = (
        f"its namespace refused {drops} handshakes, most while accept queues had room: its queue "
        "of half-open connections is full, as peers do not complete theirs"
    )
    ruled_out = [Evidence("host", "the program (its accept queue has room)")]
    again = scene.counted_lately(socket.netns, "TcpRetransSegs")
    syns = scene.counted_lately(socket.netns, "TcpExtTCPSynRetrans")
    # A path that loses so many answers to SYNs loses data as well.
    peers = syns >= LEAST_DROPS and syns * 2 >= again
    if peers:
        path = f"the path (of {again} segments sent again {syns} are answers to SYNs, not data)"
        ruled_out.append(Evidence("host", path, syns, "count"))
    else:
        said += " or the path loses them"
    step = (
        "ss -tn state syn-recv: who does not complete; sysctl net.ipv4.tcp_syncookies "
        "net.ipv4.tcp_max_syn_backlog"
    )
    return Found((Evidence("host", said, drops, "count"),),
                 Who.PEER if peers else Who.PEER | WHO_MAYBE,
                 ruled_out=tuple(ruled_out), next_step=step, shared=socket.cookie)  # fmt: skip


def _other_end(socket: Candidate, scene: Scene) -> Found | None:
    """The peer is on this host, and reads nothing."""
    peer = scene.other_end(socket)
    if peer is None or not peer.holds(Verdict.UNREAD, Verdict.READS):
        return None
    # Of a long round trip that says something only where it may be the peer's delayed ACK.
    if not socket.holds(Verdict.WINDOW) and socket.because not in _DELAYED:
        return None
    held = f"unread for {units.time(peer.unread_ms * 1e6)}" if peer.unread_ms else "read late"
    whose = f"process {peer.pid}" if peer.pid else "a program that is not known"
    said = f"the other end is on this host, and its data is {held} by {whose}"
    if peer.verdicts and peer.who in (Who.CPU, Who.CPU | WHO_MAYBE):
        said += ", which is not given a CPU"
    return Found((Evidence("diag", said, peer.unread_ms, "ms"),), Who.PEER,
                 ruled_out=(Evidence("diag", "the path (both ends are here)"),),
                 next_step=f"grep State /proc/{peer.pid or 'PID'}/status; nettop -p {peer.pid}"
                 if peer.pid else "", shared=(peer.pid, peer.netns))  # fmt: skip


RULES = (
    Rule("link", _SENDING, Because.CARRIER, ("routes", "devices"), _link),
    Rule("connections_full", _LOSSES, Because.HERE, ("events", "conntrack"), _connections),
    Rule("neighbours_full", _LOSSES, Because.HERE, ("events", "neighbours"), _neighbours),
    Rule("next_hop", _LOSSES, Because.NEXT_HOP, ("events", "routes"), _next_hop),
    Rule("own_queue", (Verdict.QDISC, Verdict.RTT, Verdict.CWND), Because.QUEUE,
         ("routes", "qdiscs"), _queue),
    # A queue that makes a round trip long may drop too: what it drops does not hide that.
    Rule("refused_here", (Verdict.DROPS,), Because.HERE, ("events",), _refused, imposes=DROPPED),
    Rule("own_queue_datagrams", (Verdict.QDISC,), Because.QUEUE, ("routes", "qdiscs"), _datagrams,
         imposes=QUEUED),
    Rule("queue_drops", _LOSSES, Because.HERE, ("routes", "qdiscs"), _queue_drops),
    Rule("resends_refused", _LOSSES, Because.HERE, ("events", "counters"), _resends_refused),
    Rule("elsewhere_here", _LOSSES, Because.HERE, ("events",), _elsewhere_here),
    Rule("not_accepted", _LOSSES[::-1], Because.NOT_ACCEPTED, ("diag",), _not_accepted),
    Rule("open_some", _LOSSES[::-1], Because.PLAIN, ("diag",), _open_some, stays=False),
    Rule("receive", (Verdict.RTT,), Because.RECEIVE, ("receivers",), _receive),
    Rule("own_queue_undecided", (Verdict.RTT,), Because.PLAIN, ("routes", "qdiscs"), _undecided,
         stays=False),
    Rule("path_of_others", (Verdict.RTT,), Because.UNUSUAL, ("diag",), _path_of_others),
    Rule("half_open", (Verdict.DROPS,), Because.UNKNOWN, ("counters",), _half_open, stays=False),
    Rule("frozen", _READING, Because.STOPPED, ("processes",), frozen, only=STANDS),
    Rule("stopped", _READING, Because.STOPPED, ("processes",), stopped, only=STANDS),
    Rule("disk", _READING, Because.DISK, ("processes",), disk, only=STANDS),
    Rule("not_taken_up", (Verdict.UNREAD,), Because.NOT_TAKEN, ("diag",), not_taken_up,
         stays=False),
    Rule("passes_on", (Verdict.UNREAD, Verdict.READS), Because.PASSES_ON, ("diag",), passes_on),
    Rule("sysctl", (Verdict.SNDBUF,), Because.SYSCTL, ("sysctls",), _sysctl),
    Rule("other_end", (Verdict.WINDOW, Verdict.RTT), Because.OTHER_END, ("diag",), _other_end),
)  # fmt: skip


@cache
def asked_of(held: int, signs: int) -> tuple[Rule, ...]:
    """The rules that may say something of a socket.

    Args:
        held: 1 << Verdict, of those that are active or may soon be.
        signs: as Scene.signs.
    """
    return tuple(
        r for r in RULES
        if (r.mask & held and r.only & signs == r.only) or r.imposes & signs
    )  # fmt: skip
