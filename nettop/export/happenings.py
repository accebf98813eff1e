"""The `events` of a snapshot: what happened to sockets in the interval."""

from __future__ import annotations

from typing import Any

from nettop.export.times import utc_text
from nettop.model.events import EVENT_NAMES, Event, EventFlag, EventsTick, event_numbers
from nettop.model.types import TCP_STATES, Model, address_text

_IPPROTO_TCP = 6


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
    if event.err:
        out["errno"] = event.err
    if event.length:
        out["bytes"] = event.length
    text = event_numbers(event)
    if text:
        out["text"] = text
    return out


def untold_object(tick: EventsTick) -> dict[str, int]:
    """Records that are missing, so far, by type: suppressed, lost or not seen."""
    return {
        EVENT_NAMES[kind]: count.untold
        for kind, count in zip(EVENT_NAMES, tick.totals, strict=True)
        if count.untold
    }
