"""The `events` of a snapshot: what happened to sockets in the interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nettop.export.distributions import histogram_object
from nettop.export.times import utc_text
from nettop.model.events import EVENT_NAMES, Closed, Event, EventFlag, EventsTick, EventType
from nettop.model.types import TCP_LISTEN, TCP_STATES, Model, address_text
from nettop.text.events import closed_why, event_numbers

_IPPROTO_TCP = 6
# Members of Closed that are written as they are.
LAST_NUMBERS = (
    "bytes_sent", "bytes_acked", "bytes_received", "bytes_retrans", "segs_out", "segs_in",
    "data_segs_out", "data_segs_in", "total_retrans", "lost", "delivered", "delivered_ce",
    "snd_ssthresh", "snd_mss", "unread", "unacked", "reord_seen", "dsack_dups", "rcv_ooopack",
)  # fmt: skip


def event_object(event: Event, model: Model) -> dict[str, Any]:
    """One element; what its type does not have is left out."""
    out: dict[str, Any] = {
        "at": utc_text(model.wall_ns - (model.mono_ns - event.at_ns)),
        "type": EVENT_NAMES[event.type],
        "proto": event.proto_name,
        "netns": event.netns,
    }
    if event.cookie:
        out["cookie"] = event.cookie
    if event.family:
        for end, raw, port in (
            ("local", event.src, event.sport),
            ("remote", event.dst, event.dport),
        ):
            out[end] = {"addr": address_text(event.family, raw), "port": port}
    if event.flags & EventFlag.OWNER:
        out["proc"] = {"pid": event.pid, "comm": event.comm}
    if event.proto == _IPPROTO_TCP and event.state:
        out["state"] = TCP_STATES.get(event.state, str(event.state))
    if event.reason:
        out["reason"] = event.reason
    if event.err and event.type is not EventType.RETRANSMIT:
        out["errno"] = event.err
    if event.length:
        out["bytes"] = event.length
    if event.last is not None:
        out["last"] = last_object(event.last)
    text = event_numbers(event)
    if text:
        out["text"] = text
    return out


def last_object(c: Closed) -> dict[str, Any]:
    """The last numbers of a socket, by tcp_info's names and units where it has them."""
    out: dict[str, Any] = {"why": closed_why(c), "uid": c.uid}
    if c.life_ns is not None:
        out["life_ns"] = c.life_ns
    if c.event.state == TCP_LISTEN:
        return out
    out |= {name: getattr(c, name) for name in LAST_NUMBERS}
    if c.srtt_us is not None:
        out |= {"rtt": c.srtt_us, "rttvar": c.rttvar_us}
    if c.min_rtt_us is not None:
        out["min_rtt"] = c.min_rtt_us
    if c.wait is not None:
        out["rx_wait"] = histogram_object(c.wait)
    if c.tx:
        out["tx"] = {
            stage.name.lower(): {"count": n, "sum_ns": ns} for stage, (n, ns) in c.tx.items()
        }
    return out


def untold_object(tick: EventsTick, beyond: Mapping[EventType, int]) -> dict[str, int]:
    """Events that no list has, so far, by type: without a record, or one too many."""
    counts = {
        name: tick.totals[kind].left_out + beyond.get(kind, 0) for kind, name in EVENT_NAMES.items()
    }
    return {name: n for name, n in counts.items() if n}
