"""A recording: one SQLite file with a frame a tick, valid at every instant.

SQLite in WAL mode survives kill -9 and a power cut; a reader never waits for the writer. What the
tables hold: nettop.store.schema.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from nettop.errors import NettopError
from nettop.sample import Sample
from nettop.store.frames import FrameError, FrameReader, FrameWriter
from nettop.store.gaps import Clocks, passed
from nettop.store.place import create, is_recording, opened, plain_errors, wal_of
from nettop.store.retention import NO_LIMITS, Limits, Retention
from nettop.store.schema import check, insert_events, insert_tick, prepare
from nettop.store.source import FrameInfo
from nettop.store.spelltable import SpellTable
from nettop.store.tables import TickRows

__all__ = ["KEY_EVERY_S", "Recording", "RecordingWriter", "is_recording"]

KEY_EVERY_S = 60.0
_PAGE = 32  # frames that are read at a time: between two the writer may tidy up
_NO_END = 2**62
# Larger ones could not be added up in what SQLite calls an integer.
_MOST_NS = 1 << 62
_WAL_PAGES = 128  # then what is in the -wal moves into the file


class RecordingWriter:
    """Appends samples; one writer a file. Times of a host that was restarted go on after a gap."""

    def __init__(
        self, path: str | Path, about: Mapping[str, str], limits: Limits = NO_LIMITS
    ) -> None:
        """
        Args:
            about: what `meta` says beside the schema: host, kernel, nettop.

        Raises:
            NettopError: in one line, when the file cannot be written or is something else.
        """
        self.path = Path(path)
        self._lock_fd, made = create(self.path)
        self._writer = FrameWriter()
        self._keyed_ns: int | None = None
        try:
            self._db = opened(self.path, write=True)
            self._prepare(about, limits)
        except BaseException:
            if made:
                with contextlib.suppress(OSError):  # nothing was recorded to it
                    self.path.unlink()
            os.close(self._lock_fd)
            raise

    def _prepare(self, about: Mapping[str, str], limits: Limits) -> None:
        with plain_errors(self.path, "cannot write"):
            prepare(self._db, self.path)
            self._db.execute("PRAGMA journal_mode = WAL")
            # Each tick reaches the disk before the next: a power cut takes the last one at most.
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            self._retention = Retention(self._db, wal_of(self.path), limits)
            last = self._db.execute(
                "SELECT seq, wall_ns, mono_ns, slept_ns, elapsed_ns FROM ticks "
                "ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            (boot,) = self._db.execute(
                "SELECT coalesce(max(value), '') FROM meta WHERE name = 'boot'"
            ).fetchone()
            with self._all_or_nothing():
                self._db.executemany(
                    "INSERT OR REPLACE INTO meta VALUES (?, ?)", sorted(about.items())
                )
                if last is not None:
                    SpellTable.cut(self._db, seq=last[0], wall_ns=last[1])
        self._seq, self._elapsed_ns, self._before = 0, 0, None
        if last is not None:
            if not all(isinstance(number, int) and 0 <= number < _MOST_NS for number in last):
                raise NettopError(f"{self.path}: its ticks are damaged; name another file")
            self._seq, wall_ns, mono_ns, slept_ns, self._elapsed_ns = last
            self._before = Clocks(wall_ns, mono_ns, slept_ns, boot)
        self._resumed = True  # until the first tick of this writer
        self._spells = SpellTable(self._db)

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk ended it already
                self._db.execute("ROLLBACK")
            raise

    def wants_whole(self, mono_ns: int) -> bool:
        """Whether the sample that is taken at this time has to say all that is known."""
        due = self._keyed_ns is None or mono_ns - self._keyed_ns >= KEY_EVERY_S * 1e9
        return due or self._retention.wants_key

    def add(self, sample: Sample, rows: TickRows | None = None) -> int:
        """Takes one tick in, all of it or nothing, and deletes what is not to be kept.

        Args:
            rows: what the tables say of it; None: only the times.

        Returns:
            The bytes of its frame.

        Raises:
            NettopError: in one line, when it cannot be written; what was before is there.
        """
        frame = self._writer.frame(sample)
        seq = self._seq + 1
        clocks = rows.clocks if rows else Clocks(sample.wall_ns, sample.mono_ns)
        elapsed_ns, mark = self._since_before(clocks, rows.interval_ns if rows else 0)
        times = {
            "seq": seq, "wall_ns": sample.wall_ns, "mono_ns": sample.mono_ns,
            "slept_ns": clocks.slept_ns, "elapsed_ns": elapsed_ns, "mark": mark,
        }  # fmt: skip
        db = self._db
        with plain_errors(self.path, "cannot write", grows=True), self._all_or_nothing():
            db.execute(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?)",
                (seq, sample.wall_ns, sample.mono_ns, sample.whole, frame),
            )
            insert_tick(db, {**times, **rows.tick} if rows else times)
            if rows is not None:
                self._spells.write(seq, rows)
                insert_events(db, seq, rows.events)
            if self._resumed and clocks.boot:
                db.execute("INSERT OR REPLACE INTO meta VALUES ('boot', ?)", (clocks.boot,))
            self._retention.tick(seq, elapsed_ns, key=sample.whole, n_bytes=len(frame))
        if sample.whole:
            self._keyed_ns = sample.mono_ns
        self._seq, self._elapsed_ns, self._before = seq, elapsed_ns, clocks
        self._resumed = False
        return len(frame)

    def _since_before(self, now: Clocks, interval_ns: int) -> tuple[int, str | None]:
        if self._before is None:
            return 0, None
        gap = passed(self._before, now, interval_ns=interval_ns, resumed=self._resumed)
        return self._elapsed_ns + gap.elapsed_ns, gap.mark

    def close(self) -> None:
        """Leaves one file: what stands beside it is taken in. Again: nothing."""
        if self._lock_fd < 0:
            return
        with contextlib.suppress(sqlite3.Error):  # the next recorder cuts them
            if self._before is not None:
                with self._all_or_nothing():
                    self._spells.close(seq=self._seq, wall_ns=self._before.wall_ns)
        # Where that fails, as on a full disk, the two files together are as valid.
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
        os.close(self._lock_fd)
        self._lock_fd = -1


class Recording:
    """A recording that is read, also while it is written."""

    cleared_seq: int | None = None

    def __init__(self, path: str | Path) -> None:
        """
        Raises:
            NettopError: in one line, when it cannot be read or is no recording.
        """
        self.path = Path(path)
        self._asking = threading.Lock()  # SQLite must not be closed under a query
        self._db = opened(self.path, write=False)
        with plain_errors(self.path, "cannot read"):
            if not check(self._db, self.path):
                raise NettopError(f"{self.path}: not a recording of nettop")
            self.about = {
                str(name): str(value)
                for name, value in self._db.execute("SELECT name, value FROM meta")
            }

    def frames(self) -> list[FrameInfo]:
        """All of them, oldest first.

        Raises:
            NettopError: in one line, when there is none, or they cannot be read.
        """
        with plain_errors(self.path, "cannot read"), self._asking:
            rows = self._db.execute("SELECT seq, wall_ns, mono_ns, key FROM frames ORDER BY seq")
            found: list[FrameInfo] = []
            for seq, wall_ns, mono_ns, key in rows:
                # SQLite keeps whatever it is given.
                if not isinstance(seq, int) or (found and seq <= found[-1].seq):
                    raise NettopError(f"{self.path}: is damaged: its ticks are not in order")
                if not (isinstance(wall_ns, int) and isinstance(mono_ns, int)):
                    raise NettopError(
                        f"{self.path}: tick {seq} is damaged: its times are no numbers"
                    )
                found.append(FrameInfo(seq, wall_ns, mono_ns, bool(key)))
            if not found:
                raise NettopError(f"{self.path}: holds no tick{self._beside()}")
            return found

    def _beside(self) -> str:
        wal = wal_of(self.path)
        if wal.exists() and wal.stat().st_size:  # a reader makes an empty one
            return ""
        return f"; those of a recorder that was killed are in {wal.name}, to be copied with it"

    def samples(
        self, first: int = 0, last: int = _NO_END, *, in_place: bool = False
    ) -> Iterator[Sample]:
        """From the last key frame at or before a seq on, or from the first there is; up to last,
        which is there."""
        with plain_errors(self.path, "cannot read"):
            with self._asking:
                (start,) = self._db.execute(
                    "SELECT coalesce(max(seq), 0) FROM frames WHERE key AND seq <= ?", (first,)
                ).fetchone()
            # What comes next; of a recording from its beginning that is not known.
            reader, due = FrameReader(in_place=in_place), start or first or None
            while page := self._page(start, last):
                for seq, frame in page:
                    if due is not None and seq != due:
                        raise NettopError(
                            f"{self.path}: tick {due} is gone: its recorder deleted it meanwhile "
                            "(--keep, --max-size)"
                        )
                    try:
                        if not isinstance(frame, bytes):
                            raise FrameError("a frame of the recording is damaged: it is no blob")
                        yield reader.sample(frame)
                    except FrameError as error:
                        raise NettopError(f"{self.path}: tick {seq}: {error}") from None
                    due = seq + 1
                start = page[-1][0] + 1
            if due is not None and due <= last < _NO_END:
                raise NettopError(
                    f"{self.path}: tick {due} is gone: its recorder deleted it meanwhile, or the "
                    "file is damaged"
                )

    def _page(self, first: int, last: int) -> list[tuple[int, object]]:
        """A few frames, read at once: a reader that stays in the middle would keep the -wal."""
        with self._asking:
            return self._db.execute(
                "SELECT seq, frame FROM frames WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT ?",
                (first, last, _PAGE),
            ).fetchall()

    def close(self) -> None:
        with self._asking:
            self._db.close()
