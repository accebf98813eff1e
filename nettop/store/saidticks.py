"""What a recording's tables say of its ticks: for the time line, and to find what changed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nettop.changes import EVENTS, Changed
from nettop.model.events import EVENT_NAMES
from nettop.store.place import opened, plain_errors

SPOTS_MOST = 2000
_PAGE = 256
_NAMED_MOST = 1024  # sockets of one tick
_TYPES = ", ".join(f"'{EVENT_NAMES[kind]}'" for kind in sorted(EVENTS))
_UNSIGNED = 1 << 64


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
        lists = [
            self._seqs(table, column, where, seq, side, order)
            for table, column, where in (
                ("spells", "from_seq", ""),
                ("spells", "to_seq", ""),
                ("events", "seq", f"AND type IN ({_TYPES})"),
            )
        ]
        before = None
        for found in heapq.merge(*lists, reverse=order == "DESC"):
            if found != before:
                before = found
                yield self._changed(found)

    def _seqs(
        self, table: str, column: str, where: str, seq: int, side: str, order: str
    ) -> Iterator[int]:
        while True:
            rows = self._all(
                f"SELECT DISTINCT {column} FROM {table} WHERE {column} {side} ? "
                f"AND typeof({column}) = 'integer' {where} ORDER BY 1 {order} LIMIT {_PAGE}",
                seq,
            )
            yield from (found for (found,) in rows)
            if len(rows) < _PAGE:
                return
            seq = rows[-1][0]

    def _changed(self, seq: int) -> Changed:
        rows = self._all(
            "SELECT cookie FROM spells WHERE from_seq = ?1 OR to_seq = ?1 UNION "
            f"SELECT cookie FROM events WHERE seq = ?1 AND type IN ({_TYPES}) "
            f"LIMIT {_NAMED_MOST + 1}",
            seq,
        )
        # SQLite has signed numbers alone.
        cookies = {c % _UNSIGNED for (c,) in rows if isinstance(c, int) and c}
        left_out = self._not_listed(seq) + max(0, len(rows) - _NAMED_MOST)
        return Changed(seq, frozenset(cookies), left_out)

    def _not_listed(self, seq: int) -> int:
        """Events of a tick that the table does not have: whose they are is not known."""
        rows = self._all("SELECT events_not_listed FROM ticks WHERE seq = ?", seq)
        return rows[0][0] if rows and isinstance(rows[0][0], int) else 0

    def _all(self, query: str, seq: int) -> list[Any]:
        with plain_errors(self._path, "cannot read"):
            return self._db.execute(query, (seq,)).fetchall()

    def close(self) -> None:
        self._db.close()
