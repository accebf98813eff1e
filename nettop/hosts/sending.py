"""The sending end of a stream: a thread that writes, so that a slow reader holds up no poll."""

from __future__ import annotations

import json
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from nettop.hosts.wire import note_bytes

MOST_NOTES = 64  # that wait; further ones are left out
MOST_LINE_BYTES = 64 << 10
_PIECE_BYTES = 1 << 16


class Sender:
    """Writes one frame at a time: what does not fit is not offered again."""

    def __init__(self, fd: int, on_gone: Callable[[], None]) -> None:
        """on_gone: called once, from another thread, when the reader is gone."""
        self._fd, self._on_gone = fd, on_gone
        self._wake = threading.Condition()
        self._frame: bytes | None = None
        self._notes: deque[bytes] = deque()
        self._writing = False
        self._gone = False

    def start(self, hello: bytes) -> None:
        self._notes.append(hello)
        for name, run in (("nettop-send", self._run), ("nettop-reader", self._watch)):
            threading.Thread(target=run, name=name, daemon=True).start()

    @property
    def free(self) -> bool:
        """All that was sent has been taken off."""
        with self._wake:
            return self._frame is None and not self._writing

    def send(self, frame: bytes) -> None:
        """While free."""
        with self._wake:
            self._frame = frame
            self._wake.notify()

    def note(self, note: dict[str, Any]) -> None:
        with self._wake:
            if len(self._notes) < MOST_NOTES:
                self._notes.append(note_bytes(note))
                self._wake.notify()

    def flush(self, seconds: float) -> None:
        """Waits until all is written, but no longer."""
        with self._wake:
            self._wake.wait_for(
                lambda: self._gone or not (self._writing or self._notes or self._frame), seconds
            )

    def _run(self) -> None:
        try:
            while True:
                with self._wake:
                    self._writing = False
                    self._wake.notify_all()
                    self._wake.wait_for(lambda: self._notes or self._frame is not None)
                    self._writing = True
                    if self._notes:
                        data = self._notes.popleft()
                    else:
                        assert self._frame is not None
                        data, self._frame = self._frame, None
                view = memoryview(data)
                while view:
                    view = view[os.write(self._fd, view[:_PIECE_BYTES]) :]
        except OSError:
            self._lost()

    def _watch(self) -> None:
        """A pipe whose reader is gone says so, though nothing is written."""
        poll = select.poll()
        poll.register(self._fd, 0)
        while True:
            if any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(1000)):
                self._lost()
                return

    def _lost(self) -> None:
        with self._wake:
            first, self._gone = not self._gone, True
            self._wake.notify_all()
        if first:
            self._on_gone()


class Control:
    """Lines of JSON from a descriptor, read by a thread."""

    def __init__(
        self, fd: int, on_object: Callable[[dict[str, Any]], None], on_end: Callable[[], None]
    ) -> None:
        """Both are called from the thread; what is no object is passed over."""
        self._fd, self._on_object, self._on_end = fd, on_object, on_end

    def start(self) -> None:
        threading.Thread(target=self._run, name="nettop-control", daemon=True).start()

    def _run(self) -> None:
        held = b""
        try:
            while (data := os.read(self._fd, _PIECE_BYTES)) and len(held) < MOST_LINE_BYTES:
                *lines, held = (held + data).split(b"\n")
                for line in lines:
                    try:
                        said = json.loads(line)
                    except (ValueError, RecursionError):
                        continue  # the next line may be one
                    if isinstance(said, dict):
                        self._on_object(said)
        except OSError:
            pass  # it has ended, in another way
        self._on_end()
