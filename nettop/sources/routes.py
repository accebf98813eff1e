"""By which device sockets send: asked of the kernel for those that have a verdict."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping

from nettop.engine import check, ffi, lib
from nettop.model.causes import Candidate

AGAIN_TICKS = 10  # so long an answer is believed
MOST_ASKED = 16  # of a tick; the kernel's lock may be busy
MOST_KEPT = 256
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)

Routes = dict[int, dict[str, int]]


class RouteCache:
    """Answers by namespace and by the two addresses."""

    def __init__(self) -> None:
        self._seq = 1 << 31  # apart from those of other requests by the same socket
        self._tick = 0
        self._known: dict[tuple[int, str], tuple[int, int | None]] = {}  # → tick, ifindex
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
        for socket in wanted:
            if not socket.dport or socket.ifindex:
                continue
            ends = socket.ends
            if ends in found.get(socket.netns, ()):
                continue
            at, index = self._known.get((socket.netns, ends), (-AGAIN_TICKS, None))
            if self._tick - at >= AGAIN_TICKS and asked < MOST_ASKED:
                asked += 1
                index = self._ask(socket, route_fds.get(socket.netns, -1))
                if len(self._known) >= MOST_KEPT:
                    self._known.clear()
                self._known[socket.netns, ends] = self._tick, index
            if index is not None:
                found.setdefault(socket.netns, {})[ends] = index
        return found

    def _ask(self, socket: Candidate, route_fd: int) -> int | None:
        """None: not known."""
        if route_fd < 0:
            return None
        self._seq = (self._seq + 1) & 0xFFFFFFFF | 1 << 31
        index = ffi.new("uint32_t *")
        err = lib.nt_route_read(route_fd, self._seq, socket.family, socket.src, socket.dst, index)
        if -err in _NO_ROUTE:
            return 0
        try:
            check(err, "asking for a route")
        except OSError as error:
            self.reason = str(error)
            return None
        return int(index[0]) or None
