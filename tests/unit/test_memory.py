"""The ring of frames in memory: what it keeps, what it forgets, and that reading hinders nobody."""

from __future__ import annotations

import struct
import threading

from nettop.engine import lib
from nettop.engine.frames import Section, Sections
from nettop.sample import Facts, Sample
from nettop.store.memory import KEY_EVERY_S, MemoryFrames

S = 10**9


def sample(seq: int, *, whole: bool, body: bytes = b"") -> Sample:
    sections = Sections()
    sections.add(Section(seq, lib.NT_S_DUMP, 4026531840, 1, struct.pack("<Q", seq) + body))
    return Sample(seq, seq * S, 1_700_000_000 * S + seq * S, sections.to_bytes(), Facts(), whole)


def filled(count: int, **limits: float) -> MemoryFrames:
    ring = MemoryFrames(**{"span_s": 900.0, **limits})  # type: ignore[arg-type]
    for seq in range(1, count + 1):
        ring.add(sample(seq, whole=ring.wants_whole(seq * S)))
    return ring


def test_what_was_taken_comes_back() -> None:
    ring = filled(20)
    assert [f.seq for f in ring.frames()] == list(range(1, 21))
    assert [f.seq for f in ring.frames() if f.key] == [1, 1 + KEY_EVERY_S]
    assert [s.seq for s in ring.samples(18, 19)] == [16, 17, 18, 19]
    assert list(ring.samples(20))[-1] == sample(20, whole=False)
    assert ring.span_s == 19


def test_only_whole_groups_are_forgotten_and_the_span_is_kept() -> None:
    ring = filled(100, span_s=40)
    assert ring.frames()[0].key
    assert 40 <= ring.span_s <= 40 + KEY_EVERY_S
    assert [s.seq for s in ring.samples()] == [f.seq for f in ring.frames()]


def test_the_bytes_are_a_limit() -> None:
    whole = filled(100)
    ring = filled(100, most_bytes=whole.bytes // 2)
    assert ring.bytes <= whole.bytes // 2
    assert ring.frames()[0].key
    assert ring.frames()[-1].seq == 100
    assert ring.bytes == sum(len(f) for group in ring._groups for f in group.frames)


def test_a_reader_ends_where_the_next_tick_was_forgotten() -> None:
    ring = filled(20, span_s=5)
    reading = ring.samples()
    first = next(reading)
    for seq in range(21, 81):
        ring.add(sample(seq, whole=ring.wants_whole(seq * S)))
    assert ring.frames()[0].seq > 20
    assert [first.seq, *(s.seq for s in reading)] == list(range(1, 1 + round(KEY_EVERY_S)))


def test_it_is_read_while_it_is_written() -> None:
    ring = filled(1, span_s=20)
    done = threading.Event()
    wrong: list[list[int]] = []
    read_some: list[bool] = []

    def read() -> None:
        while not done.is_set():
            seqs = [s.seq for s in ring.samples()]
            read_some.append(bool(seqs))  # none where the first was forgotten before it was read
            if seqs and seqs != list(range(seqs[0], seqs[-1] + 1)):
                wrong.append(seqs)

    reader = threading.Thread(target=read)
    reader.start()
    for seq in range(2, 300):
        ring.add(sample(seq, whole=ring.wants_whole(seq * S)))
    done.set()
    reader.join()
    assert not wrong
    assert any(read_some)
