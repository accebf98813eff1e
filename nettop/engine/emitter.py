"""Packed rows as text, by a program whose names are Python's and whose numbers are C's."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from nettop.engine import ffi, lib
from nettop.engine.handle import PackedRows
from nettop.engine.wire import fill_number
from nettop.text.fields import Formula, Loc

ROOM_BYTES = 1 << 18  # of a piece of text; a row that is longer gets what it needs
MOST_ROOM_BYTES = 1 << 24
_BASES = {"rec": lib.NT_EB_REC, "proc": lib.NT_EB_PROC, "plane": lib.NT_EB_PLANE,
          "detail": lib.NT_EB_DETAIL}  # fmt: skip


class Where(NamedTuple):
    """A number of a row."""

    base: int
    offset: int
    size: int  # bytes
    shift: int = 0  # bits to the right
    width: int = 0  # that count then; 0: all


NOWHERE = Where(0, 0, 0)


class Program:
    """Steps in the order in which they are written; struct nt_emit_step says what each does."""

    def __init__(self) -> None:
        self.steps: list[dict[str, int]] = []
        self.words: list[tuple[int, int]] = []
        self.terms: list[Loc | Formula] = []
        self.literals = bytearray()
        self._known: dict[bytes, int] = {}

    def _literal(self, text: str) -> tuple[int, int]:
        raw = text.encode("ascii")
        at = self._known.get(raw)
        if at is None:
            at = self._known[raw] = len(self.literals)
            self.literals += raw
        return at, len(raw)

    def _add(
        self, code: int, text: str = "", where: Where = NOWHERE, *, element: bool = True,
        a: int = 0, n: int = 0, word: int = 0,
    ) -> int:  # fmt: skip
        at, length = self._literal(text)
        step = {"code": code, "literal_at": at, "literal_len": length, "element": element, "a": a,
                "n": n, "word": word, **where._asdict()}  # fmt: skip
        self.steps.append(step)
        return len(self.steps) - 1

    def literal(self, text: str, *, element: bool = True) -> None:
        self._add(lib.NT_E_LITERAL, text, element=element)

    def number(self, text: str, member: str | Where, *, element: bool = True) -> None:
        """A whole number after the text.

        Args:
            member: `rec.rqueue`, `plane.wait.count`, `detail.skmem.0`, or what place() gives.
        """
        self._add(lib.NT_E_NUMBER, text, place(member), element=element)

    def real(self, text: str, member: str) -> None:
        self._add(lib.NT_E_REAL, text, place(member))

    def share(self, text: str, member: str) -> None:
        self._add(lib.NT_E_SHARE, text, place(member))

    def term(self, text: str, loc: Loc | Formula) -> None:
        self.terms.append(loc)
        self._add(lib.NT_E_TERM, text, a=len(self.terms) - 1)

    def cell(self, loc: Loc | Formula, words: Sequence[str] = ()) -> None:
        """A number in its base unit; whole ones without a point, nothing where it is unknown.

        words: what is written in place of 0, 1 …; of a number beyond them, the number.
        """
        self.terms.append(loc)
        first = self._words(dict(enumerate(words)), len(words))
        self._add(lib.NT_E_CELL, a=len(self.terms) - 1, n=len(words), word=first)

    def word(self, text: str, member: str, words: Mapping[int, str]) -> None:
        """The word of that number, quotes and all; a row with another number is refused."""
        most = max(words) + 1
        self._add(lib.NT_E_WORD, text, place(member), n=most, word=self._words(words, most))

    def _words(self, words: Mapping[int, str], most: int) -> int:
        first = len(self.words)
        self.words += [self._literal(words[n]) if n in words else (0, 0) for n in range(most)]
        return first

    def name(self, kind: int, member: str | Where) -> None:
        """What Emitter.texts() was given for the kind and that number; it may be empty."""
        self._add(lib.NT_E_NAME, "", place(member), a=kind)

    def address(self, text: str, member: str) -> None:
        self._add(lib.NT_E_ADDRESS, text, place(member))

    def comm(self, text: str, *, bare: bool = False) -> None:
        """Of the first holder, in quotes or for a cell of CSV."""
        self._add(lib.NT_E_COMM, text, place("proc.comm"), element=False, n=bare)

    def refuse(self) -> None:
        self._add(lib.NT_E_REFUSE)

    def open(self, text: str) -> None:
        self._add(lib.NT_E_OPEN, text)

    def close(self, text: str = "}", *, unless_empty: bool = False) -> None:
        """unless_empty: an object with nothing in it is not written at all."""
        self._add(lib.NT_E_CLOSE, text, n=unless_empty)

    # --- what is written only under a condition ---

    def if_any(self, member: str, bits: int) -> int:
        """Until end(): of rows that have one of these bits."""
        return self._add(lib.NT_E_IF_ANY, "", place(member), a=bits)

    def if_not(self, member: str | Where, value: int) -> int:
        return self._add(lib.NT_E_IF_NOT, "", place(member), a=value)

    def if_least(self, member: str, value: int) -> int:
        return self._add(lib.NT_E_IF_LEAST, "", place(member), a=value)

    def if_one_of(self, member: str | Where, values: int) -> int:
        """values: 1 << each."""
        return self._add(lib.NT_E_IF_ONE_OF, "", place(member), a=values)

    def if_detail(self) -> int:
        return self._add(lib.NT_E_IF_ANY, "", Where(lib.NT_EB_KNOWN, 0, 8), a=1)

    def otherwise(self, condition: int) -> int:
        """Until end(): of all other rows."""
        go = self._add(lib.NT_E_GO)
        self.end(condition)
        return go

    def end(self, condition: int) -> None:
        self.steps[condition]["n"] = len(self.steps)


def place(member: str | Where) -> Where:
    """Where a member lies of what a row has: `rec.rqueue`, `detail.skmem.0`."""
    return member if isinstance(member, Where) else _place(member)


@cache
def _place(member: str) -> Where:
    base, *path = member.split(".")
    ctype, offset = ffi.typeof(f"struct nt_{base}"), 0
    for part in path:
        if part.isdigit():
            ctype = ctype.item
            offset += int(part) * ffi.sizeof(ctype)
        else:
            info = _fields(ctype)[part]
            offset, ctype = offset + info.offset, info.type
    return Where(_BASES[base], offset, min(ffi.sizeof(ctype), 8))


@cache
def _fields(ctype: Any) -> dict[str, Any]:
    return dict(ctype.fields)


class Emitter:
    """One thread at a time; names that it was given stay."""

    def __init__(self, program: Program) -> None:
        """
        Raises:
            OSError: no memory.
        """
        steps = ffi.new("struct nt_emit_step[]", program.steps)
        words = ffi.new("struct nt_emit_word[]", program.words)
        terms = ffi.new("struct nt_term[]", len(program.terms))
        for at, loc in enumerate(program.terms):
            fill_number(terms[at], loc)
        made = lib.nt_emitter_new(
            steps, len(steps), bytes(program.literals), len(program.literals), words, len(words),
            terms, len(terms),
        )  # fmt: skip
        if made == ffi.NULL:
            raise OSError(ffi.errno, f"making a writer of rows: {os.strerror(ffi.errno)}")
        self._m = ffi.gc(made, lib.nt_emitter_free)
        self._room = ROOM_BYTES
        self._buffer = ffi.new("char[]", self._room)

    def texts(
        self,
        packed: PackedRows,
        between: bytes,
        *,
        first: bool,
        names: Callable[[int], Iterator[tuple[int, int, bytes]]],
        refused: Callable[[int], bytes],
    ) -> Iterator[bytes | memoryview]:
        """The rows in pieces of many; a piece is good until the next one.

        Args:
            between: what stands before each row, but before the first of all.
            first: the first of these is that.
            names: of a row: kind, number and text of each name that a step may ask for.
            refused: the text of a row that the program cannot write.
        """
        raw, details, known = packed
        rows = ffi.from_buffer("struct nt_row[]", raw)
        mark = ffi.new("uint8_t[]", bytes(known))
        separator = ffi.new("char[]", between)
        out = ffi.new("struct nt_emitted *")
        at, n = 0, len(known)
        while at < n:
            lib.nt_emit(self._m, rows + at, details + at, mark + at, n - at, not first or at > 0,
                        separator, self._buffer, self._room, out)  # fmt: skip
            at += out.rows_done
            if out.bytes:
                yield memoryview(ffi.buffer(self._buffer, out.bytes))
            if out.end == lib.NT_EE_NAME:
                for kind, number, text in names(at):
                    error = lib.nt_emitter_name(self._m, kind, number, text, len(text))
                    if error:
                        raise OSError(-error, f"keeping a name: {os.strerror(-error)}")
            elif out.end == lib.NT_EE_REFUSED:
                yield (b"" if first and at == 0 else between) + refused(at)
                at += 1
            elif out.end == lib.NT_EE_ROOM and not out.rows_done:
                self._grow()

    def _grow(self) -> None:
        if self._room >= MOST_ROOM_BYTES:
            raise OSError(errno.ENOBUFS, "a row as text is longer than 16 MiB")
        self._room *= 4
        self._buffer = ffi.new("char[]", self._room)
