"""struct nt_group as a Group, with the names that its feed knows."""

from __future__ import annotations

from typing import Any, Protocol

from nettop.feed import Grouping
from nettop.ffi import ffi
from nettop.ffi.wire import proc_of
from nettop.model.types import (
    AF_INET,
    AF_INET6,
    Group,
    Level,
    Owner,
    Proc,
    Verdict,
    address_text,
)
from nettop.render import units

_UNKNOWN = units.ABSENT
_OWNER_WORDS = {
    Owner.KERNEL: "(kernel)",
    Owner.ORPHAN: "(orphan)",
    Owner.NOT_ACCEPTED: "(not accepted)",
}


class GroupNames(Protocol):
    """Where the names of namespaces and cgroups come from."""

    def netns_name(self, inode: int) -> str | None: ...

    def cgroup(self, cgroup_id: int) -> str | None: ...

    def container(self, path: str) -> str | None: ...


def group_of(g: Any, grouping: Grouping, names: GroupNames) -> Group:
    """One group of nt_groups or nt_sum."""
    proc = proc_of(bytes(ffi.buffer(ffi.addressof(g, "proc"))))
    title, text = _title(g, grouping, proc, names)
    return Group(
        title=title,
        filter_text=text,
        sockets=g.sockets,
        unwell=g.unwell,
        watch=g.watch,
        level=Level(g.level),
        verdict=Verdict(g.verdict) if g.has_verdict else None,
        verdict_value=g.verdict_value,
        worst_cookie=g.worst_cookie,
        rtt50_ns=g.rtt50_us * 1000 or None,
        rtt_max_ns=g.rtt_max_us * 1000 or None,
        rqueue_bytes=g.rqueue_bytes,
        wqueue_bytes=g.wqueue_bytes,
        tx_bytes_per_s=g.tx_bytes_per_s,
        rx_bytes_per_s=g.rx_bytes_per_s,
        retrans_per_s=g.retrans_per_s,
        retr_pct=g.retr_pct if g.retr_pct >= 0 else None,
        proc=proc if proc.pid else None,
    )


def _title(g: Any, grouping: Grouping, proc: Proc, names: GroupNames) -> tuple[str, str]:
    """What the group is called, and the filter that lets just it through."""
    if grouping == Grouping.PROCESS:
        if proc.pid:
            return f"{proc.comm}/{proc.pid}", f"pid = {proc.pid}"
        return _OWNER_WORDS.get(proc.owner, _UNKNOWN), ""
    if grouping in (Grouping.REMOTE, Grouping.LOCAL):
        return _address(g, "dst" if grouping == Grouping.REMOTE else "src")
    if grouping == Grouping.CGROUP:
        path = names.cgroup(g.cgroup_id) if g.cgroup_id else None
        if path is None:
            return _UNKNOWN, ""
        return names.container(path) or path, f'cgroup = "{path}"'
    if grouping == Grouping.NETNS:
        name = names.netns_name(g.netns) or str(g.netns)
        return name, f'netns = "{name}"'
    return f"{g.sockets} sockets", ""


def _address(g: Any, word: str) -> tuple[str, str]:
    if g.family not in (AF_INET, AF_INET6):
        return _UNKNOWN, ""
    addr = address_text(g.family, bytes(ffi.buffer(g.key)))
    shown = f"[{addr}]" if g.family == AF_INET6 else addr
    with_port = f"{shown}:{g.port}" if g.port else shown
    return with_port, f"{word} = {with_port}"
