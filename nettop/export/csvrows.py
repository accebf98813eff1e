"""Lines of CSV as C writes them: the program, by the same fields as csvout.

Rows with a verdict, several holders or a bound device are refused by it, and csvout writes them.
tests/unit/test_csvrows.py compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from nettop.engine.emitter import Emitter, Program, Where, place
from nettop.engine.handle import PackedRows
from nettop.export import csvout
from nettop.export.jsonrows import PackedRowSource
from nettop.export.times import utc_text
from nettop.model.types import AF_INET6, TCP_LISTEN, Flag, Model, Owner, Proto, Row
from nettop.text.fields import FIELDS, Field, Kind

_NOT_UDP = 1 << Proto.TCP | 1 << Proto.MPTCP
# Fields of text, and the numbers that they follow from: a name is asked for once for each.
_BY_NUMBER: dict[str, str] = {
    "user": "uid", "proto": "proto", "cc": "cong_id", "cgroup": "cgroup_id",
    "container": "cgroup_id", "netns": "netns", "host": "netns",  # of all the same host
}  # fmt: skip

_EMPTY = ("who", "dev")  # without a verdict, without a device
_BY_USER = (Owner.HIDDEN,)  # called by their user's name


def packed_lines(
    source: PackedRowSource, model: Model, fields: Sequence[Field] | None = None
) -> Iterator[bytes | memoryview]:
    """A line per socket; a piece is good until the next one."""
    lines = CsvLines(model, fields).of(source)
    for packed in source.packed:
        yield from lines(packed, b"")


class CsvLines:
    """Lines of one tick, of one host or several."""

    def __init__(self, model: Model, fields: Sequence[Field] | None) -> None:
        chosen, self._taken = list(fields or FIELDS.values()), utc_text(model.wall_ns)
        self._program, self._names = _program(self._taken, chosen)
        self._readers = csvout.readers(chosen)

    def of(
        self, source: PackedRowSource
    ) -> Callable[[PackedRows, bytes], Iterator[bytes | memoryview]]:
        """Writes lines of a host, with so much between two."""
        emitter = Emitter(self._program)

        def texts(packed: PackedRows, between: bytes) -> Iterator[bytes | memoryview]:
            def named(at: int) -> Iterator[tuple[int, int, bytes]]:
                row, _ = source.unpack(packed, at)
                return (
                    (n, name.number(row), name.cell(row)) for n, name in self._names if name.of(row)
                )

            def refused(at: int) -> bytes:
                return csvout.line(self._taken, *source.unpack(packed, at), self._readers)

            return emitter.texts(packed, between, first=True, names=named, refused=refused)

        return texts


class _Name(NamedTuple):
    """Of a kind of names that the program asks for."""

    number: Callable[[Row], int]  # that it goes by
    of: Callable[[Row], bool]  # rows that have it
    cell: Callable[[Row], bytes]


_Names = list[tuple[int, _Name]]


def _program(taken: str, fields: Sequence[Field]) -> tuple[Program, _Names]:
    """And what it asks for, by kind."""
    p, names = Program(), _Names()
    for member in ("rec.verdicts", "rec.ifindex", "proc.more"):
        some = p.if_not(member, 0)
        p.refuse()
        p.end(some)
    p.literal(taken)
    for field in fields:
        p.literal(",")
        if field.kind is Kind.ADDRESS:
            _endpoint(p, local=field.id == "local")
        elif field.loc is not None:
            p.cell(field.loc, [csvout.cell(word) for word in field.words])
        else:
            _text(p, field, names)
    p.literal("\r\n")
    return p, names


def _text(p: Program, field: Field, names: _Names) -> None:
    def cell(row: Row) -> bytes:
        return csvout.cell(field.value(row)).encode("utf-8", "backslashreplace")

    def name(
        member: str, number: Callable[[Row], int], of: Callable[[Row], bool] = lambda row: True
    ) -> None:
        names.append((len(names) + 1, _Name(number, of, cell)))
        p.name(len(names), member)

    def of_rec(member: str) -> Callable[[Row], int]:
        def number(row: Row) -> int:
            return int(getattr(row.rec, member))

        return number

    if field.id == "why":
        _why(p)
    elif field.id == "st":
        tcp = p.if_one_of("rec.proto", _NOT_UDP)
        name("rec.state", of_rec("state"), lambda row: row.proto != Proto.UDP)
        udp = p.otherwise(tcp)
        p.literal("UDP")
        p.end(udp)
    elif field.id == "comm":
        held = p.if_not("proc.pid", 0)
        p.comm("", bare=True)
        p.end(held)
    elif field.id == "proc":
        held = p.if_not("proc.pid", 0)
        p.comm("", bare=True)
        p.number("/", "proc.pid")
        ends = [p.otherwise(held)]
        for owner in _BY_USER:
            other = p.if_one_of("proc.owner", 1 << owner)
            name("rec.uid", of_rec("uid"), partial(_is_owner, owner))
            ends.append(p.otherwise(other))
        name("proc.owner", lambda row: int(row.proc.owner), _has_word)
        for end in ends:
            p.end(end)
    elif field.id in _BY_NUMBER:
        member = _BY_NUMBER[field.id]
        name(f"rec.{member}", of_rec(member))
    elif field.id not in _EMPTY:
        p.refuse()


def _is_owner(owner: Owner, row: Row) -> bool:
    return not row.proc.pid and row.proc.owner == owner


def _has_word(row: Row) -> bool:
    return not row.proc.pid and row.proc.owner not in _BY_USER


def _why(p: Program) -> None:
    """As words.why_text, without a verdict."""
    well = p.if_one_of("rec.level", 1)
    untraced = p.if_any("rec.flags", Flag.WAIT_UNTRACED)
    tcp = p.if_one_of("rec.proto", _NOT_UDP)
    listens = p.if_one_of("rec.state", 1 << TCP_LISTEN)
    nothing = p.otherwise(listens)
    p.end(tcp)
    p.literal("not traced")
    p.end(nothing)
    traced = p.otherwise(untraced)
    mptcp = p.if_one_of("rec.proto", 1 << Proto.MPTCP)
    holds = p.if_not("rec.rqueue", 0)
    listens = p.if_one_of("rec.state", 1 << TCP_LISTEN)
    connected = p.otherwise(listens)
    p.literal("not traced")
    p.end(connected)
    p.end(holds)
    p.end(mptcp)
    p.end(traced)
    sinking = p.otherwise(well)
    p.refuse()  # the words of what was are Python's
    p.end(sinking)


def _endpoint(p: Program, *, local: bool) -> None:
    """As columns.endpoint, of a socket that is bound to no device."""
    address, port = ("src", "sport") if local else ("dst", "dport")
    ends = []
    if not local:
        empty = [p.if_one_of(part, 1) for part in (place("rec.dport"), *_halves("rec.dst"))]
        p.literal("*")
        ends.append(p.otherwise(empty[0]))
        for some in empty[1:]:
            p.end(some)
    inet6 = p.if_one_of("rec.family", 1 << AF_INET6)
    p.address("[", f"rec.{address}")
    p.number("]:", f"rec.{port}")
    ends.append(p.otherwise(inet6))
    p.address("", f"rec.{address}")
    p.number(":", f"rec.{port}")
    for end in ends:
        p.end(end)


def _halves(member: str) -> tuple[Where, Where]:
    at = place(member)
    return at._replace(size=8), at._replace(size=8, offset=at.offset + 8)
