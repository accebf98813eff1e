"""The file of a recording: made, locked and opened; what SQLite says of it in one line."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from nettop.errors import NettopError
from nettop.invoker import invoking_user
from nettop.text.clean import clean


def is_recording(path: str | Path) -> bool:
    """Whether the file begins as SQLite's do."""
    return begins_with(path, b"SQLite format 3\0")


def begins_with(path: str | Path, sign: bytes) -> bool:
    path = Path(path)
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with path.open("rb") as f:
            return f.read(len(sign)) == sign
    except OSError:
        return False


def create(path: Path) -> tuple[int, bool]:
    """Makes the file, mode 0600 and the invoking user's, or opens it; locked against other
    recorders. Returns the descriptor that holds the lock, and whether the file was made."""
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
    return fd, made


def opened(path: Path, *, write: bool) -> sqlite3.Connection:
    if not write and not path.is_file():  # SQLite would wait for a pipe for ever
        why = "is not a regular file" if path.exists() else os.strerror(errno.ENOENT)
        raise NettopError(f"cannot read {path}: {why}")
    options = "mode=rw" if write else "mode=ro"
    if not write and not os.access(path.parent, os.W_OK) and not wal_of(path).exists():
        options = "immutable=1"  # else SQLite would make its files beside it
    with plain_errors(path, "cannot write" if write else "cannot read"):
        db = sqlite3.connect(
            f"file:{quote(os.fsencode(path.absolute()))}?{options}", uri=True, timeout=5,
            isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        db.execute("PRAGMA trusted_schema = OFF")
        return db


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@contextlib.contextmanager
def plain_errors(path: Path, what: str, *, grows: bool = False) -> Iterator[None]:
    """grows: ticks are appended to what is in it."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = clean(str(error).encode())  # it may quote the file
        if "not a database" in text:
            other = ": a snapshot? nettop open shows it" if begins_with(path, b"{") else ""
            raise NettopError(f"{path}: not a recording of nettop{other}") from None
        name = getattr(error, "sqlite_errorname", "")
        plain = next((words for begins, words in _SAID if name.startswith(begins)), text)
        kept = "; what was recorded before is in it" if grows and plain is _FULL else ""
        raise NettopError(f"{what} {path}: {plain}{kept}") from None
    except UnicodeDecodeError:  # of a name in its schema
        raise NettopError(f"{what} {path}: it is damaged") from None


_FULL = "the disk is full"
# By the beginning of what SQLite calls its errors.
_SAID = (
    ("SQLITE_FULL", _FULL),
    (
        "SQLITE_READONLY",
        "its folder must be writable too, for the files that SQLite puts beside it",
    ),
    ("SQLITE_BUSY", "another program keeps it locked"),
)
