"""What the ticks of many hosts come to together: totals, statuses, distributions, groups.

A number that one of the hosts does not know is not known of them all, but for sums of what is
counted: those are of the hosts that know it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from nettop.model.cost import Cost
from nettop.model.hosts import HostState
from nettop.model.types import (
    HOST_COOKIES,
    Dist,
    Group,
    Histogram,
    Model,
    SourceStatus,
    Totals,
)

_WORST = ("off", "partial", "ok")  # of a source's states
_DEFAULTS = zip(
    reversed(Totals.__struct_fields__), reversed(Totals.__struct_defaults__), strict=False
)
_MAY_BE_UNKNOWN = frozenset(name for name, default in _DEFAULTS if default is None)
_FEW = 100  # below so many the 99th percentile is the longest


def above(place: int) -> int:
    """What is added to cookies of the host at that place."""
    return (place + 1) * HOST_COOKIES


def model_of(
    hosts: Sequence[HostState], *, seq: int, mono_ns: int, wall_ns: int, cost: Cost
) -> Model:
    """The tick of them all; hosts that are not live have no part in it.

    Args:
        cost: of this nettop.
    """
    ticks = [(place, h.name, h.model) for place, h in enumerate(hosts) if h.model is not None]
    models = [model for _, _, model in ticks]
    intervals = [m.interval_s for m in models if m.interval_s is not None]
    return Model(
        seq=seq,
        mono_ns=mono_ns,
        wall_ns=wall_ns,
        interval_s=max(intervals) if intervals else None,
        host=",".join(h.name for h in hosts),
        kernel=next(iter(kernels)) if len(kernels := {m.kernel for m in models}) == 1 else "",
        sources=_sources(hosts),
        cost=replace(
            cost,
            lost_events=sum(m.cost.lost_events for m in models),
            missed_ticks=sum(h.skipped_ticks for h in hosts),
        ),
        totals=_totals([m.totals for m in models]),
        rx_wait=histogram_of([m.rx_wait for m in models]),
        rx_wait_all=histogram_of([m.rx_wait_all for m in models]),
        chosen=any(m.chosen for m in models),
        intervals=min((m.intervals for m in models if m.intervals is not None), default=0),
        causes={
            cookie + above(place): cause
            for place, _, m in ticks
            for cookie, cause in m.causes.items()
        },
        hosts=tuple(hosts),
    )


def _totals(some: Sequence[Totals]) -> Totals:
    if len(some) == 1:
        return some[0]
    by_state: Counter[str] = Counter()
    who: dict[str, tuple[int, int]] = {}
    for t in some:
        by_state.update(t.by_state)
        for name, (watch, unwell) in t.who.items():
            before = who.get(name, (0, 0))
            who[name] = before[0] + watch, before[1] + unwell
    sums: dict[str, Any] = {}
    # The share of bytes sent again would need the bytes.
    for name in Totals.__struct_fields__:
        if name in ("by_state", "who", "retr_pct"):
            continue
        known = [v for t in some if (v := getattr(t, name)) is not None]
        sums[name] = None if name in _MAY_BE_UNKNOWN and not known else sum(known)
    return Totals(by_state=dict(by_state), who=who, **sums)


def _sources(hosts: Sequence[HostState]) -> tuple[SourceStatus, ...]:
    """By name the worst state, with the hosts that it is of."""
    found: dict[str, list[tuple[str, SourceStatus]]] = {}
    for host in hosts:
        for status in host.model.sources if host.model is not None else ():
            found.setdefault(status.name, []).append((host.name, status))
    out = []
    for name, of_hosts in found.items():
        state = min((s.state for _, s in of_hosts), key=_rank)
        if state != "ok" and any(s.state == "ok" for _, s in of_hosts):
            state = "partial"  # it works somewhere
        reasons: dict[str, list[str]] = {}
        for host_name, status in of_hosts:
            if status.reason and status.state != "ok":
                reasons.setdefault(status.reason, []).append(host_name)
        reason = "; ".join(
            f"{', '.join(names)}: {why}" if len(names) < len(of_hosts) else why
            for why, names in reasons.items()
        )
        methods = {s.method for _, s in of_hosts}
        fixes = {s.fix for _, s in of_hosts if s.fix}
        out.append(
            SourceStatus(
                name,
                state,
                methods.pop() if len(methods) == 1 else None,
                reason or None,
                fixes.pop() if len(fixes) == 1 else None,
            )
        )
    return tuple(out)


def _rank(state: str) -> int:
    return _WORST.index(state) if state in _WORST else 0


def histogram_of(some: Iterable[Histogram | None]) -> Histogram | None:
    """Added up; None: of none of them."""
    known = [h for h in some if h is not None]
    if len(known) < 2:
        return known[0] if known else None
    counts: Counter[tuple[int, int]] = Counter()
    for h in known:
        for low, high, n in h.buckets:
            counts[low, high] += n
    buckets = tuple((low, high, n) for (low, high), n in sorted(counts.items()))
    total = sum(h.dist.count for h in known)
    longest = max(h.dist.max_ns for h in known)
    sum_ns = sum(h.dist.sum_ns for h in known)
    if sum(n for *_, n in buckets) != total:  # files and sums have no buckets
        return Histogram(Dist(total, sum_ns, 0, 0, 0, longest), ())

    def quantile(percent: int) -> int:
        """The upper edge of the bucket that it is in, at most the longest."""
        wanted = -(-percent * total // 100)
        for _, high, n in buckets:
            wanted -= n
            if wanted <= 0:
                return min(high, longest)
        return longest

    p99 = quantile(99) if total >= _FEW else longest
    return Histogram(Dist(total, sum_ns, quantile(50), quantile(90), p99, longest), buckets)


def host_group(name: str, place: int, group: Group) -> Group:
    """A group of the host at that place."""
    return replace(
        group, title=f"{name} {group.title}", worst_cookie=group.worst_cookie + above(place),
        filter_text=f"{in_host(name)} and {group.filter_text}" if group.filter_text else "",
    )  # fmt: skip


def whole_host(name: str, place: int, group: Group) -> Group:
    """All of the host at that place that match."""
    return replace(
        group, title=name, filter_text=in_host(name), worst_cookie=group.worst_cookie + above(place)
    )


def in_host(name: str) -> str:
    return f'on = "{name}"'


def worst_first(groups: Iterable[Group]) -> list[Group]:
    """As the helper orders the groups of one host."""
    return sorted(groups, key=lambda g: (-g.level, -g.unwell, -g.watch, -g.sockets, g.title))


def group_of(title: str, groups: Sequence[Group]) -> Group:
    """Groups of different hosts as one; the median round trip of them is not known."""
    worst = worst_first(groups)[0]
    if len(groups) == 1:
        return replace(worst, title=title)
    longest = [g.rtt_max_ns for g in groups if g.rtt_max_ns is not None]
    return replace(
        worst,
        title=title,
        filter_text="",
        sockets=sum(g.sockets for g in groups),
        unwell=sum(g.unwell for g in groups),
        watch=sum(g.watch for g in groups),
        rtt50_ns=None,
        rtt_max_ns=max(longest) if longest else None,
        rqueue_bytes=sum(g.rqueue_bytes for g in groups),
        wqueue_bytes=sum(g.wqueue_bytes for g in groups),
        tx_bytes_per_s=_sum(g.tx_bytes_per_s for g in groups),
        rx_bytes_per_s=_sum(g.rx_bytes_per_s for g in groups),
        retrans_per_s=_sum(g.retrans_per_s for g in groups),
        retr_pct=None,
        proc=None,
    )


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [*rates]
    return None if None in known else sum(rate for rate in known if rate is not None)
