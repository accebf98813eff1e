"""Spells: each verdict of a socket from when it began to hold until it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from msgspec import Struct, field

from nettop.model.events import EVENT_NAMES
from nettop.model.types import Flag, Level, Model, Row, Sick, Stage, Verdict
from nettop.text.columns import endpoint
from nettop.text.fields import FIELDS
from nettop.text.verdicts import VERDICTS, verdict_words
from nettop.text.words import owner_text, proto_text, who_name

# A full congestion window is a word, not an alarm: its level is always ok.
WORDS_ALONE = 1 << Verdict.CWND
HOST_CAME = "host"  # beside the events of a tick of many hosts: one was lost or came back


class SickRows(Protocol):
    """What spells are made from; every feed over an engine has it."""

    def sick(self, *, matched: bool = True) -> list[Sick]: ...

    def find(self, cookie: int) -> Row | None: ...


class Spell(Struct):
    """One verdict of one socket. While it holds, the tracker goes on to change it."""

    cookie: int
    netns: int  # inode
    proto: str  # tcp, udp, mptcp
    local: str  # address:port
    remote: str | None  # None: of a listener
    pid: int | None  # of the first holder, when the spell began; None: not known
    comm: str | None
    owner: str | None  # nginx/812, (orphan) …: as the screen shows it
    cgroup: str | None
    container: str | None
    verdict: Verdict
    level: Level  # the loudest that this verdict was: watch or unwell
    from_ns: int  # CLOCK_REALTIME of the first tick in which it held
    seen_ns: int  # and of the last one so far
    to_ns: int | None = None  # of the tick in which it held no more; None: it holds
    # Of the worst tick; None: it never was one of the socket's worst two, and its row does not say.
    worst: float | None = None  # in the verdict's own unit
    bounded: bool = False  # worst is a lower bound
    least_us: int = 0  # of a round trip: min_rtt of the worst tick; 0 not known
    # Of most ticks that have one; of as many, of those with the worst.
    who: str | None = None
    because: int = 0  # Because
    ticks: int = 1  # in which it held
    _said: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)  # ticks, worst

    @property
    def unit(self) -> str:
        return VERDICTS[self.verdict].unit

    @property
    def name(self) -> str:
        """As JSON and the filter call it."""
        return VERDICTS[self.verdict].name

    @property
    def why(self) -> str:
        """WHY of the worst tick: `loss 2.1%`; without a number the word alone."""
        if self.worst is None:
            return VERDICTS[self.verdict].words[0]
        return verdict_words(
            self.verdict, self.worst, self.because, bounded=self.bounded, least_us=self.least_us
        )

    @property
    def sentence(self) -> str:
        return VERDICTS[self.verdict].says(self.because)

    def _number(self, value: float | None, bounded: bool) -> None:
        if value is not None and (self.worst is None or value > self.worst):
            self.worst, self.bounded = value, bounded

    def _take(self, value: float, who: int, because: int, bounded: bool) -> None:
        self._number(value, bounded)
        said = self._said
        ticks, worst = said.get((who, because), (0, value))
        said[who, because] = ticks + 1, max(worst, value)
        if len(said) > 1 or self.who is None:
            most, self.because = max(said, key=said.__getitem__)
            self.who = who_name(most)


class Change(NamedTuple):
    """A verdict began or ended."""

    cookie: int
    verdict: Verdict
    level: Level  # of the spell so far
    began: bool


class TickSummary(NamedTuple):
    """What a time line shows of a tick."""

    seq: int
    wall_ns: int
    mono_ns: int
    sockets: int | None  # that were listed; None: not known
    matched: int
    unwell: int  # of the matched ones
    watch: int
    events: Mapping[str, int]  # by type as JSON names it, only those that happened; of all sockets
    changes: tuple[Change, ...]


class SpellTracker:
    """Follows the verdicts of the matched sockets from tick to tick. Pure; one thread."""

    def __init__(self, *, matched: bool = True) -> None:
        """matched: only of sockets that pass the feed's filter."""
        self._matched = matched
        self._standing: dict[int, dict[int, Spell]] = {}  # by cookie and verdict
        self.began: list[Spell] = []  # in the last tick
        self.ended: list[Spell] = []

    @property
    def standing(self) -> list[Spell]:
        """Those that hold, oldest first."""
        spells = [s for of in self._standing.values() for s in of.values()]
        return sorted(spells, key=lambda s: s.from_ns)

    def take(self, model: Model, rows: SickRows) -> list[Spell]:
        """The tick of that model, while rows still are its; returns the spells that ended."""
        before, now = self._standing, model.wall_ns
        self.began, self.ended, self._standing = [], [], {}
        for sick in rows.sick(matched=self._matched):
            known = before.pop(sick.cookie, None) or {}
            held = self._held(sick, known, rows, now)
            self.ended += known.values()
            if held:
                self._standing[sick.cookie] = held
        for gone in before.values():
            self.ended += gone.values()
        for spell in self.ended:
            spell.to_ns = now
        return self.ended

    def _held(
        self, sick: Sick, known: dict[int, Spell], rows: SickRows, now: int
    ) -> dict[int, Spell]:
        """Spells that hold, out of known ones and new; known keeps those that ended."""
        held: dict[int, Spell] = {}
        row: Row | None = None
        bits = sick.verdicts & ~WORDS_ALONE
        while bits:
            verdict = bits.bit_length() - 1
            bits ^= 1 << verdict
            spell = known.pop(verdict, None)
            if spell is None:
                row = row or rows.find(sick.cookie)
                if row is None:  # it closed meanwhile, in another thread's sweep
                    continue
                spell = _new(row, Verdict(verdict), now)
                self.began.append(spell)
            else:
                spell.ticks += 1
                spell.seen_ns = now
            if sick.verdicts_unwell >> verdict & 1:
                spell.level = Level.UNWELL
            bounded = verdict == Verdict.UNREAD and not sick.flags & Flag.UNREAD_EXACT
            worst = spell.worst
            if verdict == sick.verdict:
                spell._take(sick.verdict_value, sick.who, sick.because, bounded)
            elif verdict == sick.verdict2:
                spell._take(sick.verdict2_value, sick.who2, sick.because2, bounded)
            else:
                row = row or rows.find(sick.cookie)
                spell._number(number_of(row, Verdict(verdict)), bounded)
            if verdict == Verdict.RTT and spell.worst != worst:
                row = row or rows.find(sick.cookie)
                spell.least_us = row.rec.min_rtt_us if row is not None else 0
            held[verdict] = spell
        return held

    def finish(self, wall_ns: int) -> list[Spell]:
        """Ends all that hold, as nothing is known from then on; returns them."""
        self.ended = self.standing
        self.began, self._standing = [], {}
        for spell in self.ended:
            spell.to_ns = wall_ns
        return self.ended

    def summary(self, model: Model) -> TickSummary:
        """Of the tick that was taken last."""
        totals = model.totals
        listed = [n for n in (totals.tcp, totals.udp, totals.mptcp) if n is not None]
        counts = model.events.counts if model.events is not None else ()
        return TickSummary(
            seq=model.seq,
            wall_ns=model.wall_ns,
            mono_ns=model.mono_ns,
            sockets=sum(listed) if listed else None,
            matched=totals.matched,
            unwell=totals.unwell,
            watch=totals.watch,
            events={
                EVENT_NAMES[k]: counts[k].seen for k in EVENT_NAMES if counts and counts[k].seen
            },
            changes=(*_changes(self.began, began=True), *_changes(self.ended, began=False)),
        )


def number_of(row: Row | None, verdict: Verdict) -> float | None:
    """Of a verdict that is not one of the worst two: in its unit, as far as the row has it."""
    if row is None:
        return None
    rec, limited = row.rec, bool(row.rec.flags & Flag.LIMITED)
    match verdict:
        case Verdict.UNREAD:
            return float(rec.oldest_unread_ms) if rec.flags & Flag.OLDEST_UNREAD else None
        case Verdict.WINDOW:
            return float(rec.lim_rwnd_pct) if limited else None
        case Verdict.SNDBUF:
            return float(rec.lim_sndbuf_pct) if limited else None
        case Verdict.OPTION:
            return float(rec.lim_in_flight_pct) if limited else None
        case Verdict.RTT:
            ratio = FIELDS["srtt/minrtt"].value(row, None)
            return ratio if isinstance(ratio, float) else None
        case Verdict.READS:
            return row.plane.wait.p99_ns / 1e6 if row.plane.wait.count else None
        case Verdict.QDISC | Verdict.NIC:
            stage = row.plane.tx[Stage.QDISC if verdict is Verdict.QDISC else Stage.NIC]
            return stage.p99_ns / 1e6 if stage.count else None
    return None


def _new(row: Row, verdict: Verdict, now_ns: int) -> Spell:
    proc = row.proc
    return Spell(
        cookie=row.cookie,
        netns=row.rec.netns,
        proto=proto_text(row),
        local=endpoint(row, local=True),
        remote=endpoint(row, local=False) if row.has_remote else None,
        pid=proc.pid or None,
        comm=proc.comm if proc.pid else None,
        owner=owner_text(row),
        cgroup=row.cgroup,
        container=row.container,
        verdict=verdict,
        level=Level.WATCH,
        from_ns=now_ns,
        seen_ns=now_ns,
    )


def _changes(spells: Iterable[Spell], *, began: bool) -> Iterable[Change]:
    return (Change(s.cookie, s.verdict, s.level, began) for s in spells)
