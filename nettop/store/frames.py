"""Frames: samples as bytes for a file, a pipe or memory; each but a key frame needs those before.

A frame is a head (HEAD: magic, CRC-32 of all that follows it, schema, flags, bytes of the body,
seq, CLOCK_MONOTONIC, CLOCK_REALTIME) and a body: zstd over parts, each with a tag and its length
before it. Parts with unknown tags are skipped, so that a newer nettop may add some.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import zstandard

from nettop.engine.frames import UNPACKED_MOST_BYTES, Packer
from nettop.errors import NettopError
from nettop.sample import Sample
from nettop.store import foreign
from nettop.store.facts import changed, changes, facts_of, plain_of

SCHEMA = 1
MAGIC = b"NTFR"
HEAD = struct.Struct("<4sIHHIQqq")
KEY = 1  # flag: the frame needs none before it
_CRC_FROM = 8  # the CRC covers all after itself
_PART = struct.Struct("<II")
_SECTIONS, _FACTS = 1, 2
_LEVEL = 3


class FrameError(NettopError):
    """Bytes that are no frame, or one that cannot be read here."""


class FrameWriter:
    """Makes frames of the samples of one host, in order."""

    def __init__(self) -> None:
        self._packer = Packer()
        self._zstd = zstandard.ZstdCompressor(level=_LEVEL)
        self._facts: dict[str, Any] = {}
        self._begun = False

    def frame(self, sample: Sample) -> bytes:
        """A key frame of a sample that is whole, as the first must be."""
        if sample.whole:
            self._packer.reset()
            self._facts = {}
            self._begun = True
        assert self._begun
        plain = plain_of(sample.facts)
        facts = json.dumps(changes(self._facts, plain), separators=(",", ":")).encode()
        self._facts = plain
        packed = self._packer.pack(sample.sections)
        body = self._zstd.compress(
            b"".join((_PART.pack(_SECTIONS, len(packed)), packed,
                      _PART.pack(_FACTS, len(facts)), facts))
        )  # fmt: skip
        head = HEAD.pack(
            MAGIC, 0, SCHEMA, KEY if sample.whole else 0, len(body), sample.seq, sample.mono_ns,
            sample.wall_ns,
        )  # fmt: skip
        crc = zlib.crc32(body, zlib.crc32(head[_CRC_FROM:]))
        return MAGIC + struct.pack("<I", crc) + head[_CRC_FROM:] + body


class FrameReader:
    """The inverse: a key frame, and then each that follows it."""

    def __init__(self, *, in_place: bool = False, most_bytes: int = UNPACKED_MOST_BYTES) -> None:
        """
        Args:
            in_place: sections are valid only until the next frame is read, and cheaper.
            most_bytes: that a frame may unpack to.
        """
        self._most_bytes = most_bytes
        self._packer = Packer()
        self._unpack = self._packer.unpack_in_place if in_place else self._packer.unpack
        self._zstd = zstandard.ZstdDecompressor()
        self._facts: dict[str, Any] = {}
        self._ready = False

    def sample(self, frame: bytes) -> Sample:
        """
        Raises:
            FrameError: it is damaged, of a newer schema, or one before it is missing; only a key
                frame can be read next.
        """
        try:
            return self._sample(frame)
        except FrameError:
            self._ready = False
            raise

    def _sample(self, frame: bytes) -> Sample:
        flags, seq, mono_ns, wall_ns = check_head(frame)
        body = frame[HEAD.size :]
        if flags & KEY:
            self._packer.reset()
            self._facts = {}
            self._ready = True
        elif not self._ready:
            raise FrameError("a frame of the recording is missing: only a key frame can follow")
        try:
            # It makes room for as much as the frame says that it holds.
            n = zstandard.frame_content_size(body)
            if n < 0:
                raise zstandard.ZstdError("no frame of ours")
            if n > self._most_bytes:
                raise FrameError(f"a frame unpacks to {n >> 20} MB: at most "
                                 f"{self._most_bytes >> 20} MB are read of one")  # fmt: skip
            raw = self._zstd.decompress(body, max_output_size=n)
        except zstandard.ZstdError:
            raise FrameError("a frame of the recording is damaged: it cannot be decompressed") \
                from None  # fmt: skip
        sections: bytes | memoryview = b""
        for tag, part in _parts(raw):
            if tag == _SECTIONS:
                try:
                    sections = self._unpack(part, self._most_bytes)
                except ValueError:
                    raise FrameError(
                        "a frame of the recording is damaged: bad sections, or more than "
                        f"{self._most_bytes >> 20} MB of them"
                    ) from None
            elif tag == _FACTS:
                self._facts = changed(self._facts, _json_object(part))
        try:
            facts = facts_of(self._facts)
        except ValueError as error:
            raise FrameError(f"a frame of the recording is damaged: {error}") from None
        return Sample(seq, mono_ns, wall_ns, sections, facts, bool(flags & KEY))


def check_head(frame: bytes) -> tuple[int, int, int, int]:
    """Flags, seq, CLOCK_MONOTONIC and CLOCK_REALTIME of a frame that is whole.

    Raises:
        FrameError: it is damaged, or of a newer schema.
    """
    if len(frame) < HEAD.size:
        raise FrameError("a frame of the recording is cut short")
    magic, crc, schema, flags, n_body, seq, mono_ns, wall_ns = HEAD.unpack_from(frame)
    if magic != MAGIC:
        raise FrameError("not a frame of nettop")
    if schema > SCHEMA:
        raise FrameError(
            f"the recording is of a newer nettop (frames of schema {schema}, this one reads up "
            f"to {SCHEMA}): open it with that version"
        )
    if len(frame) != HEAD.size + n_body:
        raise FrameError("a frame of the recording is cut short")
    if crc != zlib.crc32(frame[_CRC_FROM:]):
        raise FrameError("a frame of the recording is damaged: its checksum is wrong")
    return flags, seq, mono_ns, wall_ns


def _parts(whole: bytes) -> Iterator[tuple[int, memoryview]]:
    """Views, so that a part with an unknown tag costs nothing."""
    at, raw = 0, memoryview(whole)
    while at < len(raw):
        if len(raw) - at < _PART.size:
            raise FrameError("a frame of the recording is damaged: a part is cut short")
        tag, n = _PART.unpack_from(raw, at)
        at += _PART.size
        if n > len(raw) - at:
            raise FrameError("a frame of the recording is damaged: a part is cut short")
        yield tag, raw[at : at + n]
        at += n


def _json_object(part: memoryview) -> dict[str, Any]:
    try:
        facts = foreign.loads(bytes(part))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise FrameError("a frame of the recording is damaged: its facts are no JSON object")
    return facts
