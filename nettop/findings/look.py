"""A look at a host: takes the ticks of a feed one by one and says what was wrong in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from nettop import __version__
from nettop.findings.course import Course, HistogramSum
from nettop.findings.group import cost_of, findings_of
from nettop.findings.host import HostSum, SourceLog
from nettop.findings.refused import MOST_EVENTS, TYPES, RefusedSum
from nettop.findings.values import Case, ClockStep, Own, Report
from nettop.model.events import Event, EventType
from nettop.model.types import (
    WHO_MAYBE,
    Detail,
    Flag,
    Histogram,
    Level,
    Model,
    Proto,
    Row,
    Sick,
    Stage,
    Verdict,
    Who,
)
from nettop.spells import Spell, SpellTracker
from nettop.text.explain import Explanation, explain
from nettop.text.readers import SEVERAL_READERS, Reader, reader_evidence, reader_of
from nettop.text.verdicts import verdict_words
from nettop.text.words import owner_text, who_name
from nettop.times import CLOCK_STEP_LEAST_NS

# What is kept of sockets that were unwell; more are counted.
MOST_CASES = 10_000
MOST_SPELLS = 20_000
MOST_READ_AGAIN = 12  # sockets of a process and verdict, in a tick
# Verdicts for whose cause the stages of a send matter, and how many sockets are measured for it.
STAGED = (Verdict.LOSS, Verdict.RTO, Verdict.WINDOW, Verdict.RTT, Verdict.SNDBUF)
MOST_STAMPED = 16
_READ = (Verdict.UNREAD, Verdict.READS)
# A tick in which the stages were measured excludes more than one whose number is a little larger.
MEASURED_COUNTS = 1.25
_GAP_INTERVALS, _LEAST_GAP_NS = 3, 5 * 10**9


class LookFeed(Protocol):
    """What a look asks of the feed whose tick it takes."""

    def sick(self, *, matched: bool = True) -> list[Sick]: ...

    def find(self, cookie: int) -> Row | None: ...

    def detail(self, cookie: int) -> Detail | None: ...

    def seconds_since(self, engine_s: int) -> float | None: ...

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None: ...

    def listed_events(
        self, most: int, types: Collection[EventType]
    ) -> tuple[Sequence[Event], int]: ...


class _Seen(Struct):
    """A case that may go on; said and row are of the tick in which they were read last."""

    row: Row
    said: Explanation
    cost: float | None
    rank: tuple[float, float]
    level: Level
    value: float
    who: int
    because: int
    bounded: bool
    from_ns: int
    to_ns: int
    held_s: float
    unwell_s: float
    beside: int  # 1 << Verdict of all that held in one of these ticks
    ticks: int = 1


class Look:
    """Pure but for the feed that it is handed; one thread."""

    def __init__(self, *, file: str | None = None, filter_text: str | None = None) -> None:
        """filter_text: of the feed; without one sockets that are no rows by default count too."""
        self._file, self._filter_text = file, filter_text
        self._matched = filter_text is not None
        self._tracker = SpellTracker(matched=self._matched)
        self._spells: list[Spell] = []
        self._cases: dict[tuple[int, Verdict, int], _Seen] = {}  # by cookie, verdict and WHO
        self._host, self._sources = HostSum(), SourceLog()
        self._refused = RefusedSum()
        self._course, self._waits = Course(), HistogramSum()
        self._tx = {stage: HistogramSum() for stage in Stage}
        self._has_waits = self._has_tx = False
        self._events: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._gaps: list[tuple[int, int]] = []
        self._steps: list[ClockStep] = []
        self._passed_ns = 0
        self._first: Model | None = None
        self._last: Model | None = None
        self._began: Model | None = None  # first tick of this run of the recorder
        self._earlier = Own()  # of runs before it
        self._most_sockets: int | None = None
        self._most_matched = 0
        self._restarts = self._malformed = self._unlisted = 0
        self.ticks = 0
        self.stamped = 0  # sockets that were chosen for the TX stages
        self.dropped_cases = 0

    # --- a tick ---

    def take(self, model: Model, feed: LookFeed) -> None:
        """The tick of that model, while the feed still is at it."""
        self._mark_gap(model)
        before = self._last
        self._first = self._first or model
        self._began = self._began or model
        self.ticks += 1
        self._spells += self._tracker.take(model, feed)[: MOST_SPELLS - len(self._spells)]
        found = feed.sick(matched=self._matched)
        self._take_sick(found, model, feed)
        self._host.take(model.evidence)
        self._refused.take(
            *feed.listed_events(MOST_EVENTS, TYPES), lambda cookie: _program(feed.find(cookie))
        )
        self._sources.take(model.sources)
        unwell = sum(bool(sick.verdicts_unwell) for sick in found)
        from_ns = before.wall_ns if before is not None else model.wall_ns
        self._course.take(model, from_ns, unwell, len(found) - unwell)
        self._take_times(model, feed)
        self._take_sums(model)
        self._last = model

    def _mark_gap(self, model: Model) -> None:
        last = self._last
        if last is None:
            return
        interval_ns = (model.interval_s or 1.0) * 1e9
        apart_ns, awake_ns = model.wall_ns - last.wall_ns, model.mono_ns - last.mono_ns
        restarted = model.seq <= last.seq or awake_ns < 0
        self._passed_ns += max(0, apart_ns) if restarted else awake_ns
        if restarted or awake_ns > max(_LEAST_GAP_NS, _GAP_INTERVALS * interval_ns):
            self._gaps.append((last.wall_ns, model.wall_ns))
        elif abs(apart_ns - awake_ns) >= CLOCK_STEP_LEAST_NS:
            self._steps.append(ClockStep(last.wall_ns, model.wall_ns, awake_ns))
        if restarted:  # its sockets are others
            self._spells += self._tracker.finish(last.wall_ns)
            self._earlier = self._own_costs()
            self._began = None

    def _take_sick(self, found: Sequence[Sick], model: Model, feed: LookFeed) -> None:
        worse: list[tuple[tuple[float, float], Sick, Level]] = []
        for sick in found:
            level = _level(sick)
            seen = self._cases.get((sick.cookie, Verdict(sick.verdict), sick.who))
            if seen is None:
                self._add(sick, level, model, feed)
                continue
            seen.to_ns = model.wall_ns
            seen.held_s += model.interval_s or 0.0
            seen.unwell_s += (model.interval_s or 0.0) * (level is Level.UNWELL)
            seen.ticks += 1
            seen.beside |= sick.verdicts
            if sick.verdict in _READ:  # it, or its name, may be known by now, or be another
                seen.said = _with_reader(seen.said, reader_of(seen.row, model))
            if owner_text(seen.row) is None and (row := feed.find(sick.cookie)) is not None:
                seen.row = replace(seen.row, proc=row.proc, user=row.user, cgroup=row.cgroup,
                                   container=row.container)  # fmt: skip
            rank = (float(level), sick.verdict_value)
            if rank > seen.rank:
                worse.append((rank, sick, level))
        # Reading a socket costs more than looking at its number: of many that are alike, those are
        # read again that a finding shows.
        worse.sort(key=lambda entry: entry[0], reverse=True)
        read: Counter[tuple[int, int]] = Counter()
        for rank, sick, level in worse:
            seen = self._cases[sick.cookie, Verdict(sick.verdict), sick.who]
            alike = sick.verdict, seen.row.proc.pid
            read[alike] += 1
            if read[alike] > MOST_READ_AGAIN:
                seen.rank, seen.level = rank, level
                seen.value, seen.who, seen.because = sick.verdict_value, sick.who, sick.because
                seen.bounded = _bounded(sick)
            else:
                self._read_again(seen, sick, level, model, feed)

    def _add(self, sick: Sick, level: Level, model: Model, feed: LookFeed) -> None:
        if len(self._cases) >= MOST_CASES:
            self.dropped_cases += 1
            return
        row = feed.find(sick.cookie)
        if row is None or row.rec.verdict != sick.verdict:  # closed, or read anew, meanwhile
            return
        self._cases[sick.cookie, Verdict(sick.verdict), sick.who] = _Seen(
            row, self._explained(row, model, feed), cost_of(row, model.interval_s),
            _rank(level, row), level, sick.verdict_value, sick.who, sick.because, _bounded(sick),
            model.wall_ns, model.wall_ns, model.interval_s or 0.0,
            (model.interval_s or 0.0) * (level is Level.UNWELL), sick.verdicts,
        )  # fmt: skip

    def _read_again(
        self, seen: _Seen, sick: Sick, level: Level, model: Model, feed: LookFeed
    ) -> None:
        row = feed.find(sick.cookie)
        if row is None or (row.rec.verdict, row.rec.who) != (sick.verdict, sick.who):
            return
        if _rank(level, row) <= seen.rank:
            return
        said, before = self._explained(row, model, feed), seen.said
        seen.row, seen.said = row, _with_reader(said, before.reader, before.several)
        seen.cost, seen.rank, seen.level = cost_of(row, model.interval_s), _rank(level, row), level
        seen.value, seen.who, seen.because = sick.verdict_value, sick.who, sick.because
        seen.bounded = _bounded(sick)

    def _explained(self, row: Row, model: Model, feed: LookFeed) -> Explanation:
        since_s = feed.seconds_since(row.rec.verdict_since_s)
        return explain(row, feed.detail(row.cookie), model, since_s)

    def _take_times(self, model: Model, feed: LookFeed) -> None:
        if model.rx_wait is not None:
            self._has_waits = True
            self._waits.add(model.rx_wait)
        stages = feed.tx(None, run=False) if model.tx is not None else None
        if stages is not None:
            self._has_tx = True
            for stage, more in zip(Stage, stages, strict=True):
                self._tx[stage].add(more)

    def _take_sums(self, model: Model) -> None:
        summary = self._tracker.summary(model)
        if summary.sockets is not None:
            self._most_sockets = max(self._most_sockets or 0, summary.sockets)
        self._most_matched = max(self._most_matched, summary.matched)
        self._events.update(summary.events)
        if model.events is not None:
            self._reasons.update({r.name: r.interval for r in model.events.reasons if r.interval})
            self._unlisted += sum(c.left_out for c in model.events.counts)
        self._restarts += model.totals.restarts
        self._malformed += model.totals.malformed + model.totals.truncated

    def to_stamp(self) -> list[int]:
        """Cookies of the sockets whose verdict the TX stages would support or exclude, worst
        first."""
        cases = [
            (-seen.level, -(seen.cost or 0.0), -seen.value, cookie)
            for (cookie, verdict, _), seen in self._cases.items()
            if verdict in STAGED and seen.row.proto == Proto.TCP
        ]
        return list(dict.fromkeys(entry[-1] for entry in sorted(cases)))[:MOST_STAMPED]

    def _found(self) -> Iterator[Case]:
        for verdict, seen in _joined(self._cases):
            yield Case(
                row=seen.row, verdict=verdict, level=seen.level, who=who_name(seen.who),
                value=seen.value,
                why=verdict_words(
                    verdict, seen.value, seen.because, bounded=seen.bounded,
                    least_us=seen.row.rec.min_rtt_us,
                ),
                said=seen.said, cost=seen.cost, from_ns=seen.from_ns, to_ns=seen.to_ns,
                held_s=seen.held_s, unwell_s=seen.unwell_s,
                ticks=seen.ticks,
            )  # fmt: skip

    # --- what it came to ---

    def report(self) -> Report:
        """After at least one tick; takes no more then."""
        first, last = self._first, self._last
        assert first is not None
        assert last is not None
        self._spells += self._tracker.finish(last.wall_ns)[: MOST_SPELLS - len(self._spells)]
        own = self._own_costs()
        return Report(
            host=last.host,
            kernel=last.kernel,
            nettop=__version__,
            file=self._file,
            filter_text=self._filter_text,
            from_ns=first.wall_ns,
            to_ns=last.wall_ns,
            seconds=self._passed_ns / 1e9,
            ticks=self.ticks,
            sockets=self._most_sockets,
            matched=self._most_matched,
            findings=findings_of(self._found()),
            spells=tuple(sorted(self._spells, key=lambda s: s.from_ns)),
            refused=self._refused.all(),
            moved=self._host.moved(),
            counters_known=self._host.known,
            drop_reasons=tuple(self._reasons.most_common(20)),
            events=dict(self._events),
            unknown=(*self._sources.unknown(last.sources), *self._host.unknown()),
            own=replace(
                own,
                unlisted_events=self._unlisted + self._refused.left_out,
                restarts=self._restarts,
                malformed=self._malformed,
                unlisted_cases=self.dropped_cases,
                gaps=tuple(self._gaps),
                clock_steps=tuple(self._steps),
            ),
            course=self._course.bins,
            rx_wait=self._waits.total if self._has_waits else None,
            tx=tuple(self._tx[s].total for s in Stage) if self._has_tx else None,
            stamped=self.stamped,
        )

    def _own_costs(self) -> Own:
        """What cost counts since nettop's start, of this look alone."""
        began, last, earlier = self._began, self._last, self._earlier
        if began is None or last is None:
            return earlier
        return Own(
            earlier.missed_ticks + last.cost.missed_ticks - began.cost.missed_ticks,
            earlier.lost_events + last.cost.lost_events - began.cost.lost_events,
        )


_Joined = tuple[Verdict, _Seen]


def _joined(cases: Mapping[tuple[int, Verdict, int], _Seen]) -> Iterator[_Joined]:
    """One for each fault of a socket."""
    by_socket: dict[int, list[_Joined]] = {}
    for (cookie, verdict, _), seen in cases.items():
        by_socket.setdefault(cookie, []).append((verdict, seen))
    for found in by_socket.values():
        if len(found) == 1:  # of nearly all
            yield found[0]
            continue
        by_verdict: dict[Verdict, list[_Seen]] = {}
        for verdict, seen in found:
            by_verdict.setdefault(verdict, []).append(seen)
        decided = [(verdict, _decided(seen)) for verdict, seen in by_verdict.items()]
        # Before its queue was measured it was not known whose round trip that is.
        if Verdict.QDISC in by_verdict:
            decided = [e for e in decided if e[0] != Verdict.RTT or not e[1].who & WHO_MAYBE]
        yield from _of_one_who(decided)


# A tick in which a party is only likely counts less than one in which it is known.
_LIKELY_COUNTS = 0.25


def _decided(seen: Sequence[_Seen]) -> _Seen:
    """Of one verdict: the WHO that it had for most of the time, and the latest of several. The tick
    in which it was worst may be one in which the cause was not known yet."""

    def held(one: _Seen) -> tuple[float, int]:
        likely = one.who & WHO_MAYBE or one.who == Who.UNKNOWN
        return one.ticks * (_LIKELY_COUNTS if likely else 1.0), one.to_ns

    return _together(sorted(seen, key=held))


def _of_one_who(decided: Sequence[_Joined]) -> Iterator[_Joined]:
    """Verdicts of one WHO that held at once are one case: which is the worst may change."""
    left = sorted(decided, key=lambda e: (e[1].level, e[1].held_s))
    while left:
        verdict, most = left.pop()
        same = [
            (v, seen) for v, seen in left
            if seen.who == most.who and (seen.beside >> verdict & 1 or most.beside >> v & 1)
        ]  # fmt: skip
        left = [e for e in left if e not in same]
        yield verdict, _together([*(seen for _, seen in same), most])


def _together(seen: Sequence[_Seen]) -> _Seen:
    """The last, with the times of all."""
    last = seen[-1]
    if len(seen) == 1:
        return last
    said = last.said
    for other in seen[:-1]:
        if other.row.rec.verdict == last.row.rec.verdict:
            said = _with_reader(said, other.said.reader, other.said.several)
    return replace(
        last, said=said,
        from_ns=min(one.from_ns for one in seen), to_ns=max(one.to_ns for one in seen),
        held_s=sum(one.held_s for one in seen), unwell_s=sum(one.unwell_s for one in seen),
        ticks=sum(one.ticks for one in seen), beside=last.beside,
    )  # fmt: skip


def _program(row: Row | None) -> str:
    return row.proc.comm or "" if row is not None else ""


def _level(sick: Sick) -> Level:
    """Of its worst verdict."""
    return Level.UNWELL if sick.verdicts_unwell >> sick.verdict & 1 else Level.WATCH


def _rank(level: Level, row: Row) -> tuple[float, float]:
    measured = row.plane.tx[Stage.QDISC].count
    return float(level), row.rec.verdict_value * (MEASURED_COUNTS if measured else 1)


def _bounded(sick: Sick) -> bool:
    return sick.verdict == Verdict.UNREAD and not sick.flags & Flag.UNREAD_EXACT


def _with_reader(said: Explanation, reader: Reader | None, several: bool = False) -> Explanation:
    """The same, by what another tick knows of its reader; several: as of Explanation."""
    before = said.reader
    if said.several or not (several or reader):
        return said
    if reader is not None and before is not None:
        several = several or reader.tid != before.tid
        reader = reader._replace(name=reader.name or before.name, sole=reader.sole and before.sole)
    if several:
        reader = None
    elif reader == before:
        return said
    line = [SEVERAL_READERS] if several else reader_evidence(reader)
    proof = [e for e in said.proof if e not in reader_evidence(before)]
    # Behind what its waits were, which no other line may come between.
    at = next((n for n, e in enumerate(proof, 1) if e.source == "split"), len(proof))
    proof[at:at] = line
    return replace(
        said, reader=reader, several=several, proof=tuple(proof),
        evidence="; ".join(e.says for e in proof),
    )  # fmt: skip
