"""The rules about causes, one entry each; the first that holds for a socket is its cause."""

from __future__ import annotations

from functools import cache

from nettop.causes.drops_here import (
    LEAST_DROPS,
    LOSSES,
    connections,
    elsewhere,
    neighbours,
    queue_drops,
    refused,
    refused_late,
    resends_refused,
)
from nettop.causes.holders import (
    disk,
    frozen,
    frozen_and_full,
    stopped,
    stopped_and_full,
)
from nettop.causes.own_queues import datagrams, queue, queue_few, undecided, way_in
from nettop.causes.readers import not_taken_up, passes_on
from nettop.causes.rule import Found, Rule, in_command
from nettop.causes.scene import (
    DROPPED,
    LATE_ACK,
    QUEUED,
    STANDS,
    TCP_LISTEN,
    Scene,
)
from nettop.model.causes import Candidate, Evidence
from nettop.model.types import AF_INET, WHO_MAYBE, Because, Proto, Verdict, Who
from nettop.text import units

_SENDING = (Verdict.RTO, Verdict.LOSS, Verdict.RTT, Verdict.SNDBUF)
_QUEUED = (Verdict.QDISC, Verdict.RTT, Verdict.CWND)
_DELAYED = (Because.UNUSUAL, Because.OTHER_END)
_SILENT = ("INCOMPLETE", "FAILED")  # of a neighbour that was asked for, and of none else
_READING = (Verdict.UNREAD, Verdict.READS, Verdict.ACCEPT)
IFF_UP, IFF_LOWER_UP = 1, 1 << 16
LEAST_OPENING = 3  # connections to one port, without an answer at once
FIRST_BYTES = 537  # the SYN counts as one; a first message that fits every path
LATE_SHARE = 0.1  # of the time that a device's own thread waits for a CPU
SOFTIRQ_SHARE, SOFTIRQ_READS = 0.5, 3  # and ksoftirqd, over so many reads or more


# --- on the way out ---


def _link(socket: Candidate, scene: Scene) -> Found | None:
    """There is no route, or the device that it sends by has no link, or had none just now."""
    key = scene.devices.key_of(socket)
    if key is None:
        return None
    if key[1] == 0:
        said = "this host has no route to the peer any more, or one that refuses all packets"
        return Found((Evidence("host", said),), Who.KERN, next_step="ip route get {host}; ip link",
                     shared=(socket.netns, socket.dst))  # fmt: skip
    device = scene.devices.get(key)
    if device is None:
        return None
    flags, name = device.numbers.get("flags", 0), device.name
    in_step = in_command(name)
    step = f"ip -s link show dev {in_step}; ethtool {in_step}; dmesg | grep {in_step}"
    if not flags & IFF_UP:
        said, who = f"{name} is switched off", Who.KERN
    elif not flags & IFF_LOWER_UP:
        said, who = f"{name} has no link: the cable, or the port at its other end", Who.NIC
    elif scene.devices.carrier_changed(key):
        changes = device.numbers.get("carrier_changes", 0)
        said, who = f"the link of {name} was gone a short time ago ({changes} changes)", Who.NIC
        return Found((Evidence("host", said, changes, "count"),), who, next_step=step, shared=key,
                     party=name)  # fmt: skip
    else:
        return None
    return Found((Evidence("host", said),), who, next_step=step, shared=key, party=name)


def _next_hop(socket: Candidate, scene: Scene) -> Found | None:
    """What it sends waits for a next hop that does not answer, and is dropped here: the fault is
    not here. Its neighbour's state says so at once; the drops follow 3 s later, of IPv4 alone."""
    hop, out = scene.devices.next_hop(socket), scene.dropped.out(socket)
    silent = hop is not None and hop.state in _SILENT and socket.holds(Verdict.RTO)
    again = socket.total_retrans - out.total_retrans if out else 0
    missed = out.no_next_hop if out and out.no_next_hop * 2 >= again else 0
    if not silent and not missed:
        return None
    key = scene.devices.key_of(socket)
    name = scene.devices.name(key) if key and key[1] else ""
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
        f"ip route get {{host}}: the next hop; ip neigh show dev {in_command(name)}: FAILED or "
        "INCOMPLETE did not answer"
    )
    party = f"gateway {gateway} on {name}" if gateway and name else name
    return Found(tuple(evidence), Who.NET, next_step=step, shared=(key, gateway), party=party)


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
    key = scene.devices.key_of(socket)
    name = scene.devices.name(key) if key else ""
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
    # Of a long round trip that says something only where it may be the peer's delayed ACK.
    if socket.because not in _DELAYED and not socket.holds(Verdict.WINDOW):
        return None
    peer = scene.other_end(socket)
    if peer is None or not peer.holds(Verdict.UNREAD, Verdict.READS):
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
    Rule("connections_full", LOSSES, Because.HERE, ("events", "conntrack"), connections),
    Rule("neighbours_full", LOSSES, Because.HERE, ("events", "neighbours"), neighbours),
    Rule("next_hop", LOSSES, Because.NEXT_HOP, ("events", "routes"), _next_hop),
    Rule("own_queue_few", _QUEUED, Because.QUEUE, ("routes", "qdiscs"), queue_few,
         imposes=LATE_ACK, only=LATE_ACK),
    Rule("own_queue", _QUEUED, Because.QUEUE, ("routes", "qdiscs"), queue),
    # A queue that makes a round trip long may drop too: what it drops does not hide that.
    Rule("refused_late", (Verdict.DROPS, Verdict.RTT), Because.HERE, ("events",), refused_late,
         imposes=DROPPED, only=DROPPED),
    Rule("refused_here", (Verdict.DROPS,), Because.HERE, ("events",), refused, imposes=DROPPED),
    Rule("own_queue_datagrams", (Verdict.QDISC,), Because.QUEUE, ("routes", "qdiscs"), datagrams,
         imposes=QUEUED),
    Rule("queue_drops", LOSSES, Because.HERE, ("routes", "qdiscs"), queue_drops),
    Rule("resends_refused", LOSSES, Because.HERE, ("events", "counters"), resends_refused),
    Rule("elsewhere_here", (*LOSSES, Verdict.RTT), Because.HERE, ("events",), elsewhere),
    Rule("not_accepted", LOSSES[::-1], Because.NOT_ACCEPTED, ("diag",), _not_accepted),
    Rule("open_some", LOSSES[::-1], Because.PLAIN, ("diag",), _open_some, stays=False),
    Rule("receive", (Verdict.RTT,), Because.RECEIVE, ("receivers",), _receive),
    Rule("way_in_few", _QUEUED[:2], Because.QUEUE, ("qdiscs", "devices"), way_in,
         imposes=LATE_ACK, only=LATE_ACK),
    Rule("way_in", _QUEUED[:2], Because.QUEUE, ("qdiscs", "devices"), way_in),
    Rule("own_queue_undecided", (Verdict.RTT,), Because.PLAIN, ("routes", "qdiscs"), undecided,
         stays=False),
    Rule("path_of_others", (Verdict.RTT,), Because.UNUSUAL, ("diag",), _path_of_others),
    Rule("half_open", (Verdict.DROPS,), Because.UNKNOWN, ("counters",), _half_open, stays=False),
    Rule("frozen", _READING, Because.STOPPED, ("processes",), frozen, only=STANDS),
    Rule("stopped", _READING, Because.STOPPED, ("processes",), stopped, only=STANDS),
    Rule("full_frozen", (Verdict.DROPS,), Because.STOPPED, ("processes",), frozen_and_full,
         only=STANDS),
    Rule("full_stopped", (Verdict.DROPS,), Because.STOPPED, ("processes",), stopped_and_full,
         only=STANDS),
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
