"""Whether this kernel stamps the messages of own sockets, for probe, reflect and nettop.stamps."""

from __future__ import annotations

import socket
from functools import cache

from nettop.engine import check, lib
from nettop.model.types import SourceStatus
from nettop.sources import off

NAME = "stamps"
METHOD = "so_timestamping"
_TX_SOFTWARE, _SOFTWARE = 2, 16  # SOF_TIMESTAMPING_*


@cache
def status() -> SourceStatus:
    """Tried once, on a socket that sends nothing and does not ask for stamps of what is received:
    that would switch on stamping of every packet of the host."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            check(lib.nt_stamps_enable(sock.fileno(), _TX_SOFTWARE | _SOFTWARE), "SO_TIMESTAMPING")
    except OSError as error:
        return off(NAME, f"this kernel refuses {error.strerror}")
    return SourceStatus(NAME, "ok", METHOD)
