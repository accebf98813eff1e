"""The way of received packets below the socket: hooks, and what was measured at each."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from nettop.model.types import Histogram


class Hook(IntEnum):
    """enum nt_path_hook, in the order of the way."""

    IP = 0
    TCP = 1
    UDP = 2
    TCP_QUEUED = 3
    UDP_QUEUED = 4
    TCP_READ = 5
    UDP_READ = 6


HOOK_TEXTS = {
    Hook.IP: "received → IP",
    Hook.TCP: "received → TCP",
    Hook.UDP: "received → UDP",
    Hook.TCP_QUEUED: "received → TCP socket's queue",
    Hook.UDP_QUEUED: "received → UDP socket's queue",
    Hook.TCP_READ: "received → read from TCP",
    Hook.UDP_READ: "received → read from UDP",
}


class PathCounts(NamedTuple):
    """Packets of one hook that were not measured, since the plane is on."""

    unstamped: int  # without a time of reception
    foreign: int  # with a time of departure instead
    impossible: int  # from the future, or older than a minute
    head_of_line: int  # read late for want of an earlier segment


class HookTick(Struct, frozen=True):
    """One hook: of the interval, and since the run began."""

    now: Histogram
    run: Histogram
    counts: PathCounts


PathTick = dict[Hook, HookTick]
