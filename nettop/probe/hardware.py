"""A NIC's own stamps for a probe: its stamping switched on for the run, its clock followed."""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from nettop.clocks.follow import FollowedClock
from nettop.clocks.hwtstamp import hardware_stamping
from nettop.clocks.phc import why_not
from nettop.errors import NettopError

_SIOCGIFADDR = 0x8915


class Hardware:
    """The NIC set to stamp, and its clock; a context manager.

    Raises:
        NettopError: the reason; the NIC's setting is then restored.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._stack = ExitStack()
        try:
            stamping = self._stack.enter_context(hardware_stamping(interface))
            self.stamps_received = stamping.rx
            if stamping.phc is None:
                raise NettopError(f"{interface}: its driver names no hardware clock")
            self.clock = self._stack.enter_context(_followed(f"/dev/ptp{stamping.phc}"))
            self.clock.wait()
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Restores the NIC's setting."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _followed(path: str) -> FollowedClock:
    try:
        return FollowedClock(path)
    except OSError as error:
        reason, fix = why_not(error, path)
        raise NettopError(f"--hw: {reason}" + (f": {fix}" if fix else "")) from None


def interface_of(sock: socket.socket) -> str:
    """The interface that a connected socket's own address is on.

    Raises:
        NettopError: it is on none, or on several; -I names one then.
    """
    own = sock.getsockname()[0].partition("%")[0]
    found = [name for _, name in socket.if_nameindex() if own in _addresses(name)]
    if len(found) != 1:
        raise NettopError(f"--hw: which interface has {own} is not clear: name it with -I")
    return found[0]


def _addresses(name: str) -> set[str]:
    """IPv4 (the first) and IPv6 addresses of an interface."""
    out = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            raw = fcntl.ioctl(sock, _SIOCGIFADDR, struct.pack("16s24x", name.encode()))
            out.add(socket.inet_ntoa(raw[20:24]))
        except OSError:
            pass  # it has none
    try:
        text = Path("/proc/net/if_inet6").read_text(encoding="ascii")
    except OSError:
        return out
    return out | {
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0]))
        for words in map(str.split, text.splitlines())
        if words[-1] == name
    }
