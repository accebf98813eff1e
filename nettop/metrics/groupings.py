"""What groups sockets: a table for the command line, which loads nothing else for it."""

from __future__ import annotations

from collections.abc import Mapping

# What --by takes, and the labels that each gives.
GROUPINGS: Mapping[str, tuple[str, ...]] = {
    "process": ("process",),
    "service": ("role", "port"),
    "peer": ("peer",),
    "container": ("container",),
    "netns": ("netns",),
}
DEFAULT_BY = ("process", "service")
