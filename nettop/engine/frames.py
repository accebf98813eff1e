"""Sections of a sample, and frames: sections packed against those of the frame before."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nettop.engine import check, ffi, lib
from nettop.engine.wire import layout

# A frame that would unpack to more is not one of ours: 200,000 sockets take half of this.
UNPACKED_MOST_BYTES = 1 << 28

_names, _format = layout("nt_section")
HEAD = struct.Struct(_format)


class Section(NamedTuple):
    """struct nt_section and its body."""

    at_ns: int  # CLOCK_MONOTONIC
    kind: int  # enum nt_section_kind
    netns: int
    arg: int
    body: bytes


class Sections:
    """A growing list of sections in the helper's memory."""

    def __init__(self) -> None:
        out = ffi.new("struct nt_sections **")
        check(lib.nt_sections_new(out), "nt_sections_new")
        self.handle = ffi.gc(out[0], lib.nt_sections_free)

    def clear(self) -> None:
        lib.nt_sections_clear(self.handle)

    def add(self, section: Section) -> None:
        head = ffi.new("struct nt_section *")
        head.at_ns, head.kind, head.bytes = section.at_ns, section.kind, len(section.body)
        head.netns, head.arg = section.netns, section.arg
        check(lib.nt_sections_add(self.handle, head, section.body), "adding a section")

    def view(self) -> memoryview:
        """The bytes where they are, valid until the list is changed."""
        out = ffi.new("uint8_t **")
        n = lib.nt_sections_bytes(self.handle, ffi.cast("const uint8_t **", out))
        return memoryview(ffi.buffer(out[0], n)).toreadonly() if n else memoryview(b"")

    def to_bytes(self) -> bytes:
        return bytes(self.view())


def sections_of(raw: bytes) -> Iterator[Section]:
    """Sections from the bytes of Sections.

    Raises:
        ValueError: the bytes are no sections.
    """
    at = 0
    while at < len(raw):
        if len(raw) - at < HEAD.size:
            raise ValueError("a section is cut short")
        m: dict[str, Any] = dict(zip(_names, HEAD.unpack_from(raw, at), strict=True))
        at += HEAD.size
        body = raw[at : at + m["bytes"]]
        if len(body) < m["bytes"]:
            raise ValueError("a section is cut short")
        yield Section(m["at_ns"], m["kind"], m["netns"], m["arg"], body)
        at += (m["bytes"] + 7) & ~7


def of_sockets(sections: bytes | memoryview, cookies: Sequence[int]) -> bytes:
    """Sections without what they say of sockets with other cookies.

    Raises:
        OSError: the bytes are no sections, or memory ended.
    """
    out, raw = Sections(), ffi.from_buffer("uint8_t[]", sections)
    found = lib.nt_sample_of(raw, len(sections), list(cookies), len(cookies), out.handle)
    check(found, "choosing sockets")
    return out.to_bytes()


class Packer:
    """Packs samples into frames, or unpacks frames in the order in which they were packed."""

    def __init__(self) -> None:
        out = ffi.new("struct nt_packer **")
        check(lib.nt_packer_new(out), "nt_packer_new")
        self._p = ffi.gc(out[0], lib.nt_packer_free)
        self._out = Sections()

    def reset(self) -> None:
        """The next frame is a key frame: it needs none before it."""
        lib.nt_packer_reset(self._p)

    def pack(self, raw: bytes | memoryview) -> bytes:
        """Sections to a frame."""
        self._out.clear()
        sections = ffi.from_buffer("uint8_t[]", raw)
        check(lib.nt_pack(self._p, sections, len(raw), self._out.handle), "packing a frame")
        return self._out.to_bytes()

    def unpack(self, frame: bytes | memoryview, most: int = UNPACKED_MOST_BYTES) -> bytes:
        """A frame to sections; raises as unpack_in_place."""
        return bytes(self.unpack_in_place(frame, most))

    def unpack_in_place(
        self, frame: bytes | memoryview, most: int = UNPACKED_MOST_BYTES
    ) -> memoryview:
        """A frame to sections in the packer's memory, valid until it unpacks or packs again.

        Raises:
            ValueError: the frame is not one, or one before it is missing; the packer is then new.
        """
        self._out.clear()
        packed = ffi.from_buffer("uint8_t[]", frame)
        result = lib.nt_unpack(self._p, packed, len(frame), most, self._out.handle)
        if result in (-errno.EPROTO, -errno.ENOMEM):
            raise ValueError(f"no frame: {os.strerror(-result)}")
        check(result, "unpacking a frame")
        return self._out.view()
