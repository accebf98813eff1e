"""A recording: one SQLite file with a frame a tick, valid at every instant.

SQLite in WAL mode survives kill -9 and a power cut; a reader never waits for the writer. Tables:
`meta` (name, value: schema, host, kernel, nettop) and `frames` (seq, wall_ns, mono_ns, key, frame).
Times are nanoseconds; frames are those of nettop.store.frames.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from nettop.errors import NettopError
from nettop.invoker import invoking_user
from nettop.sample import Sample
from nettop.store.frames import FrameError, FrameReader, FrameWriter
from nettop.store.source import FrameInfo
from nettop.text.clean import clean

APPLICATION_ID = 0x6E657474  # "nett": what file(1) and SQLite see
USER_VERSION = 1
KEY_EVERY_S = 60.0

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frames (
    seq INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, mono_ns INTEGER NOT NULL,
    key INTEGER NOT NULL, frame BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS frames_by_time ON frames (wall_ns);
CREATE INDEX IF NOT EXISTS frames_key ON frames (seq) WHERE key;
"""


class RecordingWriter:
    """Appends samples; one writer a file. Times of a host that was restarted go on after a gap."""

    def __init__(self, path: str | Path, about: Mapping[str, str]) -> None:
        """
        Args:
            about: what `meta` says beside the schema: host, kernel, nettop.

        Raises:
            NettopError: in one line, when the file cannot be written or is something else.
        """
        self.path = Path(path)
        self._lock_fd = _create(self.path)
        self._writer = FrameWriter()
        self._keyed_ns: int | None = None
        try:
            self._db = _opened(self.path, write=True)
            self._prepare(about)
        except BaseException:
            os.close(self._lock_fd)
            raise

    def _prepare(self, about: Mapping[str, str]) -> None:
        with _plain_errors(self.path, "cannot write"):
            # Before WAL: the file alone, without what stands beside it, says what it is.
            self._db.executescript(
                f"BEGIN;{_TABLES}PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {USER_VERSION};COMMIT;"
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO meta VALUES (?, ?)", sorted(about.items())
                )
            (last,) = self._db.execute("SELECT max(seq) FROM frames").fetchone()
        self._seq = last or 0

    def wants_whole(self, mono_ns: int) -> bool:
        """Whether the sample that is taken at this time has to say all that is known."""
        return self._keyed_ns is None or mono_ns - self._keyed_ns >= KEY_EVERY_S * 1e9

    def add(self, sample: Sample) -> int:
        """Takes one tick in; returns the bytes of its frame."""
        frame = self._writer.frame(sample)
        if sample.whole:
            self._keyed_ns = sample.mono_ns
        self._seq += 1
        row = (self._seq, sample.wall_ns, sample.mono_ns, sample.whole, frame)
        with _plain_errors(self.path, "cannot write"), self._db:
            self._db.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?)", row)
        return len(frame)

    def close(self) -> None:
        """Leaves one file: what stands beside it is taken in. Again: nothing."""
        if self._lock_fd < 0:
            return
        # Where that fails, as on a full disk, the two files together are as valid.
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
        os.close(self._lock_fd)
        self._lock_fd = -1


class Recording:
    """A recording that is read, also while it is written."""

    def __init__(self, path: str | Path) -> None:
        """
        Raises:
            NettopError: in one line, when it cannot be read or is no recording.
        """
        self.path = Path(path)
        self._db = _opened(self.path, write=False)
        with _plain_errors(self.path, "cannot read"):
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            if application != APPLICATION_ID:
                raise NettopError(f"{self.path}: not a recording of nettop")
            if version > USER_VERSION:
                raise NettopError(
                    f"{self.path}: a recording of a newer nettop (schema {version}, this one "
                    f"reads up to {USER_VERSION}): open it with that version"
                )
            # A view of that name could take for ever.
            kinds = self._db.execute(
                "SELECT type FROM sqlite_master WHERE name IN ('meta', 'frames')"
            ).fetchall()
            if kinds != [("table",)] * 2:
                raise NettopError(f"{self.path}: not a recording of nettop: it lacks its tables")
            self.about = {
                str(name): str(value)
                for name, value in self._db.execute("SELECT name, value FROM meta")
            }

    def frames(self) -> list[FrameInfo]:
        """All of them, oldest first.

        Raises:
            NettopError: in one line, when there is none, or they cannot be read.
        """
        with _plain_errors(self.path, "cannot read"):
            rows = self._db.execute("SELECT seq, wall_ns, mono_ns, key FROM frames ORDER BY seq")
            found = []
            for seq, wall_ns, mono_ns, key in rows:
                # SQLite keeps whatever it is given.
                if not (isinstance(wall_ns, int) and isinstance(mono_ns, int)):
                    raise NettopError(
                        f"{self.path}: tick {seq} is damaged: its times are no numbers"
                    )
                found.append(FrameInfo(seq, wall_ns, mono_ns, bool(key)))
            if not found:
                raise NettopError(f"{self.path}: holds no tick{self._beside()}")
            return found

    def _beside(self) -> str:
        wal = _wal_of(self.path)
        if wal.exists() and wal.stat().st_size:  # a reader makes an empty one
            return ""
        return f"; those of a recorder that was killed are in {wal.name}, to be copied with it"

    def samples(self, first: int = 0, last: int = 2**62) -> Iterator[Sample]:
        """From the last key frame at or before a seq on, or from the first there is; up to last."""
        with _plain_errors(self.path, "cannot read"):
            (start,) = self._db.execute(
                "SELECT coalesce(max(seq), 0) FROM frames WHERE key AND seq <= ?", (first,)
            ).fetchone()
            rows = self._db.execute(
                "SELECT seq, frame FROM frames WHERE seq >= ? AND seq <= ? ORDER BY seq",
                (start, last),
            )
            reader = FrameReader()
            for seq, frame in rows:
                try:
                    if not isinstance(frame, bytes):
                        raise FrameError("a frame of the recording is damaged: it is no blob")
                    yield reader.sample(frame)
                except FrameError as error:
                    raise NettopError(f"{self.path}: tick {seq}: {error}") from None

    def close(self) -> None:
        self._db.close()


def is_recording(path: str | Path) -> bool:
    """Whether the file begins as SQLite's do."""
    return _begins_with(path, b"SQLite format 3\0")


def _begins_with(path: str | Path, sign: bytes) -> bool:
    path = Path(path)
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as f:
            return f.read(len(sign)) == sign
    except OSError:
        return False


def _create(path: Path) -> int:
    """Makes the file, mode 0600 and the invoking user's, or opens it; locked against other
    recorders. Returns the descriptor that holds the lock."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    made = False
    try:
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
            made = True
        except FileExistsError:
            fd = os.open(path, flags)
    except OSError as error:
        if path.is_symlink():
            raise NettopError(f"{path}: is a symbolic link; name the file itself") from None
        raise NettopError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NettopError(f"{path}: is not a regular file; name a file")
        owner = invoking_user(os.environ)
        if made and owner is not None:
            os.fchown(fd, *owner)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NettopError(f"{path}: another nettop records to it; name another file") from None
        if not made and os.fstat(fd).st_size and not is_recording(path):
            raise NettopError(f"{path}: exists and is no recording; name another file")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _opened(path: Path, *, write: bool) -> sqlite3.Connection:
    if not write and not path.is_file():  # SQLite would wait for a pipe for ever
        why = "is not a regular file" if path.exists() else os.strerror(errno.ENOENT)
        raise NettopError(f"cannot read {path}: {why}")
    options = "mode=rw" if write else "mode=ro"
    if not write and not os.access(path.parent, os.W_OK) and not _wal_of(path).exists():
        options = "immutable=1"  # else SQLite would make its files beside it
    with _plain_errors(path, "cannot write" if write else "cannot read"):
        db = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?{options}", uri=True, timeout=5,
            isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        db.execute("PRAGMA trusted_schema = OFF")
        return db


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@contextlib.contextmanager
def _plain_errors(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = clean(str(error).encode())  # it may quote the file
        if "not a database" in text:
            other = ": a snapshot? nettop open shows it" if _begins_with(path, b"{") else ""
            raise NettopError(f"{path}: not a recording of nettop{other}") from None
        raise NettopError(f"{what} {path}: {text}") from None
