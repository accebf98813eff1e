"""Packed records of the events plane to typed ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from nettop.engine import ffi
from nettop.engine.edges import octaves_histogram
from nettop.engine.wire import layout
from nettop.model.events import Closed, Drop, Event, EventType
from nettop.model.tcpinfo import ABSENT
from nettop.model.types import AF_INET, AF_INET6, Stage
from nettop.text.clean import clean

_names, _format = layout("nt_event")
EVENT = struct.Struct(_format)
_closed_names, _closed_format = layout("nt_closed")
CLOSED = struct.Struct(_closed_format)
_drop_names, _drop_format = layout("nt_drop")
DROP = struct.Struct(_drop_format)
_MAPPED = bytes(10) + b"\xff\xff"  # IPv4 in an IPv6 socket: shown as IPv4

_OCTAVES, _TX_COUNTS, _TX_SUMS = struct.Struct("<32I"), struct.Struct("<6I"), struct.Struct("<6Q")
_STAGES = tuple(stage for stage in Stage if stage is not Stage.NIC)

Name = Callable[[int], str]


def event_of(raw: bytes, at: int, drop_name: Name, reset_name: Name) -> Event:
    """struct nt_event; the process name loses what a terminal would obey."""
    m: dict[str, Any] = dict(zip(_names, EVENT.unpack_from(raw, at), strict=True))
    del m["pad"]
    kind = m["type"] = EventType(m["type"])
    if m["family"] == AF_INET6 and _MAPPED in (m["src"][:12], m["dst"][:12]):
        m["family"] = AF_INET
        m["src"], m["dst"] = (m[end][12:] + bytes(12) for end in ("src", "dst"))
    m["comm"] = clean(m["comm"].split(b"\0", 1)[0])
    m["length"] = m.pop("len")
    number = m.pop("reason")
    name = {EventType.DROP: drop_name, EventType.RESET_SENT: reset_name}.get(kind)
    return Event(reason=name(number) if name else None, **m)


def closed_of(raw: bytes, at: int) -> Closed:
    """struct nt_closed."""
    m: dict[str, Any] = dict(zip(_closed_names, CLOSED.unpack_from(raw, at), strict=True))
    event = event_of(m.pop("ev"), 0, str, str)
    m["born_ns"] = m["born_ns"] or None
    if m["min_rtt_us"] in (0, ABSENT["min_rtt"]):
        m["min_rtt_us"] = None
    octaves, count, sum_ns = (m.pop(f"wait_{name}") for name in ("octaves", "count", "sum_ns"))
    wait = octaves_histogram(_OCTAVES.unpack(octaves), sum_ns) if count else None
    counts = _TX_COUNTS.unpack(m.pop("tx_count"))
    sums = _TX_SUMS.unpack(m.pop("tx_sum_ns"))
    tx: dict[Stage, tuple[int, int]] = {
        stage: (n, ns) for stage, n, ns in zip(_STAGES, counts, sums, strict=True) if n
    }
    return Closed(event=event, wait=wait, tx=tx, **m)


def drop_of(raw: bytes, at: int, name: Name) -> Drop:
    """struct nt_drop."""
    m: dict[str, Any] = dict(zip(_drop_names, DROP.unpack_from(raw, at), strict=True))
    del m["pad"]
    m["packets"] = m.pop("count")
    m["segs"] = m["segs"] or m["packets"]
    m["reason"] = name(m["reason"])
    return Drop(**m)


assert EVENT.size == ffi.sizeof("struct nt_event")
assert CLOSED.size == ffi.sizeof("struct nt_closed")
assert DROP.size == ffi.sizeof("struct nt_drop")
