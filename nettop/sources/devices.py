"""Names of network interfaces in any namespace, asked through a socket that was made in it."""

from __future__ import annotations

import fcntl
import struct
import time
from collections.abc import Callable, Mapping

from nettop.text.clean import clean

SIOCGIFNAME, SIOCGIFINDEX = 0x8910, 0x8933
AGAIN_S = 5.0  # interfaces are renamed, and their numbers used again
_NAME_MOST = 15


class Devices:
    """(namespace, ifindex) ↔ name; any thread may ask."""

    def __init__(
        self, sockets: Mapping[int, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """sockets: namespace inode → descriptor of any socket made in it."""
        self._sockets = sockets
        self._clock = clock
        self._names: dict[tuple[int, int], str | None] = {}
        self._since = clock()

    def name(self, netns: int, ifindex: int) -> str | None:
        """None: there is no such interface any more, or the namespace is not polled."""
        if self._clock() - self._since >= AGAIN_S:
            self._names.clear()
            self._since = self._clock()
        key = (netns, ifindex)
        if key not in self._names:
            self._names[key] = self._ask(netns, ifindex)
        return self._names[key]

    def _ask(self, netns: int, ifindex: int) -> str | None:
        request = struct.pack("16si20x", b"", ifindex)
        try:
            answer = fcntl.ioctl(self._sockets[netns], SIOCGIFNAME, request)
        except (KeyError, OSError):
            return None
        return clean(answer[:16].rstrip(b"\0").decode(errors="replace"))

    def find(self, name: str) -> list[tuple[int, int]]:
        """(namespace, ifindex) of every interface of that name."""
        raw = name.encode(errors="surrogateescape")
        if not raw or len(raw) > _NAME_MOST:
            return []
        found = []
        for netns, fd in list(self._sockets.items()):
            try:
                answer = fcntl.ioctl(fd, SIOCGIFINDEX, struct.pack("16s24x", raw))
            except OSError:
                continue  # it has none
            found.append((netns, struct.unpack_from("i", answer, 16)[0]))
        return found
