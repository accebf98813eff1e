"""Verdicts in sentences: what it is, on what evidence, and what was ruled out."""

from __future__ import annotations

from dataclasses import dataclass

from nettop.model.types import WHO_MAYBE, Because, Detail, Flag, Model, Proto, Row, Verdict
from nettop.text import units
from nettop.text.fields import FIELDS
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_text


@dataclass(frozen=True, slots=True)
class Explanation:
    """who and what: the headline; evidence and ruled_out: further sentences."""

    who: str
    what: str
    evidence: str
    ruled_out: str
    for_s: float | None

    @property
    def held(self) -> str:
        """How long the verdict has held, behind the headline: it is no number of the headline."""
        return "" if self.for_s is None else f" (held for {units.time(self.for_s * 1e9)})"


def explain(row: Row, detail: Detail | None, model: Model, for_s: float | None) -> Explanation:
    """Of the worst verdict; who is blank when nothing is unusual, `–` when not all is known."""
    verdicts = row.verdicts
    if not verdicts:
        who = "–" if row.rec.flags & Flag.WAIT_UNTRACED and not row.is_listen else ""
        return Explanation(who, "nothing unusual", _quiet(row), "", None)
    worst = verdicts[0]
    also = f"; also {VERDICTS[verdicts[1]].sentence}" if len(verdicts) > 1 else ""
    return Explanation(
        who_text(row) or "–",
        VERDICTS[worst].sentence + also,
        _evidence(worst, row, detail),
        _ruled_out(worst, row, model),
        for_s,
    )


def _number(field: str, row: Row, detail: Detail | None) -> float | None:
    value = FIELDS[field].value(row, detail)
    return None if isinstance(value, str) else value


def _evidence(worst: Verdict, row: Row, detail: Detail | None) -> str:
    rec, value = row.rec, row.rec.verdict_value
    ratio = _number("srtt/minrtt", row, detail)
    match worst:
        case Verdict.UNREAD:
            least = "" if rec.flags & Flag.UNREAD_EXACT else "at least "
            unread = f"{units.size(rec.rqueue)} unread for {least}{units.time(value * 1e6)}"
            if rec.who & WHO_MAYBE:
                return (
                    f"{unread}: the program must call recv(), unless it waits for more "
                    "(SO_RCVLOWAT) or this is urgent data; the RX queue wait (root) shows it"
                )
            return f"{unread}: the program must call recv()"
        case Verdict.ACCEPT:
            return (
                f"{rec.rqueue} connections wait, {rec.wqueue} may: the program must call accept()"
            )
        case Verdict.LOSS:
            rtt = f", rtt {units.ratio(ratio)} min" if ratio else ""
            said = f"{units.percent(value)} resent, cwnd {rec.snd_cwnd}{rtt}"
            return f"{said}{_HERE if rec.because == Because.HERE else ''}"
        case Verdict.RTO:
            return _unanswered(row, detail)
        case Verdict.WINDOW:
            wnd = _number("snd_wnd", row, detail)
            shut = "it is shut" if value > 100 else f"{value:.0f}% of the interval"
            return f"{shut}, window {units.size(wnd)}, {units.size(rec.wqueue)} queued here"
        case Verdict.RTT:
            return (
                f"srtt {units.time(rec.rtt_us * 1e3)} is {units.ratio(ratio)} its minimum "
                f"{units.time(rec.min_rtt_us * 1e3)}"
            )
        case Verdict.SNDBUF:
            buf = detail.skmem.get("sndbuf") if detail else None
            held = f"{value:.0f}% of the interval, sndbuf {units.size(buf)}"
            return f"{held}: raise SO_SNDBUF or tcp_wmem"
        case Verdict.DROPS:
            said = f"{units.rate(value)} packets a second dropped, {rec.drops} in all"
            unknown = _DROPS_LISTENER if row.is_listen else _DROPS_UNKNOWN
            return f"{said}: {_DROPS.get(Because(rec.because), unknown)}"
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
            )
        case Verdict.QDISC | Verdict.NIC:
            d = row.plane.tx[3 if worst is Verdict.QDISC else 4]
            return f"of {d.count} sends half waited {units.time(d.p50_ns)}, the worst " + (
                units.time(d.max_ns)
            )


_DROPS = {
    Because.FULL: "its receive queue is full, the program must read faster or raise SO_RCVBUF",
    Because.CHECKSUM: "their checksums are wrong",
    Because.MEMORY: "no memory is left for the protocol (net.ipv4.udp_mem, tcp_mem)",
    Because.OTHER: "for the reasons that the events name",
}
_DROPS_UNKNOWN = (
    "a full queue, wrong checksums, a socket filter or udp_mem; only the events (root, Linux 6.11) "
    "show which"
)
_DROPS_LISTENER = (
    "few connections wait, so the accept queue overflowed between two polls, SYNs were more than "
    "could be kept, or something refuses them (filter, TTL, flags); the counter does not say which"
)

_HERE = (
    ": most of what was resent was dropped on this host, by its firewall, qdisc or device; the "
    "events name the reason"
)

_NO_ANSWER = {
    Because.SYN: "SYNs sent again: nothing answers. The host is down or a firewall drops them; "
    "not distinguishable from this end",
    Because.PROBE: "probes of the peer's shut window without an answer: the path is cut or the "
    "peer gone; not distinguishable from this end",
    Because.KEEPALIVE: "keepalive probes without an answer: the path is cut or the peer gone; "
    "not distinguishable from this end",
    Because.SILENT_PEER: "time-outs in a row: the host answered the handshake, and nothing since",
}


def _unanswered(row: Row, detail: Detail | None) -> str:
    rec = row.rec
    said = f"{rec.verdict_value:.0f} "
    heard = _number("last_ack_recv", row, detail)
    cut = rec.retransmits >= 2 and (heard is None or heard >= 1e9)
    if rec.because == Because.HERE:
        said += f"time-outs, backoff {rec.backoff}{_HERE}"
    elif rec.because in _NO_ANSWER:
        said += _NO_ANSWER[Because(rec.because)]
    elif cut:
        said += (
            f"time-outs in a row, backoff {rec.backoff}: the path is cut or the peer gone; not "
            "distinguishable from this end"
        )
    else:
        said += f"time-outs, backoff {rec.backoff}, cwnd {rec.snd_cwnd}"
    if rec.because != Because.SYN and heard is not None and cut:
        said += f". Nothing heard for {units.time(heard)}, {units.size(rec.wqueue)} queued"
    return said


def _ruled_out(worst: Verdict, row: Row, model: Model) -> str:
    """Other causes with their numbers; what no plane measures is called not measured."""
    rec = row.rec
    if row.rec.proto == Proto.UDP or row.is_listen:
        return ""
    parts = []
    if worst not in (Verdict.UNREAD, Verdict.READS):
        wait = row.plane.wait
        if rec.flags & Flag.UNREADABLE:
            parts.append("app: nothing that it could read")
        elif rec.flags & Flag.OLDEST_UNREAD:
            bounded = not rec.flags & Flag.UNREAD_EXACT
            parts.append(f"app: unread {units.time(rec.oldest_unread_ms * 1e6, bounded=bounded)}")
        elif wait.count:
            parts.append(f"app: reads after {units.time(wait.p99_ns)}")
        else:
            parts.append("app: nothing unread")
    if rec.flags & Flag.LIMITED and worst is not Verdict.WINDOW:
        parts.append(f"peer window {rec.lim_rwnd_pct}%")
    if worst not in (Verdict.LOSS, Verdict.RTO) and rec.flags & Flag.RETR_PCT:
        parts.append(f"loss {units.percent(rec.retr_pct)}")
    qdisc = row.plane.tx[3]
    if worst is not Verdict.QDISC:
        parts.append(f"qdisc {units.time(qdisc.p99_ns)}" if qdisc.count else "qdisc not measured")
    return "not " + ", ".join(parts) if parts else ""


def _quiet(row: Row) -> str:
    rec = row.rec
    if row.is_listen:
        return f"{rec.rqueue} of {rec.wqueue} connections wait for accept()"
    if rec.flags & Flag.UNREADABLE:
        return (
            f"{units.size(rec.rqueue)} queued that poll() does not call readable: urgent data, or "
            "fewer bytes than SO_RCVLOWAT"
        )
    parts = []
    if rec.flags & Flag.LIMITED and rec.lim_idle_pct >= 50:
        parts.append("nothing to send most of the time")
    if rec.flags & Flag.WAIT_UNTRACED:
        parts.append("how late it is read is not known: to spare CPU not all sockets are traced")
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
