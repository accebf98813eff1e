"""What is said of data, SYNs and probes that nothing answers."""

from __future__ import annotations

from nettop.model.types import Because, Row
from nettop.text import units

_IN_A_ROW = ("time-out", "time-outs in a row")
_CUT = " without an answer: the path is cut or the peer gone; not distinguishable from this end"
# One and many of what had no answer, and what that means.
_NO_ANSWER = {
    Because.SYN: (
        ("SYN", "SYNs"),
        " sent again: nothing answers. The host is down, a firewall drops them or the listener's "
        "queue is full; not distinguishable from this end",
    ),
    Because.PROBE: (
        ("probe of the peer's shut window", "probes of the peer's shut window"), _CUT,
    ),
    Because.KEEPALIVE: (("keepalive probe", "keepalive probes"), _CUT),
    Because.UNSENT: (
        ("try", "tries"), " to send it, and this host itself refused each (its route, its firewall "
        "or a full queue): nothing left",
    ),
    Because.SILENT_PEER: (_IN_A_ROW, ": the host answered the handshake, and nothing since"),
    Because.NOT_ACCEPTED: (_IN_A_ROW, ", before its first message was taken up"),
}  # fmt: skip


def unanswered(row: Row, heard: float | None, here: str) -> str:
    """
    Args:
        heard: nanoseconds since the last packet of the peer; None: not known.
        here: what is said where this host itself dropped it.
    """
    rec = row.rec
    tries = int(rec.verdict_value)
    cut = rec.retransmits >= 2 and (heard is None or heard >= 1e9)
    if rec.because == Because.NEXT_HOP:
        said = f"{units.counted(tries, 'time-out')}, backoff {rec.backoff}"
    elif rec.because == Because.HERE:
        said = f"{units.counted(tries, 'time-out')}, backoff {rec.backoff}{here}"
    elif rec.because in _NO_ANSWER:
        what, then = _NO_ANSWER[Because(rec.because)]
        said = f"{units.counted(tries, *what)}{then}"
    elif cut:
        said = (
            f"{units.counted(tries, *_IN_A_ROW)}, backoff {rec.backoff}: the path is cut or the "
            "peer gone; not distinguishable from this end"
        )
    else:
        said = f"{units.counted(tries, 'time-out')}, backoff {rec.backoff}, cwnd {rec.snd_cwnd}"
    if rec.because != Because.SYN and heard is not None and cut:
        said += f". Nothing heard for {units.time(heard)}, {units.amount(rec.wqueue)} queued"
    return said
