"""Ticks of a feed into the tallies of a side: which group a socket is of, and what it counted."""

from __future__ import annotations

import struct
from collections import Counter as Multiset
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct, field

from nettop.compare.bands import Bucket
from nettop.compare.tally import SEGMENT_BYTES, Key, Side, Tally
from nettop.engine.edges import OCTAVE_EDGES
from nettop.feed import Grouping
from nettop.model.services import EPHEMERAL, service_of
from nettop.model.types import (
    AF_INET6,
    Detail,
    Dist,
    Flag,
    Histogram,
    Level,
    Model,
    PlaneHas,
    Proto,
    Row,
    Stage,
)
from nettop.text import units
from nettop.text.words import owner_text

# Sockets that have something to count; where no rates are known they are new.
ACTIVE = (
    "level >= unwell or not tx >= 0 or tx > 0 or rx > 0 or retr/s > 0 or drops/s > 0 "
    "or rxwait.n > 0"
)
ALL = ("all",)
_OCTAVES = struct.Struct("<32I")
_PER_SECOND = ("retr/s", "drops/s", "resets/s", "rxwait.n", "tx", "rx")

Rows = Iterable[tuple[Row, Detail | None]]


class Waits(Protocol):
    """The part of a feed that knows distributions."""

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None: ...

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None: ...


class _Seen(NamedTuple):
    """The counters of a socket when it was last listed."""

    sent: int
    resent: int
    segments: int
    acked: int
    received: int
    dsacks: int
    drops: int | None


class Gatherer(Struct):
    """Fills a side. whole: no filter is in force, so that the host's own counters belong to it."""

    side: Side
    grouping: Grouping  # NONE: all together
    whole: bool = True
    _seen: dict[int, _Seen] = field(default_factory=dict)
    _keys: dict[int, Key] = field(default_factory=dict)
    _serving: set[tuple[int, int]] = field(default_factory=set)  # netns, port
    _seconds: dict[int, float] = field(default_factory=dict)
    _ticks: dict[int, float] = field(default_factory=dict)

    def baseline(self, rows: Rows) -> None:
        """The tick before the first that counts."""
        for row, _ in rows:
            self._seen[row.cookie] = _counters(row)

    def take(self, model: Model, rows: Rows, feed: Waits, block: int) -> None:
        """A tick. Without an interval nothing was counted in it: it is a new beginning."""
        listed = list(rows)
        if model.interval_s is None:
            self._seen.clear()
            self.baseline(listed)
            return
        self.side.seconds += model.interval_s
        self._seconds[block] = self._seconds.get(block, 0.0) + model.interval_s
        self._look_for_servers(listed)
        self._ticks[block] = self._ticks.get(block, 0) + 1
        members: dict[Key, list[Row]] = {}
        for row, _ in listed:
            unwell = row.rec.level >= Level.UNWELL
            if row.is_listen and not unwell:
                continue
            tally = self._tally(row)
            if unwell:
                for one in self._everywhere(tally):
                    one.counter("unwell").add(block, 1, 0)
            if row.is_listen:
                continue
            self._count(tally, row, block)
            if row.plane.wait.count or row.plane.has & PlaneHas.TX:
                members.setdefault(self._keys[row.cookie], []).append(row)
        self._distribute(model, members, feed, block)

    def snapshot(self, model: Model, rows: Rows, feed: Waits) -> None:
        """One tick alone: rates instead of counters."""
        listed = list(rows)
        interval_s = model.interval_s or 0.0
        self.side.seconds, self._seconds = interval_s, {0: interval_s}
        self._look_for_servers(listed)
        members: dict[Key, list[Row]] = {}
        for row, detail in listed:
            if row.is_listen:
                continue
            tally = self._tally(row)
            members.setdefault(self._keys[row.cookie], []).append(row)
            if interval_s:
                self._count_rates(tally, row, detail, interval_s)
        self._distribute(model, members, feed, 0)

    def finish(self) -> Side:
        """The time in which a group counted is that of its side, also when it had no socket."""
        groups = self.side.groups
        if not self.whole and len(groups) == 2 and self.grouping is not Grouping.NONE:
            groups.pop(ALL, None)  # the other is the same
        for tally in groups.values():
            if self._ticks:
                tally.counter("unwell").in_all(self._ticks)
            for name in _PER_SECOND:
                counter = tally.counters.get(name)
                if counter is not None:
                    counter.in_all(self._seconds)
        return self.side

    # --- groups ---

    def _look_for_servers(self, listed: Sequence[tuple[Row, Detail | None]]) -> None:
        """Ports that something listens on, or from which several clients were accepted."""
        ports: Multiset[tuple[int, int]] = Multiset()
        for row, _ in listed:
            at = (row.rec.netns, row.rec.sport)
            if row.is_listen:
                self._serving.add(at)
            elif row.cookie not in self._keys and row.rec.dport >= EPHEMERAL:
                ports[at] += 1
        self._serving.update(at for at, n in ports.items() if n > 1)

    def _tally(self, row: Row) -> Tally:
        key = self._keys.get(row.cookie)
        if key is None:
            key, title = self._key(row)
            self._keys[row.cookie] = key
            self.side.groups.setdefault(key, Tally(title))
        tally = self.side.groups[key]
        tally.sockets.add(row.cookie)
        return tally

    def _key(self, row: Row) -> tuple[Key, str]:
        rec = row.rec
        if self.grouping is Grouping.NONE:
            return ALL, self._all_title()
        if self.grouping is Grouping.CGROUP:
            title = row.container or row.cgroup or units.ABSENT
            return (row.cgroup or "",), title
        if self.grouping is Grouping.NETNS:
            title = row.netns_name or str(rec.netns)
            return (title,), title
        server, port = self._service(row)
        proto = "" if row.proto is Proto.TCP else f"{row.proto.name.lower()} "
        if self.grouping is Grouping.PROCESS:
            name = row.proc.comm if row.proc.pid else owner_text(row) or units.ABSENT
            arrow = "" if server else "→ "
            return (name, proto, server, port), f"{name} {proto}{arrow}:{port}"
        remote = self.grouping is Grouping.REMOTE
        addr = row.remote_addr if remote else row.local_addr
        shown = f"[{addr}]" if rec.family == AF_INET6 else addr
        named = server != remote  # the port is a service's
        return (addr, proto, port if named else 0), (
            f"{proto}{shown}:{port}" if named else f"{proto}{shown}"
        )

    def _service(self, row: Row) -> tuple[bool, int]:
        """Whether the socket serves, and the port of the service, ours or the peer's."""
        rec = row.rec
        return service_of(rec.netns, rec.sport, rec.dport, self._serving)

    def _all_title(self) -> str:
        return "all sockets" if self.whole else "all that match"

    # --- counters and gauges ---

    def _everywhere(self, tally: Tally) -> list[Tally]:
        if self.grouping is Grouping.NONE:
            return [tally]
        return [tally, self.side.groups.setdefault(ALL, Tally(self._all_title(), mixed=True))]

    def _count(self, one: Tally, row: Row, block: int) -> None:
        rec, now = row.rec, _counters(row)
        before = self._seen.get(row.cookie)
        self._seen[row.cookie] = now
        if before is None and row.flags & Flag.NEW:
            before = _Seen(0, 0, 0, 0, 0, 0, 0)  # it was opened since the tick before
        if before is None or (before == now and one.counters):
            return
        acked = now.acked - before.acked
        for tally in self._everywhere(one):
            tally.sockets.add(row.cookie)
            if row.flags & Flag.INFO and row.proto is Proto.TCP and acked >= 0:
                sent = max(0, now.sent - before.sent)
                resent, segments = now.resent - before.resent, now.segments - before.segments
                retr = tally.counter("retr%")
                retr.add(block, max(0, segments), sent, max(0, resent))
                if now.dsacks <= now.segments + 1:  # else the network made the duplicates
                    retr.spurious += max(0, now.dsacks - before.dsacks)
                tally.counter("retr/s").add(block, max(0, segments), 0)
                tally.counter("tx").add(block, acked, 0)
                tally.counter("rx").add(block, max(0, now.received - before.received), 0)
                if acked and rec.rtt_us:
                    tally.gauge("srtt").add(block, row.cookie, rec.rtt_us * 1e3)
            if now.drops is not None and before.drops is not None:
                tally.counter("drops/s").add(block, max(0, now.drops - before.drops), 0)

    def _count_rates(self, one: Tally, row: Row, detail: Detail | None, interval_s: float) -> None:
        rec = row.rec
        if not row.flags & Flag.RATES:
            return
        for tally in self._everywhere(one):
            tally.sockets.add(row.cookie)
            if row.proto is Proto.TCP:
                acked, segments = rec.tx_bytes_per_s * interval_s, rec.retrans_per_s * interval_s
                mss = detail.tcp_info.get("snd_mss", SEGMENT_BYTES) if detail else SEGMENT_BYTES
                sent, share = acked + segments * mss, rec.retr_pct / 100
                resent = share * sent if row.flags & Flag.RETR_PCT else segments * mss
                tally.counter("retr%").add(0, segments, sent, resent)
                tally.counter("retr/s").add(0, segments, 0)
                tally.counter("tx").add(0, acked, 0)
                tally.counter("rx").add(0, rec.rx_bytes_per_s * interval_s, 0)
                if acked and rec.rtt_us:
                    tally.gauge("srtt").add(0, row.cookie, rec.rtt_us * 1e3)
            if row.flags & Flag.SKMEM:
                tally.counter("drops/s").add(0, rec.drops_per_s * interval_s, 0)

    # --- distributions ---

    def _times(self, tally: Tally, rows: list[Row], feed: Waits, block: int) -> None:
        """RX wait and TX stages of some sockets."""
        waited = [row for row in rows if row.plane.wait.count]
        if waited:
            self._add(
                tally, "rxwait", block, [(row, row.plane.wait) for row in waited],
                PlaneHas.WAIT_OCTAVES, lambda some: feed.rx_wait(some, run=False),
            )  # fmt: skip
            n = sum(row.plane.wait.count for row in waited)
            tally.counter("rxwait.n").add(block, n, 0)
        sent = [row for row in rows if any(d.count for d in row.plane.tx)]
        for stage in Stage if sent else ():
            of = [(row, row.plane.tx[stage]) for row in sent if row.plane.tx[stage].count]

            def fine(some: Sequence[int], stage: Stage = stage) -> Histogram | None:
                stages = feed.tx(some, run=False)
                return stages[stage] if stages else None

            if of:
                self._add(tally, f"tx.{stage.name.lower()}", block, of, PlaneHas.TX_OCTAVES, fine)

    def _add(
        self, tally: Tally, name: str, block: int, of: list[tuple[Row, Dist]],
        octaves: PlaneHas, fine: Callable[[Sequence[int]], Histogram | None],
    ) -> None:  # fmt: skip
        """Fine buckets of the sockets that have them, else what each has."""
        times = tally.time(name)
        some = [(row, dist) for row, dist in of if not row.plane.has & octaves]
        found = fine([row.cookie for row, _ in some]) if some else None
        buckets = [(float(low), float(high), n) for low, high, n in found.buckets] if found else []
        if not _agree(sum(n for _, _, n in buckets), sum(d.count for _, d in some)):
            buckets, some = [], []
        known = {row.cookie for row, _ in some}
        for row, dist in of:
            if row.cookie not in known:
                by_octaves = _octaves(row, dist.count) if octaves is PlaneHas.WAIT_OCTAVES else []
                buckets += by_octaves or coarse(dist, rough=bool(row.plane.has & octaves))
            times.of_socket(row.cookie, dist.count, float(dist.sum_ns))
        times.add(
            block, buckets, sum(d.count for _, d in of), float(sum(d.sum_ns for _, d in of)),
            float(max(d.max_ns for _, d in of)),
        )  # fmt: skip

    def _distribute(
        self, model: Model, members: dict[Key, list[Row]], feed: Waits, block: int
    ) -> None:
        """Times of each group and of all; of the whole host also those of sockets that are gone."""
        every = self.side.groups.setdefault(ALL, Tally(self._all_title(), mixed=True))
        everything = [row for rows in members.values() for row in rows]
        if self.grouping is not Grouping.NONE:
            for key, some in members.items():
                self._times(self.side.groups[key], some, feed, block)
        if not self.whole:
            self._times(every, everything, feed, block)
            return
        self._host_times(every, model, feed, block)
        seconds = model.interval_s or 0.0
        if model.totals.resets_per_s is not None:
            every.counter("resets/s").add(block, model.totals.resets_per_s * seconds, 0)

    def _host_times(self, tally: Tally, model: Model, feed: Waits, block: int) -> None:
        waits = model.rx_wait_all or (None if model.chosen else model.rx_wait)
        if waits is not None and waits.dist.count:
            _add_histogram(tally, "rxwait", waits, block)
            tally.counter("rxwait.n").add(block, waits.dist.count, 0)
        for stage, sends in zip(Stage, feed.tx(None, run=False) or (), strict=False):
            if sends.dist.count:
                _add_histogram(tally, f"tx.{stage.name.lower()}", sends, block)


def _add_histogram(tally: Tally, name: str, histogram: Histogram, block: int) -> None:
    dist = histogram.dist
    known = [(float(low), float(high), n) for low, high, n in histogram.buckets]
    if sum(n for _, _, n in known) != dist.count:
        known = coarse(dist, rough=False)
    tally.time(name).add(block, known, dist.count, float(dist.sum_ns), float(dist.max_ns))


def _agree(fine: int, counted: int) -> bool:
    """The two are read one after the other, so that a busy socket moves between them."""
    return fine > 0 and abs(fine - counted) <= 8 + counted // 20


def _counters(row: Row) -> _Seen:
    rec = row.rec
    drops = rec.drops if row.flags & Flag.SKMEM else None
    return _Seen(
        rec.bytes_sent, rec.bytes_retrans, rec.total_retrans, rec.bytes_acked,
        rec.bytes_received, rec.dsack_dups, drops,
    )  # fmt: skip


def _octaves(row: Row, count: int) -> list[Bucket]:
    """What the plane counted by octaves of RX wait; empty: it does not say all."""
    raw = row.plane.wait_octaves
    if len(raw) != _OCTAVES.size:
        return []
    values = _OCTAVES.unpack(raw)
    if sum(values) != count:
        return []
    return [
        (float(OCTAVE_EDGES[i]), float(OCTAVE_EDGES[i + 1]), n) for i, n in enumerate(values) if n
    ]


def coarse(dist: Dist, *, rough: bool) -> list[Bucket]:
    """All that count, p50, p90, p99 and max leave open: each percentile is the upper edge of the
    bucket that its sample lies in, and the others lie between."""
    n, top = dist.count, float(dist.max_ns)
    out: list[Bucket] = []
    rank, below = 0, 0.0
    for q, edge in ((0.5, dist.p50_ns), (0.9, dist.p90_ns), (0.99, dist.p99_ns)):
        at = min(n, max(1, -int(-q * n // 1)))
        if at <= rank or (q == 0.99 and n < 100):
            continue
        high = min(float(edge), top)
        own = high / 2 if rough else high * (1 - 1 / 32)
        if at - 1 > rank:
            out.append((below, high, at - 1 - rank))
        below = max(below, own)
        out.append((below, high, 1))
        rank = at
    if n > rank:
        if n - 1 > rank:
            out.append((below, top, n - 1 - rank))
        out.append((top, top, 1))
    return out
