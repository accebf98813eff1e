"""A file appears whole, or as it grows only with what is complete; it belongs to the user who
asked, and follows no link."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from nettop.ending import ending
from nettop.errors import NettopError
from nettop.invoker import invoking_user

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
BUFFER_BYTES = 1 << 16


class AtomicFile:
    """Writes beside the target and renames over it; mode 0600.

    A context manager: leaving it well commits, leaving it by an exception removes the
    temporary file and keeps what was there before. A file that grows takes its place at the
    first mark(), and from then on ends at the last one however it is left.

    Raises:
        NettopError: in one line, when the target cannot be written.
    """

    def __init__(
        self, target: str | Path, environ: Mapping[str, str] | None = None, *, grows: bool = False
    ) -> None:
        self.target = Path(target)
        self._grows = grows
        self._environ = os.environ if environ is None else environ
        self._dir_fd = -1
        self._name = ""
        self._fd = -1
        self._buffer: list[bytes] = []
        self._size = 0
        self._kept = 0  # bytes up to the last mark()
        self._written = 0

    def __enter__(self) -> AtomicFile:
        folder = self.target.parent
        if self.target.name in ("", ".", ".."):
            raise NettopError(f"{self.target}: is a directory; name a file")
        try:
            self._dir_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._check_target()
            self._open_temporary()
        except OSError as error:
            self._close()
            raise _cannot(self.target, error) from error
        except BaseException:  # a signal too
            self._close()
            raise
        return self

    def _check_target(self) -> None:
        try:
            mode = os.stat(self.target.name, dir_fd=self._dir_fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            raise NettopError(f"{self.target}: is a symbolic link; name the file itself")
        if stat.S_ISDIR(mode):
            raise NettopError(f"{self.target}: is a directory; name a file")
        if not stat.S_ISREG(mode):
            raise NettopError(f"{self.target}: is not a regular file; name a file")

    def _open_temporary(self) -> None:
        # Short enough for a file system whatever the target's characters take.
        name = f".{self.target.name[:50]}.{os.urandom(6).hex()}"
        self._fd = os.open(name, _FLAGS, 0o600, dir_fd=self._dir_fd)
        self._name = name
        ending.leftovers.add(self._remove_if_empty)
        os.fchmod(self._fd, 0o600)
        owner = invoking_user(self._environ)
        if owner is not None:
            os.fchown(self._fd, *owner)

    def write(self, data: bytes) -> None:
        """Adds bytes; a full disk is a NettopError."""
        self._buffer.append(data)
        self._size += len(data)
        if self._size >= BUFFER_BYTES:
            self._flush()

    def mark(self) -> None:
        """All up to here is complete: keep() cuts back to the last mark."""
        self._flush()
        self._kept = self._written
        if self._grows and self._name:
            self._publish()

    def keep(self) -> bool:
        """Drops what came after the last mark; False if nothing is left."""
        self._buffer.clear()
        self._size = 0
        if self._fd >= 0 and self._written != self._kept:
            os.ftruncate(self._fd, self._kept)
            os.lseek(self._fd, self._kept, os.SEEK_SET)
            self._written = self._kept
        return self._kept > 0

    def _flush(self) -> None:
        data = memoryview(b"".join(self._buffer))
        self._buffer.clear()
        self._size = 0
        try:
            while data:
                n = os.write(self._fd, data)
                self._written += n
                data = data[n:]
        except OSError as error:
            raise _cannot(self.target, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
            elif self._grows and not self._name:
                with contextlib.suppress(OSError):  # the error that ended it is said
                    self.keep()
        finally:
            self._close()

    def _commit(self) -> None:
        self._flush()
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _cannot(self.target, error) from error
        if self._name:
            self._publish()

    def _publish(self) -> None:
        try:
            self._check_target()
            os.rename(
                self._name, self.target.name, src_dir_fd=self._dir_fd, dst_dir_fd=self._dir_fd
            )
            self._name = ""
            os.fsync(self._dir_fd)
        except OSError as error:
            raise _cannot(self.target, error) from error

    def _remove_if_empty(self) -> None:
        """A temporary file that holds nothing complete."""
        if self._name and not self._kept:
            os.unlink(self._name, dir_fd=self._dir_fd)

    def _close(self) -> None:
        ending.leftovers.discard(self._remove_if_empty)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._name:
            with contextlib.suppress(OSError):  # another process has removed it
                os.unlink(self._name, dir_fd=self._dir_fd)
            self._name = ""
        if self._dir_fd >= 0:
            os.close(self._dir_fd)
            self._dir_fd = -1


def check_writable(target: str | Path) -> None:
    """Tries whether a file could be made there; leaves nothing behind.

    Raises:
        NettopError: in one line, when it could not.
    """
    with contextlib.suppress(_TriedError), AtomicFile(target):  # leaving it so removes it
        raise _TriedError


class _TriedError(Exception):
    pass


def _cannot(target: Path, error: OSError) -> NettopError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return NettopError(f"cannot write {target}: {reason}")
