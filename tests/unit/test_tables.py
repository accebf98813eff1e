"""The tables of a recording: what SQL finds in them, and how much is kept."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nettop.engine import lib
from nettop.engine.frames import Section, Sections
from nettop.errors import NettopError
from nettop.model.events import Event, EventFlag, EventsTick, EventType, TypeCount
from nettop.model.types import AF_INET, Because, Model, Owner, Proc, Row, Sick, Verdict, Who
from nettop.replay import ReplayFeed
from nettop.sample import Facts, Sample
from nettop.store.frames import FrameWriter
from nettop.store.place import wal_of
from nettop.store.recording import KEY_EVERY_S, Recording, RecordingWriter
from nettop.store.retention import Limits
from nettop.store.schema import APPLICATION_ID
from nettop.store.tables import EVENTS_MOST, TickTables
from tests.export.make import HOSTILE, make_model, make_row

ABOUT = {"host": "web-1"}
S = 10**9
T = 1_795_201_200 * S
NOTHING = tuple([TypeCount()] * len(EventType))


def sick(cookie: int, verdict: Verdict, value: float, *, unwell: bool = False) -> Sick:
    bit = 1 << verdict
    return Sick(
        cookie, 0, bit, bit * unwell, verdict, verdict, Who.NET, Who.NET, Because.PLAIN,
        Because.PLAIN, value, value,
    )  # fmt: skip


def happened(seq: int, kind: EventType, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "at_ns": 0, "cookie": 1, "seq": seq, "netns": 4026531840, "type": kind, "family": AF_INET,
        "proto": 6, "state": 1, "new_state": 8, "ca_state": 0, "new_ca_state": 0, "timer": 0,
        "retransmits": 0, "flags": EventFlag.OWNER, "sport": 80, "dport": 41000,
        "src": bytes((127, 0, 0, 1)) + bytes(12), "dst": bytes((10, 0, 0, 2)) + bytes(12),
        "pid": 812, "comm": "nginx", "reason": None, "err": 0, "ahead": 0, "length": 0, "segs": 1,
        "snd_cwnd": 10, "rtt_us": 100, **changes,
    }  # fmt: skip
    return Event(**values)


class TickFeed:
    """What a feed says of one tick."""

    def __init__(self) -> None:
        self.sick_now: list[Sick] = []
        self.events: list[Event] = []
        self.row = make_row()

    def sick(self, *, matched: bool = True) -> list[Sick]:
        return self.sick_now

    def find(self, cookie: int) -> Row | None:
        self.row.rec = self.row.rec._replace(cookie=cookie)
        return replace(self.row)

    def listed_events(self, most: int, types: Collection[EventType]) -> tuple[Sequence[Event], int]:
        found = [e for e in reversed(self.events) if e.type in types]
        return found[:most], max(0, len(found) - most)


class Recorder:
    """Ticks at a chosen second, as the command writes them."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.writer = RecordingWriter(path, ABOUT, limits or Limits())
        self.tables, self.feed, self.seq = TickTables(), TickFeed(), 0
        self.ahead_ns = 0  # of the clock, since it was set

    def tick(
        self, second: float, *held: Sick, events: EventsTick | None = None, body: bytes = b"x" * 8
    ) -> None:
        self.seq += 1
        self.feed.sick_now = list(held)
        ns = round(second * S)
        model: Model = replace(
            make_model(),
            seq=self.seq,
            wall_ns=T + ns + self.ahead_ns,
            mono_ns=1000 * S + ns,
            events=events,
        )
        sections = Sections()
        sections.add(Section(ns, lib.NT_S_DUMP, 4026531840, 1, body))
        whole = self.writer.wants_whole(model.mono_ns)
        sample = Sample(
            self.seq, model.mono_ns, model.wall_ns, sections.to_bytes(), Facts(host="web-1"), whole
        )
        self.writer.add(sample, self.tables.take(model, self.feed))


def asked(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_a_spell_is_there_from_its_first_tick_and_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    ask = "SELECT from_ns, to_ns, worst, level, ticks, cut FROM spells"
    recorder.tick(0)
    recorder.tick(1, sick(1, Verdict.LOSS, 1.5))
    assert asked(path, ask) == [(T + 1 * S, None, 1.5, "watch", 1, 0)]
    recorder.tick(2, sick(1, Verdict.LOSS, 1.6))  # little worse: not written at once
    assert asked(path, ask) == [(T + 1 * S, None, 1.5, "watch", 1, 0)]
    recorder.tick(3, sick(1, Verdict.LOSS, 2.5, unwell=True))
    assert asked(path, ask) == [(T + 1 * S, None, 2.5, "unwell", 3, 0)]
    recorder.tick(4)
    assert asked(path, ask) == [(T + 1 * S, T + 4 * S, 2.5, "unwell", 3, 0)]
    recorder.tick(5, sick(1, Verdict.LOSS, 1.0))
    recorder.writer.close()
    # The recorder ended, not the verdict.
    assert asked(path, ask)[1:] == [(T + 5 * S, T + 5 * S, 1.0, "watch", 1, 1)]
    said = "SELECT who, why, what, process, pid, local, remote, host, unit FROM spells"
    assert asked(path, said)[0] == (
        "net", "loss 2.5%", "loss on the path", "nginx", 12, "127.0.0.1:80", "10.0.0.2:41000",
        "web-1", "percent",
    )  # fmt: skip


def test_a_worst_value_is_never_more_than_ten_ticks_late(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    for second in range(12):
        recorder.tick(second, sick(1, Verdict.LOSS, 10 + second / 100))
    ((worst,),) = asked(path, "SELECT worst FROM spells")
    assert worst >= 10.1
    recorder.writer.close()


def test_what_a_killed_recorder_left_open_is_cut_where_it_ended(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.nettop", tmp_path / "b.nettop"
    recorder = Recorder(path)
    recorder.tick(0)
    recorder.tick(1, sick(1, Verdict.RTT, 3.0))
    recorder.tick(2, sick(1, Verdict.RTT, 3.0))
    for suffix in ("", "-wal"):
        (tmp_path / f"b.nettop{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    recorder.writer.close()
    assert asked(copy, "SELECT to_ns, cut FROM spells") == [(None, 0)]
    again = Recorder(copy)
    assert asked(copy, "SELECT to_ns, cut FROM spells") == [(T + 2 * S, 1)]
    again.tick(60)
    again.writer.close()
    assert asked(copy, "SELECT seq, mark FROM ticks ORDER BY seq") == [
        (1, None), (2, None), (3, None), (4, "recording goes on after 58.0s"),
    ]  # fmt: skip
    ((elapsed,),) = asked(copy, "SELECT elapsed_ns FROM ticks WHERE seq = 4")
    assert elapsed == pytest.approx(60 * S, abs=10**6)


def test_a_tick_has_its_totals_and_says_what_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    recorder.tick(0)
    recorder.writer.close()
    (row,) = asked(
        path,
        "SELECT sockets, tcp, established, unwell, watch, unwell_app, unwell_net, retrans_per_s, "
        "events_drop, rx_wait_p99_ns, mark, host FROM ticks",
    )
    assert row == (8414, 8412, 8107, 1, 2, 0, 1, 12.5, None, None, None, "web-1")


def test_events_what_went_wrong_first_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    routine = [happened(n, EventType.STATE) for n in range(EVENTS_MOST + 40)]
    wrong = [
        happened(1000, EventType.DROP, reason="TCP_CSUM", length=1500),
        happened(1001, EventType.ERROR, err=104),
        happened(1002, EventType.RESET_RECEIVED, flags=0),
    ]
    recorder.feed.events = [*wrong, *routine]
    counts = list(NOTHING)
    counts[EventType.STATE] = TypeCount(seen=EVENTS_MOST + 90, suppressed=50)
    counts[EventType.DROP] = TypeCount(seen=1)
    events = EventsTick(tuple(counts), NOTHING, (), (), 0, 0, 0, 0, 0, 1, 1.0)
    recorder.tick(0, events=events)
    recorder.writer.close()
    found = asked(path, "SELECT type, reason, errno, bytes, state, process, pid, local FROM events")
    assert len(found) == EVENTS_MOST
    told = {row[0]: row[1:] for row in found}
    assert told["drop"][:3] == ("TCP_CSUM", None, 1500)
    assert told["error"][1] == 104
    assert told["reset_received"][3:] == ("ESTABLISHED", "nginx", 12, "127.0.0.1:80")
    assert told["state"][3:] == ("ESTABLISHED", "nginx", 812, "127.0.0.1:80")
    (counted,) = asked(
        path, "SELECT events_state, events_drop, events_listed, events_not_listed FROM ticks"
    )
    assert counted == (EVENTS_MOST + 90, 1, EVENTS_MOST, 50 + 43)


def test_views_tell_local_time(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    recorder.feed.events = [happened(1, EventType.DROP, reason="NO_SOCKET")]
    events = EventsTick(NOTHING, NOTHING, (), (), 0, 0, 0, 0, 0, 1, 1.0)
    recorder.tick(0)
    recorder.tick(1, sick(1, Verdict.LOSS, 1.5), events=events)
    recorder.tick(3.5, sick(1, Verdict.LOSS, 1.5))
    rows = asked(path, "SELECT began, ended, seconds, process FROM spells_local")
    local = "datetime(wall_ns / 1000000000, 'unixepoch', 'localtime')"
    assert rows == [*((at, None, 2.5, "nginx") for (at,) in asked(
        path, f"SELECT {local} FROM ticks WHERE seq = 2"))]  # fmt: skip
    assert asked(path, "SELECT type, what FROM events_local") == [("drop", "NO_SOCKET 0 B")]
    assert len(asked(path, "SELECT at FROM ticks_local")) == 3
    recorder.writer.close()


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("set_s", [3600, -3600])
def test_a_spell_lasts_as_long_whatever_the_clock_is_set_to(
    tmp_path: Path, set_s: int, ends: bool
) -> None:
    recorder = Recorder(tmp_path / "a.nettop")
    recorder.tick(0, sick(1, Verdict.LOSS, 1.5))
    recorder.ahead_ns = set_s * S
    recorder.tick(1, sick(1, Verdict.LOSS, 1.5))
    recorder.tick(2, *([] if ends else [sick(1, Verdict.LOSS, 1.5)]))
    assert asked(tmp_path / "a.nettop", "SELECT seconds FROM spells_local") == [(2.0,)]
    recorder.writer.close()


def test_hostile_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    name = "'); DROP TABLE spells; --"
    recorder.feed.row = make_row(1, proc=Proc(7, 3, Owner.PROC, 0, name))
    recorder.feed.row.cgroup = f"/{HOSTILE}"
    recorder.feed.row.dev = HOSTILE
    recorder.feed.row.rec = recorder.feed.row.rec._replace(ifindex=3)
    recorder.tick(0, sick((1 << 64) - 1, Verdict.LOSS, 2.0))
    recorder.writer.close()
    ask = "SELECT process, cookie, cgroup, local, remote FROM spells"
    ((process, cookie, *others),) = asked(path, ask)
    assert (process, cookie) == (name, -1)
    assert all(text.isprintable() for text in others)


def test_what_is_older_than_keep_goes_up_to_a_key_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path, Limits(keep_s=150))
    recorder.feed.events = [happened(1, EventType.DROP, reason="x")]
    events = EventsTick(NOTHING, NOTHING, (), (), 0, 0, 0, 0, 0, 1, 1.0)
    for second in range(600):
        # A spell of a minute each ten, and one that holds all the time.
        held = [sick(2, Verdict.RTT, 3.0)]
        held += [sick(1, Verdict.LOSS, 2.0)] if second % 600 < 60 else []
        recorder.tick(second, *held, events=events)
        oldest, newest = asked(path, "SELECT min(elapsed_ns), max(elapsed_ns) FROM ticks")[0]
        assert newest - oldest <= (151 + KEY_EVERY_S) * S
        assert newest - oldest >= min(second, 150) * S
    recorder.writer.close()
    first = asked(path, "SELECT min(seq) FROM frames")[0][0]
    for table in ("ticks", "events"):
        assert asked(path, f"SELECT min(seq) FROM {table}")[0][0] == first
    with closing(Recording(path)) as recording:
        assert recording.frames()[0].key
        assert len(list(recording.samples())) == len(recording.frames()) == 600 - first + 1
    # One ended before, the other holds on.
    assert asked(path, "SELECT cookie FROM spells") == [(2,)]


def test_a_clock_that_is_set_deletes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path, Limits(keep_s=3600))
    recorder.tick(0)
    row = recorder.tables.take
    year = 365 * 86400 * S

    def later(model: Model, feed: Any) -> Any:
        rows = row(model, feed)
        return replace(rows, clocks=rows.clocks._replace(wall_ns=rows.clocks.wall_ns + year))

    recorder.tables.take = later  # type: ignore[method-assign]
    recorder.tick(1)
    recorder.tick(2)
    recorder.writer.close()
    marks = asked(path, "SELECT seq, mark FROM ticks ORDER BY seq")
    assert marks == [(1, None), (2, "clock set forward by 365d"), (3, None)]


@pytest.mark.parametrize("bytes_a_tick", [8_000, 120_000])
def test_the_size_stays_below_max_size_at_every_tick(tmp_path: Path, bytes_a_tick: int) -> None:
    path, most = tmp_path / "a.nettop", 4 << 20
    recorder = Recorder(path, Limits(max_bytes=most))
    sizes = []
    for second in range(int(3 * most / bytes_a_tick)):
        recorder.tick(second, body=os.urandom(bytes_a_tick))
        sizes.append(sum(p.stat().st_size for p in tmp_path.iterdir()))
    assert max(sizes) <= most
    kept = asked(path, "SELECT count(*) FROM frames")[0][0]
    assert kept * bytes_a_tick > most / 3
    recorder.writer.close()
    assert path.stat().st_size <= most
    with closing(Recording(path)) as recording:
        assert len(list(recording.samples())) == kept


def test_not_every_tick_is_a_key_frame_where_they_are_large(tmp_path: Path) -> None:
    path, most = tmp_path / "a.nettop", 4 << 20
    recorder = Recorder(path, Limits(max_bytes=most))
    for second in range(40):
        whole = recorder.writer.wants_whole((1000 + second) * S)
        recorder.tick(second, body=os.urandom(400_000 if whole else 20_000))
        assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= most
    keys, ticks = asked(path, "SELECT sum(key), count(*) FROM frames")[0]
    assert keys >= 2
    assert keys * 5 < ticks
    recorder.writer.close()


def test_a_tick_that_does_not_fit_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path, Limits(max_bytes=4 << 20))
    recorder.tick(0, body=os.urandom(1000))
    recorder.writer._keyed_ns = None
    with pytest.raises(NettopError, match=r"^a whole tick takes .* --max-size 4\.0M; raise it$"):
        recorder.tick(1, body=os.urandom(5 << 20))
    assert asked(path, "SELECT count(*) FROM frames") == [(1,)]
    recorder.writer.close()


def test_a_file_that_was_large_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    for second in range(100):
        recorder.tick(second, body=os.urandom(80_000))
    recorder.writer.close()
    large = path.stat().st_size
    again = Recorder(path, Limits(max_bytes=4 << 20))
    again.tick(100, body=os.urandom(80_000))
    again.writer.close()
    assert path.stat().st_size <= 4 << 20 < large


def version_1(path: Path) -> None:
    """A file as the version before wrote it."""
    frames = FrameWriter()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
            "CREATE TABLE frames (seq INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, "
            "mono_ns INTEGER NOT NULL, key INTEGER NOT NULL, frame BLOB NOT NULL);"
            "CREATE INDEX frames_by_time ON frames (wall_ns);"
            "CREATE INDEX frames_key ON frames (seq) WHERE key;"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;"
            "INSERT INTO meta VALUES ('host', 'web-1');"
        )
        for seq, wall_s in enumerate((0, 1, -500, -499), 1):  # its clock was set back
            sample = Sample(seq, 1000 * S + seq * S, T + wall_s * S, b"", Facts(), whole=seq == 1)
            row = (seq, sample.wall_ns, sample.mono_ns, sample.whole, frames.frame(sample))
            db.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?)", row)
        db.commit()


def test_a_file_of_version_1_opens_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    version_1(path)
    with closing(Recording(path)) as recording:
        assert [s.seq for s in recording.samples()] == [1, 2, 3, 4]
    recorder = Recorder(path, Limits(keep_s=3600))
    recorder.tick(60, sick(1, Verdict.LOSS, 2.0))
    recorder.writer.close()
    with closing(Recording(path)) as recording:
        assert [f.seq for f in recording.frames()] == [1, 2, 3, 4, 5]
        assert len(list(recording.samples())) == 5
    elapsed = [n for (n,) in asked(path, "SELECT elapsed_ns FROM ticks ORDER BY seq")]
    assert elapsed == sorted(elapsed)
    listing = asked(
        path, "EXPLAIN QUERY PLAN SELECT seq, wall_ns, mono_ns, key FROM frames ORDER BY seq"
    )
    assert "COVERING INDEX frames_places" in listing[0][-1]
    assert asked(path, "SELECT sockets FROM ticks ORDER BY seq") == [
        (None,), (None,), (None,), (None,), (8414,),
    ]  # fmt: skip
    assert asked(path, "SELECT count(*) FROM spells") == [(1,)]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE TABLE history (url)", "not a recording of nettop"),
        ("PRAGMA user_version = 99", "newer nettop"),
        (
            "CREATE TRIGGER t AFTER INSERT ON frames BEGIN DELETE FROM frames; END",
            "changed by another",
        ),
        ("DROP TABLE ticks; CREATE VIEW ticks AS SELECT 1 AS seq", "changed by another"),
        ("UPDATE ticks SET elapsed_ns = 'x'", "are damaged"),
    ],
)
def test_a_recorder_goes_on_with_nothing_else(tmp_path: Path, made: str, said: str) -> None:
    path = tmp_path / "a.nettop"
    if "history" not in made:
        recorder = Recorder(path)
        recorder.tick(0)
        recorder.writer.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(made)
    before = path.read_bytes()
    with pytest.raises(NettopError, match=said) as caught:
        Recorder(path)
    assert "\n" not in str(caught.value)
    if "elapsed" not in made:
        assert path.read_bytes() == before


def test_ticks_that_are_deleted_while_they_are_read_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path, Limits(keep_s=60))
    for second in range(100):
        recorder.tick(second)
    with closing(Recording(path)) as recording:
        samples = recording.samples()
        next(samples)
        for second in range(100, 250):
            recorder.tick(second)
        with pytest.raises(NettopError, match="tick 33 is gone: its recorder deleted it meanwhile"):
            list(samples)
        # It was listed, and deleted before it could be read.
        with pytest.raises(NettopError, match="tick 1 is gone: "):
            list(recording.samples(1))
        first = recording.frames()[0].seq
        assert len(list(recording.samples(first))) == 250 - first + 1
    recorder.writer.close()


def test_a_reader_that_stays_does_not_keep_the_wal(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    recorder = Recorder(path)
    for second in range(70):
        recorder.tick(second)
    with closing(Recording(path)) as recording:
        samples = recording.samples()
        next(samples)
        for second in range(100, 200):
            recorder.tick(second, body=os.urandom(60_000))
        assert wal_of(path).stat().st_size < 2 << 20
    recorder.writer.close()


README = Path(__file__).parents[2] / "README.md"
RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"


@pytest.fixture
def late_reader(tmp_path: Path) -> Path:
    """A program that read 60 ms late, recorded anew from its replay."""
    path = tmp_path / "again.nettop"
    with (
        closing(Recording(RECORDINGS / "late-reader.nettop")) as recording,
        closing(RecordingWriter(path, recording.about)) as writer,
    ):
        tables, (samples, again) = TickTables(), (recording.samples(), recording.samples())
        feed = ReplayFeed(samples)
        for sample in again:
            writer.add(sample, tables.take(feed.tick(), feed))
    return path


def test_sql_answers_what_was_bad(late_reader: Path) -> None:
    ask = "SELECT who, verdict, level, process, worst, unit, cut FROM spells"
    ((who, verdict, level, process, worst, unit, cut),) = asked(late_reader, ask)
    assert (who, verdict, level, unit, cut) == ("app", "reads_late", "watch", "ms", 1)
    assert 55 <= worst <= 75
    assert process
    sums = "SELECT sum(watch), max(watch), sum(unwell), count(*) FROM ticks"
    ((watch, most, unwell, ticks),) = asked(late_reader, sums)
    assert (most, unwell, ticks) == (1, 0, 8)
    assert watch == asked(late_reader, "SELECT ticks FROM spells")[0][0]


def test_the_queries_of_the_readme_are_answered(late_reader: Path) -> None:
    queries = re.findall(r'sqlite3 -box slow.nettop "([^"]*)"', README.read_text())
    assert len(queries) == 3
    for query in queries:
        asked(late_reader, query)
    loose = queries[0].replace("WHERE level = 'unwell'", "")
    ((began, seconds, who, why, *_),) = asked(late_reader, loose)
    assert began[:2] == "20"
    assert seconds > 0
    assert who == "app"
    assert why.startswith("reads ")
