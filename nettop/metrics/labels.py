"""Which group a socket is of: labels that stay few, whatever clients and peers do."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Protocol

from nettop.engine.counted import Counted
from nettop.metrics.groupings import GROUPINGS
from nettop.model.events import Event, EventFlag
from nettop.model.services import EPHEMERAL, service_of
from nettop.model.types import AF_INET, AF_INET6, Owner, Proto
from nettop.text.clean import clean
from nettop.text.words import OWNER_WORDS

Labels = tuple[tuple[str, str], ...]  # (name, value), in the order of --by
Network = IPv4Network | IPv6Network

OTHER = "other"  # every label of what is folded together
LONGEST = 100  # characters of a value: of paths the end is kept
V4_BITS, V6_BITS = 24, 56  # of a peer that no table names
_PEERS_MOST = 65_536  # addresses whose group is remembered
_IPPROTO_UDP = 17
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
        self._by, self._names, self._peers = tuple(by), names, peers
        self.labels = tuple(label for grouping in self._by for label in GROUPINGS[grouping])
        self.other: Labels = tuple((label, OTHER) for label in self.labels)

    def of_socket(self, one: Counted, serving: Container[tuple[int, int]]) -> Labels:
        """serving: (netns, port) of listeners."""
        process = _process(one.pid, one.owner, one.comm)
        udp = one.proto == Proto.UDP
        ends = one.netns, one.family, one.sport, one.dport, one.dst
        return self._of(process, udp, one.cgroup_id, ends, serving)

    def of_event(self, event: Event, serving: Container[tuple[int, int]]) -> Labels:
        """Of a socket that no sweep saw."""
        known = event.flags & EventFlag.OWNER and event.pid
        process = event.comm if known else ""
        dst = event.dst.ljust(16, b"\0")
        ends = event.netns, event.family, event.sport, event.dport, dst
        return self._of(process, event.proto == _IPPROTO_UDP, 0, ends, serving)

    def _of(
        self, process: str, udp: bool, cgroup_id: int, ends: tuple[int, int, int, int, bytes],
        serving: Container[tuple[int, int]],
    ) -> Labels:  # fmt: skip
        netns, family, ours, theirs, dst = ends
        values: list[str] = []
        for grouping in self._by:
            if grouping == "process":
                values.append(process)
            elif grouping == "service":
                values += _service(netns, ours, theirs, udp, serving)
            elif grouping == "peer":
                values.append(self._peers.of(family, dst))
            elif grouping == "container":
                values.append(self._container(cgroup_id))
            else:
                values.append(self._names.netns_name(netns) or str(netns))
        return tuple((n, _short(v)) for n, v in zip(self.labels, values, strict=True))

    def _container(self, cgroup_id: int) -> str:
        path = self._names.cgroup(cgroup_id) if cgroup_id else None
        return (self._names.container(path) or path) if path else ""


def _process(pid: int, owner: int, comm: bytes) -> str:
    if pid:
        name = clean(comm.split(b"\0", 1)[0])
        # Whoever calls himself so is still a program.
        return f"'{name}'" if name in _NO_PROCESS else name
    return OWNER_WORDS.get(Owner(owner), "")


def _service(
    netns: int, ours: int, theirs: int, udp: bool, serving: Container[tuple[int, int]]
) -> tuple[str, str]:
    """Role and port; never a port that a client was given."""
    serves, port = service_of(netns, ours, theirs, serving)
    if port >= EPHEMERAL and (udp or (netns, port) not in serving):
        return "", ""
    return "server" if serves else "client", str(port)


def _short(value: str) -> str:
    """For a label; no name is that of what is folded."""
    value = clean(value)
    if value == OTHER:
        return f"'{value}'"
    return value if len(value) <= LONGEST else f"…{value[-LONGEST:]}"
