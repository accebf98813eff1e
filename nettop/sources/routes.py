"""By which device and neighbour sockets send: asked of the kernel for those with a verdict."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nettop.engine import check, ffi, lib
from nettop.model.causes import Candidate
from nettop.model.evidence import NextHop
from nettop.model.types import Verdict, address_text

AGAIN_TICKS = 10  # so long an answer is believed
MOST_ASKED = 16  # of a tick; the kernel's lock may be busy
MOST_KEPT = 256
# There is none, or it is of a type that refuses: unreachable, blackhole, prohibit.
_NO_ROUTE = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES)

# NUD_* of linux/neighbour.h
STATES = {
    1: "INCOMPLETE", 2: "REACHABLE", 4: "STALE", 8: "DELAY", 16: "PROBE", 32: "FAILED",
    64: "NOARP", 128: "PERMANENT",
}  # fmt: skip

Routes = dict[int, dict[str, int]]
NextHops = dict[int, dict[str, NextHop]]


class _Route(NamedTuple):
    ifindex: int  # 0: there is none
    via_family: int  # 0: no gateway
    via: bytes


class RouteCache:
    """Answers by namespace and by the two addresses."""

    def __init__(self) -> None:
        self._seq = 1 << 31  # apart from those of other requests by the same socket
        self._tick = 0
        self._known: dict[tuple[int, str], tuple[int, _Route | None]] = {}  # → tick
        self._hops: dict[tuple[int, str], NextHop] = {}
        self.reason: str | None = None

    def read(self, wanted: Iterable[Candidate], route_fds: Mapping[int, int]) -> Routes:
        """Of sockets with a peer; ifindex 0: there is no route.

        Args:
            wanted: worst first.
            route_fds: by namespace, a socket of NETLINK_ROUTE made in it; -1 none.
        """
        self._tick += 1
        self.reason = None
        found: Routes = {}
        asked = 0
        met: set[tuple[int, int, bytes, bytes]] = set()  # many sockets are of the same two hosts
        for socket in wanted:
            if not socket.dport or socket.ifindex:
                continue
            hosts = socket.netns, socket.family, socket.src, socket.dst
            if hosts in met:
                continue
            met.add(hosts)
            ends = socket.ends
            at, route = self._known.get((socket.netns, ends), (-AGAIN_TICKS, None))
            if self._tick - at >= AGAIN_TICKS and asked < MOST_ASKED:
                asked += 1
                route = self._ask(socket, route_fds.get(socket.netns, -1))
                if len(self._known) >= MOST_KEPT:
                    self._known.clear()
                self._known[socket.netns, ends] = self._tick, route
            if route is not None:
                found.setdefault(socket.netns, {})[ends] = route.ifindex
        return found

    def next_hops(self, wanted: Iterable[Candidate], route_fds: Mapping[int, int]) -> NextHops:
        """Of those that are not answered, by the routes that read() found.

        Args:
            wanted, route_fds: as of read(), just before.
        """
        found: NextHops = {}
        before, self._hops = self._hops, {}
        asked = 0
        for socket in wanted:
            if not socket.holds(Verdict.RTO):
                continue
            ends = socket.ends
            _, route = self._known.get((socket.netns, ends), (0, None))
            if route is None or not route.ifindex:
                continue
            if ends in found.get(socket.netns, ()) or asked >= MOST_ASKED:
                continue
            asked += 1
            family, address = route.via_family, route.via
            if not family:
                family, address = socket.family, socket.dst
            state = self._state(route_fds.get(socket.netns, -1), family, route.ifindex, address)
            gateway = address_text(family, address) if route.via_family else None
            # Between two tries that are far apart the kernel forgets whom it did not find.
            hop = NextHop(state, gateway) if state else before.get((socket.netns, ends))
            if hop is not None:
                self._hops[socket.netns, ends] = hop
                found.setdefault(socket.netns, {})[ends] = hop
        return found

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) & 0xFFFFFFFF | 1 << 31
        return self._seq

    def _ask(self, socket: Candidate, route_fd: int) -> _Route | None:
        """None: not known."""
        if route_fd < 0:
            return None
        route = ffi.new("struct nt_route *")
        err = lib.nt_route_read(
            route_fd, self._next_seq(), socket.family, socket.src, socket.dst, route
        )
        if -err in _NO_ROUTE:
            return _Route(0, 0, b"")
        try:
            check(err, "asking for a route")
        except OSError as error:
            self.reason = str(error)
            return None
        if not route.ifindex:
            return None
        return _Route(route.ifindex, route.via_family, bytes(route.via))

    def _state(self, route_fd: int, family: int, ifindex: int, address: bytes) -> str | None:
        """None: not known, as of one that was not looked for lately."""
        state = ffi.new("uint32_t *")
        err = lib.nt_neighbour_read(route_fd, self._next_seq(), family, ifindex, address, state)
        return STATES.get(state[0]) if err == 0 else None
