"""The words for what happened to sockets."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from nettop.model.events import Closed, Event, EventFlag, EventType
from nettop.model.types import CA_STATES, TCP_LISTEN, TCP_STATES, TCP_SYN_SENT
from nettop.text import units

_SYN_RECV = 3
_TAIL_LOSS_PROBE = 5  # icsk_pending: ICSK_TIME_LOSS_PROBE
_LOSS = 4  # ca_state
_ETIMEDOUT, _ECONNREFUSED = errno.ETIMEDOUT, errno.ECONNREFUSED

# In at most five cells.
SHORT_NAMES = {
    EventType.RETRANSMIT: "retr",
    EventType.DROP: "drop",
    EventType.RESET_SENT: "rst →",
    EventType.RESET_RECEIVED: "rst ←",
    EventType.ERROR: "error",
    EventType.STATE: "state",
    EventType.CONG: "cong",
    EventType.CLOSED: "close",
}


def errno_text(err: int) -> str:
    """ECONNRESET; a number that has no name as it is."""
    return errno.errorcode.get(err, str(err))


def retransmit_kind(e: Event) -> str:
    """Why a segment was sent again: SYN, SYN-ACK, TLP, RTO or fast."""
    if e.flags & EventFlag.SYNACK:
        return "SYN-ACK"
    if e.state == TCP_SYN_SENT:
        return "SYN"
    if e.state == _SYN_RECV:
        return "SYN-ACK"
    if e.ca_state == _LOSS:
        return "RTO"
    if e.timer == _TAIL_LOSS_PROBE and e.ca_state < 2:
        return "TLP"
    return "fast"


def _state(number: int) -> str:
    return TCP_STATES.get(number, str(number))


def _ca(number: int) -> str:
    return CA_STATES.get(number, str(number))


def closed_why(c: Closed) -> str:
    """How a socket ended, in a few words."""
    e = c.event
    if e.state == TCP_LISTEN:
        return "stopped listening"
    if e.err == _ECONNREFUSED and e.state == TCP_SYN_SENT:
        return "refused"
    if e.flags & EventFlag.RESET_IN:
        return "reset by peer"
    if e.err == _ETIMEDOUT:
        return "timed out"
    if e.err:
        return errno_text(e.err)
    if e.flags & EventFlag.RESET_OUT:
        return f"reset by us, {units.amount(c.unread)} unread" if c.unread else "reset by us"
    if e.state == TCP_SYN_SENT:
        return "gave up connecting"
    if e.flags & EventFlag.FIN_FIRST:
        return "closed by us"
    if e.flags & EventFlag.FIN_BY_PEER:
        return "closed by peer"
    return "closed"


def closed_numbers(c: Closed) -> str:
    """Why, and the last numbers: `closed by us, lived 12.4s, ↑1.2M ↓38K, 3 retr, srtt 248ms`."""
    words = [closed_why(c)]
    if c.life_ns is not None:
        words.append(f"lived {units.time(c.life_ns)}")
    if c.event.state not in (TCP_LISTEN, TCP_SYN_SENT):
        words.append(f"↑{units.amount(c.sent)} ↓{units.amount(c.received)}")
    if c.total_retrans:
        words.append(f"{c.total_retrans} retr")
    if c.wait is not None:
        d = c.wait.dist
        words.append(f"rx wait {units.time(d.sum_ns / d.count)} mean")
    if c.srtt_us is not None:
        words.append(f"srtt {units.time(c.srtt_us * 1000)}")
    return ", ".join(words)


def event_numbers(e: Event) -> str:
    """What an event says beside its type: reason, states, sizes."""
    match e.type:
        case EventType.RETRANSMIT:
            kind = retransmit_kind(e)
            words = [kind if kind.startswith("SYN") else f"{kind} +{e.ahead}"]
            if e.retransmits:
                words.append(f"{e.retransmits} in a row")
            if e.segs > 1:
                words.append(f"{e.segs} segs")
            if not kind.startswith("SYN"):
                words.append(f"{_ca(e.ca_state)} cwnd {e.snd_cwnd}")
            if e.err:
                why = errno_text(-e.err) if e.err < 0 else "dropped by the qdisc"
                words.append(f"not sent: {why}")
            return ", ".join(words)
        case EventType.DROP:
            many = f", {e.segs} segs" if e.segs > 1 else ""
            return f"{e.reason} {units.amount(e.length)}{many}"
        case EventType.RESET_SENT:
            return e.reason or ""
        case EventType.RESET_RECEIVED:
            return f"in {_state(e.state)}"
        case EventType.ERROR:
            return f"{errno_text(e.err)} {os.strerror(e.err)}"
        case EventType.STATE:
            return f"{_state(e.state)} → {_state(e.new_state)}"
        case EventType.CONG:
            return f"{_ca(e.ca_state)} → {_ca(e.new_ca_state)} cwnd {e.snd_cwnd}"
        case EventType.CLOSED:
            if e.last is None:
                return f"from {_state(e.state)}"
            return closed_numbers(e.last)


def event_who(e: Event, owner: str | None = None) -> str:
    """Whose it is and the other end: nginx/812 → 10.0.0.1:443.

    Args:
        owner: what is known of the socket's process from elsewhere, first choice.
    """
    if e.flags & EventFlag.LEAVING:
        return f"{e.local} → {e.remote}"
    if e.flags & EventFlag.FROM_PACKET:
        return f"{e.remote} → {e.local}"
    who = owner or e.owner or e.local
    return f"{who} → {e.remote}" if e.has_remote else who


class Repeated(NamedTuple):
    """Events of one socket that say the same, with none of its others between them."""

    newest: Event
    times: int
    oldest_ns: int  # CLOCK_MONOTONIC

    @property
    def text(self) -> str:
        """How often: `×29/s`, within less than a second `×3`; "" of a single one."""
        if self.times == 1:
            return ""
        seconds = (self.newest.at_ns - self.oldest_ns) / 1e9
        if seconds < 1:
            return f"×{self.times}"
        return f"×{units.rate((self.times - 1) / seconds)}/s"


def _same_of(e: Event) -> tuple[Any, ...]:
    """Equal of events that say the same."""
    match e.type:
        case EventType.RETRANSMIT:
            return e.type, retransmit_kind(e), e.err
        case EventType.DROP | EventType.RESET_SENT:
            return e.type, e.reason
        case EventType.ERROR:
            return e.type, e.err
        case EventType.STATE | EventType.RESET_RECEIVED:
            return e.type, e.state, e.new_state
        case EventType.CONG:
            return e.type, e.ca_state, e.new_ca_state
        case EventType.CLOSED:
            return e.type, e.seq


def repeated(events: Sequence[Event]) -> list[Repeated]:
    """Folds events (newest first); a socket's keep their order among themselves."""
    found: list[Repeated] = []
    last: dict[object, tuple[tuple[Any, ...], int]] = {}  # of each socket: what, its place
    for e in events:
        socket = e.cookie or event_who(e)
        same = _same_of(e)
        before = last.get(socket)
        if before is not None and before[0] == same:
            at = before[1]
            found[at] = found[at]._replace(times=found[at].times + 1, oldest_ns=e.at_ns)
        else:
            last[socket] = same, len(found)
            found.append(Repeated(e, 1, e.at_ns))
    return found


def event_words(e: Event, now_ns: int, often: str = "") -> tuple[str, str]:
    """When and what with how often, and what it says: `-2.10s retr  ×29/s`, `fast +1448`."""
    age = units.time(max(0, now_ns - e.at_ns))
    head = f"-{age:<6} {SHORT_NAMES[e.type]:<5}"
    return f"{head} {often}" if often else head, event_numbers(e)


def event_line(e: Event, now_ns: int, owner: str | None = None) -> str:
    """Time, what, who, numbers: `-2.10s retr  nginx/812 → 10.0.0.1:443  fast +1448`."""
    age = units.time(max(0, now_ns - e.at_ns))
    return f"-{age:<6} {SHORT_NAMES[e.type]:<5} {event_who(e, owner)}  {event_numbers(e)}"
