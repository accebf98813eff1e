"""Recordings: what was written comes back, and what is no recording is said in one line."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nettop.engine import lib
from nettop.engine.frames import Section, Sections
from nettop.errors import NettopError
from nettop.model.cost import Cost, ProgramCost
from nettop.model.tcpinfo import TAIL_7_0
from nettop.model.types import HostCounters, NicStage, SourceStatus, Stage
from nettop.sample import Facts, Names, Sample
from nettop.store import foreign
from nettop.store.facts import changed, changes, facts_of
from nettop.store.frames import HEAD, KEY, SCHEMA, FrameError, FrameReader, FrameWriter
from nettop.store.recording import KEY_EVERY_S, Recording, RecordingWriter
from nettop.store.schema import USER_VERSION

ABOUT = {"host": "web-1", "kernel": "6.18", "nettop": "0"}


def sample(seq: int, *, whole: bool = False) -> Sample:
    sections = Sections()
    sections.add(Section(seq, lib.NT_S_DUMP, 4026531840, 1, struct.pack("<Q", seq)))
    facts = Facts(
        host="web-1",
        interval_s=1.5,
        counters=HostCounters(tcp_inuse=seq),
        sources=(SourceStatus("diag", "partial", reason="no\x1b[2J"),),
        cost=Cost(programs=(ProgramCost("wait", "wait_ready", 1.0, None),)),
        names=Names({seq: "x"}, {7: "/system.slice"}),
        tcp_info_tail=TAIL_7_0,
        nic=NicStage(bar_ns=seq, reason="eth0 is mute"),
        tx_absent={Stage.COPY: "needs Linux 6.16"},
    )
    wall_ns = 1_700_000_000_000_000_000 + seq
    return Sample(seq, seq * 10**9, wall_ns, sections.to_bytes(), facts, whole)


def record(path: Path, count: int) -> list[Sample]:
    samples = []
    writer = RecordingWriter(path, ABOUT)
    for seq in range(1, count + 1):
        samples.append(sample(seq, whole=writer.wants_whole(seq * 10**9)))
        writer.add(samples[-1])
    writer.close()
    return samples


json_values = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
facts = st.dictionaries(st.text(max_size=2), json_values, max_size=4)


@given(before=facts, now=facts)
def test_changes_applied_to_what_was_give_what_is(
    before: dict[str, object], now: dict[str, object]
) -> None:
    assert changed(before, changes(before, now)) == now
    assert changes(now, now) == {}


def test_samples_come_back_equal(tmp_path: Path) -> None:
    samples = record(tmp_path / "a.nettop", 5)
    recording = Recording(tmp_path / "a.nettop")
    assert list(recording.samples()) == samples
    assert recording.about == ABOUT
    assert [f.seq for f in recording.frames()] == [1, 2, 3, 4, 5]


def test_reading_begins_at_the_key_frame_before(tmp_path: Path) -> None:
    count = int(KEY_EVERY_S) * 2 + 10
    samples = record(tmp_path / "a.nettop", count)
    recording = Recording(tmp_path / "a.nettop")
    keys = [f.seq for f in recording.frames() if f.key]
    assert keys == [1, 61, 121]
    assert list(recording.samples(100)) == samples[60:]
    assert list(recording.samples(100, 101)) == samples[60:101]


def test_a_reader_sees_what_a_writer_has_added_so_far(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    writer = RecordingWriter(path, ABOUT)
    writer.add(sample(1, whole=True))
    recording = Recording(path)
    assert list(recording.samples()) == [sample(1, whole=True)]
    writer.add(sample(2))
    assert list(recording.samples()) == [sample(1, whole=True), sample(2)]
    writer.close()


def test_a_recording_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    record(path, 2)
    record(path, 3)
    recording = Recording(path)
    assert [f.seq for f in recording.frames()] == [1, 2, 3, 4, 5]
    assert [s.mono_ns for s in recording.samples()] == [n * 10**9 for n in (1, 2, 1, 2, 3)]


def test_a_second_recorder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    first = RecordingWriter(path, ABOUT)
    with pytest.raises(NettopError, match="another nettop records to it"):
        RecordingWriter(path, ABOUT)
    first.close()
    RecordingWriter(path, ABOUT).close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    record(tmp_path / "a.nettop", 1)
    assert (tmp_path / "a.nettop").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["a.nettop"]


def test_what_is_no_recording_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no recording, but long enough to have a head" * 40)
    (tmp_path / "empty").write_bytes(b"")
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE frames (x)")
    other.close()
    view = sqlite3.connect(tmp_path / "view")
    view.executescript("CREATE TABLE meta (name, value); CREATE VIEW frames AS SELECT 1 AS seq;")
    view.execute("PRAGMA application_id = 1852142708")
    view.close()
    for name in ("text", "empty", "other", "view", "missing"):
        with pytest.raises(NettopError) as caught:
            Recording(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
    for name in ("text", "link"):
        if name == "link":
            (tmp_path / name).symlink_to(tmp_path / "a.nettop")
        with pytest.raises(NettopError, match=r"name (another|the) file"):
            RecordingWriter(tmp_path / name, ABOUT)
    assert (tmp_path / "text").read_text().startswith("no recording")


def test_a_newer_schema_names_both(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    record(path, 1)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(
        NettopError, match=rf"newer nettop \(schema 99, this one reads up to {USER_VERSION}\)"
    ):
        Recording(path)


def test_a_frame_of_a_newer_schema_names_both() -> None:
    frame = bytearray(FrameWriter().frame(sample(1, whole=True)))
    struct.pack_into("<H", frame, 8, SCHEMA + 1)
    struct.pack_into("<I", frame, 4, zlib.crc32(frame[8:]))
    with pytest.raises(FrameError, match=f"schema {SCHEMA + 1}, this one reads up to {SCHEMA}"):
        FrameReader().sample(bytes(frame))


def test_parts_that_are_not_known_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    import zstandard

    frame = FrameWriter().frame(sample(1, whole=True))
    raw = zstandard.ZstdDecompressor().decompress(frame[HEAD.size :])
    body = zstandard.ZstdCompressor().compress(struct.pack("<II", 77, 3) + b"new" + raw)
    head = list(HEAD.unpack_from(frame))
    head[4] = len(body)
    bare = HEAD.pack(*head)
    crc = zlib.crc32(body, zlib.crc32(bare[8:]))
    newer = bare[:4] + struct.pack("<I", crc) + bare[8:] + body
    assert FrameReader().sample(newer) == sample(1, whole=True)


def test_only_a_key_frame_stands_alone() -> None:
    writer, reader = FrameWriter(), FrameReader()
    writer.frame(sample(1, whole=True))
    second = writer.frame(sample(2))
    with pytest.raises(FrameError, match="only a key frame can follow"):
        reader.sample(second)
    third = sample(3, whole=True)
    assert reader.sample(writer.frame(third)) == third


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damaged_frames_are_one_line(data: st.DataObject) -> None:
    frame = bytearray(FrameWriter().frame(sample(1, whole=True)))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= 1 << data.draw(st.integers(0, 7))
    # With a right checksum too, as somebody would make it who means harm.
    if data.draw(st.booleans()):
        struct.pack_into("<I", frame, 4, zlib.crc32(frame[8:]))
    cut = data.draw(st.sampled_from([len(frame), data.draw(st.integers(0, len(frame)))]))
    said = ""
    try:
        FrameReader().sample(bytes(frame[:cut]))
    except FrameError as error:
        said = str(error)
    assert "\n" not in said


def test_a_frame_that_says_it_holds_more_than_any_does_is_damaged() -> None:
    """Each bit of what the compressed part says of its size."""
    whole, refused = FrameWriter().frame(sample(1, whole=True)), 0
    for bit in range(8 * HEAD.size, 8 * (HEAD.size + 14)):
        frame = bytearray(whole)
        frame[bit // 8] ^= 1 << bit % 8
        struct.pack_into("<I", frame, 4, zlib.crc32(frame[8:]))
        try:
            FrameReader().sample(bytes(frame))
        except FrameError:
            refused += 1
    assert refused > 50


def test_damage_in_the_file_names_the_tick(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    record(path, 3)
    db = sqlite3.connect(path)
    db.execute("UPDATE frames SET frame = zeroblob(100) WHERE seq = 2")
    db.commit()
    db.close()
    recording = Recording(path)
    with pytest.raises(NettopError, match="tick 2: not a frame"):
        list(recording.samples())
    assert HEAD.unpack_from(FrameWriter().frame(sample(1, whole=True)))[3] == KEY


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 30, "1e999", "NaN", "Infinity"])
def test_a_number_that_no_kernel_has_is_no_json(number: str) -> None:
    with pytest.raises(ValueError, match="number"):
        foreign.loads(f'{{"counters_ns": {number}}}')
    assert foreign.loads('{"n": [18446744073709551615, -1, 0.5]}') == {"n": [2**64 - 1, -1, 0.5]}


def test_facts_of_a_wrong_type_are_one_line() -> None:
    cases: tuple[dict[str, Any], ...] = (
        {"host": 3},
        {"sources": [{"name": []}]},
        {"names": {"users": {"x": "y"}}},
        {"tcp_info_tail": [["x", -1, 2, "us", "gauge", "a", ""]]},
        {"tcp_info_tail": [["x", 280, 5, "us", "gauge", "a", ""]]},
        {"tcp_info_tail": [["x", 280, 1, "bits", "gauge", "a", "", None, 0, 1 << 40]]},
        {"tcp_info_tail": [["x", 280, 1, "bits", "gauge", "a", "", None, -1, 1]]},
        {"tcp_info_tail": [["\x1b[2J", 280, 1, "us", "gauge", "a", ""]]},
    )
    for bad in cases:
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            facts_of(bad)
    assert facts_of({"unknown": 1}) == Facts()


def changed_by(path: Path, sql: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(sql)
    db.close()


@pytest.mark.parametrize("seq", ["'x'", "NULL", "x'00ff'", "2.5", "1"])
def test_ticks_whose_numbers_are_none_or_twice_there_are_one_line(tmp_path: Path, seq: str) -> None:
    path = tmp_path / "a.nettop"
    record(path, 3)
    changed_by(
        path,
        "ALTER TABLE frames RENAME TO old; CREATE TABLE frames (seq, wall_ns, mono_ns, key, frame);"
        "INSERT INTO frames SELECT * FROM old; DROP TABLE old;"
        f"UPDATE frames SET seq = {seq} WHERE seq = 2",
    )
    with pytest.raises(NettopError, match="its ticks are not in order"):
        Recording(path).frames()


def test_ticks_that_are_listed_and_not_there_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    record(path, 3)
    recording = Recording(path)
    last = recording.frames()[-1].seq
    changed_by(path, "DELETE FROM frames WHERE seq = 3")
    with pytest.raises(NettopError, match="tick 3 is gone"):
        list(recording.samples(1, last))


@pytest.mark.parametrize("column", ["wall_ns", "mono_ns", "slept_ns", "elapsed_ns"])
@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1])
def test_a_recording_with_impossible_times_is_not_gone_on_with(
    tmp_path: Path, column: str, number: int
) -> None:
    path = tmp_path / "a.nettop"
    record(path, 2)
    changed_by(path, f"UPDATE ticks SET {column} = {number}")
    with pytest.raises(NettopError, match="its ticks are damaged; name another file"):
        RecordingWriter(path, ABOUT)


def test_a_name_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    record(path, 2)
    # SQLite's message has the name.
    damaged = path.read_bytes().replace(b"frames_places", b"frames_pl\xa7ces")
    path.write_bytes(damaged.replace(b"CREATE INDEX", b"CREATE INDXX"))
    with pytest.raises(NettopError, match=r"cannot read .*: it is damaged$"):
        Recording(path)


def test_a_file_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "\udcff\udcfe ?#%20.nettop"
    record(path, 2)
    assert [f.seq for f in Recording(path).frames()] == [1, 2]


def test_nothing_is_left_where_a_recording_cannot_begin(tmp_path: Path) -> None:
    # There is no room in a name for what SQLite puts beside the file.
    with pytest.raises(NettopError, match="cannot write"):
        RecordingWriter(tmp_path / ("a" * 244 + ".nettop"), ABOUT)
    assert list(tmp_path.iterdir()) == []
