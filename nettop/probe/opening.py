"""The prober that fits the far end."""

from __future__ import annotations

import select
import socket
import time

from nettop.errors import NettopError
from nettop.probe.connect import Target, connect, open_socket, why
from nettop.probe.options import ProbeOptions
from nettop.probe.prober import Prober
from nettop.probe.service import ServiceProber
from nettop.probe.wire import GREETING

# How long a reflector may take to say that it is one: at least so long, or so many handshakes. One
# on a busy host has to get a core first; a silent service costs this once.
_LEAST_GREETING_S, _GREETING_RTTS = 1.0, 4

AnyProber = Prober | ServiceProber


def open_prober(options: ProbeOptions, targets: list[Target]) -> AnyProber:
    """What fits the far end: the first address that takes the socket.

    Raises:
        NettopError: none does; with the last one's reason.
    """
    failure: NettopError | None = None
    for target in targets:
        try:
            if options.proto == "udp":
                return Prober(options, target)
            return _tcp_prober(options, target)
        except NettopError as error:
            failure = error
    assert failure is not None
    raise failure


def _tcp_prober(options: ProbeOptions, target: Target) -> AnyProber:
    sock = open_socket(options, target)
    began = time.monotonic_ns()
    try:
        connect(sock, target.address, began + round(options.timeout_s * 1e9))
        took_s = (time.monotonic_ns() - began) / 1e9
        if greeting(sock, max(_LEAST_GREETING_S, _GREETING_RTTS * took_s), GREETING):
            return Prober(options, target, sock)
    except OSError as error:
        sock.close()
        raise NettopError(f"{target.text}: {why(error)}") from None
    sock.close()
    if options.hardware:
        raise NettopError(f"--hw: {target.text} is no nettop reflect: only its connection lives on")
    return ServiceProber(options, target)


def greeting(sock: socket.socket, seconds: float, expected: bytes) -> bool:
    """Whether the far end says exactly this first, within so long; takes it off the stream."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            return False
        seen = sock.recv(len(expected), socket.MSG_PEEK | socket.MSG_DONTWAIT)
        if not seen or not expected.startswith(seen):
            return False
        if seen == expected:
            sock.recv(len(expected))
            return True
        time.sleep(0.001)
    return False
