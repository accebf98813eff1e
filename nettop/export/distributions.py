"""Times as objects of the snapshot, and back: RX wait and TX stages of a socket and of the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nettop.export.values import integer, mapping, sequence
from nettop.model.path import Hook, HookTick, PathCounts, PathTick
from nettop.model.types import (
    NO_DIST,
    NO_HISTOGRAM,
    NO_PLANE,
    Dist,
    Flag,
    Histogram,
    NicStage,
    Plane,
    PlaneHas,
    Row,
    Split,
    Stage,
    UdpMoved,
)

_NIC_REST = ("waiting", "unplaced", "before_software")
DIST_NUMBERS = ("p50_ns", "p90_ns", "p99_ns", "max_ns", "sum_ns")


def dist_object(dist: Dist) -> dict[str, Any]:
    """count alone where nothing was measured."""
    out: dict[str, Any] = {"count": dist.count}
    if dist.count:
        out |= {name: getattr(dist, name) for name in DIST_NUMBERS}
    return out


def histogram_object(histogram: Histogram) -> dict[str, Any]:
    """With its buckets: [lower edge ns, upper edge ns, count]."""
    return {**dist_object(histogram.dist), "buckets": [list(b) for b in histogram.buckets]}


def path_object(tick: PathTick) -> dict[str, Any]:
    """By hook: its histogram of the interval, and what was not measured since the start."""
    return {
        hook.name.lower(): {
            **histogram_object(seen.now),
            **{name: n for name, n in seen.counts._asdict().items() if n},
        }
        for hook, seen in tick.items()
    }


def path_of(head: Mapping[str, Any]) -> PathTick | None:
    """What path_object wrote; of the run nothing is known. None: the plane was off."""
    if "path" not in head:
        return None
    path, tick = mapping(head, "path", ""), {}
    for hook in Hook:
        name = hook.name.lower()
        if name not in path:
            continue
        source, at = mapping(path, name, "path."), f"path.{name}."
        counts = PathCounts(*(integer(source, n, at, 63, 0) for n in PathCounts._fields))
        tick[hook] = HookTick(_histogram(source, at), NO_HISTOGRAM, counts)
    return tick


def tx_object(dists: Sequence[Dist], nic_bar_ns: int) -> dict[str, Any]:
    """The stages that were measured, by name."""
    out = {stage.name.lower(): dist_object(dists[stage]) for stage in Stage if dists[stage].count}
    if "nic" in out:
        out["nic"]["bar_ns"] = nic_bar_ns
    return out


def tx_of(source: Mapping[str, Any], where: str) -> tuple[Dist, ...]:
    """What tx_object wrote under `tx`."""
    tx, at = mapping(source, "tx", where), f"{where}tx."
    return tuple(
        _dist(mapping(tx, stage.name.lower(), at), f"{at}{stage.name.lower()}.") for stage in Stage
    )


def host_tx_object(dists: Sequence[Dist], nic: NicStage) -> dict[str, Any]:
    """Of every stamped send, and the NICs' timestamps that could not be converted."""
    out = tx_object(dists, nic.bar_ns)
    rest = {name: n for name in _NIC_REST if (n := getattr(nic, name))}
    if rest:
        out.setdefault("nic", {"count": 0}).update(rest)
    return out


def nic_of(head: Mapping[str, Any]) -> NicStage:
    """What host_tx_object wrote of it."""
    nic = mapping(mapping(head, "tx", ""), "nic", "tx.")
    bar_ns, waiting, unplaced, before_software = (
        integer(nic, name, "tx.nic.", 63, 0) for name in ("bar_ns", *_NIC_REST)
    )
    return NicStage(bar_ns, 0, waiting, unplaced, before_software)


def put_planes(out: dict[str, Any], row: Row) -> None:
    """Adds rx_wait and tx of a socket, as far as they are known."""
    plane, flags = row.plane, row.rec.flags
    wait: dict[str, Any] = {}
    if plane.has & PlaneHas.WAIT:
        wait = dist_object(plane.wait)
        if plane.has & PlaneHas.WAIT_OCTAVES and plane.wait.count:
            wait["octaves"] = True
        if plane.wait_bounded:
            wait["bounded_samples"] = plane.wait_bounded
        if plane.wait_approx:
            wait["approx_samples"] = plane.wait_approx
    if flags & Flag.OLDEST_UNREAD:
        exact = bool(flags & Flag.UNREAD_EXACT)
        wait["oldest_unread_ns"] = (
            plane.oldest_unread_ns if exact else row.rec.oldest_unread_ms * 1_000_000
        )
        if not exact:
            wait["bounded"] = True
        if flags & Flag.UNREADABLE:
            wait["readable"] = False
    if flags & Flag.WAIT_UNTRACED:
        wait["traced"] = False
    if plane.has & PlaneHas.SPLIT:
        wait["split"] = plane.split._asdict()
    if plane.standing_ms:
        wait["standing_ns"] = plane.standing_ms * 1_000_000
    if wait:
        method = "tcp_probe" if plane.has & PlaneHas.WAIT_PROBE else "exact"
        wait["method"] = method if plane.has & PlaneHas.WAIT else "poll"
        out["rx_wait"] = wait
    if plane.has & PlaneHas.UDP and plane.udp.over_ns:
        out["udp"] = plane.udp._asdict()
    if plane.has & PlaneHas.TX:
        tx = tx_object(plane.tx, plane.tx_nic_bar_ns)
        if plane.has & PlaneHas.TX_OCTAVES:
            tx["octaves"] = True
        tx |= {"sends": plane.tx_sends, "incomplete": plane.tx_incomplete}
        tx["open"] = plane.tx_open
        method = "tracepoints" if plane.has & PlaneHas.TX_PATH else "bpf_timestamping"
        out["tx"] = {**tx, "resent": plane.tx_resent, "method": method}


def _dist(source: Mapping[str, Any], where: str) -> Dist:
    count = integer(source, "count", where, 64, 0)
    if not count:
        return NO_DIST
    return Dist(count=count, **{name: integer(source, name, where, 63, 0) for name in DIST_NUMBERS})


def plane_of(source: Mapping[str, Any], where: str) -> tuple[Plane, Flag]:
    """What put_planes wrote, and the flags of the record that go with it."""
    wait, tx = mapping(source, "rx_wait", where), mapping(source, "tx", where)
    flags, has = Flag(0), PlaneHas(0)
    udp = mapping(source, "udp", where)
    if not wait and not tx and not udp:
        return NO_PLANE, flags
    at = f"{where}rx_wait."
    unread_ns = 0
    if wait.get("oldest_unread_ns") is not None:
        unread_ns = integer(wait, "oldest_unread_ns", at, 63)
        flags |= Flag.OLDEST_UNREAD
        has |= PlaneHas.UNREAD
        if wait.get("bounded") is True:
            has |= PlaneHas.UNREAD_BOUND
        else:
            flags |= Flag.UNREAD_EXACT
        if wait.get("readable") is False:
            flags |= Flag.UNREADABLE
    if "count" in wait:
        has |= PlaneHas.WAIT
        if wait.get("method") == "tcp_probe":
            has |= PlaneHas.WAIT_PROBE
        if wait.get("octaves") is True:
            has |= PlaneHas.WAIT_OCTAVES
    if wait.get("traced") is False:
        flags |= Flag.WAIT_UNTRACED
    if tx:
        has |= PlaneHas.TX
        if tx.get("method") == "tracepoints":
            has |= PlaneHas.TX_PATH
        if tx.get("octaves") is True:
            has |= PlaneHas.TX_OCTAVES
    split, at_split = mapping(wait, "split", at), f"{at}split."
    if split:
        has |= PlaneHas.SPLIT
    if udp:
        has |= PlaneHas.UDP
    at_tx, at_udp = f"{where}tx.", f"{where}udp."
    plane = Plane(
        wait=_dist(wait, at),
        wait_octaves=bytes(128),
        oldest_unread_ns=unread_ns,
        wait_bounded=integer(wait, "bounded_samples", at, 32, 0),
        wait_approx=integer(wait, "approx_samples", at, 32, 0),
        has=int(has),
        tx_sends=integer(tx, "sends", at_tx, 32, 0),
        tx_incomplete=integer(tx, "incomplete", at_tx, 32, 0),
        tx_open=integer(tx, "open", at_tx, 32, 0),
        tx_resent=integer(tx, "resent", at_tx, 32, 0),
        tx_nic_bar_ns=integer(mapping(tx, "nic", at_tx), "bar_ns", f"{at_tx}nic.", 32, 0),
        tx=tx_of(source, where),
        udp=UdpMoved(*(integer(udp, name, at_udp, 63, 0) for name in UdpMoved._fields)),
        standing_ms=min(integer(wait, "standing_ns", at, 63, 0) // 1_000_000, 0xFFFFFFFF),
        split=Split(*(integer(split, name, at_split, 63, 0) for name in Split._fields)),
    )
    return plane, flags


def histogram_of(source: Mapping[str, Any], key: str) -> Histogram | None:
    """What histogram_object wrote under this key of the head; None: it is not there."""
    inner = mapping(source, key, "")
    return _histogram(inner, f"{key}.") if inner else None


def _histogram(inner: Mapping[str, Any], where: str) -> Histogram:
    buckets = []
    for i, item in enumerate(sequence(inner, "buckets", where)):
        at = f"{where}buckets[{i}]"
        values = item if isinstance(item, list) and len(item) == 3 else [None] * 3
        named = dict(zip(("lo", "hi", "count"), values, strict=True))
        lo, hi, n = (integer(named, name, f"{at}.", 63) for name in ("lo", "hi", "count"))
        buckets.append((lo, hi, n))
    return Histogram(_dist(inner, where), tuple(buckets))
