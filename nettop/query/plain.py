"""What a plain word of a filter matches: no field is named, so whatever a row says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from nettop.query import values
from nettop.query.ast import Address, And, Compare, Like, Node, Not, Or, OwnedBy, States, Text
from nettop.text.fields import FIELDS, Field, Kind, nearest
from nettop.text.verdicts import VERDICTS, named, worded
from nettop.text.words import LEVEL_WORDS

Network = IPv4Network | IPv6Network
# Networks by a name that the user gave them.
_PEERS: dict[str, tuple[Network, ...]] = {}
# Not in the registry: no column, no sort key.
VERDICT = Field("verdict", Kind.TEXT, "an active verdict")
# As WHY has them.
VERDICT_WORDS = tuple(sorted(spec.words[0].lower() for spec in VERDICTS.values()))
PROTOS = ("tcp", "udp", "mptcp")
# Of UDP: connected or not. Named, so that a healthy socket is a row too.
_UDP = States(1 << 1 | 1 << 7)
_MOST_PORT = 65535
PATHS = ("/", "./", "../", "~/")  # so begins what was meant for a file
_SCOPE = re.compile(r"%([^\]:/]+)")
_V4_BEGINS = re.compile(r"(?:\d{1,3}\.){1,3}|\d{1,3}(?:\.\d{1,3}){1,2}", re.ASCII)
_V6_BEGINS = re.compile(r"((?:[0-9a-f]{1,4}:){2,7})[0-9a-f]{0,4}", re.ASCII | re.IGNORECASE)
_WITH_PORT = re.compile(r"((?:\d{1,3}\.){3}\d{1,3}|\[[^\]]*\]):(.*)", re.ASCII)
# So near to a name that it may have been meant.
_NEAR = 0.75


def meaning(word: str, *, quoted: bool = False) -> Node:
    """A state or a protocol; an address, a port or a pid; else a part of a name.

    Args:
        quoted: it stood in quotes, and so is a part of a name alone.

    Raises:
        ValueMistake: it begins as a port does, or as an address with one, and is none.
    """
    found = None if quoted else _exactly(word)
    return found if found is not None else _named(word)


def _exactly(word: str) -> Node | None:
    low = word.lower()
    if low in PROTOS:
        proto = Text(FIELDS["proto"], True, low)
        return And((_UDP, proto)) if low == "udp" else proto
    peers = peers_at(word, (True,))
    if peers is not None:
        return peers
    mask = values.state_word(word)
    if mask is not None:
        return States(mask)
    number = values.whole(word)
    if number is not None:
        ports = (port("=", number),) if 0 < number <= _MOST_PORT else ()
        return Or((*ports, OwnedBy(number, True))) if ports else OwnedBy(number, True)
    if word.startswith(":") and word.count(":") == 1:
        return port("=", values.port(word))
    begun = _begins(word)
    if begun is not None:
        return _either(begun, None)
    try:
        return either_end(word)
    except values.ValueMistake:
        begins = _WITH_PORT.fullmatch(word)
        if begins is None:
            return None  # a name
        if begins[2]:
            raise
        return either_end(begins[1])  # its port is still to come


def negated(node: Node) -> Node:
    """Names no state: what is no UDP are the rows that would be there without a filter."""
    return Not(node.parts[1]) if isinstance(node, And) and node.parts[0] == _UDP else Not(node)


def use_peers(peers: Mapping[str, tuple[Network, ...]]) -> None:
    """Names of networks, by small letters, that filters of this process know."""
    _PEERS.clear()
    _PEERS.update(peers)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Prefixes and addresses.

    Raises:
        ValueMistake: one is none, or has a port.
    """
    found = []
    for text in texts:
        network, number = values.endpoint(text)
        if network is None or number is not None:
            raise values.ValueMistake(f"'{text}' is not a network")
        found.append(network)
    return tuple(found)


def peers_at(name: str, sides: Sequence[bool]) -> Node | None:
    """At one of these ends (True: remote) a network of that name; None where there is no name."""
    found = _PEERS.get(name.lower())
    if found is None:
        return None
    return Or(tuple(Address(remote, network, None) for network in found for remote in sides))


def is_peer(name: str) -> bool:
    """Whether the configuration names a network so."""
    return name.lower() in _PEERS


def _begins(word: str) -> IPv4Network | IPv6Network | None:
    """The network of an address that is not written to its end: 10.41. or 2001:db8:"""
    if _V4_BEGINS.fullmatch(word):
        parts = word.rstrip(".").split(".")
        if all(int(part) < 256 for part in parts):
            return IPv4Network(".".join([*parts, *["0"] * (4 - len(parts))]) + f"/{8 * len(parts)}")
    match = _V6_BEGINS.fullmatch(word)
    if match and "::" not in word and word.count(":") < 7:
        found = ip_network(f"{match[1]}:/{16 * match[1].count(':')}")
        return found if isinstance(found, IPv6Network) else None
    return None


def _named(word: str) -> Node:
    if word.startswith("/"):
        return Text(FIELDS["cgroup"], True, word if "*" in word else f"{word}*")
    parts: list[Node] = [Like(word)]
    if re.search(r"/\d+(\+\d+)?$", word, re.ASCII):  # as the column PROC has it
        parts.append(Text(FIELDS["proc"], True, word))
    if named(word.lower()) or worded(word):
        parts.append(Text(VERDICT, True, word.lower()))
    if word.lower() in ("watch", "unwell"):
        parts.append(Compare(FIELDS["level"], "=", LEVEL_WORDS.index(word.lower())))
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def either_end(text: str) -> Node:
    """An address, a prefix or a port, at the local or the remote end.

    Raises:
        ValueMistake: it is none.
    """
    peers = peers_at(text, (False, True))
    if peers is not None:
        return peers
    scoped = _SCOPE.search(text)
    network, number = values.endpoint(_SCOPE.sub("", text, count=1))
    ends = _either(network, number)
    return And((ends, Text(FIELDS["dev"], True, scoped[1]))) if scoped else ends


def _either(network: IPv4Network | IPv6Network | None, number: int | None) -> Node:
    return Or(tuple(Address(remote, network, number) for remote in (False, True)))


def port(cmp: str, number: int) -> Node:
    """A port at either end; one that is not = is at neither."""
    if cmp == "!=":
        return Not(port("=", number))
    return Or(tuple(Compare(FIELDS[name], cmp, number) for name in ("lport", "rport")))


def mistyped(words: Sequence[str]) -> list[str]:
    """What is said of plain words that are nearly the name of a field or a state."""
    known = [*FIELDS, *values.STATE_NAMES]
    out = []
    for word in words:
        near = nearest(word, known, cutoff=_NEAR)[:2]
        if near:
            out.append(f"'{word}' is searched for as a word; perhaps {' or '.join(near)} was meant")
    return out
