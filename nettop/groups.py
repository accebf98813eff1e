"""What the engine sums up: a struct nt_group as a Group, the totals of what passes the filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from nettop.engine import ffi
from nettop.engine.wire import proc_of
from nettop.feed import Grouping
from nettop.model.buckets import dist_of
from nettop.model.types import (
    AF_INET,
    AF_INET6,
    Because,
    Group,
    Level,
    Proc,
    Proto,
    Verdict,
    address_text,
)
from nettop.text import units
from nettop.text.words import OWNER_WORDS, WHO_NAMES, who_name

_UNKNOWN = units.ABSENT
# There may be tens of thousands of groups: a look-up is a fifth of what the enum's call takes.
_LEVELS = {int(level): level for level in Level}
_BECAUSE = {int(because): because for because in Because}


class GroupNames(Protocol):
    """Where the names of namespaces and cgroups come from."""

    def netns_name(self, inode: int) -> str | None: ...

    def device(self, netns: int, ifindex: int) -> str | None: ...

    def cgroup(self, cgroup_id: int) -> str | None: ...

    def container(self, path: str) -> str | None: ...


def groups_of(some: Iterable[Any], grouping: Grouping, names: GroupNames) -> list[Group]:
    """The groups of nt_groups, or the one of nt_sum."""
    found = list(some)
    spaces = {g.netns for g in found}
    places = [_place(g) for g in found]
    seen = Counter(places)
    return [
        _group_of(g, grouping, names, len(spaces) > 1, seen[place] > 1)
        for g, place in zip(found, places, strict=True)
    ]


def _place(g: Any) -> tuple[int, int, int, bytes]:
    return g.netns, g.family, g.key_port, bytes(g.key)


def _group_of(
    g: Any, grouping: Grouping, names: GroupNames, in_spaces: bool, on_devices: bool
) -> Group:
    """in_spaces, on_devices: others differ from it by no more than that."""
    proc = None
    if grouping in (Grouping.REMOTE, Grouping.LOCAL, Grouping.REMOTE_PORT):
        word = "src" if grouping == Grouping.LOCAL else "dst"
        title, text = _address(g, word, names, in_spaces, on_devices)
    elif grouping == Grouping.PORT:
        title, text = _port(g, names, in_spaces)
    else:
        proc = proc_of(bytes(ffi.buffer(ffi.addressof(g, "proc"))))
        title, text = _title(g, grouping, proc, names)
    return Group(
        title=title,
        filter_text=text,
        sockets=g.sockets,
        unwell=g.unwell,
        watch=g.watch,
        level=_LEVELS[g.level],
        verdict=Verdict(g.verdict) if g.has_verdict else None,
        verdict_value=g.verdict_value,
        who=who_name(g.who) if g.has_verdict else None,
        because=_BECAUSE[g.because],
        worst_cookie=g.worst_cookie,
        rtt50_ns=g.rtt50_us * 1000 or None,
        rtt90_ns=g.rtt90_us * 1000 or None,
        rtt_max_ns=g.rtt_max_us * 1000 or None,
        rqueue_bytes=g.rqueue_bytes,
        wqueue_bytes=g.wqueue_bytes,
        tx_bytes_per_s=_known(g.tx_bytes_per_s),
        rx_bytes_per_s=_known(g.rx_bytes_per_s),
        retrans_per_s=_known(g.retrans_per_s),
        retr_pct=_known(g.retr_pct),
        proc=proc if proc and proc.pid else None,
        port=g.port or None,
        waits=dist_of(g.wait_octaves, g.wait_sum_ns, g.wait_max_ns),
        acks=dist_of(g.ack_octaves, g.ack_sum_ns, g.ack_max_ns),
    )


def _known(number: float) -> float | None:
    """The engine says –1 of what is not known."""
    return number if number >= 0 else None


def matched_totals(t: Any, has_rates: bool) -> dict[str, Any]:
    """Members of Totals that the filter decides, of struct nt_totals."""
    return {
        "matched": t.matched,
        "unwell": t.unwell,
        "watch": t.watch,
        "who": {name: (t.who[i][0], t.who[i][1]) for i, name in enumerate(WHO_NAMES)},
        "tx_bytes_per_s": t.tx_bytes_per_s if has_rates else None,
        "rx_bytes_per_s": t.rx_bytes_per_s if has_rates else None,
        "matched_retrans_per_s": t.retrans_per_s if has_rates else None,
        "retr_pct": t.flow_retrans_pct if t.flow_retrans_pct >= 0 else None,
    }


def _equal(field: str, name: str) -> str:
    """A filter for a name, in the quotes that it does not hold itself; "": it has both."""
    quote = "'" if '"' in name else '"'
    return "" if quote in name else f"{field} = {quote}{name}{quote}"


def _title(g: Any, grouping: Grouping, proc: Proc, names: GroupNames) -> tuple[str, str]:
    """What the group is called, and the filter that lets just it through."""
    if grouping == Grouping.PROCESS:
        if proc.pid:
            return f"{proc.comm}/{proc.pid}", f"pid = {proc.pid}"
        return OWNER_WORDS.get(proc.owner, _UNKNOWN), ""
    if grouping == Grouping.PROGRAM:
        if proc.comm:
            return proc.comm, _equal("comm", proc.comm)
        return OWNER_WORDS.get(proc.owner, _UNKNOWN), ""
    if grouping == Grouping.CGROUP:
        path = names.cgroup(g.cgroup_id) if g.cgroup_id else None
        if path is None:
            return _UNKNOWN, ""
        return names.container(path) or path, _equal("cgroup", path)
    if grouping == Grouping.NETNS:
        name = names.netns_name(g.netns) or str(g.netns)
        return name, _equal("netns", name)
    return units.counted(g.sockets, "socket"), ""


def _port(g: Any, names: GroupNames, in_spaces: bool) -> tuple[str, str]:
    proto = _proto(g)
    title = f":{g.port}" if proto == "tcp" else f"{proto} :{g.port}"
    text = f"proto = {proto} and sport = :{g.port}"
    return _in_space(g, names, title, text) if in_spaces else (title, text)


def _proto(g: Any) -> str:
    """Of a grouping by port."""
    return Proto(g.key_port >> 16).name.lower()


def _in_space(g: Any, names: GroupNames, title: str, text: str) -> tuple[str, str]:
    space = names.netns_name(g.netns) or str(g.netns)
    return f"{title} in {space}", f"{text} and {_equal('netns', space)}"


def _address(
    g: Any, word: str, names: GroupNames, in_spaces: bool, on_devices: bool
) -> tuple[str, str]:
    if g.family not in (AF_INET, AF_INET6):
        return _UNKNOWN, ""
    addr = address_text(g.family, bytes(ffi.buffer(g.key)))
    dev = (names.device(g.netns, g.ifindex) or str(g.ifindex)) if g.ifindex else ""
    scoped = f"{addr}%{dev}" if dev else addr

    def with_port(text: str) -> str:
        shown = f"[{text}]" if g.family == AF_INET6 else text
        return f"{shown}:{g.port}" if g.port else shown

    title, text = with_port(scoped), f"{word} = {with_port(addr)}"
    if g.key_port:
        proto = _proto(g)
        title = title if proto == "tcp" else f"{proto} {title}"
        text += f" and proto = {proto}"  # behind what a narrow header must not cut
    if dev or on_devices:
        text += f" and {_equal('dev', dev or '0')}"
    return _in_space(g, names, title, text) if in_spaces else (title, text)
