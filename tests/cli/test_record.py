"""nettop record and nettop replay, as programs."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nettop.store.recording import RecordingWriter
from nettop.text import units
from tests.bench import killed
from tests.cli.conftest import NETTOP, environment

UNPRIVILEGED = ["--no-bpf", "-d", "0.2"]


def nettop(*argv: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*NETTOP, *argv], capture_output=True, text=True, timeout=60, check=False,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def ticks(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A recording of eight ticks, and what was said meanwhile."""
    path = tmp_path_factory.mktemp("record") / "a.nettop"
    done = nettop("record", "-o", str(path), "-n", "8", "-a", "--ndjson", *UNPRIVILEGED)
    return path, done.stdout


def without_order(tick: dict[str, Any]) -> dict[str, Any]:
    return {**tick, "sockets": {s["cookie"]: s for s in tick["sockets"]}}


def test_a_replay_says_what_was_said(recorded: tuple[Path, str]) -> None:
    path, said = recorded
    again = nettop("replay", str(path), "--ndjson").stdout
    live, replayed = ticks(said), ticks(again)
    assert len(live) == 8
    for one, other in zip(live, replayed, strict=True):
        assert without_order(one) == without_order(other)


def test_a_replay_needs_no_privilege_and_nothing_of_this_host(recorded: tuple[Path, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give it up")
    path, said = recorded
    lonely = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "setpriv", "--inh-caps=-all",
              "--bounding-set=-all", "--no-new-privs"]  # fmt: skip
    done = subprocess.run(
        [*lonely, *NETTOP, "replay", str(path), "--ndjson"], capture_output=True, text=True,
        timeout=60, check=True, env=environment(),
    )  # fmt: skip
    assert [without_order(t) for t in ticks(done.stdout)] == [without_order(t) for t in ticks(said)]


def test_one_tick_by_its_time(recorded: tuple[Path, str]) -> None:
    path, said = recorded
    live = ticks(said)
    for at in ("-0.4", "-0.4s"):
        found = json.loads(nettop("replay", str(path), "--at", at, "--json").stdout)
        assert found["taken"] in {live[5]["taken"], live[4]["taken"], live[6]["taken"]}
    exact = live[3]["taken"].rstrip("Z")[:26]
    found = json.loads(nettop("replay", str(path), "--at", f"{exact}+00:00", "--json").stdout)
    assert without_order(found) == without_order(live[3])


def test_a_stretch(recorded: tuple[Path, str]) -> None:
    path, said = recorded
    some = ticks(nettop("replay", str(path), "--from", "-0.7", "--ndjson").stdout)
    assert 2 <= len(some) <= 5
    assert some[-1]["taken"] == ticks(said)[-1]["taken"]
    rows = nettop("replay", str(path), "--to", "-0.7", "--csv").stdout.splitlines()
    assert len(rows) > len(ticks(said)[0]["sockets"])


def test_a_time_that_is_not_in_the_file(recorded: tuple[Path, str]) -> None:
    done = nettop("replay", str(recorded[0]), "--at", "2020-01-01", "--json")
    assert "no tick of that time; the nearest is of" in done.stderr
    assert re.search(r"\d+d.* later$", done.stderr, re.MULTILINE)
    assert json.loads(done.stdout)["taken"] == ticks(recorded[1])[0]["taken"]


def test_filters_and_formats(recorded: tuple[Path, str]) -> None:
    path = str(recorded[0])
    none = nettop("replay", path, "--ndjson", "dport = :1 and sport = :1").stdout
    assert all(tick["sockets"] == [] for tick in ticks(none))
    assert "nettop" in nettop("replay", path).stdout
    assert nettop("replay", path, "-b").stdout.count(" unwell ") == 8
    out = recorded[0].with_suffix(".csv")
    nettop("replay", path, "-o", str(out))
    assert out.read_text().count("\n") > 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["replay"], "takes a FILE"),
        (["replay", "FILE", "--at", "noon"], "takes a time such as 14:02"),
        (["replay", "FILE", "--at", "-1m", "--from", "-2m"], "choose one"),
        (["replay", "FILE", "--from", "-0.1", "--to", "-0.5"], "is later than"),
        (["replay", "FILE", "foo = 3"], "no field 'foo'"),
        (["record", "-o", "x.json"], "a recording is no .json file"),
        (["record", "-o", "-"], "a recording is a file"),
        (["record", "--for", "1w"], "takes a time such as 90s"),
        (["record", "--keep", "forever"], "takes a time such as 90s"),
        (["record", "--max-size", "1M"], "takes a size such as 64M or 2G, at least 4M"),
        (["record", "--max-size", "64"], "takes a size such as 64M or 2G"),
    ],
)
def test_wrong_command_lines_are_usage(
    recorded: tuple[Path, str], argv: list[str], said: str
) -> None:
    done = nettop(*(str(recorded[0]) if word == "FILE" else word for word in argv), code=2)
    assert said in done.stderr


def test_open_shows_the_end_of_a_recording(recorded: tuple[Path, str]) -> None:
    path = str(recorded[0])
    last = nettop("replay", path, "--ndjson").stdout.splitlines()[-1]
    assert json.loads(nettop("open", path, "--json").stdout) == json.loads(last)


def test_a_file_of_the_other_command_names_that_command(
    recorded: tuple[Path, str], tmp_path: Path
) -> None:
    path = recorded[0]
    other = tmp_path / "a.json"
    other.write_text(nettop("replay", str(path), "--json").stdout)
    done = nettop("replay", str(other), code=1)
    assert done.stderr.endswith("not a recording of nettop: a snapshot? nettop open shows it\n")


def test_the_size_that_is_said_is_the_file_s(tmp_path: Path) -> None:
    path = tmp_path / "one.nettop"
    done = nettop("record", "-o", str(path), "-n", "1", *UNPRIVILEGED)
    assert f"1 tick, {units.size(path.stat().st_size)}: nettop replay" in done.stderr
    looked = nettop("replay", str(path), "--at", "2020-01-01")
    assert "verdicts of one poll" in looked.stdout
    assert "-d SECS" not in looked.stdout


def test_what_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x" * 4096)
    done = nettop("replay", str(tmp_path / "x"), code=1)
    assert done.stderr == f"nettop: {tmp_path / 'x'}: not a recording of nettop\n"
    done = nettop("record", "-o", str(tmp_path / "x"), code=1)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_every_tick_that_was_written_is_there(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "a.nettop"
    with subprocess.Popen(
        [*NETTOP, "record", "-o", str(path), "--ndjson", *UNPRIVILEGED], env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(4)]
        child.send_signal(number)
        child.communicate(timeout=20)
        assert child.returncode in (130, -number)
    again = nettop("replay", str(path), "--ndjson").stdout.splitlines()
    assert len(again) >= 4
    assert [json.loads(a)["taken"] for a in again[:4]] == [json.loads(s)["taken"] for s in said]


ON_A_SMALL_DISK = """
import subprocess, sys
where, filled, *argv = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", where], check=True)
with open(where + "/filler", "wb") as filler:
    filler.write(bytes(int(filled)))
done = subprocess.run(argv, stderr=subprocess.PIPE, text=True, timeout=50)
sys.stderr.write(done.stderr)
subprocess.run(["cp", "-a", where + "/.", where + ".copy"], check=True)
sys.exit(done.returncode)
"""


def recorded_on_a_full_disk(tmp_path: Path, filled: int) -> tuple[list[str], Path]:
    """What was said, and where the file was; filled: bytes of 600 KB that another file has."""
    full = tmp_path / "full"
    full.mkdir()
    (tmp_path / "full.copy").mkdir()
    argv = [*NETTOP, "record", "-a", "-o", str(full / "a.nettop"), "--no-bpf", "-d",
            "0.1"]  # fmt: skip
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", ON_A_SMALL_DISK, str(full), str(filled), *argv],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines(), tmp_path / "full.copy" / "a.nettop"


@pytest.mark.needs_root
def test_a_full_disk_is_one_line_and_a_valid_file(tmp_path: Path) -> None:
    said, copied = recorded_on_a_full_disk(tmp_path, 200_000)
    assert "cannot write" in said[-1]
    assert "the disk is full; what was recorded before is in it" in said[-1]
    replayed = ticks(nettop("replay", str(copied), "--ndjson").stdout)
    assert replayed
    assert len(replayed) == int(re.findall(r"(\d+) ticks?, ", "\n".join(said))[0])
    with closing(sqlite3.connect(copied)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM ticks").fetchone() == (len(replayed),)


@pytest.mark.needs_root
def test_of_a_disk_that_is_full_from_the_start_no_file_is_promised(tmp_path: Path) -> None:
    (said,), copied = recorded_on_a_full_disk(tmp_path, 600 << 10)
    assert said.endswith("a.nettop: the disk is full")
    assert not copied.exists()


def test_recorders_that_are_killed_lose_no_tick_that_was_written(tmp_path: Path) -> None:
    """tests/bench/killed.py does it more often, and with a full disk."""
    for found in killed.killed(tmp_path, 5, UNPRIVILEGED, environment()):
        assert found.error is None
        assert found.lost == 0
        assert found.ticks >= found.said >= 1


def test_a_recorder_that_comes_later_goes_on_after_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    for _ in range(2):
        nettop("record", "-o", str(path), "-n", "2", "--keep", "1h", *UNPRIVILEGED)
    with closing(sqlite3.connect(path)) as db:
        marks = db.execute("SELECT seq, mark FROM ticks WHERE mark IS NOT NULL").fetchall()
        assert [seq for seq, _ in marks] == [3]
        assert marks[0][1].startswith("recording goes on after ")
        elapsed = [n for (n,) in db.execute("SELECT elapsed_ns FROM ticks ORDER BY seq")]
        assert elapsed == sorted(elapsed)
        assert elapsed[0] == 0
    assert len(ticks(nettop("replay", str(path), "--ndjson").stdout)) == 4


def test_a_second_recorder_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    with closing(RecordingWriter(path, {})):
        done = nettop("record", "-o", str(path), "-n", "1", *UNPRIVILEGED, code=1)
    assert done.stderr == (f"nettop: {path}: another nettop records to it; name another file\n")


@pytest.mark.needs_root
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    nettop("record", "-o", str(path), "-n", "1", *UNPRIVILEGED)
    before = path.read_bytes()
    os.chown(path, 65534, 65534)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    alone = ["setpriv", "--reuid", "65534", "--clear-groups", "--inh-caps=-all"]
    done = subprocess.run(
        [*alone, *NETTOP, "record", "-o", str(path), "-n", "1", *UNPRIVILEGED],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"nettop: cannot write {path}: its folder must be writable too, for the files that SQLite "
        "puts beside it\n"
    )
    assert path.read_bytes() == before


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        done = nettop("replay", str(path), code=1)
        assert done.stderr == f"nettop: cannot read {path}: is not a regular file\n"


def test_a_file_without_its_wal_says_where_the_ticks_are(tmp_path: Path) -> None:
    path = tmp_path / "a.nettop"
    with subprocess.Popen(
        [*NETTOP, "record", "-o", str(path), "--ndjson", *UNPRIVILEGED], env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
        child.communicate(timeout=20)
    alone = tmp_path / "b.nettop"
    alone.write_bytes(path.read_bytes())
    done = nettop("replay", str(alone), code=1)
    assert "holds no tick; " in done.stderr
    assert "b.nettop-wal" in done.stderr


@pytest.mark.parametrize("column", ["wall_ns", "mono_ns"])
@pytest.mark.parametrize("value", ["'soon'", "x'ff'", "1.5"])
def test_times_that_are_no_numbers(
    recorded: tuple[Path, str], tmp_path: Path, column: str, value: str
) -> None:
    path = tmp_path / "a.nettop"
    path.write_bytes(recorded[0].read_bytes())
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE frames SET {column} = {value} WHERE seq = 3")
    done = nettop("replay", str(path), code=1)
    assert done.stderr == f"nettop: {path}: tick 3 is damaged: its times are no numbers\n"


def test_sql_reads_it(recorded: tuple[Path, str]) -> None:
    db = sqlite3.connect(recorded[0])
    assert db.execute("SELECT count(*) FROM frames").fetchone() == (8,)
    about = dict(db.execute("SELECT name, value FROM meta").fetchall())
    assert about["host"] == os.uname().nodename
    last = db.execute("SELECT max(wall_ns) FROM frames").fetchone()[0]
    assert abs(last / 1e9 - time.time()) < 600
