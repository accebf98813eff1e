"""What each key of a snapshot may hold, derived from the registry of keys.

A file is checked against it once, where it is read. Afterwards every object and list is where
the registry has one, every value is of its kind and in its range, every text is safe for a
terminal, and keys that the registry does not know are gone.
"""

from __future__ import annotations

import math
import re
from enum import Enum
from typing import Any

from nettop.export import evidence
from nettop.export.keys import KEYS
from nettop.export.values import Bad
from nettop.text.clean import clean

MOST_TEXT = 4096
MOST_NAME = 64  # of a key that the registry knows as `*`
MOST_ITEMS = 1 << 16  # of a list other than sockets
MOST_WHOLE = (1 << 64) - 1
MOST_NUMBER = 1e30
_OPEN_DEPTH = 4
_NULL = "is null: what is not known is left out"


class Kind(Enum):
    """What a value is; null is never one: a key whose value is unknown is left out."""

    OBJECT = "object"
    OBJECTS = "list of objects"
    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    SIGNED = "number of either sign"  # a difference of two others
    FLAG = "true or false"
    OPEN = "any"  # described in words alone: whatever reads it looks closer


_TEXTS = frozenset({
    "schema", "taken", "host", "kernel", "nettop", "filter", "name", "state", "method",
    "reason", "fix", "stretched", "at", "type", "proto", "addr", "comm", "why", "who", "text",
    "user", "netns_name", "family", "owner", "cgroup", "container", "cong", "kind", "level",
    "unit", "of", "path", "handle", "parent", "thresholds",
})  # fmt: skip
_OPEN = frozenset({
    "path.*.buckets", "rx_wait.buckets", "totals.who.*", "events[].last.rx_wait",
    "events[].last.tx", "sockets[].verdicts", "sockets[].attrs.*",
})  # fmt: skip
_NUMBER = re.compile(r"(^|_)(per_s|pct|ms|s|ns_per_run)$|^value$")
_SHARES = "sockets[].limited."
_KERNEL = "sockets[].tcp_info."
_DERIVED = "sockets[].derived."
_WHOLE = frozenset({
    "cookie", "netns", "port", "pid", "tid", "fd", "procs_more", "uid", "inode", "cgroup_id",
    "ifindex", "rqueue", "wqueue", "retrans", "tcp_info_len", "drops", "strength", "errno",
    "bytes", "lost_events", "missed_ticks", "rss_bytes", "cpu_number", "at_ns", "left_out",
    "clock_bar_ns", "skipped_ticks", "top",
})  # fmt: skip
_COUNTS = (
    "totals.", "rx_wait.", "path.", "tx.", "events[].last.", "events_untold.", "sockets[].meminfo.",
    "sockets[].skmem.", "sockets[].cong_info.", "sockets[].rx_wait.", "sockets[].udp.",
    "sockets[].tx.",
    *evidence.COUNTS,
)  # fmt: skip


class Shape:
    """A key and, of an object, its keys."""

    __slots__ = ("any", "inner", "kind")

    def __init__(self) -> None:
        self.kind = Kind.OPEN
        self.inner: dict[str, Shape] = {}
        self.any: Shape | None = None  # of keys that are not known by name

    def check(self, value: Any) -> Any:
        """The value, its texts made safe in place.

        Raises:
            Bad: with the place below this one.
        """
        kind = self.kind
        if kind is Kind.OBJECT:
            if type(value) is not dict:
                raise Bad("", "is no object")
            self.check_object(value)
        elif kind is Kind.OBJECTS:
            if type(value) is not list:
                raise Bad("", "is no list")
            if len(value) > MOST_ITEMS:
                raise Bad("", f"has more than {MOST_ITEMS} elements")
            for at, item in enumerate(value):
                if type(item) is not dict:
                    raise Bad(f"[{at}]", "is no object")
                try:
                    self.check_object(item)
                except Bad as error:
                    raise error.inside(f"[{at}]") from None
        elif kind is Kind.TEXT:
            return _text(value)
        else:
            return _scalar(kind, value)
        return value

    def check_object(self, value: dict[str, Any]) -> None:
        """The same of an object that is known to be one."""
        inner, unknown = self.inner, []
        for key, held in value.items():
            shape = inner.get(key)
            try:
                if shape is None:
                    unknown.append(key)
                elif shape.kind is Kind.WHOLE:
                    if type(held) is not int or not 0 <= held <= MOST_WHOLE:
                        _scalar(Kind.WHOLE, held)
                elif shape.kind is Kind.TEXT:
                    value[key] = _text(held)
                else:
                    value[key] = shape.check(held)
            except Bad as error:
                raise error.inside(key) from None
        if not unknown:
            return
        others = {key: value.pop(key) for key in unknown}
        if self.any is None:
            return
        for key, held in others.items():
            if len(key) > MOST_NAME:
                raise Bad(key[:MOST_NAME], "is too long for a key")
            try:
                value[clean(key)] = self.any.check(held)
            except Bad as error:
                raise error.inside(key) from None


def _scalar(kind: Kind, value: Any) -> Any:
    if value is None:
        raise Bad("", _NULL)
    if kind is Kind.OPEN:
        return _open(value, _OPEN_DEPTH)
    if kind is Kind.FLAG:
        if type(value) is not bool:
            raise Bad("", "is neither true nor false")
    elif kind is Kind.WHOLE:
        if type(value) is not int:
            raise Bad("", "is no whole number")
        if not 0 <= value <= MOST_WHOLE:
            raise Bad("", "does not fit into 64 bits")
    else:
        if type(value) not in (int, float):
            raise Bad("", "is no number")
        # An integer may be too large for a float, so it is compared before it becomes one.
        least = -MOST_NUMBER if kind is Kind.SIGNED else 0
        if not least <= value <= MOST_NUMBER or math.isnan(value):
            raise Bad("", "is out of range")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        if value is None:
            raise Bad("", _NULL)
        raise Bad("", "is no text")
    if len(value) > MOST_TEXT:
        raise Bad("", "is too long")
    return clean(value)


def _open(value: Any, depth: int) -> Any:
    if isinstance(value, dict | list):
        if not depth:
            raise Bad("", "is nested too deeply")
        if len(value) > MOST_ITEMS:
            raise Bad("", f"has more than {MOST_ITEMS} elements")
        if isinstance(value, list):
            return [_open(item, depth - 1) for item in value]
        return {clean(key[:MOST_NAME]): _open(item, depth - 1) for key, item in value.items()}
    if type(value) is str:
        return _text(value)
    return value if type(value) is bool else _scalar(Kind.NUMBER, value)


def _kind(path: str) -> Kind:
    """Of a key without keys of its own: by its name, which has its unit."""
    name = path.rsplit(".", 1)[-1]
    if path in _OPEN:
        return Kind.OPEN
    if KEYS[path].startswith(("true: ", "false: ")):  # how the description of one begins
        return Kind.FLAG
    if path.startswith(_KERNEL):
        return Kind.WHOLE
    if path.startswith(_DERIVED) or path == "hosts.*.clock_offset_ns":
        return Kind.SIGNED
    if name in _TEXTS or path in evidence.TEXTS:
        return Kind.TEXT
    if path.startswith(_SHARES) or _NUMBER.search(name):
        return Kind.NUMBER
    return Kind.WHOLE if name in _WHOLE or path.startswith(_COUNTS) else Kind.OPEN


def _shape() -> Shape:
    top = Shape()
    top.kind = Kind.OBJECT
    for path in KEYS:
        at, walked = top, ""
        for part in path.split("."):
            name = part.removesuffix("[]")
            if at.kind not in (Kind.OBJECT, Kind.OBJECTS):
                at.kind = Kind.OBJECT
            walked = f"{walked}.{part}" if walked else part
            if name == "*":
                at.any = at.any or Shape()
                at = at.any
            else:
                at = at.inner.setdefault(name, Shape())
            if name != part:
                at.kind = Kind.OBJECTS
        if at.kind is Kind.OPEN:
            at.kind = _kind(path)
    return top


SNAPSHOT = _shape()
SOCKET = SNAPSHOT.inner["sockets"]
