"""What C writes of sockets is, byte for byte, what jsonout writes of the same rows."""

from __future__ import annotations

import random
from typing import Any

import pytest

from nettop.derive import Deriver
from nettop.engine import ffi, lib
from nettop.engine.emitter import Emitter, Program, Where
from nettop.engine.handle import PackedRows
from nettop.engine.wire import EMPTY_REC, pack_row
from nettop.export import jsonout, jsonrows
from nettop.model.tcpinfo import TAIL_6_18, TAIL_7_0, InfoField
from nettop.model.types import Detail, Owner, Proc, Row
from nettop.replay import ReplayFeed
from tests.lab.faults import kept
from tests.unit.anyrows import Made, some_rows

RECORDED = ("accept_slow", "loss_3", "reader_sleeps", "tcp_memory_pressure")


def by_python(feed: ReplayFeed, *, lines: bool) -> bytes:
    return b"".join(jsonout.element_texts(feed.rows_all(), feed.owners, lines=lines))


@pytest.mark.parametrize("name", RECORDED)
def test_of_recordings(name: str) -> None:
    feed = ReplayFeed(kept.samples(kept.path_of(name, "B")))
    for lines in (True, False) * 4:
        feed.tick()
        texts = jsonrows.packed_texts(feed.packed_all(), feed.owners, lines=lines)
        assert b"".join(bytes(t) for t in texts) == by_python(feed, lines=lines)


@pytest.mark.parametrize("tail", [(), TAIL_6_18, TAIL_7_0], ids=["none", "6.18", "7.0"])
def test_of_anything(tail: tuple[InfoField, ...]) -> None:
    packed, n = some_rows(random.Random(41), 700), 700
    made = Made(packed, tail)
    source: Any = made
    refused: list[int] = []

    def owners(row: Row) -> list[Proc]:
        return []

    unpack = made.unpack
    expected = [jsonout.socket_text(*unpack(packed, at), owners).encode("ascii") for at in range(n)]

    def counted(packed: PackedRows, at: int) -> tuple[Row, Detail | None]:
        refused.append(at)
        return unpack(packed, at)

    made.unpack = counted  # type: ignore[method-assign]
    texts = b"".join(bytes(t) for t in jsonrows.packed_texts(source, owners, lines=True))
    got = texts.split(b",\n")
    for one, other in zip(got, expected, strict=True):
        assert one == other
    assert len(set(refused)) < n * 0.9, "most are written by C"


def test_a_row_that_finds_no_room_gets_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nettop.engine.emitter.ROOM_BYTES", 16)
    program = Program()
    program.literal("x" * 60)
    row = pack_row(EMPTY_REC, Proc(0, 0, Owner.UNKNOWN, 0, ""))
    packed = row * 3, ffi.new("struct nt_detail[3]"), [False] * 3
    texts = Emitter(program).texts(
        packed, b"|", first=True, names=lambda at: iter(()), refused=lambda at: b""
    )
    assert b"".join(bytes(t) for t in texts) == b"|".join([b"x" * 60] * 3)


@pytest.mark.parametrize(
    "step",
    [
        {"code": lib.NT_E_CODES},
        {"code": lib.NT_E_NUMBER, "base": lib.NT_EB_BASES},
        {"code": lib.NT_E_NUMBER, "size": 9},
        {"code": lib.NT_E_NUMBER, "offset": ffi.sizeof("struct nt_rec") - 3, "size": 4},
        {"code": lib.NT_E_ADDRESS, "base": lib.NT_EB_PROC,
         "offset": ffi.sizeof("struct nt_proc") - 15},
        {"code": lib.NT_E_NUMBER, "base": lib.NT_EB_KNOWN, "size": 8},
        {"code": lib.NT_E_LITERAL, "literal_len": 5},
        {"code": lib.NT_E_GO, "n": 0},
        {"code": lib.NT_E_GO, "n": 2},
        {"code": lib.NT_E_WORD, "n": 1},
        {"code": lib.NT_E_WORD, "word": 1},
        {"code": lib.NT_E_CELL, "word": 1},
        {"code": lib.NT_E_TERM},
    ],
)  # fmt: skip
def test_a_program_that_reads_or_goes_where_it_must_not(step: dict[str, int]) -> None:
    program = Program()
    program.literals += b"four"
    program.steps.append({**Where(0, 0, 0)._asdict(), **step})
    with pytest.raises(OSError, match="Invalid argument"):
        Emitter(program)


def test_names_are_those_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come through Deriver.name, once for all rows that have the same."""
    asked: list[int] = []
    name = Deriver.name

    def counted(self: Deriver, row: Row) -> Row:
        asked.append(row.cookie)
        return name(self, row)

    feed = ReplayFeed(iter(kept.samples(kept.path_of("accept_slow", "A"))))
    feed.tick()
    monkeypatch.setattr(Deriver, "name", counted)
    texts = jsonrows.packed_texts(feed.packed_all(), feed.owners, lines=True)
    text = b"".join(bytes(t) for t in texts)
    assert asked
    assert text.count(b'"netns":') > 2 * len(asked)
