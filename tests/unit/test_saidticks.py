"""What the tables of a recording say, whoever wrote into them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copyfile

import pytest

from nettop.changes import Changes, EventRuns
from nettop.model.events import EVENT_NAMES, EventType
from nettop.store.saidticks import SPOTS_MOST, SaidTicks
from nettop.store.schema import prepare

RECORDING = Path(__file__).parents[1] / "data" / "recordings" / "late-reader.nettop"
S = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.nettop"
    with closing(sqlite3.connect(path)) as db:
        prepare(db, path)
    return path


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("PRAGMA synchronous = OFF")
        opened.execute("PRAGMA journal_mode = MEMORY")
        yield opened


def ticks(db: sqlite3.Connection, count: int) -> None:
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO ticks (seq, wall_ns, mono_ns, slept_ns, elapsed_ns, unwell, watch, "
        "events_drop) VALUES (?, ?, 0, 0, 0, ?, 0, ?)",
        [(i, i * S, i == 7, 2 * (i == 9)) for i in range(1, count + 1)],
    )
    db.execute("COMMIT")


def test_spots_are_the_largest_of_their_ticks(path: Path, db: sqlite3.Connection) -> None:
    ticks(db, 2 * SPOTS_MOST)
    with closing(SaidTicks(path)) as said:
        spots = said.summaries()
        assert len(spots) <= SPOTS_MOST
        assert sum(spot.unwell for spot in spots) == 1
        assert [spot.events for spot in spots if spot.events] == [{"drop": 2}]
        assert spots[-1].wall_ns == 2 * SPOTS_MOST * S
        ticks_more = 2 * SPOTS_MOST + 1
        db.execute(
            "INSERT INTO ticks (seq, wall_ns, mono_ns, slept_ns, elapsed_ns, unwell, watch) "
            "VALUES (?, ?, 0, 0, 0, 3, 0)", (ticks_more, ticks_more * S),
        )  # fmt: skip
        assert said.summaries()[-1].unwell == 3, "a recorder goes on"


def test_changes_are_spells_and_events_that_are_no_ordinary_life(
    path: Path, db: sqlite3.Connection
) -> None:
    ticks(db, 20)
    db.executemany(
        "INSERT INTO spells (from_seq, to_seq, cookie) VALUES (?, ?, ?)",
        [(3, 8, 7), (8, None, -1), (12, 12, 9)],
    )
    db.executemany(
        "INSERT INTO events (seq, n, type, cookie) VALUES (?, ?, ?, ?)",
        [(5, 0, "drop", 7), (6, 0, "state", 7), (8, 0, "retransmit", 5), (8, 1, "drop", None)],
    )
    db.execute("UPDATE ticks SET events_not_listed = 4 WHERE seq = 5")
    with closing(SaidTicks(path)) as said:
        assert [tuple(c) for c in said.changes.before(99)] == [
            (12, {9}, 0, {}), (8, {7, 2**64 - 1, 5}, 0, {}), (5, {7}, 4, {}), (3, {7}, 0, {}),
        ]  # fmt: skip
        assert [c.seq for c in said.changes.before(8)] == [5, 3]
        assert [c.seq for c in said.changes.after(3)] == [5, 8, 12]
        assert list(said.changes.after(12)) == []


def test_many_changes_are_read_page_by_page(path: Path, db: sqlite3.Connection) -> None:
    db.executemany(
        "INSERT INTO events (seq, n, type, cookie) VALUES (?1, 0, 'drop', ?1)",
        [(i,) for i in range(1, 1001)],
    )
    with closing(SaidTicks(path)) as said:
        assert not said.there, "no tick says anything"
    ticks(db, 1)
    with closing(SaidTicks(path)) as said:
        assert [c.seq for c in said.changes.before(1001)] == list(range(1000, 0, -1))
        assert [c.seq for c in said.changes.after(0)] == list(range(1, 1001))


def test_steady_events_stop_where_they_do_live(path: Path, db: sqlite3.Connection) -> None:
    rng, count = random.Random(26), 1500
    ticks(db, count)
    db.execute("UPDATE ticks SET events_not_listed = 3 WHERE seq BETWEEN 400 AND 420")
    runs, index, rows = EventRuns(), Changes(), []
    for seq in range(1, count + 1):
        befallen = {
            (cookie, kind)
            for cookie, kind, share in (
                (1, EventType.DROP, 0.95), (2, EventType.RETRANSMIT, 0.2), (3, EventType.DROP, 0.01)
            )
            if rng.random() < share and not (900 < seq < 1100)
        } | ({(4, EventType.DROP)} if 390 < seq < 430 else set())  # fmt: skip
        rows += [(seq, n, EVENT_NAMES[kind], c) for n, (c, kind) in enumerate(sorted(befallen))]
        for change in runs.take(seq, befallen, 3 if 400 <= seq <= 420 else 0):
            index.add(*change[:3])
    db.executemany("INSERT INTO events (seq, n, type, cookie) VALUES (?, ?, ?, ?)", rows)
    with closing(SaidTicks(path)) as said:
        for begin in (0, 7, 399, 899, 903, 1000, 1099):
            assert list(said.changes.after(begin)) == list(index.after(begin))
        for begin in (count + 1, 1101, 1099, 905, 421, 12):
            assert list(said.changes.before(begin)) == list(index.before(begin))
        assert len(list(said.changes.after(0))) < count / 4


def test_what_others_wrote_there_is_left_out(path: Path, db: sqlite3.Connection) -> None:
    ticks(db, 3)
    db.execute("UPDATE ticks SET unwell = 'many', watch = x'00' WHERE seq = 2")
    db.execute("INSERT INTO spells (from_seq, to_seq, cookie) VALUES ('x', 2, 'y')")
    db.execute("INSERT INTO events (seq, n, type, cookie) VALUES ('1; DROP', 0, 'drop', 1)")
    with closing(SaidTicks(path)) as said:
        assert [spot.seq for spot in said.summaries()] == [1, 3]
        assert [tuple(c) for c in said.changes.before(9)] == [(2, set(), 0, {})]


def test_a_recording_without_the_tables_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "old.nettop"
    copyfile(RECORDING, path)
    with closing(SaidTicks(path)) as said:
        assert not said.there
        assert said.summaries() == []
        assert list(said.changes.before(99)) == []
    with closing(sqlite3.connect(path)) as db:
        for name in ("ticks", "spells", "events"):
            db.execute(f"CREATE VIEW {name} AS SELECT 1 AS seq")
        db.commit()
    with closing(SaidTicks(path)) as said:
        assert not said.there, "a view could take for ever"
