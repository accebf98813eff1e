"""Sections as bytes, as a plane hands them to the engine."""

from __future__ import annotations

import struct


def section(kind: int, arg: int, body: bytes) -> bytes:
    return struct.pack("=QIIII", 10**8, kind, len(body), 0, arg) + body + bytes(-len(body) % 8)
