"""What a recording's tables say of its ticks: for the time line, and to find what changed."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from nettop.changes import EVENTS, QUIET_TICKS, Changed, EventRuns, as_change
from nettop.model.events import EVENT_NAMES, EventType
from nettop.store.place import opened, plain_errors

SPOTS_MOST = 2000
_PAGE = 256
_FIRST_TICKS, _MOST_TICKS = 16, 128  # whose events are read at a time
_KINDS: dict[object, EventType] = {EVENT_NAMES[kind]: kind for kind in EVENTS}
_TYPES = ", ".join(f"'{name}'" for name in sorted(map(str, _KINDS)))
_UNSIGNED = 1 << 64


def _cookies(rows: Iterable[tuple[object]]) -> set[int]:
    """Of rows that any program may have written."""
    return {c % _UNSIGNED for (c,) in rows if isinstance(c, int) and c}  # SQLite's are signed


class Spot(NamedTuple):
    """Some ticks in a row: the largest of their counts."""

    seq: int  # of the last
    wall_ns: int
    unwell: int
    watch: int
    events: Mapping[str, int]  # by type as JSON names it, only those that happened


class SaidTicks:
    """Of a recording; `changes` as a nettop.changes.Changes has them. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            NettopError: the file cannot be read.
        """
        self._path = path
        self._db = opened(path, write=False)
        with plain_errors(path, "cannot read"):
            kinds = dict(self._db.execute("SELECT name, type FROM sqlite_master"))
        # A view of that name could take for ever.
        self.there = all(kinds.get(name) == "table" for name in ("ticks", "spells", "events"))
        if self.there:  # ticks of an older version, and of tests, have their times alone
            said = "SELECT 1 FROM ticks WHERE typeof(unwell) = 'integer' LIMIT 1"
            with plain_errors(path, "cannot read"):
                self.there = self._db.execute(said).fetchone() is not None
        self._spots: tuple[int, list[Spot]] = (-1, [])

    @property
    def changes(self) -> SaidTicks:
        return self

    def summaries(self) -> list[Spot]:
        """Oldest first, at most SPOTS_MOST; of ticks that the tables do not know: none."""
        if not self.there:
            return []
        with plain_errors(self._path, "cannot read"):
            (last,) = self._db.execute("SELECT max(seq) FROM ticks").fetchone()
            if last != self._spots[0]:
                self._spots = last, self._read_spots()
        return self._spots[1]

    def _read_spots(self) -> list[Spot]:
        first, last = self._db.execute("SELECT min(wall_ns), max(wall_ns) FROM ticks").fetchone()
        if not (isinstance(first, int) and isinstance(last, int)):
            return []
        names = list(EVENT_NAMES.values())
        events = ", ".join(f"total(events_{name})" for name in names)
        rows = self._db.execute(
            f"SELECT max(seq), max(wall_ns), max(unwell), max(watch), {events} FROM ticks "
            "WHERE typeof(unwell) = 'integer' AND typeof(watch) = 'integer' "
            "AND typeof(seq) = 'integer' AND typeof(wall_ns) = 'integer' "
            "GROUP BY (wall_ns - ?) / ? ORDER BY 1",
            (first, (last - first) // SPOTS_MOST + 1),
        )
        spots = []
        for seq, wall_ns, unwell, watch, *counts in rows:
            happened = {n: int(c) for n, c in zip(names, counts, strict=True) if c}
            spots.append(Spot(seq, wall_ns, unwell, watch, happened))
        return spots

    def before(self, seq: int) -> Iterator[Changed]:
        """Ticks before a seq in which something changed, the nearest first."""
        yield from self._nearest(seq, "<", "DESC")

    def after(self, seq: int) -> Iterator[Changed]:
        """Ticks after a seq, the nearest first."""
        yield from self._nearest(seq, ">", "ASC")

    def _nearest(self, seq: int, side: str, order: str) -> Iterator[Changed]:
        if not self.there:
            return
        back = order == "DESC"
        spells = [
            ((found, None) for found in self._seqs(column, seq, side, order))
            for column in ("from_seq", "to_seq")
        ]
        runs = ((edge.seq, edge) for edge in self._edges(seq, back=back))
        found = heapq.merge(*spells, runs, key=itemgetter(0), reverse=back)
        for at, some in groupby(found, key=itemgetter(0)):
            edges = [edge for _, edge in some if edge is not None]
            cookies = self._of_spells(at).union(*(edge.cookies for edge in edges))
            yield as_change(at, cookies, sum(edge.left_out for edge in edges))

    def _seqs(self, column: str, seq: int, side: str, order: str) -> Iterator[int]:
        while True:
            rows = self._all(
                f"SELECT DISTINCT {column} FROM spells WHERE {column} {side} ? "
                f"AND typeof({column}) = 'integer' ORDER BY 1 {order} LIMIT {_PAGE}",
                seq,
            )
            yield from (found for (found,) in rows)
            if len(rows) < _PAGE:
                return
            seq = rows[-1][0]

    def _of_spells(self, seq: int) -> set[int]:
        rows = self._all("SELECT cookie FROM spells WHERE from_seq = ?1 OR to_seq = ?1", seq)
        return _cookies(rows)

    def _edges(self, seq: int, *, back: bool) -> Iterator[Changed]:
        """Ticks before a seq, or after it, in which runs of events began or ended, nearest first.

        Some ticks are read at a time, of which one has an event; with those around them that the
        first and the last of their runs depend on.
        """
        side, edge, by = ("<", "max", -1) if back else (">", "min", 1)
        nearest = (
            f"SELECT {edge}(seq) FROM events WHERE seq {side} ? AND typeof(seq) = 'integer' "
            f"AND type IN ({_TYPES})"
        )
        begin, many = seq + by, _FIRST_TICKS
        while True:
            # A run ends one tick after its last event.
            ((anchor,),) = self._all(nearest, begin - by if back else begin - 2)
            if anchor is None:
                return
            end = max(anchor, begin) + many if not back else anchor - many
            low, high = (end, begin) if back else (begin, end)
            edges = [e for e in self._edges_of(low, high) if low <= e.seq <= high]
            edges.sort(key=attrgetter("seq"))
            yield from reversed(edges) if back else edges
            begin, many = end + by, min(many * 2, _MOST_TICKS)

    def _edges_of(self, low: int, high: int) -> Iterator[Changed]:
        """In no order; beyond low and high they may be wrong."""
        first, last = low - 2 * QUIET_TICKS, high + QUIET_TICKS
        events = self._all(
            "SELECT DISTINCT seq, cookie, type FROM events WHERE seq BETWEEN ?1 AND ?2 "
            f"AND typeof(seq) = 'integer' AND type IN ({_TYPES}) ORDER BY seq",
            first,
            last,
        )
        unlisted = dict(self._all(
            "SELECT seq, events_not_listed FROM ticks WHERE seq BETWEEN ?1 AND ?2 "
            "AND typeof(events_not_listed) = 'integer' AND events_not_listed > 0", first, last,
        ))  # fmt: skip
        runs = EventRuns()
        for seq, some in groupby(events, key=itemgetter(0)):
            befallen = {
                (cookie, int(_KINDS[kind]))
                for _, raw, kind in some
                for cookie in _cookies([(raw,)])
            }
            yield from runs.take(seq, befallen, unlisted.get(seq, 0))
        ((newest,),) = self._all("SELECT max(seq) FROM ticks WHERE seq <= ?", last)
        if isinstance(newest, int):
            yield from runs.take(newest, ())

    def _all(self, query: str, *values: int) -> list[Any]:
        with plain_errors(self._path, "cannot read"):
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        self._db.close()
