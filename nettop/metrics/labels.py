"""Which group a socket is of: labels that stay few, whatever clients and peers do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Protocol

from nettop.engine.counter import ROLES, Key
from nettop.metrics.groupings import GROUPINGS
from nettop.model.types import AF_INET, AF_INET6, Owner
from nettop.text.clean import clean
from nettop.text.words import OWNER_WORDS

Labels = tuple[tuple[str, str], ...]  # (name, value), in the order of --by
Network = IPv4Network | IPv6Network

OTHER = "other"  # every label of what is folded together
LONGEST = 100  # characters of a value: of paths the end is kept
V4_BITS, V6_BITS = 24, 56  # of a peer that no table names
_PEERS_MOST = 65_536  # addresses whose group is remembered
_NO_PROCESS = frozenset(OWNER_WORDS.values())


class NumberNames(Protocol):
    """What a host calls numbers of its sockets."""

    def cgroup(self, cgroup_id: int) -> str | None: ...

    def container(self, path: str) -> str | None: ...

    def netns_name(self, inode: int) -> str | None: ...


class PeerTable:
    """Groups of peers: by the networks that the user named, else by /24 and /56."""

    def __init__(self, named: Mapping[str, Sequence[Network]]) -> None:
        found = [(network, name) for name, of in named.items() for network in of]
        # The narrowest network that has an address names it.
        self._named = sorted(found, key=lambda pair: -pair[0].prefixlen)
        self._known: dict[tuple[int, bytes], str] = {}

    def of(self, family: int, raw: bytes) -> str:
        """raw: 16 bytes as struct nt_rec has them."""
        known = self._known.get((family, raw))
        if known is None:
            if len(self._known) >= _PEERS_MOST:
                self._known.clear()
            known = self._known[family, raw] = self._find(family, raw)
        return known

    def _find(self, family: int, raw: bytes) -> str:
        if family not in (AF_INET, AF_INET6) or not any(raw):
            return ""
        if family == AF_INET and not self._named:  # the usual case, and ipaddress takes 50 µs
            return f"{raw[0]}.{raw[1]}.{raw[2]}.0/{V4_BITS}"
        address = IPv4Address(raw[:4]) if family == AF_INET else IPv6Address(raw)
        for network, name in self._named:
            if network.version == address.version and address in network:
                return name
        bits = V4_BITS if family == AF_INET else V6_BITS
        return str(ip_network((address, bits), strict=False))


class Labeller:
    """Names the group of each socket."""

    def __init__(self, by: Sequence[str], names: NumberNames, peers: PeerTable) -> None:
        """by: of GROUPINGS."""
        self.by, self._names, self._peers = tuple(by), names, peers
        self.labels = tuple(label for grouping in self.by for label in GROUPINGS[grouping])
        self.other: Labels = tuple((label, OTHER) for label in self.labels)

    def of(self, key: Key) -> Labels:
        """Of the sockets that the counter has this key for."""
        values: list[str] = []
        for grouping in self.by:
            if grouping == "process":
                values.append(_process(key.owner, key.comm))
            elif grouping == "service":
                role = ROLES[key.role]
                values += role, str(key.port) if role else ""
            elif grouping == "peer":
                values.append(self._peers.of(key.family, key.dst))
            elif grouping == "container":
                values.append(self._container(key.cgroup_id))
            else:
                values.append(self._names.netns_name(key.netns) or str(key.netns))
        return tuple((n, _short(v)) for n, v in zip(self.labels, values, strict=True))

    def _container(self, cgroup_id: int) -> str:
        path = self._names.cgroup(cgroup_id) if cgroup_id else None
        return (self._names.container(path) or path) if path else ""


def _process(owner: int, comm: bytes) -> str:
    if owner == Owner.PROC:
        name = clean(comm.split(b"\0", 1)[0])
        # Whoever calls himself so is still a program.
        return f"'{name}'" if name in _NO_PROCESS else name
    return OWNER_WORDS.get(Owner(owner), "")


def _short(value: str) -> str:
    """For a label; no name is that of what is folded."""
    value = clean(value)
    if value == OTHER:
        return f"'{value}'"
    return value if len(value) <= LONGEST else f"…{value[-LONGEST:]}"
