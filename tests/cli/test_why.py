"""nettop why as a program: what it writes where, and its exit codes."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from nettop.commands.why_options import parse_why
from nettop.errors import UsageError
from tests.cli.conftest import NETTOP, Run, environment

DATA = Path(__file__).parents[1] / "data"
LATE = DATA / "recordings" / "late-reader.nettop"
SNAPSHOT = DATA / "session.json"
ENV = {"LC_ALL": "C.UTF-8"}
Pair = tuple[socket.socket, socket.socket]


def test_a_recording_has_findings(run: Run) -> None:
    done = run("why", str(LATE))
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert " in late-reader.nettop, " in done.stdout
    assert "reads late" in done.stdout
    assert "Time line" in done.stdout


def test_what_lies_behind_a_damaged_tick_is_read_from_the_next_key_frame_on(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "x.nettop"
    shutil.copy(LATE, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE frames SET frame = zeroblob(50) WHERE seq = 6")
    done = run("why", str(path))
    assert done.returncode == 1
    assert "reads late" in done.stdout
    assert done.stderr.startswith(f"nettop: {path}: tick 6: ")
    assert done.stderr.endswith(": nothing behind it\n")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE frames SET frame = zeroblob(50)")
    assert run("why", str(path)).returncode == 3


def test_a_stretch_a_filter_and_json(run: Run) -> None:
    done = run("why", f"{LATE}@-3s..", "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["schema"] == "nettop.why/1"
    assert said["ticks"] < 8
    none = run("why", str(LATE), "dport", "=", ":1")
    assert none.returncode == 0
    assert none.stdout.count("\n") == 1
    assert none.stdout.startswith("nothing unwell: ")
    assert "(filter: dport = :1)" in none.stdout


def test_a_snapshot_is_one_moment(run: Run) -> None:
    done = run("why", str(SNAPSHOT))
    assert done.returncode == 1, done.stderr
    assert " in session.json, " in done.stdout
    assert "Time line" not in done.stdout


@pytest.mark.parametrize("name", ["r.html", "r.json", "r.txt"])
def test_the_ending_chooses_what_is_written(run: Run, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    done = run("why", str(LATE), "-o", str(target))
    assert (done.returncode, done.stdout) == (1, f"{target}\n")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    begin = {"r.html": "<!DOCTYPE html>", "r.json": '{"schema":"nettop.why/1"', "r.txt": ""}[name]
    assert target.read_text().startswith(begin)


def test_a_live_look_ends_in_time_and_says_what_it_looked_at(run: Run, pair: Pair) -> None:
    began = time.monotonic()
    done = run("why", "--for", "1s", "--no-bpf", f"dport = :{pair[0].getpeername()[1]}")
    assert time.monotonic() - began < 15
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of " in done.stdout
    assert "wait off: switched off by --no-bpf" in done.stdout
    assert done.stderr == ""


def test_failures_are_none_of_the_answers(run: Run, tmp_path: Path) -> None:
    damaged = tmp_path / "x.nettop"
    damaged.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 8)
    for argv in (
        ["why", str(tmp_path / "none.nettop")],
        ["why", str(damaged)],
        ["why", str(LATE), "-o", str(tmp_path / "no" / "r.html")],
        ["why", str(LATE), "-o", str(tmp_path / "r.html") + "/../../x/r.html"],
    ):
        done = run(*argv)
        assert done.returncode == 3, (argv, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("nettop: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.nettop", "--for", "3s"], "--for is for a look at this host"),
        (["x.nettop", "-N", "all"], "--netns is for a look at this host"),
        (["x.nettop@nonsense"], "takes a time"),
        (["x.json@-1m.."], "a snapshot is one moment"),
        (["-o", "x.svg"], "one of .html, .json, .txt"),
        (["--json", "-o", "x.html"], "exclude each other"),
        (["--for", "0.2"], "too short"),
        (["--jsn"], "no option --jsn of nettop why"),
        ([__file__], "neither a recording nor a snapshot"),
        (["/var/tmp/recording-of-monday"], "No such file"),
        (["./monday", "comm = x"], "No such file"),
        (["/dev/null"], "not a regular file"),
    ],
)
def test_mistakes_are_said_in_a_line(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        parse_why(words, ENV)


def test_a_filter_is_no_file_and_a_file_no_filter() -> None:
    live = parse_why(["state", "established", "and", "dport", "=", ":443", "--for", "5s"], ENV)
    assert live.stretch is None
    assert live.poll.filter_text == "state established and dport = :443"
    assert live.for_s == 5
    past = parse_why([f"{LATE}@-5s..-1s", "comm = x"], ENV)
    assert past.stretch is not None
    assert past.stretch.file == str(LATE)
    assert past.poll.filter_text == "comm = x"


def test_a_mistaken_filter_has_its_caret(run: Run) -> None:
    for words in (["why", "srtt >"], ["why", str(LATE), "srtt >"]):
        done = run(*words)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].strip().startswith("^ column 7")


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    with subprocess.Popen(
        [*NETTOP, "why", "--no-bpf", "--for", "60s", "-o", str(target)], env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        time.sleep(1.5)
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 130
    assert list(tmp_path.iterdir()) == []
