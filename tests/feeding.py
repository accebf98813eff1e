"""An engine that is fed what a kernel could have said, at times that a test chooses."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from typing import Any

from nettop.engine import lib
from nettop.engine.frames import Section, Sections
from nettop.engine.handle import Engine
from nettop.model.types import Proto, Row
from tests.netlink import connection, diag, done, skmeminfo

_DUMP_END = struct.Struct("<iII")
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_FINE, _OCTAVES = 2048, 32  # buckets of RX waits


class FedEngine(Engine):
    """Sweeps of given netlink bytes; what is fed is all that there is."""

    now_ns = 0

    def feed_begin(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self._section(lib.NT_S_SWEEP, 0, 0, struct.pack("<II", self.config.roll_ms, 1))

    def feed(self, netns: int, proto: Proto, raw: bytes) -> None:
        """Netlink messages of one dump; OSError with the errno in which it ends."""
        self._section(lib.NT_S_DIAG, netns, proto, raw)
        error = _error_of(raw)
        self._section(lib.NT_S_DUMP, netns, proto, _DUMP_END.pack(error, lib.NT_DUMP_ENDED, 0))
        if error:
            raise OSError(error, f"nt_feed: {os.strerror(error)}")

    def feed_end(self, now_ns: int) -> Any:
        """struct nt_totals"""
        self.now_ns = now_ns
        self._section(lib.NT_S_SWEPT, 0, 0, b"")
        return self.totals()

    def _section(self, kind: int, netns: int, arg: int, body: bytes) -> None:
        sections = Sections()
        sections.add(Section(self.now_ns, kind, netns, int(arg), body))
        self.take(sections.to_bytes())


def _error_of(raw: bytes) -> int:
    """errno of the message that ends a dump, as the source of dumps takes it; 0 for none."""
    at = 0
    while at + 16 <= len(raw):
        n, kind = struct.unpack_from("<IH", raw, at)
        if n < 16 or n > len(raw) - at:
            return 0
        if kind in (_NLMSG_DONE, _NLMSG_ERROR):
            (result,) = struct.unpack_from("<i", raw, at + 16) if n >= 20 else (0,)
            if result < -4095 or (kind == _NLMSG_ERROR and result >= 0):
                return errno.EPROTO
            return -min(int(result), 0)
        at += (n + 3) & ~3
    return 0


def after_waits(
    intervals: Sequence[Sequence[float]], *, proto: Proto = Proto.TCP, state: str = "ESTABLISHED"
) -> Row:
    """A socket whose deliveries waited so many milliseconds, a list an interval."""
    row = waited(intervals, proto=proto, state=state).find(1)
    assert row is not None
    return row


def waited(
    intervals: Sequence[Sequence[float]], *, proto: Proto = Proto.TCP, state: str = "ESTABLISHED"
) -> FedEngine:
    """The engine that has it, as number 1."""
    engine = FedEngine()
    total_ns = count = 0
    octaves = [0] * _OCTAVES
    for at, waits_ms in enumerate(intervals, 1):
        waits_ns = [int(ms * 10**6) for ms in waits_ms]
        engine.now_ns = now_ns = (100 + at) * 10**9
        total_ns, count = total_ns + sum(waits_ns), count + len(waits_ns)
        for ns in waits_ns:
            octaves[min(_OCTAVES - 1, max(0, ns.bit_length() - 6))] += 1
        head = struct.pack("<QQIIIIII", total_ns, max(waits_ns), at, at, 0, 0, 1, 0)
        engine._section(lib.NT_S_WAIT, 0, 0, head + bytes(8 * _FINE))
        record = struct.pack(
            f"<4Q4I{_OCTAVES}I", 1, total_ns, max(waits_ns), 0, count, 0, 0, 0, *octaves
        )
        engine._section(lib.NT_S_WAIT_SOCKETS, 0, len(record), record)
        engine.feed_begin(now_ns)
        if state == "ESTABLISHED":
            raw = connection(1, 280, skmeminfo(), inode=77)
        else:
            raw = diag(1, state=state, attrs={"skmeminfo": skmeminfo()}, inode=77)
        engine.feed(1, proto, raw + done())
        engine.feed_end(now_ns)
    return engine
