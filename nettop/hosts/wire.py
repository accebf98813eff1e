"""What a stream is made of: a hello line, then frames and notes.

The hello is a line of ASCII: HELLO and a JSON object (nettop, schema, host, kernel). What stands
before it is noise of a login. Then come frames (store/frames.py) and notes: NOTE_HEAD (magic,
CRC-32 of the text, its bytes) and a JSON object. The other way go lines of JSON: commands/stream.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from nettop.errors import NettopError
from nettop.store import foreign
from nettop.store.frames import HEAD, MAGIC, SCHEMA

HELLO = b"nettop-stream 1 "
_OTHER_HELLO = re.compile(rb"nettop-stream (\d{1,9}) ")
NOTE_MAGIC = b"NTNO"
NOTE_HEAD = struct.Struct("<4sII")
# What another host can make one keep.
MOST_NOISE_BYTES = 64 << 10
MOST_HELLO_BYTES = 4 << 10
MOST_NOTE_BYTES = 64 << 10
MOST_FRAME_BYTES = 64 << 20
# Linux takes no time for a clock that would reach this within 30 years.
MOST_CLOCK_NS = (1 << 63) - 1
_BODY_AT = struct.calcsize("<4sIHH")


class StreamError(NettopError):
    """The bytes are no stream that can be read here."""


class Hello(NamedTuple):
    nettop: str
    schema: int
    host: str
    kernel: str


Message = Hello | bytes | dict[str, Any]


def hello_bytes(hello: Hello) -> bytes:
    return HELLO + json.dumps(hello._asdict(), separators=(",", ":")).encode() + b"\n"


def note_bytes(note: dict[str, Any]) -> bytes:
    text = json.dumps(note, separators=(",", ":")).encode()
    return NOTE_HEAD.pack(NOTE_MAGIC, zlib.crc32(text), len(text)) + text


def checked_clock(ns: object) -> int:
    """A time in ns of CLOCK_REALTIME or CLOCK_MONOTONIC there.

    Raises:
        StreamError: no clock of Linux can say that.
    """
    if type(ns) is not int or not 0 <= ns < MOST_CLOCK_NS:
        said = json.dumps(ns) if type(ns) in (int, float) else f"{type(ns).__name__}, no number"
        raise StreamError(f"its clock says {said[:24]}: no clock of Linux does")
    return ns


class StreamReader:
    """Takes bytes as they come, gives whole messages."""

    def __init__(self, own_version: str) -> None:
        """own_version: of this nettop, for what is said of another one's schema."""
        self._own_version = own_version
        self._held = bytearray()
        self._noise = 0
        self._greeted = False

    @property
    def greeted(self) -> bool:
        """The hello has come."""
        return self._greeted

    @property
    def in_frame(self) -> bool:
        """A part of a frame has come, and not yet the rest."""
        return self._greeted and self._held.startswith(MAGIC)

    def take(self, data: bytes) -> Iterator[Message]:
        """
        Raises:
            StreamError: in one line; nothing more can be read.
        """
        self._held += data
        if not self._greeted:
            hello = self._hello()
            if hello is None:
                return
            self._greeted = True
            yield hello
        while (message := self._message()) is not None:
            yield message

    def _hello(self) -> Hello | None:
        held = self._held
        while True:
            at = held.find(b"\n")
            line = bytes(held[:at] if at >= 0 else held)
            if line.startswith(HELLO) and len(line) > MOST_HELLO_BYTES:
                raise StreamError("its first line has no end")
            if at < 0:
                if self._noise + len(held) > MOST_NOISE_BYTES:
                    raise StreamError(f"no stream of nettop: {MOST_NOISE_BYTES >> 10} KB of "
                                      "something else came")  # fmt: skip
                return None
            del held[: at + 1]
            if line.startswith(HELLO):
                return self._checked(line[len(HELLO) :])
            if other := _OTHER_HELLO.match(line):
                raise StreamError(
                    f"nettop there speaks stream {int(other[1])}, nettop {self._own_version} here "
                    "stream 1: install the same version on both"
                )
            self._noise += at + 1

    def _checked(self, text: bytes) -> Hello:
        try:
            said = foreign.loads(text)
            hello = Hello(*(said[name] for name in Hello._fields))
            whole = all(type(v) is (int if n == "schema" else str)
                        for n, v in hello._asdict().items())  # fmt: skip
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise StreamError("its first line is damaged")
        if hello.schema > SCHEMA:
            raise StreamError(
                f"nettop {hello.nettop} there sends frames of schema {hello.schema}, nettop "
                f"{self._own_version} here reads up to {SCHEMA}: install that version here"
            )
        return hello

    def _message(self) -> bytes | dict[str, Any] | None:
        held = self._held
        if len(held) < NOTE_HEAD.size:
            return None
        magic = bytes(held[:4])
        if magic == MAGIC:
            if len(held) < HEAD.size:
                return None
            (n_body,) = struct.unpack_from("<I", held, _BODY_AT)
            if n_body > MOST_FRAME_BYTES:
                raise StreamError(f"a frame of {n_body >> 20} MB: more than a host has")
            return self._cut(HEAD.size + n_body)
        if magic != NOTE_MAGIC:
            raise StreamError("something else stands between its frames")
        _, crc, n = NOTE_HEAD.unpack_from(held)
        if n > MOST_NOTE_BYTES:
            raise StreamError("a note is too long")
        whole = self._cut(NOTE_HEAD.size + n)
        if whole is None:
            return None
        text = whole[NOTE_HEAD.size :]
        try:
            note = foreign.loads(text) if zlib.crc32(text) == crc else None
        except (ValueError, RecursionError) as error:
            raise StreamError(f"a note is damaged: {error}") from None
        if not isinstance(note, dict):
            raise StreamError("a note is damaged")
        return note

    def _cut(self, n: int) -> bytes | None:
        if len(self._held) < n:
            return None
        cut = bytes(self._held[:n])
        del self._held[:n]
        return cut
