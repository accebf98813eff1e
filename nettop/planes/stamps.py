"""Whether this kernel stamps the messages of own sockets, for probe, reflect and nettop.stamps."""

from __future__ import annotations

import socket
from functools import cache

from nettop.model.types import SourceStatus
from nettop.planes import off

NAME = "stamps"
METHOD = "so_timestamping"


@cache
def status() -> SourceStatus:
    """Tried once, on a socket that sends nothing and does not ask for stamps of what is received:
    that would switch on stamping of every packet of the host."""
    from nettop.stamps import StampedSocket

    try:
        with StampedSocket(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), receive=False):
            return SourceStatus(NAME, "ok", METHOD)
    except OSError as error:
        return off(NAME, f"this kernel refuses SO_TIMESTAMPING: {error.strerror}")
