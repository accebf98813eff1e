"""Rows in which every number may be anything that an engine makes."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

from nettop.engine import ffi
from nettop.engine.handle import PackedRows
from nettop.engine.wire import EMPTY_REC, detail_of, pack_row, row_of
from nettop.model.tcpinfo import TCP_INFO, InfoField
from nettop.model.types import Detail, Owner, PlaneHas, Proc, Proto, Row


class Made:
    """Rows that were never in an engine."""

    def __init__(self, packed: PackedRows, tail: tuple[InfoField, ...]) -> None:
        self.packed: Iterator[PackedRows] = iter([packed])
        self.tail = tail

    def unpack(self, packed: PackedRows, at: int) -> tuple[Row, Detail | None]:
        raw, details, known = packed
        row = row_of(raw, at)
        rec = row.rec
        row.user = f"u{rec.uid}\u00e9" if rec.uid % 3 else None
        row.netns_name = "blue" if rec.netns % 2 else None
        row.cgroup = '/a"b' if rec.cgroup_id else None
        row.container = "c1" if rec.cgroup_id % 2 else None
        row.dev = "eth0" if rec.ifindex % 2 else None
        row.cong = "bbr" if rec.cong_id else None
        tcp = row.proto == Proto.TCP
        return row, detail_of(details[at], self.tail, tcp=tcp) if known[at] else None


def some_float(rng: random.Random) -> float:
    whole = rng.choice((0.0, 1.0, 0.1, 1 / 3, 100.0, 123456.7, 9.9999995e15, 1e16, 3.4e38, 1e-5))
    value: float = struct.unpack("<f", struct.pack("<f", whole * rng.choice((1, 1, rng.random()))))[
        0
    ]
    return value


def some_rec(rng: random.Random) -> Any:
    """A record in which every number may be anything that an engine makes."""

    def number(name: str, value: Any) -> Any:
        if isinstance(value, bytes):
            some = rng.choice((bytes(len(value)), rng.randbytes(len(value)),
                               rng.randbytes(4) + bytes(max(0, len(value) - 4))))  # fmt: skip
            return some[: len(value)]
        if name.endswith(("_per_s", "_pct", "_value")) and not name.startswith("lim_"):
            return some_float(rng)
        return rng.choice((0, 1, 2, 7, rng.getrandbits(8)))

    rec = EMPTY_REC._replace(**{n: number(n, v) for n, v in EMPTY_REC._asdict().items()})
    chosen: dict[str, Any] = {
        "cookie": rng.getrandbits(64), "cgroup_id": rng.choice((0, 5, 6)),
        "ifindex": rng.choice((0, 0, 0, 0, 1, 2)), "cong_id": rng.choice((0, 1)),
        "netns": rng.choice((1, 2, 4026531840)), "uid": rng.choice((0, 1, 1000)),
        "family": rng.choice((2, 10, 10)), "proto": rng.choice((1, 1, 1, 2, 3)),
        "state": rng.choice((1, 1, 1, 2, 6, 7, 8, 10, 12)),
        "timer": rng.choice((0, 0, 1, 2, 3, 4)), "flags": rng.getrandbits(14),
        "level": rng.choice((0, 0, 0, 0, 1, 2)), "verdicts": rng.choice((0, 0, 0, 4)),
        "verdict": 2, "verdict2": 2, "who": 3, "who2": 3, "because": 0, "because2": 0,
        "verdict_value": 2.5, "verdict2_value": 2.5, "rtt_us": rng.choice((0, 17, 300_000)),
        "min_rtt_us": rng.choice((0, 11, 0xFFFFFFFF)),
    }  # fmt: skip
    for share in ("rwnd", "sndbuf", "cwnd", "in_flight", "idle"):
        chosen[f"lim_{share}_pct"] = rng.randrange(101)
    return rec._replace(**chosen)


def some_plane(rng: random.Random) -> bytes:
    """With a number in each place, or none."""
    raw = bytearray(ffi.sizeof("struct nt_plane"))
    if rng.random() < 0.5:
        return bytes(raw)
    for at in range(0, len(raw) - 4, 4):
        struct.pack_into("<I", raw, at, rng.choice((0, 1, rng.getrandbits(20))))
    has = rng.getrandbits(10) | PlaneHas.WAIT_PROBE * rng.getrandbits(1)
    struct.pack_into("<I", raw, ffi.offsetof("struct nt_plane", "has"), has)
    return bytes(raw)


def some_detail(rng: random.Random, record: Any) -> None:
    raw = ffi.buffer(record)
    if rng.random() < 0.8:
        raw[:] = rng.randbytes(len(raw))
    record.info_len = rng.choice((0, 104, 192, 232, 248, 280, 280, 280, 300))
    record.skmem_len, record.meminfo_len = rng.choice((0, 36, 32)), rng.choice((0, 16))
    record.cong_info_type = rng.choice((0, 0, 3, 9, 16, 5))
    record.cong_info_len = rng.choice((0, 12, 16, 20))
    record.ulp = rng.choice((b"", b"", b"", b"tls"))
    for item in TCP_INFO:
        if item.size == 8 and rng.random() < 0.99:  # no counter is as large as it may be
            ffi.buffer(record.info)[item.offset + 6 : item.offset + 8] = b"\0\0"
    for at in (68, 92, 148, 160):  # members with a value that means unknown
        size, unknown = (8, 0) if at == 160 else (4, 0xFFFFFFFF if at == 148 else 0)
        if rng.random() < 0.5:
            ffi.buffer(record.info)[at : at + size] = unknown.to_bytes(size, "little")


def some_rows(rng: random.Random, n: int) -> PackedRows:
    """As many, most of them with a detail."""
    plane_size = ffi.sizeof("struct nt_plane")
    rows, known = [], []
    details = ffi.new("struct nt_detail[]", n)
    for at in range(n):
        comm = rng.choice(("nginx", "", "a b:c", 'q"', "\\", "caf\u00e9", "x\x1b[m"))
        pid = rng.choice((0, 12, 4_000_000))
        owner = Owner.PROC if pid else Owner(rng.choice((0, 2, 3, 4, 5, 6)))
        proc = Proc(pid, rng.randrange(9), owner, rng.choice((0, 0, 0, 1)), comm)
        whole = pack_row(some_rec(rng), proc)
        rows.append(whole[:-plane_size] + some_plane(rng))
        known.append(rng.random() < 0.8)
        some_detail(rng, details + at)
    return b"".join(rows), details, known
