"""Rules about what this host itself drops: its firewall, tables, queues and devices."""

from __future__ import annotations

from collections import Counter

from nettop.causes.rule import Found
from nettop.causes.scene import Scene
from nettop.model.causes import Candidate, Evidence, QueueOf
from nettop.model.types import AF_INET, WHO_MAYBE, Verdict, Who
from nettop.text import units
from nettop.text.verdicts import OTHER_NAMESPACE

LOSSES = (Verdict.LOSS, Verdict.RTO)
LEAST_DROPS = 3  # of a queue between two reads; fewer may be those of other flows
FULL_SHARE = 0.9  # of a table, from which on it has no room

# What dropped it, by the kernel's reason or how that begins, and where that is counted.
_DROPPED_BY = {
    "NETFILTER_DROP": ("the firewall", "nft list ruleset, iptables -vnL, ip6tables -vnL: which "
                       "rule counts drops"),
    "QDISC_": ("a queue", "tc -s qdisc: which queue counts drops"),
    "TC_EGRESS": ("a filter of tc", "tc -s filter show dev DEVICE egress, for each device"),
    "TC_INGRESS": ("a filter of tc", "tc -s filter show dev DEVICE ingress, for each device"),
    "XDP": ("an XDP program", "ip link: which device has one (prog/xdp); bpftool net"),
    "IP_RPFILTER": ("the reverse path filter (rp_filter)", "sysctl -a -r rp_filter; ip route get "
                    "{host}: by which device would an answer leave"),
    "BPF_CGROUP_EGRESS": ("a BPF program of its cgroup", "bpftool cgroup tree; systemctl show "
                          "UNIT -p IPAddressDeny"),
    "CPU_BACKLOG": ("the queue of a CPU", "cat /proc/net/softnet_stat: its second column; sysctl "
                    "net.core.netdev_max_backlog"),
    "": ("a device", "ip -s link: which device counts drops, and is it up"),
}  # fmt: skip


def connections(socket: Candidate, scene: Scene) -> Found | None:
    """The table of connections of its namespace is full, and what it sends is dropped here."""
    now = scene.tick.now.conntrack.get(socket.netns, {})
    drops = scene.tick.moved.conntrack.get(socket.netns, {}).get("drop", 0)
    entries, most = now.get("entries", 0), now.get("entries_most", 0)
    full = most and entries >= FULL_SHARE * most
    if not drops or not full or scene.dropped.refused(socket) is None:
        return None
    said = (
        f"the table of connections (nf_conntrack) is full, {entries} of {most}: {drops} packets "
        "dropped since the last look"
    )
    step = "sysctl net.netfilter.nf_conntrack_max; conntrack -S; conntrack -L: who has so many"
    return Found((Evidence("host", said, entries, "count"),), Who.KERN, next_step=step,
                 shared=socket.netns)  # fmt: skip


def neighbours(socket: Candidate, scene: Scene) -> Found | None:
    """The table of neighbours is full, and what it sends is dropped here."""
    table = "arp" if socket.family == AF_INET else "ndisc"
    fulls = scene.tick.moved.neighbours.get(table, {}).get("table_fulls", 0)
    if not fulls or scene.dropped.refused(socket) is None:
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


def _dropped_by(socket: Candidate, scene: Scene) -> tuple[str, str]:
    """What dropped most of its packets lately, and a step; "" where the events do not say it."""
    packets: Counter[str] = Counter()
    for reason, count in scene.dropped.reasons(socket):
        packets[reason] += count
    if not packets:
        return "", ""
    reason = packets.most_common(1)[0][0]
    what, step = next(v for k, v in _DROPPED_BY.items() if reason.startswith(k))
    return f" by {what} ({reason})", step


def refused(socket: Candidate, scene: Scene) -> Found | None:
    """Dropped before TCP took it as sent, so that it counts no resend, or on the way in."""
    segments, again, _ = scene.dropped.refused(socket) or (0, 0, 0)
    if segments < 2 or segments <= again or socket.holds(*LOSSES):  # these say it themselves
        return None
    return _dropped(socket, scene, "that this end does not count as lost: not yet sent, or the "
                    "peer's")  # fmt: skip


def refused_late(socket: Candidate, scene: Scene) -> Found | None:
    """The same where round trips are long: what is dropped comes when it is sent again."""
    segments, *_ = scene.dropped.refused(socket) or (0,)
    # Once it is said, its own verdict stands in the place of the round trip's.
    late = socket.holds(Verdict.RTT, Verdict.DROPS)
    if segments < LEAST_DROPS or not late or socket.holds(*LOSSES):
        return None
    return _dropped(socket, scene, "each of which comes once it is sent again: 200 ms later or "
                    "more where nothing follows it")  # fmt: skip


def _dropped(socket: Candidate, scene: Scene, of_which: str) -> Found | None:
    seen = scene.dropped.refused(socket)
    if seen is None:
        return None
    segments, _, since_s = seen
    by, step = _dropped_by(socket, scene)
    said = f"{segments} segments of it dropped here in {units.time(since_s * 1e9)}{by}, {of_which}"
    return Found((Evidence("events", said, segments, "count"),), Who.KERN, segments / since_s,
                 Verdict.DROPS, next_step=step, shared=socket.netns)  # fmt: skip


def resends_refused(socket: Candidate, scene: Scene) -> Found | None:
    """What was sent again was refused here, and counts as sent again all the same: by segment,
    where an event is a packet of many."""
    moved = scene.counted(socket.netns)
    refused, again = moved.get("TcpExtTCPRetransFail", 0), moved.get("TcpRetransSegs", 0)
    if not socket.dropped_here or refused < LEAST_DROPS or refused * 2 < again:
        return None
    said = f"of {again} segments that were sent again this host itself refused {refused}"
    return Found((Evidence("host", said, refused, "count"),), Who.KERN, shared=socket.netns)


def queue_drops(socket: Candidate, scene: Scene) -> Found | None:
    """The queue that it sends by drops: where no event says whose packets, as many as were sent
    again; else half of those that this host dropped of it, or more."""
    key = scene.devices.key_of(socket)
    if key is None or not key[1] or (scene.events and not socket.dropped_here):
        return None
    drops = scene.queues.drops(key)
    again = scene.counted(socket.netns).get("TcpRetransSegs", 0)
    if drops < LEAST_DROPS or drops * 2 < (socket.dropped_here if scene.events else again):
        return None
    name = scene.devices.name(key)
    said = f"the queue of {name} dropped {drops} packets, {again} segments were sent again"
    sure = drops >= again or scene.events
    who = Who.KERN if sure else Who.KERN | WHO_MAYBE
    return Found((Evidence("host", said, drops, "count"),), who, shared=QueueOf(*key),
                 party=name)  # fmt: skip


def elsewhere(socket: Candidate, scene: Scene) -> Found | None:
    """Packets of it, or of its peer, are dropped where they are no socket's yet, or no more."""
    seen = scene.dropped.elsewhere(socket)
    if seen is None or (not socket.holds(*LOSSES) and seen.packets < LEAST_DROPS):
        return None
    said = f"{units.counted(seen.packets, 'packet')} of this connection dropped"
    if seen.netns == socket.netns:
        by, step = _dropped_by(socket, scene)
        said += f" here{by} in the last 10 s, before they came to its socket or after they left it"
        path = "the path (this host had them)"
    else:
        said += (
            f" in another namespace of this host (netns {seen.netns}, {seen.reason}) in the last "
            "10 s"
        )
        step = f"{OTHER_NAMESPACE} (lsns -t net: {seen.netns}): nft list ruleset, tc -s qdisc"
        path = "the path between hosts (both ends are here)"
    return Found((Evidence("events", said, seen.packets, "count"),), Who.KERN,
                 ruled_out=(Evidence("events", path),), next_step=step,
                 shared=seen.netns)  # fmt: skip
