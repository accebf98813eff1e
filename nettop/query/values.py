"""Numbers with units, states, addresses and ports as people write them in a filter."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isinf

from nettop.text.fields import Kind
from nettop.text.words import SHORT_STATES

BEYOND = 1 << 64  # larger than any number that a record holds


class ValueMistake(ValueError):
    """What is wrong with a word; hint says how to write it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(.*)", re.DOTALL)
_TIME = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
         "d": 86400e9}  # fmt: skip
_IEC = {"": 1.0, "b": 1.0}
_BIT_NAMES = ("", "bit", "bit/s", "b/s", "bps")
_BITS = dict.fromkeys(_BIT_NAMES, 1 / 8)
_COUNT = {"": 1.0}
for _i, _letter in enumerate("kmgt", 1):
    _IEC |= dict.fromkeys((_letter, f"{_letter}b", f"{_letter}ib"), 1024.0**_i)
    _BITS |= {f"{_letter}{name}": 1000.0**_i / 8 for name in _BIT_NAMES}
    _BITS |= {f"{_letter}i{name}": 1024.0**_i / 8 for name in _BIT_NAMES if name}
    _COUNT[_letter] = 1000.0**_i
_UNITS: dict[Kind, dict[str, float]] = {
    Kind.TIME: _TIME,
    Kind.SIZE: _IEC,
    Kind.BITRATE: _BITS,
    Kind.COUNT: _COUNT,
    Kind.RATE: _COUNT | {"/s": 1.0},
    Kind.PERCENT: {"": 1.0, "%": 1.0},
    Kind.RATIO: {"": 1.0, "x": 1.0},
    Kind.LEVEL: {"": 1.0},
}
_EXAMPLES = {
    Kind.TIME: "a time with a unit, such as 5ms or 200us",
    Kind.SIZE: "bytes, such as 64K or 1.5M",
    Kind.BITRATE: "bits per second, such as 10M (or 1MB/s for bytes)",
    Kind.COUNT: "a number, such as 10 or 4K",
    Kind.RATE: "a number per second, such as 1 or 0.5",
    Kind.PERCENT: "a percentage, such as 1% or 0.5",
    Kind.RATIO: "a ratio, such as 2 or 1.5",
}


def example(kind: Kind, words: Sequence[str] = ()) -> str:
    """How a value is written; words: as Field has them."""
    if words:
        return f"{', '.join(words[:-1])} or {words[-1]}"
    return _EXAMPLES.get(kind, "a value")


def whole(text: str) -> int | None:
    """The number of a word of digits, at most BEYOND; None of any other word."""
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text), BEYOND)


def number(text: str, kind: Kind, words: Sequence[str] = ()) -> float:
    """The value in the base unit of the kind, or the number of one of the words.

    Raises:
        ValueMistake: no number, no unit where one is needed, or a unit of another kind.
    """
    codes = {word.lower(): float(n) for n, word in enumerate(words)}
    if kind is Kind.LEVEL:
        codes["well"] = 0.0
    if text.lower() in codes:
        return codes[text.lower()]
    match = _NUMBER.fullmatch(text)
    if not match:
        raise ValueMistake(f"'{text}' is not {example(kind, words)}")
    value, unit = float(match[1]), match[2].strip()
    factor = _UNITS[kind].get(unit.lower())
    if factor is not None:
        if kind is Kind.BITRATE and unit.endswith(("B/s", "B/S", "Bps", "BPS")):
            factor *= 8
        if isinf(value * factor):  # the condition could never hold
            raise ValueMistake(f"'{text}' is too large")
        return value * factor
    if not unit:
        raise ValueMistake(f"{text} what?", f"say {text}ms or {text}us")
    raise ValueMistake(f"'{match[2]}' is not a unit here", f"give {example(kind, words)}")


_STATES = {
    "established": 1, "syn-sent": 2, "syn-recv": 3, "fin-wait-1": 4, "fin-wait-2": 5,
    "time-wait": 6, "closed": 7, "close-wait": 8, "last-ack": 9, "listening": 10, "closing": 11,
}  # fmt: skip
_SYNONYMS = {"estab": "established", "listen": "listening", "close": "closed", "unconn": "closed",
             "unconnected": "closed"}  # fmt: skip
_OF_COLUMN = {short: name for name, short in SHORT_STATES.items() if not name.startswith("NEW")}
_BUCKET = 1 << 6 | 1 << 3 | 1 << 12
_ALL = (1 << 14) - 2
_CONNECTED = _ALL & ~(1 << 7 | 1 << 10 | 1 << 13)
_GROUPS = {
    "all": _ALL,
    "connected": _CONNECTED,
    "synchronized": _CONNECTED & ~(1 << 2),
    "bucket": _BUCKET,
    "big": _ALL & ~_BUCKET,
}
STATE_NAMES = (*_STATES, *_GROUPS)


def _state_name(text: str) -> str:
    name = _OF_COLUMN.get(text.upper(), text).lower().replace("_", "-")
    name = re.sub(r"^fin-?wait-?([12])$|^fin-?([12])$", lambda m: f"fin-wait-{m[1] or m[2]}", name)
    return _SYNONYMS.get(name, name)


def state_word(text: str) -> int | None:
    """1 << state for a name of ss, of the kernel or of the column ST; None of any other word."""
    name = _state_name(text)
    if name not in _STATES:
        return None
    mask = 1 << _STATES[name]
    # The kernel shows a request as SYN_RECV, and keeps it as NEW_SYN_RECV.
    return mask | 1 << 12 if name == "syn-recv" else mask


def state_mask(text: str) -> int:
    """1 << state for a name of ss or of the kernel (close-wait, CLOSE_WAIT, fin1 …)."""
    name = _state_name(text)
    if name in _GROUPS:
        return _GROUPS[name]
    mask = state_word(text)
    if mask is not None:
        return mask
    from nettop.text.fields import nearest

    near = nearest(name, list(STATE_NAMES))
    raise ValueMistake(f"no state '{text}'", f"perhaps {' or '.join(near)}" if near else
                       f"states are {', '.join(STATE_NAMES)}")  # fmt: skip


def port(text: str) -> int:
    """`:443`, `443` or a service name of /etc/services; names of hosts are never looked up."""
    name = text.removeprefix(":")
    if name.isascii() and name.isdigit():
        if int(name) > 65535:
            raise ValueMistake(f"'{text}' is not a port", "ports end at 65535")
        return int(name)
    try:
        return socket.getservbyname(name)
    except (OSError, ValueError):  # ValueError: bytes that no name has
        raise ValueMistake(f"'{text}' is neither a port nor a service in /etc/services") from None


def endpoint(text: str) -> tuple[IPv4Network | IPv6Network | None, int | None]:
    """`10.0.0.0/8`, `10.0.0.1:443`, `[2001:db8::1]:443`, `2001:db8::/32`, `:443`, `*:443`."""
    host, at = text, None
    bracket = re.fullmatch(r"\[([^\]]*)\](?:/(\d+))?(?::(.+))?", text)
    if bracket:
        host = bracket[1] + (f"/{bracket[2]}" if bracket[2] else "")
        at = bracket[3]
    elif text.count(":") == 1:
        host, _, at = text.partition(":")
    found_port = port(at) if at not in (None, "", "*") else None
    if host in ("", "*"):
        return None, found_port
    short = re.fullmatch(r"(\d+(?:\.\d+){0,2})/(\d+)", host)
    if short:
        # ss takes 10/8 and 193.233.7/24.
        host = short[1] + ".0" * (3 - short[1].count(".")) + f"/{short[2]}"
    try:
        network = ip_network(host, strict=False)
    except ValueError:
        if re.search(r"[g-zG-Z]", host) and "/" not in host:
            raise ValueMistake(f"'{host}' is a name", "addresses are numeric: no DNS") from None
        raise ValueMistake(
            f"'{host}' is not an address", "such as 10.0.0.0/8, 10.0.0.1:443 or [2001:db8::1]:443"
        ) from None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:
        # IPv4-mapped sockets are kept and shown as IPv4.
        network = ip_network(f"{mapped}/{network.prefixlen - 96}", strict=False)
    return network, found_port
