"""Streams: what is sent comes out whole, and what another host may send does no harm."""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from nettop.commands.stream import settings_of
from nettop.engine import lib
from nettop.engine.frames import Section, Sections, of_sockets, sections_of
from nettop.feed import Sort
from nettop.hosts.sending import Control, Sender
from nettop.hosts.wire import (
    HELLO,
    MOST_FRAME_BYTES,
    MOST_NOISE_BYTES,
    Hello,
    StreamError,
    StreamReader,
    hello_bytes,
    note_bytes,
)
from nettop.query import FilterError, compile_filter
from nettop.replay import RecordedNames
from nettop.sample import Facts, Sample
from nettop.store.frames import HEAD, MAGIC, SCHEMA, FrameError, FrameReader, FrameWriter
from tests.unit.test_frames import CAPTURES, dump, messages_of

HI = Hello("0.1.0", SCHEMA, "web-1", "6.18")
CAPTURE = next(p for p in CAPTURES if p.name == "tcp-legacy.bin")


def frame() -> bytes:
    return FrameWriter().frame(Sample(1, 5, 6, b"", Facts(host="web-1"), whole=True))


def messages(data: bytes, piece: int = 1 << 20) -> list[Any]:
    reader = StreamReader("0.1.0")
    out: list[Any] = []
    for at in range(0, len(data), piece):
        out += reader.take(data[at : at + piece])
    return out


@given(piece=st.integers(1, 300), noise=st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_messages_come_whole_however_they_are_cut(piece: int, noise: bytes) -> None:
    banner = noise.replace(HELLO[:1], b"") + b"\n"
    sent = banner + hello_bytes(HI) + frame() + note_bytes({"pong": 1}) + frame()
    assert messages(sent, piece) == [HI, frame(), {"pong": 1}, frame()]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"x" * (MOST_NOISE_BYTES + 1), "no stream of nettop"),
        (b"a line\n" * MOST_NOISE_BYTES, "no stream of nettop"),
        (HELLO + b"{" * 9000, "first line has no end"),
        (HELLO + b'{"nettop":1}\n', "first line is damaged"),
        (hello_bytes(HI._replace(schema=99)), "schema 99, nettop 0.1.0 here reads up to"),
        (b"motd\nnettop-stream 2 {}\n", "speaks stream 2, nettop 0.1.0 here stream 1: inst"),
        (hello_bytes(HI).replace(b'"schema":1', b'"schema":true'), "first line is damaged"),
        (hello_bytes(HI).replace(b'"schema":1', b'"schema":1%0400d' % 0), "first line is damaged"),
        (hello_bytes(HI) + b"motd of a login", "something else stands between"),
        (hello_bytes(HI) + HEAD.pack(MAGIC, 0, 1, 1, MOST_FRAME_BYTES + 1, 1, 1, 1), "64 MB"),
        (hello_bytes(HI) + struct.pack("<4sII", b"NTNO", 0, 1 << 30), "note is too long"),
        (hello_bytes(HI) + struct.pack("<4sII", b"NTNO", 7, 2) + b"{}", "note is damaged"),
    ],
)  # fmt: skip
def test_what_is_no_stream_is_said_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(StreamError, match=says) as error:
        messages(data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", [10**400, 1 << 64, -(1 << 63) - 1, float("inf"), 1e300])
def test_a_number_of_more_than_64_bits_is_refused_in_notes_and_facts(number: float) -> None:
    with pytest.raises(StreamError, match=r"a note is damaged: .*(is too large|is no number)"):
        messages(hello_bytes(HI) + note_bytes({"deep": [{"pong": number}]}))
    parts = b'{"host":"a","skipped_ticks":%s}' % json.dumps(number).encode()
    with pytest.raises(FrameError, match="its facts are no JSON object"):
        FrameReader().sample(frame_of((2, parts)))
    assert messages(hello_bytes(HI) + note_bytes({"a": (1 << 64) - 1, "b": -1.5}))


def frame_of(*parts: tuple[int, bytes]) -> bytes:
    """A key frame of parts: their tags and bytes."""
    raw = b"".join(struct.pack("<II", tag, len(part)) + part for tag, part in parts)
    body = zstandard.compress(raw)
    head = HEAD.pack(MAGIC, 0, SCHEMA, 1, len(body), 1, 5, 6)
    return MAGIC + struct.pack("<I", zlib.crc32(head[8:] + body)) + head[8:] + body


def test_a_frame_that_unpacks_to_more_than_is_wanted_is_refused_before_it_is_unpacked() -> None:
    facts = (2, b'{"host":"a"}')
    assert FrameReader().sample(frame_of((99, bytes(1 << 20)), facts)).facts.host == "a"
    bomb = frame_of((99, bytes(5 << 20)), facts)
    assert len(bomb) < 10_000
    with pytest.raises(FrameError, match="unpacks to 5 MB: at most 4 MB are read"):
        FrameReader(most_bytes=4 << 20).sample(bomb)
    assert FrameReader().sample(bomb).facts.host == "a"  # of a recording


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (5, "takes an object"),
        ({"colour": "red\x1b"}, "no setting 'colour'"),
        ({"sort": "nope"}, "^sort: "),
        ({"sort": 5}, "^sort: takes text"),
        ({"filter": 5}, "^filter: takes text"),
        ({"called": None}, "^called: takes text"),
        ({"top": 0}, "^top: .*1 to"),
        ({"top": 10**400}, "^top: .*1 to"),
        ({"top": True}, "^top: takes a whole number"),
        ({"top": 2.5}, "^top: takes a whole number"),
        ({"all": 1}, "^all: takes true or false"),
        ({"paused": "no"}, "^paused: takes true or false"),
        ({"delay_s": 10**400}, "^delay_s: takes seconds"),
        ({"delay_s": float("nan")}, "^delay_s: takes seconds"),
        ({"delay_s": "1"}, "^delay_s: takes seconds"),
        ({"focus": [True]}, "^focus: takes a list of cookies"),
        ({"select": 7}, "^select: takes a list of cookies"),
    ],
)
def test_a_setting_that_is_not_understood_is_said_in_one_line(wanted: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        settings_of(wanted)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_settings_are_taken_as_a_link_sends_them() -> None:
    wanted = {
        "filter": None, "sort": "srtt:asc", "top": 500, "called": "a", "all": True,
        "delay_s": 2.0, "paused": False, "focus": [7, 10**400], "select": [],
    }  # fmt: skip
    taken = settings_of(wanted)
    assert taken | {"sort": None} == wanted | {"sort": None, "focus": [7]}
    assert (taken["sort"].field.id, taken["sort"].descending) == ("srtt", False)
    assert settings_of({"sort": None, "top": None}) == {"sort": Sort(), "top": None}


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_garbage_after_the_hello_is_refused_or_waited_for(data: bytes) -> None:
    with suppress(StreamError):
        assert messages(hello_bytes(HI) + data)[0] == HI


def cookies_of(raw: bytes) -> list[int]:
    return [
        struct.unpack_from("<Q", message, 16 + 44)[0]
        for section in sections_of(raw)
        if section.kind == lib.NT_S_DIAG
        for message in messages_of(section.body)
    ]


def test_a_sample_of_some_sockets_has_these_their_owners_and_what_the_host_says() -> None:
    said = messages_of(CAPTURE.read_bytes())
    cookies = [struct.unpack_from("<Q", m, 16 + 44)[0] for m in said]
    inodes = [struct.unpack_from("<I", m, 16 + 68)[0] for m in said]
    owners = [struct.pack("<QQ", inode, 7) for inode in dict.fromkeys(inodes)]
    waits = [struct.pack("<QQ", cookie, 9) for cookie in cookies]
    sections = Sections()
    for section in (
        Section(1, lib.NT_S_OWNERS, 0, 16, b"".join(owners)),
        *dump(2, said),
        Section(4, lib.NT_S_WAIT_SOCKETS, 0, 16, b"".join(waits)),
        Section(5, lib.NT_S_DUMP, 7, 1, b"host"),
    ):
        sections.add(section)
    wanted = cookies[::2]
    some = of_sockets(sections.to_bytes(), wanted)
    assert cookies_of(some) == wanted
    kept = {s.kind: s.body for s in sections_of(some)}
    assert kept[lib.NT_S_WAIT_SOCKETS] == b"".join(waits[::2])
    known = {0, *inodes[::2]}
    assert kept[lib.NT_S_OWNERS] == b"".join(
        o for o in owners if struct.unpack_from("<Q", o)[0] in known
    )
    assert kept[lib.NT_S_DUMP] == b"host"
    assert cookies_of(of_sockets(sections.to_bytes(), [])) == []
    assert cookies_of(of_sockets(sections.to_bytes(), cookies)) == cookies
    with pytest.raises(OSError, match="Protocol"):
        of_sockets(b"\1" * 30, wanted)


def test_a_host_is_asked_for_by_name_and_an_address_stays_one() -> None:
    names = RecordedNames()
    names.facts = Facts(host="web-1.example")
    ours = compile_filter("host = web-1*", names)
    other = compile_filter("host = db-1", names)
    assert ours is not None
    assert other is not None
    assert [op.code for op in ours.ops] == [1]  # always
    assert [op.code for op in other.ops] == [1, 4]  # never
    assert compile_filter("host != db-1", names).ops == ours.ops  # type: ignore[union-attr]
    names.called = "db-1"
    assert compile_filter("on = DB-1", names).ops == ours.ops  # type: ignore[union-attr]
    address = compile_filter("host = 10.0.0.5", names)
    assert address is not None
    assert {op.code for op in address.ops} == {6, 3}  # either end's address


def test_two_words_are_an_address_as_ss_has_it() -> None:
    with pytest.raises(FilterError, match="web-1"):
        compile_filter("host web-1")


def test_a_reader_that_is_gone_is_noticed_while_nothing_is_sent() -> None:
    read, write = os.pipe()
    gone = threading.Event()
    Sender(write, gone.set).start(b"hello\n")
    assert os.read(read, 64) == b"hello\n"
    assert not gone.is_set()
    os.close(read)
    assert gone.wait(30)
    os.close(write)


def test_a_slow_reader_leaves_no_room_for_another_frame() -> None:
    read, write = os.pipe()
    sender = Sender(write, lambda: None)
    sender.start(b"")
    sender.flush(30)
    assert sender.free
    sender.send(bytes(1 << 20))  # more than a pipe holds
    assert not sender.free
    left = 1 << 20
    while left:
        left -= len(os.read(read, 1 << 16))
    sender.flush(30)
    assert sender.free
    os.close(read)


def test_lines_that_are_no_objects_are_passed_over(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b'nonsense\n[1]\n{"ping":1}\n\xff\xfe\n{"set":{}}\nno end')
    heard: list[dict[str, Any]] = []
    ended = threading.Event()
    fd = os.open(lines, os.O_RDONLY)
    Control(fd, heard.append, ended.set).start()
    assert ended.wait(30)
    os.close(fd)
    assert heard == [{"ping": 1}, {"set": {}}]
