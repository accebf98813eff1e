"""Verdicts in sentences: what it is, on what evidence, what was ruled out, what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nettop.model.causes import Cause, Evidence, PeerKey, SlowPeer
from nettop.model.types import (
    WHO_MAYBE,
    Because,
    Detail,
    Flag,
    Model,
    Owner,
    Proto,
    Row,
    Stage,
    Verdict,
)
from nettop.model.usual import UsualOf, usual_ns
from nettop.text import units
from nettop.text.fields import FIELDS
from nettop.text.holders import holder_evidence, is_said, process_of, state_of_all
from nettop.text.readers import Reader, reader_evidence, reader_of
from nettop.text.unanswered import LARGE_STEP, swallows_large, unanswered
from nettop.text.verdicts import LEAST_RATIO_US, OTHER_NAMESPACE, VERDICTS, VerdictSpec
from nettop.text.waits import is_settled, split_of, split_says
from nettop.text.words import was_word, who_name, who_text

_IN_NAMESPACE = re.compile(r"\b(ping|mtr|nc|tc|ss|ip|ethtool|nstat|sysctl|nft|iptables) ")
_LOSS_PCT = 0.5  # resent, from which on loss is ruled out no more
_LEAST_HELD_S = 1.0
_AGES = (Verdict.UNREAD, Verdict.UNCLOSED)
_NEXT_HOP_S = 4.0  # three tries of a second, until what waits for a next hop is dropped
_HELD_PCT = 10  # of the time held back by a limit, from which on it is ruled out no more
_NOT_TAKEN_UP_STEP = "ss -ltnp sport = :{lport}: whose listener it waits at; it must call accept()"
_NO_PATH_STEP = (
    "tc -s qdisc show dev lo: a backlog there is part of the srtt; ss -tinp dport = :{lport}: the "
    "other end, its program and the delay of its ACKs (ato)"
)
# Causes that were found on this host: what the verdict leaves open is known.
_SETTLED = frozenset({
    Because.HERE, Because.NO_CPU, Because.QUEUE, Because.CARRIER, Because.RECEIVE,
    Because.STOPPED, Because.DISK, Because.SYSCTL, Because.OTHER_END, Because.NOT_ACCEPTED,
    Because.NEXT_HOP, Because.UNSENT,
})  # fmt: skip
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)  # goes into a command as it is


class Explanation(Struct, frozen=True):
    """who and what: the headline; the others: further sentences, "" where there is none."""

    who: str
    what: str
    evidence: str
    ruled_out: str
    for_s: float | None
    unknown: str = ""
    next_step: str = ""
    proof: tuple[Evidence, ...] = ()  # of evidence
    excluded: tuple[Evidence, ...] = ()  # of ruled_out
    shared: Hashable = None  # sockets with the same one have one cause; None: not known of any
    party: str = ""  # whom that cause is about, where it is not the holder: a device, a thread
    reader: Reader | None = None  # that the verdict is about; None: not known, or of no reader
    is_age: bool = False  # the evidence says since when
    several: bool = False  # ticks name different readers: it is no one thread

    @property
    def held(self) -> str:
        """How long the verdict has been the worst, behind the headline: it may have held before
        beside a worse one. Nothing of less than a second, nor where the evidence is an age."""
        if self.for_s is None or self.for_s < _LEAST_HELD_S or self.is_age:
            return ""
        return f", for {units.time(self.for_s * 1e9, bounded=True)}"

    @property
    def beside(self) -> list[str]:
        """What stands below the evidence, a sentence each."""
        return [text for text in (self.ruled_out, self.unknown, self.next_step) if text]


def explain(row: Row, detail: Detail | None, model: Model, for_s: float | None) -> Explanation:
    """Of the worst verdict; who is blank when nothing is unusual, `–` when not all is known."""
    verdicts = row.verdicts
    if not verdicts:
        who = "–" if row.untraced else ""
        was = was_word(row)
        now = f" now; a moment ago: {VERDICTS[Verdict(row.rec.verdict)].says(row.rec.because)}"
        return Explanation(who, f"nothing unusual{now if was else ''}", _quiet(row), "", None)
    worst = verdicts[0]
    spec = VERDICTS[worst]
    also = ""
    if len(verdicts) > 1:
        second = VERDICTS[verdicts[1]].says(row.rec.because2)
        if second != spec.says(row.rec.because):
            whose = f" ({who_name(row.rec.who2)})" if row.rec.who2 != row.rec.who else ""
            also = f"; also {second}{whose}"
    cause = cause_of(row, model)
    evidence = _evidence(worst, row, detail, named=cause is not None)
    excluded, unmeasured = _checked(spec, row, model, for_s)
    by_holder = spec.by_holder or row.rec.because == Because.NO_CPU
    holder = holder_evidence(row, model) if by_holder and cause is None else None
    reads = spec.by_holder and worst is not Verdict.ACCEPT
    split = split_of(row) if reads else None
    reader = reader_of(row, model) if reads else None
    # What was lost here was not lost on the path; what the holder did is known where it was read.
    known = row.rec.because in _SETTLED or holder is not None
    if cause is not None and spec.by_holder:
        known = known or any(e.source == "host" for e in cause.evidence)
    known = known or (split is not None and is_settled(split))
    did = [*cause.evidence] if cause is not None else [*_late_evidence(row, model)]
    slow = slow_peer(row, model)
    if slow is not None:
        did.append(_slow_evidence(slow))
    if split is not None:
        did.append(Evidence("split", split_says(split), max(split[1:6]), "ns"))
    did += reader_evidence(reader)
    process = process_of(row, model)
    if holder is not None and not (split is not None and process and is_said(process, split)):
        did.append(holder)
    if cause is not None:
        excluded, unmeasured = [*cause.ruled_out, *excluded], []
    left_open = "" if known else _open_of(spec, row)
    open_ = [*unmeasured, left_open] if left_open else unmeasured
    next_step = _next_step(spec, row, model)
    return Explanation(
        who_text(row) or "–",
        spec.says(row.rec.because) + also,
        "; ".join((evidence, *(e.says for e in did))),
        "ruled out: " + ", ".join(e.says for e in excluded) if excluded else "",
        for_s,
        "not known: " + "; ".join(open_) if open_ else "",
        f"next: {next_step}" if next_step else "",
        (Evidence(_source(spec, row), evidence, row.rec.verdict_value, spec.unit), *did),
        tuple(excluded),
        shared=cause.shared if cause is not None else slow.key if slow is not None else None,
        party=cause.party if cause is not None else "",
        reader=reader,
        is_age=worst in _AGES,
    )


def _open_of(spec: VerdictSpec, row: Row) -> str:
    if spec.number is Verdict.RTT and row.rec.because in (Because.UNUSUAL, Because.SIBLINGS):
        return "whether it is the path, or a peer that answers late and delays its ACKs until then"
    if spec.number is Verdict.RTT and _within_host(row):
        return "what holds its ACKs back: both ends are on this host, and there is no path"
    return spec.unknown


def _within_host(row: Row) -> bool:
    return row.local_addr == row.remote_addr


def cause_of(row: Row, model: Model) -> Cause | None:
    """What explains its worst verdict, as far as the tick still knows it."""
    cause = model.causes.get(row.cookie) if model is not None else None
    if cause is None or not row.rec.verdicts:
        return None
    same = cause.because == row.rec.because and cause.verdict == row.rec.verdict
    return cause if same else None


def _late_evidence(row: Row, model: Model) -> Iterable[Evidence]:
    late = model.late.get(row.proc.pid) if model is not None else None
    if late is None or row.rec.because != Because.HEAD:
        return ()
    said = (
        f"{late.sockets} sockets of this process were read late in one interval, the worst after "
        f"{units.time(late.max_ns)}: it is busy with something else, or one of them keeps it busy"
    )
    return (Evidence("wait", said, late.sockets, "count"),)


def slow_peer(row: Row, model: Model) -> SlowPeer | None:
    """What its peer was compared with, where that is why it is held for slow."""
    rec = row.rec
    if model is None or not model.slow or rec.because != Because.SIBLINGS:
        return None
    return model.slow.get(PeerKey(bytes(rec.dst), rec.netns, rec.dport, rec.family))


def _slow_evidence(slow: SlowPeer) -> Evidence:
    said = (
        f"round trips to the other {slow.siblings} peers at port {slow.key.dport} take "
        f"{units.time(slow.siblings_rtt_us * 1e3)} in the middle, to this one "
        f"{units.time(slow.rtt_us * 1e3)}"
    )
    return Evidence("diag", said, slow.rtt_us * 1e3, "ns")


def _source(spec: VerdictSpec, row: Row) -> str:
    exact = spec.number is Verdict.UNREAD and row.rec.flags & Flag.UNREAD_EXACT
    return "wait" if exact else spec.source


def _next_step(spec: VerdictSpec, row: Row, model: Model) -> str:
    """A command or a place to look; only numbers and addresses go into commands."""
    rec = row.rec
    pid = row.proc.pid or "PID"
    process = process_of(row, model)
    if spec.by_holder and process is not None and state_of_all(process) == "T":
        return f"kill -CONT {pid} lets it go on, unless it was stopped on purpose"
    if spec.by_holder and row.proc.owner == Owner.NOT_ACCEPTED:
        spec = replace(spec, next_step=_NOT_TAKEN_UP_STEP, by_cause={})
    if spec.number is Verdict.RTT and _within_host(row):
        spec = replace(spec, next_step=_NO_PATH_STEP, by_cause={})
    if spec.number is Verdict.RTO and swallows_large(row):
        spec = replace(spec, next_step=LARGE_STEP, by_cause={})
    cause = cause_of(row, model)
    if cause is not None and cause.next_step:
        spec = replace(spec, next_step=cause.next_step, by_cause={})
    said = spec.step(rec.because, pid=pid, host=row.remote_addr, port=rec.dport, lport=rec.sport)
    if not row.proc.pid and "PID" in said:
        said += f" (PID: sudo ss -anp sport = :{rec.sport})"
    where = row.netns_name if not said.startswith(OTHER_NAMESPACE) else None
    if where and _PLAIN_NAME.fullmatch(where) and _IN_NAMESPACE.search(said):
        return f"{said} (in its namespace: ip netns exec {where} …)"
    return said


def _number(field: str, row: Row, detail: Detail | None) -> float | None:
    value = FIELDS[field].value(row, detail)
    return None if isinstance(value, str) else value


def _taken_up(row: Row) -> str:
    wait = row.plane.wait
    if not wait.count:
        return ""
    many = units.counted(wait.count, "that was", "that were")
    return f"; of {many} taken up in this interval the longest waited {units.time(wait.max_ns)}"


def _waiting(connections: int) -> str:
    return units.counted(connections, "connection waits", "connections wait")


def _evidence(worst: Verdict, row: Row, detail: Detail | None, *, named: bool) -> str:
    """named: what did it is said beside."""
    rec, value = row.rec, row.rec.verdict_value
    # Of a minimum of microseconds any round trip is a thousand times: that is no evidence.
    ratio = _number("srtt/minrtt", row, detail) if rec.min_rtt_us >= LEAST_RATIO_US else None
    here = "" if named else _HERE
    match worst:
        case Verdict.UNREAD:
            return _unread(row)
        case Verdict.ACCEPT:
            may = f"{_waiting(rec.rqueue)}, {rec.wqueue} may"
            said = f"{may}{_taken_up(row)}: the program must call accept()"
            return f"{said}{_without_cpu(row)}"
        case Verdict.LOSS:
            rtt = f", srtt {units.time(rec.rtt_us * 1e3)}" if rec.rtt_us else ""
            rtt = f", srtt {units.ratio(ratio)} its minimum" if ratio else rtt
            said = f"{units.percent(value)} resent, cwnd {rec.snd_cwnd}{rtt}"
            return f"{said}{here if rec.because == Because.HERE else ''}"
        case Verdict.RTO:
            return unanswered(row, _number("last_ack_recv", row, detail), here)
        case Verdict.WINDOW:
            wnd = _number("snd_wnd", row, detail)
            said = "it is shut" if value > 100 else f"{value:.0f}% of the interval"
            said += f", window {units.size(wnd)}" if wnd is not None else ""
            return f"{said}, {units.amount(rec.wqueue)} queued here"
        case Verdict.RTT:
            least = units.time(rec.min_rtt_us * 1e3)
            how = f" is {units.ratio(ratio)} its minimum {least}" if ratio else f", once {least}"
            return f"srtt {units.time(rec.rtt_us * 1e3)}{how}{_usually(rec, rec.rtt_usual)}"
        case Verdict.SNDBUF:
            buf = detail.skmem.get("sndbuf") if detail else None
            held = f"{value:.0f}% of the interval, sndbuf {units.amount(buf)}"
            return f"{held}: raise SO_SNDBUF or tcp_wmem"
        case Verdict.DROPS:
            return _dropped(row, named=named)
        case Verdict.UNCLOSED:
            return (
                f"the peer closed {units.time(value * 1e9)} ago or longer: the program must close()"
            )
        case Verdict.CWND:
            return f"{value:.0f}% of the interval, cwnd {rec.snd_cwnd}: as a bulk transfer should"
        case Verdict.READS:
            w = row.plane.wait
            return (
                f"of {w.count} deliveries half waited {units.time(w.p50_ns)}, the worst "
                f"{units.time(w.max_ns)}, before the program read them"
                f"{_usually(rec, row.plane.usual, UsualOf.WAIT)}{_without_cpu(row)}{_stands(row)}"
            )
        case Verdict.QDISC if rec.because == Because.QUEUE and not rec.rtt_us:
            return f"what it sends waits {units.time(value * 1e6)} in this host's own queue"
        case Verdict.QDISC if rec.because == Because.QUEUE:
            wait = f"the wait in this host's own queue ({units.time(value * 1e6)})"
            # Where that was found, which may be a tick ago: srtt has moved since.
            over_us = rec.rtt_us - rec.min_rtt_us
            less = ", less what may be the peer's delayed ACK" if value * 2e3 < over_us else ""
            return f"{wait} is half or more of what srtt is over its minimum{less}"
        case Verdict.ORDER:
            what = _REORDERED if rec.because == Because.REORDERED else _HOLES
            return f"{units.percent(value)} {what}"
        case Verdict.RCVBUF:
            wnd = _number("rcv_wnd", row, detail)
            return (
                f"{value:.0f}% of our window of {units.amount(wnd)} comes in each round trip of "
                f"{units.time(rec.min_rtt_us * 1e3)}: the peer may send no more"
            )
        case Verdict.OPTION:
            return f"{value:.0f}% of the interval: {_OPTIONS.get(Because(rec.because), '')}"
        case Verdict.QDISC | Verdict.NIC:
            stage = Stage.QDISC if worst is Verdict.QDISC else Stage.NIC
            usual = UsualOf.QDISC if worst is Verdict.QDISC else UsualOf.NIC
            d = row.plane.tx[stage]
            return (
                f"of {d.count} sends half waited {units.time(d.p50_ns)}, the worst "
                f"{units.time(d.max_ns)}{_usually(rec, row.plane.usual, usual)}"
            )


def _unread(row: Row) -> str:
    rec, value = row.rec, row.rec.verdict_value
    least = "" if rec.flags & Flag.UNREAD_EXACT else "at least "
    held = units.amount(rec.rqueue)
    if rec.proto == Proto.MPTCP:
        held = f"data in {held} of memory"
    unread, sooner = f"{held} unread for {least}{units.time(value * 1e6)}", ""
    if not rec.rqueue:  # the verdict outlasts what it is of by an interval
        unread = f"data was unread for {least}{units.time(value * 1e6)} and is taken now"
        sooner = " sooner"
    if rec.because in (Because.NO_CPU, Because.STOPPED, Because.PASSES_ON):
        return f"{unread}{_without_cpu(row)}"
    if row.proc.owner == Owner.NOT_ACCEPTED:
        return f"{unread}: the program has not taken this connection up"
    if rec.because == Because.GROWS:
        return f"{unread}, and it grows by all that comes: the program must call recv() more often"
    if rec.who & WHO_MAYBE and rec.proto == Proto.MPTCP:
        return (
            f"{unread}: the program must call recv(), unless it waits for more "
            "(SO_RCVLOWAT) or a part is missing that another path brings"
        )
    if rec.who & WHO_MAYBE:
        return (
            f"{unread}: the program must call recv(), unless it waits for more "
            "(SO_RCVLOWAT) or this is urgent data; the RX queue wait (root) shows it"
        )
    return f"{unread}: the program must call recv(){sooner}"


def _dropped(row: Row, *, named: bool) -> str:
    rec, value = row.rec, row.rec.verdict_value
    if rec.because == Because.HERE:
        by = "" if named else _DROPPED_BY
        what = "datagrams" if rec.proto == Proto.UDP else "segments"
        return f"{units.rate(value)} {what} a second were dropped on this host{by}"
    said = f"{units.rate(value)} packets a second dropped, {rec.drops} in all"
    unknown = _DROPS_LISTENER if row.is_listen else _DROPS_UNKNOWN
    read = row.plane.wait
    if rec.because == Because.FULL and read.count and read.p99_ns < _PROMPT_NS:
        return f"{said}: {_BURSTS.format(p99=units.time(read.p99_ns))}"
    return f"{said}: {_DROPS.get(Because(rec.because), unknown)}"


def _usually(rec: Any, raw: bytes, at: UsualOf = UsualOf.WAIT) -> str:
    """What the intervals before had, where that is what makes it unusual."""
    usual = usual_ns(raw, at) if rec.because == Because.UNUSUAL else None
    return "" if usual is None else f"; usual for this flow is {units.time(usual)}"


_REORDERED = (
    "of the segments sent were overtaken by later ones: the path changes their order; nothing of "
    "that is lost"
)
_HOLES = (
    "of the segments that come find one before them missing: it was lost on the way here, or "
    "overtaken"
)
_OPTIONS = {
    Because.NAGLE: "less than a full segment waits for the ACK of a small one before it, which "
    "the peer delays; TCP_NODELAY is not set",
    Because.CORK: "less than a full segment waits for more to come, with nothing on its way",
    Because.PACED: "data waits for the rate that the program allows (SO_MAX_PACING_RATE)",
}
_NO_CPU = (
    "; a thread of it was ready and waited for a CPU longer than it ran, for half of that time or "
    "more"
)
_DROPS = {
    Because.FULL: "its receive queue is full, the program must read faster or raise SO_RCVBUF",
    Because.NO_CPU: f"its receive queue is full{_NO_CPU}",
    Because.STOPPED: "its receive queue is full, and nothing is read while it is stopped",
    Because.CHECKSUM: "their checksums are wrong",
    Because.MEMORY: "no memory is left for the protocol (net.ipv4.udp_mem, tcp_mem) or its cgroup",
    Because.OTHER: "for the reasons that the events name",
}
_PROMPT_NS = 20e6  # as from which on reads are late
_BURSTS = (
    "its receive queue is full though what it holds is read within {p99} (p99): its buffer is too "
    "small for what comes at once, raise SO_RCVBUF"
)
_DROPS_UNKNOWN = (
    "a full queue, wrong checksums, a socket filter or udp_mem; only the events (root, Linux 6.11) "
    "show which"
)
_DROPS_LISTENER = (
    "few connections wait, so the accept queue overflowed between two polls, SYNs were more than "
    "could be kept, or something refuses them (filter, TTL, flags); the counter does not say which"
)

_DROPPED_BY = ", by its firewall, qdisc or device; the events name the reason"

_HERE = (
    ": most of what was resent was dropped on this host, by its firewall, qdisc or device (each "
    "refused try counts as resent); the events name the reason"
)


def _stands(row: Row) -> str:
    ms = row.plane.standing_ms
    if not ms:
        return ""
    return f"; its queue has stood for {units.time(ms * 1e6)}, in which all that was read was late"


def _without_cpu(row: Row) -> str:
    """Where the waits were split, that says it better."""
    return _NO_CPU if row.rec.because == Because.NO_CPU and split_of(row) is None else ""


def _checked(
    spec: VerdictSpec, row: Row, model: Model, for_s: float | None
) -> tuple[list[Evidence], list[str]]:
    """Other causes that their numbers exclude, and those that are not measured."""
    excluded, unmeasured = [], []
    for name in spec.rules_out:
        found = _CHECKS[name](row, model)
        early = spec.number is Verdict.RTO and for_s is not None and for_s < _NEXT_HOP_S
        if name == "here" and early and isinstance(found, Evidence):
            found = "whether this host drops it (what waits for its next hop is dropped 3 s later)"
        if isinstance(found, str):
            unmeasured.append(found)
        elif found is not None:
            excluded.append(found)
    return excluded, unmeasured


def _arrived(row: Row, model: Model) -> Evidence:
    return Evidence("diag", "net and peer (the data is in this host's queue)")


def _connected(row: Row, model: Model) -> Evidence | None:
    waiting = row.rec.rqueue
    if not waiting:
        return None
    many = units.counted(waiting, "connection is", "connections are")
    stand = "waits" if waiting == 1 else "wait"
    return Evidence("diag", f"net ({many} established and {stand} here)", waiting, "count")


def _closed(row: Row, model: Model) -> Evidence:
    return Evidence("diag", "net and peer (the end of the stream arrived)")


def _window(row: Row, model: Model) -> Evidence | str | None:
    rec = row.rec
    if row.holds(Verdict.WINDOW) or rec.lim_rwnd_pct >= _HELD_PCT:
        return None
    if not rec.flags & Flag.LIMITED:
        return "the peer's window"
    said = f"the peer's window ({rec.lim_rwnd_pct}% of the time)"
    return Evidence("diag", said, rec.lim_rwnd_pct, "percent")


def _sndbuf(row: Row, model: Model) -> Evidence | str | None:
    rec = row.rec
    if row.holds(Verdict.SNDBUF) or not rec.flags & Flag.LIMITED:
        return None
    if rec.lim_sndbuf_pct >= _HELD_PCT:
        return None
    said = f"the send buffer ({rec.lim_sndbuf_pct}% of the time)"
    return Evidence("diag", said, rec.lim_sndbuf_pct, "percent")


def _loss(row: Row, model: Model) -> Evidence | str | None:
    rec = row.rec
    if row.holds(Verdict.LOSS, Verdict.RTO):
        return None
    if not rec.flags & Flag.RETR_PCT:
        return "how much is lost"
    if rec.retr_pct >= _LOSS_PCT:
        return None
    return Evidence("diag", f"loss ({units.percent(rec.retr_pct)} resent)", rec.retr_pct, "percent")


def _qdisc(row: Row, model: Model) -> Evidence | str | None:
    qdisc = row.plane.tx[Stage.QDISC]
    if row.holds(Verdict.QDISC):
        return None
    if not qdisc.count:
        return _no_queue(row, model) or "this host's own queue (the qdisc stage is not measured)"
    said = f"this host's own queue (p99 {units.time(qdisc.p99_ns)} of {qdisc.count} sends)"
    return Evidence("stages", said, qdisc.p99_ns, "ns")


def _no_queue(row: Row, model: Model) -> Evidence | None:
    """The device that it sends by has none; None: it may have one."""
    now, netns = model.evidence.now, row.rec.netns
    ends = f"{row.local_addr} {row.remote_addr}"
    index = row.rec.ifindex or now.routes.get(netns, {}).get(ends)
    if "qdiscs" in now.reasons or now.left_out.get("qdiscs") or netns not in now.qdiscs:
        return None
    if not index or any(q.ifindex == index for q in now.qdiscs[netns].values()):
        return None
    device = now.devices.get(netns, {}).get(index)
    name = device.name if device else f"device {index}"
    return Evidence("host", f"this host's own queue ({name} has none)")


def _read(row: Row, model: Model) -> Evidence | None:
    if row.holds(Verdict.UNREAD, Verdict.READS):
        return None
    return Evidence(
        "diag", f"the reader ({units.amount(row.rec.rqueue)} unread)", row.rec.rqueue, "bytes"
    )


def _here(row: Row, model: Model) -> Evidence | str | None:
    if row.rec.because in (Because.HERE, Because.NEXT_HOP):
        return None
    dropped = model.dropped_out.get(row.cookie) if model is not None else None
    if dropped:
        return (
            "how much of it this host lost (the events saw it drop "
            f"{units.counted(dropped, 'packet')} of this connection on the way out)"
        )
    events = model.source("events") if model is not None else None
    if events is None or events.state != "ok":
        return f"whether this host dropped it (events are {events.state if events else 'off'})"
    return Evidence(
        "events",
        "this host on the way out (the events saw it drop less than half of what was resent)",
    )


_CHECKS: dict[str, Callable[[Row, Model], Evidence | str | None]] = {
    "arrived": _arrived,
    "connected": _connected,
    "closed": _closed,
    "window": _window,
    "sndbuf": _sndbuf,
    "loss": _loss,
    "qdisc": _qdisc,
    "here": _here,
    "read": _read,
}


def _quiet(row: Row) -> str:
    rec = row.rec
    if row.is_listen:
        return f"{rec.rqueue} of {rec.wqueue} connections wait for accept()"
    if rec.flags & Flag.UNREADABLE:
        return (
            f"{units.amount(rec.rqueue)} queued that poll() does not call readable: urgent data, "
            "or fewer bytes than SO_RCVLOWAT"
        )
    parts = []
    if rec.flags & Flag.LIMITED and rec.lim_idle_pct >= 50:
        parts.append("nothing to send most of the time")
    if rec.flags & Flag.WAIT_UNTRACED:
        parts.append("how late it is read is not known: to spare CPU not all sockets are traced")
    elif row.untraced:
        parts.append(
            f"how late it is read is not known: it holds data in {units.amount(rec.rqueue)} of "
            "memory, and reads of MPTCP sockets are not traced"
        )
    return "; ".join(parts)


def shares(row: Row) -> list[tuple[str, int]]:
    """What held the sender back in this interval, in percent, largest first; [] unknown."""
    rec = row.rec
    if not rec.flags & Flag.LIMITED:
        return []
    all_ = [
        ("peer window", rec.lim_rwnd_pct),
        ("send buffer", rec.lim_sndbuf_pct),
        ("cwnd", rec.lim_cwnd_pct),
        ("in flight", rec.lim_in_flight_pct),
        ("idle", rec.lim_idle_pct),
    ]
    return sorted((s for s in all_ if s[1]), key=lambda s: -s[1])
