"""Ticks into series: what each socket did since the tick before, added to its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nettop.engine.counted import Counted, News, Steady
from nettop.metrics.groups import Group, Groups
from nettop.metrics.labels import Labeller
from nettop.metrics.series import Count, Octaves, unpacked
from nettop.model.events import Closed, EventFlag, EventType
from nettop.model.types import TCP_LISTEN, Flag, Model, PlaneHas, Proto, Sick, Verdict
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_name

CLOSED_MOST = 16_384  # records of closed sockets that are taken in a tick
SERVED_S = 60.0  # so long a port is a service's after its last listener
_U32 = 1 << 32


class CountedFeed(Protocol):
    """The part of a live feed that series are made from."""

    def counted(self, known: Mapping[int, Socket]) -> tuple[list[News], list[Socket]]: ...

    def sick(self, *, matched: bool = True) -> list[Sick]: ...

    def closed_since(self, seq: int, *, most: int, filtered: bool) -> Sequence[Closed]: ...


# Counters of a socket, as they stand behind each other in Counted.
_COUNTS = (
    Count.SENT_BYTES, Count.ACKED_BYTES, Count.RECEIVED_BYTES, Count.RETRANS_BYTES, Count.BUSY_MS,
    Count.RWND_MS, Count.SNDBUF_MS, Count.RETRANS_SEGMENTS, Count.DROPS,
)  # fmt: skip
_AT = Counted._fields.index
_NUMBERS = slice(_AT("bytes_sent"), _AT("drops") + 1)
_TIMES = frozenset({Count.BUSY_MS, Count.RWND_MS, Count.SNDBUF_MS})  # modulo 2^32 ms
_SENT, _ACKED, _RECEIVED = range(3)  # of these
_Numbers = tuple[int, ...]
_ZERO: _Numbers = (0,) * len(_COUNTS)
_NOBODY = 0, 0, b""


class Socket:
    """What is remembered of a socket between two ticks."""

    __slots__ = ("group", "holder", "lim_at_ms", "numbers", "seq", "steady", "waits", "waits_ns")

    def __init__(self, group: Group, holder: tuple[int, int, bytes], numbers: _Numbers) -> None:
        self.group, self.holder, self.numbers = group, holder, numbers
        self.lim_at_ms = self.seq = 0
        self.steady: Steady | None = None  # None: its rows are looked at, whatever they say
        self.waits: tuple[int, ...] | None = None  # by octave, all that were added
        self.waits_ns = 0


class Gatherer:
    """Adds up ticks; one thread."""

    def __init__(self, labeller: Labeller, groups: Groups, *, whole: bool) -> None:
        """whole: no filter of the user's is in force."""
        self._labeller, self.groups, self._whole = labeller, groups, whole
        self._sockets: dict[int, Socket] = {}
        self._serving: dict[tuple[int, int], float] = {}  # netns, port → when last listened at
        self._seq = 0
        self._closed_seq: int | None = None  # the first event that is not taken yet
        self.closed_unknown = 0  # TCP sockets that closed and left no record

    def take(self, model: Model, feed: CountedFeed) -> None:
        """The tick that was polled last."""
        now_s, wall_s = model.mono_ns / 1e9, model.wall_ns / 1e9
        self._seq += 1
        self.groups.begin()
        sockets = self._sockets
        news, quiet = feed.counted(sockets)
        new_service = self._look_for_listeners(news, now_s)
        if new_service:
            news, quiet = feed.counted({})
        for known in quiet:
            group = known.group
            known.seq, group.last_s = self._seq, now_s
            group.series.sockets += 1
        for raw, steady in news:
            one = Counted._make(raw)
            holder = one.pid, one.owner, one.comm
            found = sockets.get(one.cookie)
            if found is None:
                group = self._group(one, now_s, wall_s)
                found = sockets[one.cookie] = self._met(one, group, holder)
            # What its program left to the kernel, to be sent and closed, is still the program's.
            elif (one.pid or not found.holder[0]) and (new_service or found.holder != holder):
                found.group, found.holder = self._group(one, now_s, wall_s), holder
            found.seq = self._seq
            self._count(one, found, now_s)
            waits = one.rqueue or (one.state == TCP_LISTEN and one.proto != Proto.UDP)
            found.steady = None if waits else steady
        self._look_for_sick(feed)
        self._take_closed(model, feed, now_s, wall_s)
        # The record of a close may come in the tick after the last sweep that had the socket.
        gone = [c for c, known in sockets.items() if self._seq - known.seq > 1]
        for cookie in gone:
            del sockets[cookie]
        self.groups.end(now_s, wall_s)

    # --- sockets ---

    def _look_for_listeners(self, news: Sequence[News], now_s: float) -> bool:
        """Whether there is one that was not there before: sockets may be of its service."""
        serving, n = self._serving, 0
        for raw, _ in news:
            one = Counted._make(raw)
            if one.state == TCP_LISTEN and one.proto != Proto.UDP:
                at = one.netns, one.sport
                n += at not in serving
                serving[at] = now_s
        # A server that restarts keeps its group meanwhile.
        for at in [at for at, seen_s in serving.items() if now_s - seen_s > SERVED_S]:
            del serving[at]
        return n > 0

    def _group(self, one: Counted, now_s: float, wall_s: float) -> Group:
        return self.groups.of(self._labeller.of_socket(one, self._serving), now_s, wall_s)

    def _met(self, one: Counted, group: Group, holder: tuple[int, int, bytes]) -> Socket:
        """What it did before nettop began is not counted."""
        new = bool(one.flags & Flag.NEW) and self._seq > 1
        known = Socket(group, holder, _ZERO if new else _part(one, _NUMBERS))
        known.lim_at_ms = one.lim_at_ms
        if new and one.state != TCP_LISTEN and one.proto != Proto.UDP:
            group.series.add(Count.OPENED, 1)
        return known

    def _count(self, one: Counted, known: Socket, now_s: float) -> None:
        group, series = known.group, known.group.series
        group.last_s = now_s
        if one.state == TCP_LISTEN and one.proto != Proto.UDP:
            if one.wqueue:
                share = one.rqueue / one.wqueue
                series.accept_share = max(series.accept_share or 0.0, share)
        else:
            series.sockets += 1
        numbers, before = _part(one, _NUMBERS), known.numbers
        if numbers != before:
            acked = numbers[_ACKED] - before[_ACKED]
            moved = max(0, acked) + max(0, numbers[_RECEIVED] - before[_RECEIVED])
            group.fresh_bytes += moved
            _add(group, numbers, before)
            known.numbers = numbers
            if acked > 0 and one.rtt_us:
                series.rtt.observe(one.rtt_us * 1000)
        if one.lim_at_ms != known.lim_at_ms:
            window_ms = (one.lim_at_ms - known.lim_at_ms) % _U32 if known.lim_at_ms else 0
            known.lim_at_ms = one.lim_at_ms
            if one.flags & Flag.LIMITED:
                series.add(Count.CWND_MS, window_ms * one.lim_cwnd_pct / 100)
        if one.has:
            self._count_plane(one, known)
        # A bound of the kernel's may be longer than the plane's, which begins with nettop.
        if one.flags & Flag.OLDEST_UNREAD and not one.flags & Flag.UNREADABLE:
            series.unread_ns = max(series.unread_ns, one.oldest_unread_ms * 1_000_000)

    def _count_plane(self, one: Counted, known: Socket) -> None:
        group, series = known.group, known.group.series
        if one.has & PlaneHas.UNREAD:
            series.unread_ns = max(series.unread_ns, one.oldest_unread_ns)
        if one.wait_count:
            counts = unpacked(one.wait_octaves)
            series.waits.add(counts, one.wait_sum_ns)
            series.moved = True
            before = known.waits
            known.waits = (
                counts if before is None
                else tuple(a + b for a, b in zip(before, counts, strict=True))
            )  # fmt: skip
            known.waits_ns += one.wait_sum_ns
        if one.has & PlaneHas.UDP:
            group.fresh_bytes += one.udp_rx_bytes + one.udp_tx_bytes
            series.add(Count.UDP_SENT_BYTES, one.udp_tx_bytes)
            series.add(Count.UDP_RECEIVED_BYTES, one.udp_rx_bytes)

    # --- verdicts ---

    def _look_for_sick(self, feed: CountedFeed) -> None:
        for sick in feed.sick(matched=True):
            known = self._sockets.get(sick.cookie)
            if known is None or not sick.verdicts_unwell:
                continue
            known.group.unwell = True
            known.group.series.sick(*_worst(sick))

    # --- closed sockets ---

    def _take_closed(self, model: Model, feed: CountedFeed, now_s: float, wall_s: float) -> None:
        if model.events is None:
            return
        first = self._closed_seq
        if first is None:  # what closed before the first tick was not there in it
            self._closed_seq = model.events.first_seq
            return
        closed = feed.closed_since(first, most=CLOSED_MOST, filtered=not self._whole)
        for one in closed:
            self._closed_seq = max(self._closed_seq or 0, one.event.seq + 1)
            self._add_closed(one, model, now_s, wall_s)
        counts = model.events.counts[EventType.CLOSED]
        self.closed_unknown += counts.left_out
        if self._whole:  # the engine keeps a few thousand
            self.closed_unknown += max(0, counts.seen - counts.left_out - len(closed))

    def _add_closed(self, one: Closed, model: Model, now_s: float, wall_s: float) -> None:
        known = self._sockets.pop(one.event.cookie, None)
        if one.event.state == TCP_LISTEN:
            return
        if known is None and one.born_ns is None:  # it is older than nettop, and was never counted
            self.closed_unknown += self._whole
            return
        if known is None or not known.holder[0]:  # the kernel may know whose it was
            labels = self._labeller.of_event(one.event, self._serving)
            group = self.groups.of(labels, now_s, wall_s)
            if known is None:
                known = Socket(group, _NOBODY, _ZERO)
                group.series.add(Count.OPENED, 1)
            elif one.event.flags & EventFlag.OWNER:
                known.group = group
        before, group = known.numbers, known.group
        last = _numbers_of_closed(one, before)
        _add(group, last, before)
        acked = last[_ACKED] - before[_ACKED]
        group.fresh_bytes += max(0, acked) + max(0, last[_RECEIVED] - before[_RECEIVED])
        group.series.add(Count.CLOSED, 1)
        if acked > 0 and one.srtt_us:
            group.series.rtt.observe(one.srtt_us * 1000)
        if one.wait is not None:
            self._add_waits(one, known)

    def _add_waits(self, one: Closed, known: Socket) -> None:
        """Deliveries that were read after the last tick in which the socket was there."""
        assert one.wait is not None
        more = Octaves()
        more.add_buckets(one.wait.buckets, one.wait.dist.sum_ns)
        had = known.waits or (0,) * len(more.counts)
        counts = [max(0, a - b) for a, b in zip(more.counts, had, strict=True)]
        if any(counts):
            known.group.series.waits.add(counts, max(0, more.sum_ns - known.waits_ns))
            known.group.series.moved = True


def _part(one: tuple[Any, ...], members: slice) -> _Numbers:
    return one[members]


def _numbers_of_closed(one: Closed, before: _Numbers) -> _Numbers:
    """The record has no times and no drops: those stay as they were."""
    times_ms, drops = before[4:7], before[8]
    return (
        one.bytes_sent, one.bytes_acked, one.bytes_received, one.bytes_retrans, *times_ms,
        one.total_retrans, drops,
    )  # fmt: skip


def _add(group: Group, now: _Numbers, before: _Numbers) -> None:
    for which, a, b in zip(_COUNTS, now, before, strict=True):
        if a != b:
            # What falls was not sent by the kernel; of times the kernel's width ends.
            more = (a - b) % _U32 if which in _TIMES else a - b
            group.series.add(which, more if more < _U32 // 2 or which not in _TIMES else 0)


def _worst(sick: Sick) -> tuple[str, str]:
    """WHO and WHY of the worst verdict that is unwell by itself."""
    for verdict, who in ((sick.verdict, sick.who), (sick.verdict2, sick.who2)):
        if sick.verdicts_unwell >> verdict & 1:
            return who_name(who), VERDICTS[Verdict(verdict)].name
    worst = (sick.verdicts_unwell & -sick.verdicts_unwell).bit_length() - 1
    return "?", VERDICTS[Verdict(worst)].name
