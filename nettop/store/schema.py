"""The tables of a recording, and what changed between their versions.

Version 1 had meta and frames alone, and an index by time that nothing used. 2 adds ticks, spells
and events with a view of each in local time, and an index in which the frames are listed without
their pages being read; of ticks that were recorded before only the times are known.

Names of tables and columns are read by other people's SQL: they stay. Times `*_ns` are
CLOCK_REALTIME in nanoseconds; NULL is unknown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nettop.errors import NettopError
from nettop.model.events import EVENT_NAMES

APPLICATION_ID = 0x6E657474  # "nett": what file(1) and SQLite see
USER_VERSION = 2


# What a tick says beside its times, by column.
TICK_COLUMNS = (
    "interval_s", "host", "sockets", "tcp", "udp", "mptcp", "established", "listening", "matched",
    "watch", "unwell", "unwell_app", "unwell_kern", "unwell_nic", "unwell_net", "unwell_peer",
    "unwell_cpu", "unwell_unknown", "opened", "closed", "tx_bytes_per_s", "rx_bytes_per_s",
    "retrans_per_s", "resets_per_s", "rx_wait_count", "rx_wait_p50_ns", "rx_wait_p99_ns",
    "rx_wait_max_ns",
    *(f"events_{name}" for name in EVENT_NAMES.values()), "events_listed", "events_not_listed",
    "cpu_pct", "poll_ms", "missed_ticks",
)  # fmt: skip
TIME_COLUMNS = ("seq", "wall_ns", "mono_ns", "slept_ns", "elapsed_ns", "mark")
SPELL_COLUMNS = (
    "from_seq", "to_seq", "from_ns", "to_ns", "cut", "level", "who", "why", "what", "process",
    "pid", "local", "remote", "proto", "cgroup", "container", "netns", "host", "verdict", "worst",
    "unit", "ticks", "cookie",
)  # fmt: skip
EVENT_COLUMNS = (
    "seq", "n", "at_ns", "type", "what", "process", "pid", "local", "remote", "proto", "state",
    "new_state", "reason", "errno", "bytes", "netns", "host", "cookie",
)  # fmt: skip

_TABLES = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS frames (
    seq INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, mono_ns INTEGER NOT NULL,
    key INTEGER NOT NULL, frame BLOB NOT NULL
);
DROP INDEX IF EXISTS frames_by_time;
CREATE INDEX IF NOT EXISTS frames_places ON frames (seq, wall_ns, mono_ns, key);
CREATE INDEX IF NOT EXISTS frames_key ON frames (seq) WHERE key;
CREATE TABLE IF NOT EXISTS ticks (
    seq INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, mono_ns INTEGER NOT NULL,
    slept_ns INTEGER NOT NULL, elapsed_ns INTEGER NOT NULL, mark TEXT,
    {", ".join(TICK_COLUMNS)}
);
CREATE TABLE IF NOT EXISTS spells (id INTEGER PRIMARY KEY, {", ".join(SPELL_COLUMNS)});
CREATE INDEX IF NOT EXISTS spells_began ON spells (from_seq);
CREATE INDEX IF NOT EXISTS spells_ended ON spells (to_seq) WHERE to_seq IS NOT NULL;
CREATE TABLE IF NOT EXISTS events (
    {", ".join(EVENT_COLUMNS)}, PRIMARY KEY (seq, n)
) WITHOUT ROWID;
"""


def _local(column: str) -> str:
    return f"datetime({column} / 1000000000, 'unixepoch', 'localtime')"


def _of_last(column: str) -> str:
    return f"(SELECT {column} FROM ticks ORDER BY seq DESC LIMIT 1)"


def _of_tick(column: str, seq: str) -> str:
    return f"(SELECT {column} FROM ticks WHERE ticks.seq = spells.{seq})"


# By what elapsed, as the clock may have been set meanwhile; where the first tick is no more, by
# the clock.
_SPELL_NS = f"""coalesce(
        coalesce({_of_tick("elapsed_ns", "to_seq")}, {_of_last("elapsed_ns")})
            - {_of_tick("elapsed_ns", "from_seq")},
        coalesce(to_ns, {_of_last("wall_ns")}) - from_ns)"""
_VIEWS = f"""
CREATE VIEW IF NOT EXISTS ticks_local AS SELECT {_local("wall_ns")} AS at, * FROM ticks;
DROP VIEW IF EXISTS spells_local;
CREATE VIEW spells_local AS SELECT
    {_local("from_ns")} AS began, {_local("to_ns")} AS ended,
    round({_SPELL_NS} / 1e9, 1) AS seconds,
    level, who, why, what, process, pid, local, remote, coalesce(container, cgroup) AS service, host
    FROM spells;
CREATE VIEW IF NOT EXISTS events_local AS SELECT {_local("at_ns")} AS at,
    type, what, process, pid, local, remote, host FROM events;
"""


# Version 1 kept nothing of its ticks but their frames. What elapsed is what the wall clock says,
# where it was not set back.
_TICKS_OF_1 = """
INSERT OR IGNORE INTO ticks (seq, wall_ns, mono_ns, slept_ns, elapsed_ns)
    SELECT seq, wall_ns, mono_ns, 0, max(wall_ns) OVER (ORDER BY seq) - min(wall_ns) OVER ()
    FROM frames;
"""


def check(db: sqlite3.Connection, path: Path) -> int:
    """The version of a recording; 0: the file is empty.

    Raises:
        NettopError: it is something else, or of a newer nettop.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    kinds = dict(db.execute("SELECT name, type FROM sqlite_master"))
    if application != APPLICATION_ID:
        if not kinds:
            return 0
        raise NettopError(f"{path}: not a recording of nettop")
    if version > USER_VERSION:
        raise NettopError(
            f"{path}: a recording of a newer nettop (schema {version}, this one "
            f"reads up to {USER_VERSION}): open it with that version"
        )
    # A view of that name could take for ever.
    if not kinds.get("meta") == kinds.get("frames") == "table":
        raise NettopError(f"{path}: not a recording of nettop: it lacks its tables")
    return int(version)


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Makes the tables of a new file, or brings an older one up to this version.

    Raises:
        NettopError: it is no recording that this version can go on with.
    """
    before = check(db, path)
    kinds = dict(db.execute("SELECT name, type FROM sqlite_master"))
    if "trigger" in kinds.values() or any(
        kinds.get(table, "table") != "table" for table in ("ticks", "spells", "events")
    ):
        raise NettopError(f"{path}: its tables were changed by another program; name another file")
    # Before the first table: what retention frees can then leave the file.
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    # Before WAL: the file alone, without what stands beside it, says what it is.
    db.executescript(
        f"BEGIN;{_TABLES}{_VIEWS}{_TICKS_OF_1 if before == 1 else ''}"
        f"PRAGMA application_id = {APPLICATION_ID};PRAGMA user_version = {USER_VERSION};COMMIT;"
    )


def inserting(table: str, columns: Iterable[str]) -> str:
    """An INSERT with a named parameter per column."""
    names = list(columns)
    values = ", ".join(f":{name}" for name in names)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"


INSERT_SPELL = inserting("spells", SPELL_COLUMNS)
_INSERT_EVENT = inserting("events", EVENT_COLUMNS)


def insert_tick(db: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    db.execute(inserting("ticks", values), values)


def insert_events(db: sqlite3.Connection, seq: int, events: Iterable[Mapping[str, Any]]) -> None:
    db.executemany(_INSERT_EVENT, [{"seq": seq, **event} for event in events])
