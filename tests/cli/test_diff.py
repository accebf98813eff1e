"""nettop diff as a program: files, stretches, exit codes, JSON."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nettop.compare.keys import KEYS
from tests.cli.conftest import NETTOP, Run, environment

RECORDINGS = Path(__file__).resolve().parents[1] / "data" / "recordings"
LATE, NIC = (str(RECORDINGS / f"{name}.nettop") for name in ("late-reader", "slow-nic"))


def keys(value: Any, path: str = "") -> set[str]:
    """The names of an object as keys.py writes them."""
    out: set[str] = set()
    for key, inner in value.items():
        name = f"{path}{'*' if path.endswith('absent.') else key}"
        out.add(name)
        if isinstance(inner, dict):
            out |= keys(inner, f"{name}.")
        elif isinstance(inner, list):
            for item in inner:
                out |= keys(item, f"{name}[].") if isinstance(item, dict) else set()
    return out


def test_a_recording_against_itself_is_not_worse(run: Run) -> None:
    done = run("diff", LATE, LATE)
    assert done.returncode == 0, done.stderr
    assert not any(line.startswith(("worse", "better")) for line in done.stdout.splitlines())
    assert "same  " in done.stdout


def test_a_late_reader_is_worse_and_says_by_how_much(run: Run) -> None:
    done = run("diff", NIC, LATE, "--by", "all")
    assert done.returncode == 1
    line = next(line for line in done.stdout.splitlines() if line.startswith("worse"))
    assert line.split()[:4] == ["worse", "all", "sockets", "rxwait.mean"]
    assert line.endswith("n 70, 71")
    assert run("diff", LATE, NIC, "--by", "all").returncode == 0


@pytest.mark.parametrize(
    ("fail", "code", "result"),
    [
        ("rxwait.mean > 100x and > 10ms", 1, "fail"),
        ("rxwait.mean > 100x and > 10s", 0, "pass"),
        ("rxwait.p99 > 2x", 3, "cannot tell"),  # n = 70
        ("tx.ack.p99 > 2x", 3, "cannot tell"),  # B has no stages
    ],
)
def test_fail_decides_alone(run: Run, fail: str, code: int, result: str) -> None:
    done = run("diff", NIC, LATE, "--by", "all", "--fail", fail, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == report["exit"] == code, done.stderr
    assert [f["result"] for f in report["fails"]] == [result]


def test_one_fail_that_holds_is_enough(run: Run) -> None:
    done = run(
        "diff", NIC, LATE, "--by", "all", "--fail", "tx.ack.p99 > 2x", "--fail", "rxwait.mean > 9x"
    )
    assert done.returncode == 1
    assert "\nfail  rxwait.mean > 9x: all sockets\n" in done.stdout
    assert "cannot tell  tx.ack.p99 > 2x (B has no tx.ack.p99: " in done.stdout


def test_every_key_is_documented(run: Run) -> None:
    report = json.loads(
        run("diff", NIC, LATE, "--json", "--fail", "srtt > 2x", "proto = tcp").stdout
    )
    assert report["schema"] == "nettop.diff/1"
    assert keys(report) <= KEYS.keys()
    rest = KEYS.keys() - keys(run_all(run))
    assert rest <= {"a.absent", "a.absent.*", "filter", "fails[].reason"}


def run_all(run: Run) -> Any:
    return json.loads(run("diff", NIC, LATE, "--json", "--by", "all", "--fail", "srtt > 2x").stdout)


def test_stretches(run: Run) -> None:
    done = run("diff", f"{LATE}@-7.5s..-3.5s", f"{LATE}@-3.5s..", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert [report[side]["ticks"] for side in "ab"] == [4, 4]
    assert report["a"]["file"].endswith("@-7.5s..-3.5s")
    # The first tick of a recording has no interval.
    assert [round(report[side]["seconds"]) for side in "ab"] == [3, 4]


def test_snapshots(run: Run, tmp_path: Path) -> None:
    for name, file in (("a", LATE), ("b", NIC)):
        (tmp_path / f"{name}.json").write_text(run("replay", file, "--json").stdout)
    done = run("diff", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--by", "all")
    assert "A and B: one interval" in done.stdout, done.stderr
    assert done.returncode in (0, 3)
    done = run("diff", str(tmp_path / "a.json"), NIC, "--by", "all")
    assert "A: one interval" in done.stdout, done.stderr
    done = run("diff", f"{tmp_path / 'a.json'}@-5s", NIC)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "takes no @TIME" in done.stderr


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "takes two files"),
        ([LATE], "takes two files"),
        ([LATE, LATE, "--by", "proces"], "perhaps process"),
        ([LATE, LATE, "--fail"], "--fail needs a value"),
        ([LATE, LATE, "--fail", "rxwait.p98 > 2x"], "perhaps rxwait.p99"),
        ([LATE, LATE, "srtt >"], "comes a time"),
        ([LATE, f"{LATE}@noon"], "after @ it takes a time"),
        ([LATE, f"{LATE}@-1s..-5s"], "later than"),
        ([LATE, "no-such-file"], "no-such-file"),
        ([LATE, "/"], "/: is not a regular file"),
        ([LATE, "/dev/null"], "/dev/null"),
        ([LATE, __file__], "test_diff.py"),
        ([LATE, LATE, "--jsno"], "--jsno"),
    ],
)
def test_what_is_wrong_is_said_and_is_2(run: Run, argv: list[str], words: str) -> None:
    """1 would say that something got worse."""
    done = run("diff", *argv)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("nettop: ")
    assert words in done.stderr
    assert done.stderr.count("\n") <= 3  # an expression and its mark stand below


def test_a_recording_that_is_cut_is_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cut.nettop"
    shutil.copy(LATE, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE frames SET frame = substr(frame, 1, 50) WHERE seq = 4")
    done = run("diff", LATE, str(path))
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_does_not_say_that_it_is_worse() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*NETTOP, "diff", LATE, LATE], stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=30, env=environment(), check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "No space left on device" in done.stderr


def test_names_in_a_file_are_only_shown(run: Run, tmp_path: Path) -> None:
    held = json.loads(run("replay", LATE, "--json").stdout)
    for socket in held["sockets"]:
        socket["procs"] = [{"pid": 7, "comm": "\x1b]0;x\x07$(id)", "fd": 3}]
    path = tmp_path / "evil.json"
    path.write_text(json.dumps(held))
    for option in ("--json", "--ascii", "--by=process"):
        done = run("diff", str(path), str(path), option)
        assert done.returncode in (0, 3), done.stderr
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout


def test_the_topic_has_each_number_with_its_floor(run: Run) -> None:
    text = run("help", "comparing").stdout
    assert "rxwait.p99    50.0µs  1.25 " in text
    assert "EXIT CODES" in text
    assert run("diff", LATE, LATE, "--ascii").stdout.isascii()
