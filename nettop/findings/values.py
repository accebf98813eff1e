"""Findings and what stands beside them in a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from nettop.findings.refused import Refused
from nettop.model.types import Histogram, Level, Row, SourceStatus, Verdict
from nettop.spells import Spell
from nettop.text.explain import Explanation
from nettop.text.readers import Reader


class Case(Struct, frozen=True):
    """The worst verdict of one socket, as of the tick in which it was worst."""

    row: Row
    verdict: Verdict
    level: Level  # watch or unwell
    who: str  # app, app?, kern …
    value: float  # in the verdict's own unit
    why: str  # the verdict with that number
    said: Explanation
    cost: float | None  # share of the flow's time or bytes that it takes, 0 to 1; None: not known
    from_ns: int  # CLOCK_REALTIME of the first tick in which it held
    to_ns: int  # and of the last
    held_s: float  # in all, while one looked
    unwell_s: float  # of these, as loud as that
    ticks: int


class Finding(Struct, frozen=True):
    """Cases that share a cause; worst first."""

    who: str
    party: str  # whom or what it is about: nginx/812, to 10.0.3.7; "": this host
    cases: tuple[Case, ...]
    level: Level
    cost: float | None
    from_ns: int
    to_ns: int
    held_s: float  # of the case that held longest
    unwell_s: float  # of the case that was unwell longest
    reader: Reader | None = None  # the thread that all wait for, as far as is known; None: no one

    @property
    def worst(self) -> Case:
        return self.cases[0]

    @property
    def mostly(self) -> Level:
        """The level that held longer than the other."""
        return Level.WATCH if self.unwell_s * 2 < self.held_s else self.level

    @property
    def sockets(self) -> int:
        return len({case.row.cookie for case in self.cases})


class Moved(NamedTuple):
    """A number of the host that grew while one looked."""

    source: str  # of nettop.model.evidence.SOURCES
    place: str  # device, device and qdisc, cgroup, cpu memory io; "": the host
    name: str  # as nettop.text.evidence has it
    by: int
    unit: str
    says: str
    trouble: bool  # it stands still on a healthy host
    seconds: float  # between the first and the last reading


class Unknown(NamedTuple):
    """What cannot be said, as a source is off."""

    source: SourceStatus
    says: str
    off_ticks: int  # of the look


class ClockStep(NamedTuple):
    """CLOCK_REALTIME moved otherwise than CLOCK_MONOTONIC: it was set, or the host slept."""

    from_ns: int  # CLOCK_REALTIME of the tick before
    to_ns: int  # and of the one after
    passed_ns: int  # by CLOCK_MONOTONIC


class Own(Struct, frozen=True):
    """What nettop itself left out while one looked."""

    missed_ticks: int = 0
    lost_events: int = 0
    unlisted_events: int = 0  # counted, and in no list
    restarts: int = 0  # dumps begun again
    malformed: int = 0  # messages that were skipped, or cut short
    unlisted_cases: int = 0  # ticks of unwell sockets that are in no finding: too many
    gaps: tuple[tuple[int, int], ...] = ()  # from, to: nothing is known of these times, wall ns
    clock_steps: tuple[ClockStep, ...] = ()


class Bin(NamedTuple):
    """Some ticks of the course."""

    from_ns: int  # CLOCK_REALTIME
    to_ns: int
    unwell: int  # the most at once
    watch: int
    waits: tuple[int, ...]  # deliveries by octave of their RX queue wait; empty: none


class Report(Struct, frozen=True):
    """What a look came to."""

    host: str
    kernel: str
    nettop: str  # version that looked
    file: str | None  # name of the recording or snapshot; None: this host, now
    filter_text: str | None
    from_ns: int  # CLOCK_REALTIME of the first tick
    to_ns: int
    seconds: float  # between the two, also if the clock was set meanwhile
    ticks: int
    sockets: int | None  # that were listed, at most at once; None: not known
    matched: int  # of these, that passed the filter
    findings: tuple[Finding, ...]
    spells: tuple[Spell, ...]  # by the time they began
    refused: tuple[Refused, ...]  # most first; of sockets that match under a filter
    moved: tuple[Moved, ...]
    counters_known: bool
    drop_reasons: tuple[tuple[str, int], ...]  # the kernel's name → packets, most first
    events: Mapping[str, int]  # by type, as JSON names it
    unknown: tuple[Unknown, ...]
    own: Own
    course: tuple[Bin, ...]
    rx_wait: Histogram | None  # None: not measured
    tx: tuple[Histogram, ...] | None  # by Stage; None: no sends were stamped
    stamped: int = 0  # sockets whose sends this look chose for the TX stages


class HostReport(Struct, frozen=True):
    """What a look at one of several hosts came to."""

    name: str  # as -H has it
    report: Report | None  # None: it has not answered
    reason: str = ""  # why there is none, or why it ended early
