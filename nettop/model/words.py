"""The words of a row: owner, state, and the verdict's WHO and WHY."""

from __future__ import annotations

from nettop.model.types import (
    TCP_STATES,
    WHO_MAYBE,
    Because,
    Flag,
    Level,
    Owner,
    Proto,
    Row,
    Verdict,
    Who,
)
from nettop.render import units

_SHORT_STATES = {
    "ESTABLISHED": "ESTB", "SYN_SENT": "SYNS", "SYN_RECV": "SYNR", "FIN_WAIT1": "FIN1",
    "FIN_WAIT2": "FIN2", "TIME_WAIT": "TIMW", "CLOSE": "CLSD", "CLOSE_WAIT": "CLSW",
    "LAST_ACK": "LACK", "LISTEN": "LSTN", "CLOSING": "CLSG", "NEW_SYN_RECV": "SYNR",
    "BOUND_INACTIVE": "BNDI",
}  # fmt: skip

OWNER_WORDS = {
    Owner.KERNEL: "(kernel)",
    Owner.ORPHAN: "(orphan)",
    Owner.NOT_ACCEPTED: "(not accepted)",
    Owner.NOT_FOUND: "(no holder found)",
    Owner.HIDDEN: "(hidden)",
}

WHO_NAMES = ("app", "kern", "nic", "net", "peer", "?")  # by Who

# Whose fault it is where nothing says otherwise.
WHO = {
    Verdict.UNREAD: "app",
    Verdict.ACCEPT: "app",
    Verdict.LOSS: "net",
    Verdict.RTO: "net",
    Verdict.WINDOW: "peer",
    Verdict.RTT: "net",
    Verdict.SNDBUF: "app",
    Verdict.DROPS: "app",
    Verdict.UNCLOSED: "app",
    Verdict.CWND: "net",
    Verdict.READS: "app",
    Verdict.QDISC: "kern",
    Verdict.NIC: "nic",
}

# The names in JSON's "verdicts" and in the filter's `verdict = …`.
VERDICT_NAMES = {
    Verdict.UNREAD: "reads_late",
    Verdict.ACCEPT: "accept",
    Verdict.LOSS: "loss",
    Verdict.RTO: "rto",
    Verdict.WINDOW: "peer_window",
    Verdict.RTT: "rtt",
    Verdict.SNDBUF: "send_buffer",
    Verdict.DROPS: "drops",
    Verdict.UNCLOSED: "unclosed",
    Verdict.CWND: "cwnd",
    Verdict.READS: "reads_late",
    Verdict.QDISC: "qdisc",
    Verdict.NIC: "nic",
}


# The names in JSON's "cause".
CAUSES = {
    Because.RTO: "resent",
    Because.SILENT_PEER: "resent_since_handshake",
    Because.SYN: "syn",
    Because.PROBE: "window_probe",
    Because.KEEPALIVE: "keepalive",
    Because.FULL: "full",
    Because.CHECKSUM: "checksum",
    Because.MEMORY: "memory",
    Because.OTHER: "other",
    Because.UNTOLD: "untold",
    Because.HERE: "this_host",
}

_UNANSWERED = {Because.SYN: "SYN", Because.PROBE: "probe", Because.KEEPALIVE: "keepal"}


def who_name(number: int) -> str:
    """app, kern, nic, net, peer; `net?`: likely but not certain; ?: not known from this host."""
    if number & WHO_MAYBE:
        return f"{WHO_NAMES[number & ~WHO_MAYBE]}?"
    return WHO_NAMES[number]


WHO_NUMBERS = {who_name(n): n for n in (*range(6), *(n | WHO_MAYBE for n in range(Who.UNKNOWN)))}


def owner_text(row: Row) -> str | None:
    """nginx/812, nginx/812+7 when shared, (orphan) or another reason, or (user)."""
    proc = row.proc
    if proc.pid:
        return f"{proc.comm}/{proc.pid}" + (f"+{proc.more}" if proc.more else "")
    word = OWNER_WORDS.get(proc.owner)
    if word and proc.owner != Owner.HIDDEN:
        return word
    return f"({row.user})" if row.user else word


def proto_text(row: Row) -> str:
    return Proto(row.rec.proto).name.lower()


def state_text(row: Row) -> str:
    """Four letters: ESTB, LSTN, UDP …"""
    if row.rec.proto == Proto.UDP:
        return "UDP"
    return _SHORT_STATES.get(TCP_STATES.get(row.rec.state, ""), str(row.rec.state))


def verdict_words(
    verdict: Verdict, value: float, because: int = Because.PLAIN, *, bounded: bool = True
) -> str:
    """A few words with the number, at most 13 cells: `loss 2.1%`, `unread ≥12s`.

    bounded: the age of unread data is a lower bound.
    """
    match verdict:
        case Verdict.UNREAD:
            return f"unread {units.time(value * 1e6, bounded=bounded)}"
        case Verdict.ACCEPT:
            return "accept full" if value >= 100 else f"accept {units.percent(value)}"
        case Verdict.LOSS:
            return f"loss {units.percent(value)}"
        case Verdict.RTO:
            return f"{_UNANSWERED.get(Because(because), 'RTO')} x{value:.0f}"
        case Verdict.WINDOW:
            # Over 100 stands for a window that is shut.
            return "window 0" if value > 100 else f"window {units.percent(value)}"
        case Verdict.RTT:
            return f"RTT {value:.1f}x min" if value < 100 else f"RTT {value:.0f}x"
        case Verdict.SNDBUF:
            return f"sndbuf {units.percent(value)}"
        case Verdict.DROPS:
            return f"drops {units.rate(value)}/s"
        case Verdict.UNCLOSED:
            return f"unclosed {units.time(value * 1e9)}"
        case Verdict.CWND:
            return f"cwnd {units.percent(value)}"
        case Verdict.READS:
            return f"reads {units.time(value * 1e6)}"
        case Verdict.QDISC:
            return f"qdisc {units.time(value * 1e6)}"
        case Verdict.NIC:
            return f"nic {units.time(value * 1e6)}"


def who_text(row: Row) -> str | None:
    """As who_name; None when nothing is unusual."""
    return who_name(row.rec.who) if row.rec.verdicts else None


def why_text(row: Row) -> str | None:
    """The worst verdict with its number; blank while fine.

    Without one: `recovering` while the level sinks, `not traced` where the RX wait leaves the
    socket out, so that its RX queue wait is unknown.
    """
    rec = row.rec
    if rec.verdicts:
        bounded = not rec.flags & Flag.UNREAD_EXACT
        verdict = Verdict(rec.verdict)
        return verdict_words(verdict, rec.verdict_value, rec.because, bounded=bounded)
    if rec.level > Level.OK:
        return "recovering"
    return "not traced" if rec.flags & Flag.WAIT_UNTRACED and not row.is_listen else None
