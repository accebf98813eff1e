"""How much of a recording is kept: enforced at every tick, in the tick's own transaction."""

from __future__ import annotations

import sqlite3
from collections import deque
from pathlib import Path

from msgspec import Struct

from nettop.errors import NettopError
from nettop.text import units

# What the -wal grows to between two ticks, and what it is cut to when its content has moved into
# the file; what stands in the third file of SQLite.
WAL_BYTES = 1 << 20
_WAL_CUT_BYTES = 1 << 19
_SHM_BYTES = 1 << 15
# The oldest ticks go as far as a key frame, so that a file has several groups of them; but a key
# frame is dear, and not every tick is to be one where the file is small.
_GROUPS = 8
_GROUPS_LEAST = 3
_OF_KEYS = 4
# A file that has become emptier shrinks by this much a tick, one that is too large by more.
_SHRINK_PAGES = 64
_CUT_PAGES = 4096


class Limits(Struct, frozen=True):
    """None: without limit."""

    keep_s: float | None = None
    max_bytes: int | None = None  # of the file with what stands beside it


NO_LIMITS = Limits()


class _Group(Struct):
    """A key frame and the ticks up to the next."""

    seq: int
    elapsed_ns: int
    key_bytes: int = 0
    n_bytes: int = 0


class Retention:
    """Deletes the oldest ticks, with the spells and events that end with them."""

    def __init__(self, db: sqlite3.Connection, wal: Path, limits: Limits) -> None:
        self._db, self._wal, self._limits = db, wal, limits
        db.execute(f"PRAGMA journal_size_limit = {_WAL_CUT_BYTES}")
        self._page_bytes = int(db.execute("PRAGMA page_size").fetchone()[0])
        (vacuum,) = db.execute("PRAGMA auto_vacuum").fetchone()
        self._shrinks = bool(vacuum)  # a file of version 1 does not
        self._groups = deque(
            _Group(seq, elapsed_ns)
            for seq, elapsed_ns in db.execute(
                "SELECT seq, elapsed_ns FROM frames JOIN ticks USING (seq) WHERE key ORDER BY seq"
            )
        )

    @property
    def wants_key(self) -> bool:
        """Whether a group has become too large to be deleted as one."""
        room = self._room()
        newest = self._groups[-1] if self._groups else None
        if room is None or newest is None:
            return False
        most = max(room / _GROUPS, _OF_KEYS * newest.key_bytes)
        return newest.n_bytes > min(most, room / _GROUPS_LEAST)

    def tick(self, seq: int, elapsed_ns: int, *, key: bool, n_bytes: int) -> None:
        """Of the tick that was just written, in its transaction.

        Raises:
            NettopError: a whole tick does not fit.
        """
        if key:
            self._groups.append(_Group(seq, elapsed_ns, n_bytes))
        if self._groups:
            self._groups[-1].n_bytes += n_bytes
        keep_s = self._limits.keep_s
        if keep_s is not None:
            oldest_ns = elapsed_ns - round(keep_s * 1e9)
            n = 0
            while n + 1 < len(self._groups) and self._groups[n + 1].elapsed_ns <= oldest_ns:
                n += 1
            self._delete(n)
        room = self._room()
        if room is not None:
            while self._used() > room and len(self._groups) > 1:
                self._delete(1)
            if self._used() > room and key:
                assert self._limits.max_bytes is not None
                raise NettopError(
                    f"a whole tick takes {units.size(self._used())} in the file: too much for "
                    f"--max-size {units.size(self._limits.max_bytes)}; raise it"
                )
        self._shrink(room)

    def _room(self) -> int | None:
        """Bytes that the file itself may take."""
        if self._limits.max_bytes is None:
            return None
        try:
            wal = self._wal.stat().st_size
        except OSError:
            wal = 0
        return self._limits.max_bytes - max(wal, WAL_BYTES) - _SHM_BYTES

    def _pages(self) -> tuple[int, int]:
        """All, and free ones."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        return pages, free

    def _used(self) -> int:
        pages, free = self._pages()
        return (pages - free) * self._page_bytes

    def _delete(self, groups: int) -> None:
        if not groups:
            return
        for _ in range(groups):
            self._groups.popleft()
        first = (self._groups[0].seq,)
        self._db.execute("DELETE FROM frames WHERE seq < ?", first)
        self._db.execute("DELETE FROM ticks WHERE seq < ?", first)
        self._db.execute("DELETE FROM events WHERE seq < ?", first)
        self._db.execute("DELETE FROM spells WHERE to_seq < ?", first)

    def _shrink(self, room: int | None) -> None:
        """Gives pages back that the next ticks will not need."""
        if not self._shrinks:
            return
        pages, free = self._pages()
        spare = min(free - pages // 4, _SHRINK_PAGES)
        if room is not None:
            excess = min(free, pages - room // self._page_bytes, _CUT_PAGES)
            spare = max(spare, excess)
        for _ in range(spare):
            # Python steps a statement without columns once: that is a page.
            self._db.execute("PRAGMA incremental_vacuum(1)")
