"""The C engine as a Python object: one call a method, errors as OSError."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nettop.engine import check, ffi, lib
from nettop.engine.edges import FINE, FINE_EDGES, OCTAVE_EDGES, OCTAVES, filled
from nettop.engine.wire import (
    CANDIDATE,
    DIST,
    LATE,
    ROW_SIZE,
    SICK,
    SLOW,
    detail_of,
    dist_of,
    numbers,
    pack_cause,
    proc_of,
    row_of,
    rows_of,
    slow_peers_of,
    sort_number,
)
from nettop.model.causes import Candidate, Cause, LateProcess, PeerKey, SlowPeer
from nettop.model.evidence import CpuWait
from nettop.model.tcpinfo import InfoField
from nettop.model.types import Detail, Dist, Histogram, Proc, Proto, Row, Sick, Stage
from nettop.text.fields import Field
from nettop.text.limits import OWN

if TYPE_CHECKING:
    from nettop.query.compile import Filter

# struct nt_row of each socket; struct nt_detail of each, in one allocation; who has one.
PackedRows = tuple[bytes, Any, list[bool]]


class SocketValues(NamedTuple):
    """Numbers of some sockets, in the order in which they were asked for."""

    there: bytes  # 1 of each, 0 of those that are gone
    values: bytes  # C's doubles, in the fields' base units; all of a socket, NaN: not known
    octaves: bytes  # 32 of C's uint32_t of each: its RX queue waits in the interval


class Procs:
    """Which processes hold which sockets, kept by an incremental scan of /proc."""

    def __init__(self, root: str = "/proc") -> None:
        out = ffi.new("struct nt_procs **")
        check(lib.nt_procs_new(root.encode(), out), "nt_procs_new")
        self.handle = ffi.gc(out[0], lib.nt_procs_free)

    def scan(self) -> Any:
        """struct nt_procs_stats of this scan."""
        stats = ffi.new("struct nt_procs_stats *")
        check(lib.nt_procs_scan(self.handle, stats), "scanning /proc")
        return stats

    def tell_kernel_sockets(self, inodes: Sequence[int]) -> None:
        """These and no others are known to be the kernel's own."""
        check(lib.nt_procs_kernel(self.handle, list(inodes), len(inodes)), "nt_procs_kernel")

    def owners(self, inode: int, limit: int = 256) -> list[Proc]:
        """Every process that holds a socket's inode."""
        out = ffi.new("struct nt_proc[]", limit)
        n = min(check(lib.nt_procs_owners(self.handle, inode, out, limit), "owners"), limit)
        raw = bytes(ffi.buffer(out))
        size = ffi.sizeof("struct nt_proc")
        return [proc_of(raw, i * size) for i in range(n)]


class Engine:
    """The socket table and the dumps that fill it; any thread may call any method."""

    _groups_room = 256  # so many groups, or somewhat more, there were last

    def __init__(
        self,
        procs: Procs | None = None,
        tail: Callable[[], tuple[InfoField, ...]] = tuple,
    ) -> None:
        """tail: layout of tcp_info's last word, asked for when the first detail is read."""
        lib.nt_memory_give_back()  # engines, and what is packed of them, come and go
        out = ffi.new("struct nt_engine **")
        handle = procs.handle if procs else ffi.NULL
        check(lib.nt_engine_new(handle, out), "nt_engine_new")
        self._e = self.handle = ffi.gc(out[0], lib.nt_engine_free)
        self._procs = procs  # kept alive: the engine looks owners up in it
        self._tail = tail
        self._cong: dict[int, str] = {}
        self.config = ffi.new("struct nt_config *")
        lib.nt_config_default(self.config)
        for member, values in OWN.items():
            if len(values) == 1:
                setattr(self.config, member, values[0])
            else:
                getattr(self.config, member)[0:2] = values

    def twin(self, tail: Callable[[], tuple[InfoField, ...]]) -> Engine:
        """Another engine at the same tick, of one that polls nothing; neither changes the other.

        Args:
            tail: as of a new engine.
        """
        out = ffi.new("struct nt_engine **")
        check(lib.nt_engine_copy(self._e, out), "copying an engine")
        made = type(self).__new__(type(self))
        made._e = made.handle = ffi.gc(out[0], lib.nt_engine_free)
        made._procs, made._tail, made._cong = None, tail, self._cong
        made.config = ffi.new("struct nt_config *", self.config[0])
        return made

    def add_netns(self, netns: int, diag_fd: int, lookup_fd: int = -1) -> None:
        """Polls a namespace through these descriptors, which the engine closes."""
        check(lib.nt_engine_add_netns(self._e, netns, diag_fd, lookup_fd), "adding a namespace")

    def del_netns(self, netns: int) -> None:
        check(lib.nt_engine_del_netns(self._e, netns), "removing a namespace")

    def configure(self) -> None:
        """Puts self.config in force from the next sweep on."""
        check(lib.nt_engine_configure(self._e, self.config), "configuring the engine")

    def set_filter(self, compiled: Filter | None) -> None:
        if compiled is None:
            check(lib.nt_engine_set_filter(self._e, ffi.NULL, 0, b"", 0), "clearing the filter")
            return
        ops, count, data = compiled.to_ffi(ffi)
        check(lib.nt_engine_set_filter(self._e, ops, count, data, len(data)), "setting the filter")

    def matching(self, compiled: Filter | None = None) -> list[int]:
        """Cookies of the sockets that a filter (None: the one in force) lets through.

        Of another than the one in force, numbers that only tcp_info has are known of the sockets
        whose detail was kept.
        """
        ops, count, data = compiled.to_ffi(ffi) if compiled else (ffi.NULL, 0, b"")
        most = 256
        while True:
            out = ffi.new("uint64_t[]", most)
            found = lib.nt_matching(self._e, ops, count, data, len(data), out, most)
            n = check(found, "matching sockets")
            if n <= most:
                return list(out[0:n])
            most = n + 64

    def values(self, field: Field, compiled: Filter | None = None) -> tuple[int, bytes]:
        """How many sockets would be rows under a filter (None: under none), and the values that a
        number has in them where it is known: C's doubles, in the field's base unit.

        As with matching(), numbers that only tcp_info has are known where the detail was kept.
        """
        ops, count, data = compiled.to_ffi(ffi) if compiled else (ffi.NULL, 0, b"")
        of, rows, most = sort_number(field), ffi.new("uint32_t *"), 16384
        while True:
            out = ffi.new("double[]", most)
            n = lib.nt_values(self._e, of, ops, count, data, len(data), out, most, rows)
            if check(n, "reading values") <= most:
                return rows[0], bytes(ffi.buffer(out, n * ffi.sizeof("double")))
            most = n + 64

    def values_of(self, cookies: Sequence[int], fields: tuple[Field, ...]) -> SocketValues:
        """Numbers of some sockets, as Field.value reads them of row and detail; none that their
        holders have."""
        n, of = len(cookies), len(fields)
        values, there = ffi.new("double[]", n * of), ffi.new("uint8_t[]", n)
        octaves = ffi.new("uint32_t[]", n * OCTAVES)
        asked = list(cookies)
        lib.nt_values_of(self._e, asked, n, numbers(fields), of, values, octaves, there)
        return SocketValues(ffi.buffer(there)[:], ffi.buffer(values)[:], ffi.buffer(octaves)[:])

    def begin(self) -> None:
        check(lib.nt_sweep_begin(self._e), "starting a dump")

    def step(self, reads: int) -> bool:
        """Reads some more; False when every dump is done."""
        return bool(check(lib.nt_sweep_step(self._e, reads), "reading a dump"))

    def end(self) -> Any:
        """struct nt_totals of the sweep."""
        totals = ffi.new("struct nt_totals *")
        check(lib.nt_sweep_end(self._e, totals), "ending a dump")
        return totals

    def failures(self) -> list[Any]:
        """struct nt_failure of each dump of the last sweep that failed."""
        n = check(lib.nt_failures(self._e, ffi.NULL, 0), "listing failed dumps")
        out = ffi.new("struct nt_failure[]", n)
        return [out[i] for i in range(min(n, lib.nt_failures(self._e, out, n)))]

    def take(self, sections: bytes | memoryview) -> None:
        """Sections that another engine kept, or that a frame held."""
        raw = ffi.from_buffer("uint8_t[]", sections)
        check(lib.nt_take(self._e, raw, len(sections)), "taking a sample")

    def keep(self, on: bool) -> None:
        """Keeps all sections that the engine takes from now on."""
        check(lib.nt_keep(self._e, on), "keeping samples")

    def keep_owners(self, *, everything: bool) -> None:
        """Keeps the owners of sockets: those that changed since the call before, or all."""
        check(lib.nt_keep_owners(self._e, everything), "keeping owners")

    def owners(self, inode: int, limit: int = 256) -> list[Proc]:
        """Every process that holds a socket, by the process table or by what was recorded."""
        out = ffi.new("struct nt_proc[]", limit)
        n = min(check(lib.nt_engine_owners(self._e, inode, out, limit), "owners"), limit)
        raw = bytes(ffi.buffer(out))
        size = ffi.sizeof("struct nt_proc")
        return [proc_of(raw, i * size) for i in range(n)]

    def owners_changed(self) -> None:
        """The process table has changed: filters on processes are evaluated again."""
        lib.nt_owners_changed(self._e)

    def numbers(self, what: int) -> list[int]:
        """The different numbers (enum nt_number) that the sockets have, ascending."""
        most = 256
        while True:
            out = ffi.new("uint64_t[]", most)
            n = check(lib.nt_numbers(self._e, what, out, most), "counting names")
            if n <= most:
                return list(out[0:n])
            most = n * 2

    def kept(self) -> memoryview:
        """The sections since the call before; valid until the next one.

        Raises:
            OSError: memory ended: some are missing.
        """
        out = ffi.new("uint8_t **")
        n = lib.nt_kept(self._e, ffi.cast("const uint8_t **", out))
        if n < 0:
            raise OSError(-n, f"keeping samples: {os.strerror(-n)}")
        # Five megabytes a tick with 10,000 sockets: not copied.
        return memoryview(ffi.buffer(out[0], n)).toreadonly() if n else memoryview(b"")

    def totals(self) -> Any:
        """struct nt_totals of the last sweep, matched anew if the filter changed since."""
        totals = ffi.new("struct nt_totals *")
        lib.nt_totals_now(self._e, totals)
        return totals

    def lookup(self, cookies: Sequence[int]) -> int:
        """Refreshes these sockets one by one; how many answered."""
        return check(lib.nt_lookup(self._e, list(cookies), len(cookies)), "looking sockets up")

    def order(self, field: Field | None, descending: bool, upto: int, keep: bool) -> int:
        """Orders the matched sockets; how many there are."""
        key = sort_number(field)
        return check(lib.nt_order(self._e, key, descending, upto, keep), "ordering sockets")

    def window(self, offset: int, count: int) -> list[Row]:
        if count <= 0 or offset < 0:
            return []
        buffer = ffi.new("struct nt_row[]", count)
        n = check(lib.nt_window(self._e, offset, count, buffer), "reading rows")
        return [self._named(r) for r in rows_of(bytes(ffi.buffer(buffer, n * ROW_SIZE)), n)]

    def sick(self, *, matched: bool) -> list[Sick]:
        """The sockets with a verdict that is watch or unwell, in no order.

        Args:
            matched: only those that pass the filter.
        """
        room = 256
        while True:
            out = ffi.new("struct nt_sick[]", room)
            n = lib.nt_sick(self._e, matched, out, room)
            if n <= room:
                return [*map(Sick._make, SICK.iter_unpack(ffi.buffer(out, n * SICK.size)))]
            room = n + 64

    def packed(self, offset: int, count: int, *, with_detail: bool = True) -> PackedRows:
        """A window of the ordered sockets as they are now, which unpacked() reads later."""
        rows = ffi.new("struct nt_row[]", count)
        n = check(lib.nt_window(self._e, offset, count, rows), "reading rows")
        details = ffi.new("struct nt_detail[]", n if with_detail else 0)
        known = [
            with_detail and bool(lib.nt_detail_of(self._e, rows[i].rec.cookie, details + i))
            for i in range(n)
        ]
        return bytes(ffi.buffer(rows, n * ROW_SIZE)), details, known

    def cpu_waits(self, waits: Sequence[CpuWait]) -> None:
        """These processes and no others wait for a CPU longer than they run: the last sweep, and
        the next ones, are judged by that."""
        check(lib.nt_cpu_waits(self._e, [tuple(w) for w in waits], len(waits)), "nt_cpu_waits")

    def candidates(self, most: int, *, late: bool = False) -> list[Candidate]:
        """The sockets that are watch or unwell, or may soon be: the worst if there are more.

        late: and after these those whose long round trip may be a delayed ACK alone.
        """
        out = ffi.new("struct nt_candidate[]", most)
        n = min(check(lib.nt_candidates(self._e, late, out, most), "nt_candidates"), most)
        raw = ffi.buffer(out, n * CANDIDATE.size)
        return [*map(Candidate._make, CANDIDATE.iter_unpack(raw))]

    def late(self, least: int, most: int) -> list[LateProcess]:
        """Processes of which so many sockets or more were read late, however few deliveries each
        had."""
        out = ffi.new("struct nt_late[]", most)
        n = check(lib.nt_late(self._e, least, out, most), "nt_late")
        raw = ffi.buffer(out, n * LATE.size)
        return [*map(LateProcess._make, LATE.iter_unpack(raw))]

    def slow_peers(self, most: int) -> list[SlowPeer]:
        """Of the last sweep: the slowest of those that are called at one port."""
        out = ffi.new("struct nt_slow_peer[]", most)
        n = check(lib.nt_slow_peers(self._e, out, most), "nt_slow_peers")
        return slow_peers_of(ffi.buffer(out, n * SLOW.size))

    def held_slow(self, peers: Sequence[PeerKey]) -> None:
        """The sockets to these peers and no others are held for slow: judged from now on."""
        packed = [(p.dst, p.netns, p.dport, p.family, 0) for p in peers]
        check(lib.nt_held_slow(self._e, packed, len(packed)), "nt_held_slow")

    def causes(self, causes: Sequence[Cause], late: Sequence[int]) -> None:
        """These causes and no others, and these processes that read many sockets late: judged from
        now on."""
        packed = ffi.from_buffer("struct nt_cause[]", b"".join(map(pack_cause, causes)))
        n = lib.nt_causes(self._e, packed, len(causes), list(late), len(late))
        check(n, "nt_causes")

    def readers(self) -> dict[int, int]:
        """By cookie the thread of the holder that reads it, where waits were split and one does."""
        out = ffi.new("struct nt_reader[]", lib.NT_READERS)
        n = check(lib.nt_split_readers(self._e, out, lib.NT_READERS), "nt_split_readers")
        return {int(one.cookie): int(one.tid) for one in out[0:n]}

    def sick_pids(self, most: int) -> list[int]:
        """Processes that hold a socket which is watch or unwell, or may soon be; worst first."""
        out = ffi.new("uint32_t[]", most)
        return list(out[0 : check(lib.nt_sick_pids(self._e, out, most), "nt_sick_pids")])

    def copy(self, count: int, *, with_detail: bool) -> list[PackedRows]:
        """All ordered sockets as they are now, so many at a time, for while it polls."""
        out: list[PackedRows] = []
        offset = 0
        while (some := self.packed(offset, count, with_detail=with_detail))[2]:
            out.append(some)
            offset += len(some[2])
        return out

    def unpacked(self, packed: PackedRows) -> Iterator[tuple[Row, Detail | None]]:
        """What packed() holds, as a window and its details give it."""
        for at in range(len(packed[2])):
            yield self.unpack(packed, at)

    def unpack(self, packed: PackedRows, at: int) -> tuple[Row, Detail | None]:
        """One of what packed() holds."""
        raw, details, known = packed
        row, detail = row_of(raw, at), None
        if known[at]:
            detail = detail_of(details[at], self._tail(), tcp=row.proto == Proto.TCP)
        return self._named(row), detail

    @property
    def tail(self) -> tuple[InfoField, ...]:
        """Layout of tcp_info's last word on the kernel that sent it."""
        return self._tail()

    def _named(self, row: Row) -> Row:
        cong = row.rec.cong_id
        if cong:
            name = self._cong.get(cong)
            if name is None:
                name = ffi.string(lib.nt_cong_name(self._e, cong)).decode("ascii", "replace")
                self._cong[cong] = name
            row.cong = name
        return row

    def position(self, cookie: int) -> int | None:
        place = lib.nt_position(self._e, cookie)
        return place if place >= 0 else None

    def find(self, cookie: int) -> Row | None:
        out = ffi.new("struct nt_row *")
        if not lib.nt_find(self._e, cookie, out):
            return None
        return self._named(next(rows_of(bytes(ffi.buffer(out)), 1)))

    def detail(self, cookie: int, *, tcp: bool = True) -> Detail | None:
        out = ffi.new("struct nt_detail *")
        if not lib.nt_detail_of(self._e, cookie, out):
            return None
        return detail_of(out, self._tail(), tcp=tcp)

    def milliseconds(self) -> int:
        """Time since the engine began, the clock of the record's *_s and *_ms."""
        return int(lib.nt_engine_ms(self._e))

    # --- RX queue wait, as of the last interval that was taken ---

    def rx_wait(self, cookies: Sequence[int], *, run: bool = False) -> Histogram | None:
        """Fine buckets of these sockets together, or of all that are traced with none named.

        Args:
            run: of all since nettop saw them, else of the interval.

        Returns:
            None where no plane is on.
        """
        buckets, dist = ffi.new(f"uint64_t[{FINE}]"), ffi.new("struct nt_dist *")
        n = len(cookies)
        found = lib.nt_wait_buckets(self._e, list(cookies), n, run, buckets, dist)
        if found == -errno.ENOENT:
            return None
        check(found, "reading buckets")
        return filled(buckets, FINE_EDGES, dist)

    def rx_wait_matched(self) -> Histogram:
        """Octaves of the sockets that pass the filter, of the interval."""
        buckets, dist = ffi.new(f"uint64_t[{OCTAVES}]"), ffi.new("struct nt_dist *")
        check(lib.nt_wait_matched(self._e, buckets, dist), "adding up octaves")
        return filled(buckets, OCTAVE_EDGES, dist)

    # --- TX stages, as of the last interval that was taken ---

    def tx_interval(self) -> tuple[Dist, ...] | None:
        """By Stage, of every stamped send of the interval; None where nothing is selected."""
        out = ffi.new(f"struct nt_dist[{len(Stage)}]")
        if lib.nt_stages_interval(self._e, out):
            return None
        raw = bytes(ffi.buffer(out))
        return tuple(dist_of(raw, i * DIST.size) for i in Stage)

    def tx(self, cookies: Sequence[int], *, run: bool = False) -> tuple[Histogram, ...] | None:
        """By Stage, fine buckets of these sockets together, or of all stamped sends with none
        named; as rx_wait. None where nothing is selected."""
        buckets, dist = ffi.new(f"uint64_t[{FINE}]"), ffi.new("struct nt_dist *")
        named, n, out = list(cookies), len(cookies), []
        for stage in Stage:
            found = lib.nt_stages_buckets(self._e, named, n, int(stage), run, buckets, dist)
            if found == -errno.ENOENT:
                return None
            check(found, "reading buckets")
            out.append(filled(buckets, FINE_EDGES, dist))
        return tuple(out)

    def clear_runs(self) -> None:
        """Runs begin now."""
        lib.nt_wait_clear(self._e)
        lib.nt_stages_clear(self._e)
        lib.nt_path_clear(self._e)

    def groups(self, grouping: int) -> tuple[Any, int]:
        """struct nt_group[], worst first, and how many of them are groups."""
        while True:
            room = self._groups_room
            out = ffi.new("struct nt_group[]", room)
            n = check(lib.nt_groups(self._e, grouping, out, room), "grouping sockets")
            if n <= room:
                return out, n
            self._groups_room = n + n // 8

    def members(self, grouping: int, cookie: int, most: int) -> list[int]:
        """Cookies of the first sockets, in the order, of the group that a socket is in."""
        out = ffi.new("uint64_t[]", most)
        n = check(lib.nt_group_members(self._e, grouping, cookie, out, most), "listing a group")
        return list(out[0:n])

    def sum(self, cookies: Sequence[int]) -> Any | None:
        """struct nt_group over these sockets, None if all are gone."""
        out = ffi.new("struct nt_group *")
        n = check(lib.nt_sum(self._e, list(cookies), len(cookies), out), "summing sockets")
        return out if n else None

    def load(self, rows: bytes, details: Any, count: int) -> None:
        """Fills an empty engine with packed struct nt_row and a struct nt_detail array or NULL."""
        packed = ffi.from_buffer("struct nt_row[]", rows)
        check(lib.nt_load(self._e, packed, details, count), "loading sockets")
