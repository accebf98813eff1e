"""Rules about the queues of this host: how long what is sent, or comes in, waits there."""

from __future__ import annotations

from nettop.causes.devices import DeviceKey
from nettop.causes.queues import QueueWait
from nettop.causes.rule import Found, in_command
from nettop.causes.scene import Scene
from nettop.model.causes import Candidate, Evidence, QueueOf
from nettop.model.types import WHO_MAYBE, Verdict, Who
from nettop.text import units

QUEUE_NS = 5 * 10**6  # of a mean wait in the own queue, from which on it counts: as of a stage
DELAYED_NS = 40 * 10**6  # TCP_DELACK_MIN: so long a peer may keep the ACK of few segments
LONG_NS = 10 * 10**6  # over its minimum, and twice that or more: a long round trip


def _waits(wait: QueueWait, name: str) -> str:
    return (
        f"{units.amount(wait.backlog_bytes)} wait in the {wait.kind} of {name}, which sends "
        f"{units.rate(wait.bytes_per_s)}B/s, so {units.time(wait.wait_ns)} long"
    )


def datagrams(socket: Candidate, scene: Scene) -> Found | None:
    """What it sends stands in this host's queue; nothing answers a datagram, so no round trip says
    it, and where its sends are measured they say it themselves."""
    key = scene.queues.key_of(socket)
    wait = scene.queues.wait(key) if key and not socket.qdisc_count else None
    if key is None or wait is None or wait.wait_ns < QUEUE_NS:
        return None
    name = scene.devices.name(key)
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
    like = scene.queues.measured_alike(socket)
    if like is not None and like.wait_ns >= least_ns:
        others = "another socket" if like.sockets == 1 else f"{like.sockets} other sockets"
        said = (
            f"sends of {others} by the same device to the same peer wait "
            f"{units.time(like.wait_ns)} in the qdisc (mean of {like.sends})"
        )
        return like.wait_ns, "stages", said
    wait = scene.queues.wait(key) if key else None
    if wait is not None and wait.wait_ns >= least_ns:
        return wait.wait_ns, "host", _waits(wait, name)
    beside = scene.queues.measured_beside(socket)
    if beside is None or beside[0].wait_ns < least_ns:
        return None
    wait_ns, sends, sockets = beside[0]
    others = "another socket" if sockets == 1 else f"{sockets} other sockets"
    said = (
        f"sends of {others} wait {units.time(wait_ns)} in the {beside[1]} of {name} (mean of "
        f"{sends}), which has one queue for all"
    )
    return wait_ns, "stages", said


def queue(socket: Candidate, scene: Scene) -> Found | None:
    """Its own host's queue takes half or more of what srtt is over its minimum."""
    over_ns = (socket.rtt_us - socket.min_rtt_us) * 1e3
    # Of sends that are measured QDISC holds by itself, with the slowest as its number; it is
    # asked about where it took the place of a long round trip.
    long = socket.holds(Verdict.RTT) or over_ns >= max(LONG_NS, socket.min_rtt_us * 1e3)
    asked = socket.holds(Verdict.RTT, Verdict.QDISC) and (long or not socket.qdisc_count)
    if not asked or not socket.min_rtt_us or over_ns <= 0:
        return None
    # What may be the peer's delayed ACK, up to half, is no fault: the queue need not explain it.
    delayed_ns = min(DELAYED_NS, over_ns / 2) if socket.few else 0.0
    return _held_up(socket, scene, (over_ns - delayed_ns) / 2)


def queue_few(socket: Candidate, scene: Scene) -> Found | None:
    """The same of a round trip that its peer's delayed ACK alone may make as long: its own host's
    queue takes half or more of it, so that it is not that."""
    if socket.qdisc_count:  # its own sends say it
        return None
    return _held_up(socket, scene, (socket.rtt_us - socket.min_rtt_us) * 1e3 / 2)


def _held_up(socket: Candidate, scene: Scene, least_ns: float) -> Found | None:
    """In its own host's queue, for so long or longer."""
    over_ns = (socket.rtt_us - socket.min_rtt_us) * 1e3
    key = scene.devices.key_of(socket)
    name = scene.devices.name(key) if key else ""
    spent = _spent(socket, scene, key, name, least_ns)
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


def undecided(socket: Candidate, scene: Scene) -> Found | None:
    """Whether the path or the own queue makes the round trip long is not known yet."""
    if scene.queues.undecided(socket):
        said = "the queue that it sends by was not looked at long enough yet"
        return Found((Evidence("host", said),), Who.NET | WHO_MAYBE, verdict=Verdict.RTT)
    key, over_ns = scene.devices.key_of(socket), (socket.rtt_us - socket.min_rtt_us) * 1e3
    wait = scene.queues.flows_wait(key) if key and not socket.qdisc_count else None
    if key is None or wait is None or not socket.min_rtt_us or wait.wait_ns * 2 < over_ns:
        return None
    name = scene.devices.name(key)
    said = (
        f"packets wait {units.time(wait.wait_ns)} in the {wait.kind} of {name}, in the mean of all "
        "flows; how long its own do there is not measured"
    )
    step = "sudo nettop stamps its sends by itself, and then says how long they wait there"
    return Found((Evidence("host", said, wait.wait_ns, "ns"),), Who.NET | WHO_MAYBE,
                 verdict=Verdict.RTT, next_step=step, shared=key)  # fmt: skip


def way_in(socket: Candidate, scene: Scene) -> Found | None:
    """What comes in may wait for half or more of what srtt is over its minimum, in the queue of a
    device that it is sent through; which packets are is not read."""
    over_ns = (socket.rtt_us - socket.min_rtt_us) * 1e3
    queue = scene.queues.on_the_way_in(socket.netns)
    if queue is None or not socket.min_rtt_us or queue[1].wait_ns * 2 < over_ns:
        return None
    name, wait = queue
    said = f"{_waits(wait, name)}, by which what comes in may pass: its ACKs, too"
    step = (
        f"tc -s qdisc show dev {in_command(name)}; tc filter show dev DEVICE ingress, for each "
        f"device: does mirred send it to {in_command(name)}"
    )
    return Found((Evidence("host", said, wait.wait_ns, "ns"),), Who.KERN | WHO_MAYBE,
                 min(wait.wait_ns, over_ns) / 1e6, Verdict.QDISC, next_step=step,
                 shared=(socket.netns, name), party=name)  # fmt: skip
