"""Which end of a connection serves, and by which port the service is known."""

from __future__ import annotations

from collections.abc import Container

EPHEMERAL = 32768  # where Linux begins to choose ports of clients (ip_local_port_range)


def service_of(
    netns: int, ours: int, theirs: int, serving: Container[tuple[int, int]]
) -> tuple[bool, int]:
    """Whether this end serves, and the port of the service, ours or the peer's.

    Args:
        ours: local port.
        theirs: the peer's; 0: there is no peer.
        serving: (netns, port) that are known to serve.
    """
    if not theirs or (netns, ours) in serving:
        return True, ours
    if (netns, theirs) in serving:
        return False, theirs
    if (ours >= EPHEMERAL) != (theirs >= EPHEMERAL):
        return ours < EPHEMERAL, min(ours, theirs)
    return ours < theirs, min(ours, theirs)
