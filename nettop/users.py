"""Names of users, never waited for inside a tick or by the screen.

passwd(5) is read at once. What is not in it may come from a directory service (nsswitch.conf),
which may be slow or dead: that is asked in the background, by one thread at a time, and the name
is there when it has come. Of many users, those that were asked for last, as on the screen, are
looked up first.
"""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from nettop.text.clean import clean

PASSWD = Path("/etc/passwd")
NOT_FOUND_S = 300.0  # so long it is not asked for again
CACHE_MOST = 65536
QUEUE_MOST = 4096  # what was asked for before those is forgotten, and asked for again
COMMAND_LINE_S = 10.0

Key = int | str


class PendingError(Exception):
    """The directory service has not answered yet."""


class Users:
    """uid → name and name → uid; any thread may ask."""

    def __init__(
        self,
        *,
        passwd: Path = PASSWD,
        by_uid: Callable[[int], str] = lambda uid: pwd.getpwuid(uid).pw_name,
        by_name: Callable[[str], int] = lambda name: pwd.getpwnam(name).pw_uid,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._passwd, self._by_uid, self._by_name = passwd, by_uid, by_name
        self._clock = clock
        self._filed: tuple[dict[int, str], dict[str, int]] | None = None
        self._known: dict[Key, Key] = {}
        self._vain: dict[Key, float] = {}  # → not to be asked for again before
        self._queue: OrderedDict[Key, None] = OrderedDict()  # the last is looked up next
        self._pending: set[Key] = set()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self.patience_s = COMMAND_LINE_S  # what may be waited for answers from now on, in all

    @property
    def busy(self) -> bool:
        """Something is being looked up."""
        return self._thread is not None

    def filed(self, uid: int) -> str | None:
        """By passwd(5) alone."""
        return self._files()[0].get(uid)

    def name(self, uid: int, *, last: bool = False) -> str | None:
        """Login name; None if there is none, or none yet.

        Args:
            last: it is looked up after all others.
        """
        found: Key | None = self.filed(uid)
        if found is None:
            found = self._ask(uid, last=last)[0]
        return found if isinstance(found, str) else None

    def uid(self, name: str) -> int | None:
        """None if there is no such user.

        Raises:
            PendingError: that is not known yet.
        """
        found: Key | None = self._files()[1].get(name)
        if found is None:
            found, pending = self._ask(name)
            if pending:
                raise PendingError(name)
        return found if isinstance(found, int) else None

    def _files(self) -> tuple[dict[int, str], dict[str, int]]:
        if self._filed is None:
            self._filed = read_passwd(self._passwd)
        return self._filed

    def _ask(self, key: Key, *, last: bool = False) -> tuple[Key | None, bool]:
        """What is known, and whether more may come."""
        with self._changed:
            found = self._known.get(key)
            if found is not None:
                return found, False
            if self._clock() < self._vain.get(key, float("-inf")):
                return None, False
            if key in self._queue:
                if not last:
                    self._queue.move_to_end(key)
            elif key not in self._pending:
                self._pending.add(key)
                self._queue[key] = None
                self._queue.move_to_end(key, last=not last)
                if len(self._queue) > QUEUE_MOST:
                    self._pending.discard(self._queue.popitem(last=False)[0])
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work, name="nettop-users", daemon=True
                    )
                    self._thread.start()
            if key in self._pending and self.patience_s > 0:
                self._wait(key)
            return self._known.get(key), key in self._pending

    def _wait(self, key: Key) -> None:
        begin = time.monotonic()
        # The thread has ended, not just answered: privileges are given up by one thread alone.
        self._changed.wait_for(
            lambda: key not in self._pending and self._thread is None, self.patience_s
        )
        self.patience_s -= time.monotonic() - begin

    def _work(self) -> None:
        """Answers what is queued, then ends."""
        while True:
            with self._changed:
                if not self._queue:
                    self._thread = None
                    self._changed.notify_all()
                    return
                key = self._queue.popitem()[0]
            found: Key | None = None
            with suppress(KeyError, ValueError, OverflowError, OSError):  # none, or it failed
                found = clean(self._by_uid(key)) if isinstance(key, int) else self._by_name(key)
            with self._changed:
                for cache in (self._known, self._vain):
                    if len(cache) >= CACHE_MOST:
                        cache.clear()
                if found is None:
                    self._vain[key] = self._clock() + NOT_FOUND_S
                else:
                    self._known[key] = found
                self._pending.discard(key)
                self._changed.notify_all()


def read_passwd(path: Path) -> tuple[dict[int, str], dict[str, int]]:
    """uid → the first name with it, name → uid, from passwd(5); empty if it cannot be read."""
    names: dict[int, str] = {}
    uids: dict[str, int] = {}
    try:
        raw = path.read_bytes()
    except OSError:
        return names, uids
    for line in raw.splitlines():
        fields = line.split(b":")
        if len(fields) >= 4 and fields[0] and fields[2].isdigit():
            uid = int(fields[2])
            names.setdefault(uid, clean(fields[0]))
            uids.setdefault(fields[0].decode("utf-8", "surrogateescape"), uid)
    return names, uids


def filed_home(uid: int, passwd: Path = PASSWD) -> str | None:
    """The home of a user by passwd(5) alone: no directory service is asked, and none waited for."""
    try:
        lines = passwd.read_bytes().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split(b":")
        if len(fields) >= 6 and fields[2] == str(uid).encode():
            return os.fsdecode(fields[5])
    return None


USERS = Users()
