"""The ss command that shows one socket."""

from __future__ import annotations

from nettop.model.types import Proto, Row
from nettop.text.columns import endpoint


def ss_command(row: Row) -> str:
    """What to paste into a shell; of another namespace with nsenter's place left to ip netns."""
    kind = "-u" if row.proto == Proto.UDP else "-M" if row.proto == Proto.MPTCP else "-t"
    listen = "l" if row.is_listen or not row.has_remote else ""
    inside = f"ip netns exec {row.netns_name} " if row.netns_name else ""
    where = f"src {endpoint(row, local=True, with_device=False)}"
    if row.has_remote:
        where += f" and dst {endpoint(row, local=False, with_device=False)}"
    if row.rec.ifindex:
        where += f" and dev = {row.dev or row.rec.ifindex}"
    return f"{inside}ss {kind}{listen}inmOe '{where}'"
