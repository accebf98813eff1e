"""Sockets counted by groups in C: Python names the groups and reads the sums."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any, NamedTuple

from nettop.engine import check, ffi, lib
from nettop.engine.handle import Engine
from nettop.engine.wire import layout

OTHER = 0  # the series of what has none of its own
NO_ONE = 255  # SickTick.who of a verdict that is none of the two worst
_key_names, _key_format = layout("nt_count_key")
_KEY = struct.Struct(_key_format)
_GROUP = struct.Struct(layout("nt_count_group")[1])
_SICK = struct.Struct("<IIBBxx")
_COUNTS, _OCTAVES, _RTT = 14, int(lib.NT_OCTAVE_BUCKETS), int(lib.NT_RTT_BUCKETS)
_ZERO = int(lib.NT_RTT_ZERO)
_SUMS = struct.Struct(f"<{_COUNTS + 2 * (_OCTAVES + 1) + _RTT + 1}QfIIxxxx")
_BY = {
    "process": lib.NT_BY_PROCESS,
    "service": lib.NT_BY_SERVICE,
    "peer": lib.NT_BY_PEER,
    "container": lib.NT_BY_CONTAINER,
    "netns": lib.NT_BY_NETNS,
}
ROLES = {lib.NT_ROLE_NONE: "", lib.NT_ROLE_SERVER: "server", lib.NT_ROLE_CLIENT: "client"}
_RTT_AT, _WAIT_AT = _COUNTS, _COUNTS + _OCTAVES + 1
_NATIVE_AT = _WAIT_AT + _OCTAVES + 1
assert _SUMS.size == ffi.sizeof("struct nt_sums")
assert _SICK.size == ffi.sizeof("struct nt_count_sick")


class Key(NamedTuple):
    """struct nt_count_key: what names a group; members that groups do not differ by are 0."""

    cgroup_id: int
    dst: bytes  # 16 bytes as struct nt_rec has them
    comm: bytes
    netns: int
    port: int
    role: int  # nt_role
    family: int
    owner: int  # Owner


assert [*Key._fields] == [name for name in _key_names if name != "pad"]


class SickTick(NamedTuple):
    """struct nt_count_sick: sockets of a group that are unwell alike."""

    group: int
    n: int
    who: int
    verdict: int


class Sums(NamedTuple):
    """struct nt_sums: a series as it is now."""

    counts: tuple[int, ...]
    rtt: tuple[int, ...]  # by octave
    rtt_sum_ns: int
    waits: tuple[int, ...]
    wait_sum_ns: int
    native: tuple[tuple[int, int], ...]  # (bucket of eight to an octave of seconds, count)
    unread_ns: int
    accept_share: float | None
    sockets: int


class CountTick:
    """A tick that was counted; valid until a series or group is made."""

    def __init__(self, raw: Any) -> None:
        self.closed_next, self.closed = int(raw.closed_next), int(raw.closed)
        self.closed_unknown = int(raw.closed_unknown)
        self._sums = ffi.buffer(raw.sums, raw.n_sums * _SUMS.size)
        self._groups = ffi.buffer(raw.groups, raw.n_groups * _GROUP.size)
        self._sick = ffi.buffer(raw.sick, raw.n_sick * _SICK.size) if raw.n_sick else b""

    def groups(self) -> Iterable[tuple[int, int, int]]:
        """By number: bytes that its sockets moved, how many it has, listeners too, its series."""
        return _GROUP.iter_unpack(self._groups)

    def sick(self) -> Iterable[SickTick]:
        return map(SickTick._make, _SICK.iter_unpack(self._sick))

    def changed(self, series: int) -> bool:
        """Since the tick before."""
        return bool(self._sums[(series + 1) * _SUMS.size - 8] != b"\0")

    def sums(self, series: int) -> Sums:
        values = _SUMS.unpack_from(self._sums, series * _SUMS.size)
        native = values[_NATIVE_AT : _NATIVE_AT + _RTT]
        filled = zip(
            compress(range(-_ZERO, _RTT - _ZERO), native), filter(None, native), strict=True
        )
        unread_ns, share, sockets, _changed = values[_NATIVE_AT + _RTT :]
        return Sums(
            values[:_COUNTS], values[_RTT_AT : _WAIT_AT - 1], values[_WAIT_AT - 1],
            values[_WAIT_AT : _NATIVE_AT - 1], values[_NATIVE_AT - 1], tuple(filled), unread_ns,
            share if share >= 0 else None, sockets,
        )  # fmt: skip


class Counter:
    """What sockets did since it began, by group. One thread."""

    def __init__(self, by: Sequence[str]) -> None:
        """by: what groups differ by, of nettop.metrics.groupings."""
        out = ffi.new("struct nt_counter **")
        check(lib.nt_counter_new(sum({_BY[name] for name in by}), out), "nt_counter_new")
        self._c = ffi.gc(out[0], lib.nt_counter_free)
        self._engine: Engine | None = None

    def series(self) -> int:
        """A new one, of 0."""
        return check(lib.nt_counter_series(self._c), "nt_counter_series")

    def end_series(self, series: int) -> None:
        """No group has it any more."""
        lib.nt_counter_end_series(self._c, series)

    def group(self, series: int) -> int:
        """A new one that is counted there."""
        return check(lib.nt_counter_group(self._c, series), "nt_counter_group")

    def move(self, group: int, series: int) -> None:
        """From now on it is counted there."""
        lib.nt_counter_move(self._c, group, series)

    def end_group(self, group: int) -> None:
        """It has no sockets any more."""
        lib.nt_counter_end_group(self._c, group)

    def begin(self, engine: Engine, now_ns: int, after: int, *, filtered: bool) -> list[Key]:
        """Takes the matched sockets of the sweep that was polled last.

        Args:
            now_ns: CLOCK_MONOTONIC.
            after: number of the first close to take; 0: none.
            filtered: closes of sockets that pass the filter alone.

        Returns:
            Keys that need groups.
        """
        self._engine = engine  # it is read until the end
        lib.nt_count_begin(self._c, now_ns)
        n = check(lib.nt_count_sockets(self._c, engine.handle, after, filtered), "counting sockets")
        if not n:
            return []
        raw = ffi.buffer(lib.nt_count_new_keys(self._c), n * _KEY.size)
        return [Key._make(key[:-1]) for key in _KEY.iter_unpack(raw)]

    def end(self, groups: Sequence[int]) -> CountTick:
        """groups: of the new keys, in their order."""
        out = ffi.new("struct nt_count_tick *")
        named = ffi.new("uint32_t[]", groups if groups else 1)
        check(lib.nt_count_end(self._c, named, out), "counting sockets")
        self._engine = None
        return CountTick(out[0])
