"""From ticks to what a scraper gets: the tick's thread adds up, the server's writes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from nettop.engine.counter import OTHER, Counter
from nettop.metrics import names
from nettop.metrics.families import (
    Family,
    Sample,
    labelled,
    of_groups,
    series_of,
    single,
    tick_series,
)
from nettop.metrics.gather import CountedFeed, Gatherer
from nettop.metrics.groups import Groups
from nettop.metrics.hostside import Host, HostFeed, HostTick, families_of
from nettop.metrics.labels import Labeller
from nettop.metrics.series import Series, SeriesTick
from nettop.model.types import Model

# What the exposition says of itself, at most: requests by code, connections by reason.
SPARE_SERIES = 40

LEAST_SERIES = tick_series(Series((), None, OTHER).frozen(), waits=False)  # that a group has


class ExportedFeed(CountedFeed, HostFeed, Protocol):
    """The part of a live feed that is exported."""


class Snapshot(Struct, frozen=True):
    """A tick, ready to be written; nothing changes it."""

    host: HostTick
    groups: tuple[SeriesTick, ...]
    waits: bool  # the RX queue wait is measured
    own: int  # groups with series of their own
    folded: int
    folded_total: int

    @property
    def seq(self) -> int:
        return self.host.ticks


class Exporter:
    """Makes a snapshot of each tick."""

    def __init__(
        self, labeller: Labeller, *, series_max: int, top: int, expire_s: float, whole: bool
    ) -> None:  # fmt: skip
        """whole: no filter of the user's is in force."""
        self.labeller, self.series_max, self.whole = labeller, series_max, whole
        self.started_s = time.time()
        self.latest: Snapshot | None = None  # replaced as a whole, for any thread
        # No more than could have series: else they are all made in the first tick, and folded.
        top = max(1, min(top, series_max // LEAST_SERIES))
        groups = Groups(Counter(labeller.by), labeller.other, top=top, expire_s=expire_s)
        self._gatherer = Gatherer(labeller, groups, whole=whole)
        self._host = Host()

    def take(self, model: Model, feed: ExportedFeed) -> None:
        """The tick that was polled last; for the thread that polls."""
        self._gatherer.take(model, feed)
        host = self._host.take(model, feed, self._gatherer.closed_unknown)
        groups = self._gatherer.groups
        waits = any(s.name == "wait" and s.state != "off" for s in model.sources)
        room = self.series_max - series_of(families_of(host)) - SPARE_SERIES
        frozen = [series.frozen() for series in groups.series]
        used = sum(tick_series(tick, waits=waits) for tick in frozen)
        # Each has about as many; what is left over goes in the next tick.
        each = max(1, used // max(1, len(frozen)))
        groups.widen(room - used, model.mono_ns / 1e9, each)
        if used > room:
            groups.shed(used - room, model.mono_ns / 1e9, each)
            frozen = [series.frozen() for series in groups.series]
            frozen = _fitting(frozen, room, waits)
        self.latest = Snapshot(
            host, tuple(frozen), waits, len(groups.own), groups.folded, groups.folded_total
        )

    def families(self, snapshot: Snapshot, served: Mapping[str, int], cut: Mapping[str, int]
                 ) -> list[Family]:  # fmt: skip
        """
        Args:
            served: requests by code.
            cut: connections that were closed before their end, by reason.
        """
        families = of_groups(snapshot.groups, waits=snapshot.waits) + families_of(snapshot.host)
        families += [
            single(names.GROUPS, snapshot.own),
            single(names.FOLDED, snapshot.folded),
            single(names.FOLDS, snapshot.folded_total),
            single(names.SERIES_MAX, self.series_max),
            labelled(names.SCRAPES, "code", served),
            labelled(names.CUT_OFF, "reason", cut),
            single(names.STARTED, self.started_s),
        ]
        families.append(Family(names.SERIES, [Sample((), series_of(families) + 1)]))
        return families


def _fitting(frozen: Sequence[SeriesTick], room: int, waits: bool) -> list[SeriesTick]:
    """As many as there is room for; `other`, the last, first."""
    out: list[SeriesTick] = []
    for tick in reversed(frozen):
        room -= tick_series(tick, waits=waits)
        if room < 0:
            break
        out.append(tick)
    out.reverse()
    return out
