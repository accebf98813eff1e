"""What is said of data, SYNs and probes that nothing answers."""

from __future__ import annotations

from nettop.model.types import Because, Row
from nettop.text import units

# A first message that fits every path, and what may be a full packet on most.
_FITS_BYTES, _LARGE_BYTES = 537, 1200
# So many more time-outs than the backoff has steps: each "unreachable" of a router takes one back.
_TAKEN_BACK = 3
_UNREACHABLE = (
    ": a router answers that it cannot be reached (ICMP), as the backoff is taken back each time"
)
_SWALLOWED = (
    ". Nothing {beyond}was acknowledged, though the peer's packets came: a path that swallows "
    "full-size packets (MTU) looks like that"
)
LARGE_STEP = (
    "ping -M do -s 1472 {host}: does a packet of 1500 bytes pass, and one without -s 1472; sysctl "
    "net.ipv4.tcp_mtu_probing=1 finds what passes"
)
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
        unreachable = rec.retransmits >= rec.backoff + _TAKEN_BACK
        said = f"{units.counted(tries, *_IN_A_ROW)}, backoff {rec.backoff}" + (
            _UNREACHABLE if unreachable else
            ": the path is cut or the peer gone; not distinguishable from this end"
        )  # fmt: skip
    else:
        said = f"{units.counted(tries, 'time-out')}, backoff {rec.backoff}, cwnd {rec.snd_cwnd}"
    if rec.because != Because.SYN and heard is not None and cut:
        said += f". Nothing heard for {units.time(heard)}, {units.amount(rec.wqueue)} queued"
    if swallows_large(row):
        first = f"beyond its first {units.amount(rec.bytes_acked)} "
        said += _SWALLOWED.format(beyond=first if rec.bytes_acked > 1 else "")
    return said


def swallows_large(row: Row) -> bool:
    """Its path may: what is small passed both ways, and what is large has no answer."""
    rec = row.rec
    passed = rec.bytes_received > 0 and rec.bytes_acked <= _FITS_BYTES
    plain = rec.because == Because.RTO and rec.retransmits >= 2
    return bool(passed and plain and rec.wqueue >= _LARGE_BYTES)
