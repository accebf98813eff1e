"""Files that nettop writes and reads."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nettop.errors import NettopError
from nettop.export.atomic import AtomicFile
from tests.cli.conftest import NETTOP, Run, environment, until_swept


def me() -> list[str]:
    """Asked when it is used: another process may have read this file."""
    return ["-p", str(os.getpid())]


FAST = ["--for", "0.2"]


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("suffix", [".json", ".csv", ".txt", ".svg", ".ndjson"])
def test_snapshot_writes_by_suffix_and_shows_the_path(
    run: Run, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"shot{suffix}"
    done = run("snapshot", "-o", str(out), *FAST, *me())
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    text = out.read_bytes().decode()
    if suffix in (".json", ".ndjson"):
        assert len(json.loads(text)["sockets"]) == 2
        assert "rates" in json.loads(text)["sockets"][0]
    elif suffix == ".csv":
        assert text.startswith("taken,level,proc,")
        assert text.count("\r\n") == 3
    elif suffix == ".svg":
        assert ElementTree.fromstring(text).tag.endswith("svg")
    else:
        assert "PROC" in text


def test_snapshot_without_a_name_makes_one(run: Run, tmp_path: Path) -> None:
    done = run("snapshot", *FAST, cwd=str(tmp_path))
    name = Path(done.stdout.strip()).name
    assert re.fullmatch(r"nettop-[\w.-]+-\d{8}-\d{6}\.json", name)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("dangling", [False, True])
def test_a_symbolic_link_is_refused(run: Run, tmp_path: Path, dangling: bool) -> None:
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_text("precious")
    link = tmp_path / "out.json"
    link.symlink_to(victim)
    done = run("--json", "-o", str(link))
    assert done.returncode == 1
    assert "symbolic link" in done.stderr
    assert done.stderr.count("\n") == 1
    assert link.is_symlink()
    assert dangling or victim.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1 + (not dangling)


@pytest.mark.parametrize(
    ("target", "told"),
    [("missing/x.json", "No such file"), (".", "directory"), ("fifo.json", "regular file")],
)
def test_targets_that_cannot_be(run: Run, tmp_path: Path, target: str, told: str) -> None:
    os.mkfifo(tmp_path / "fifo.json")
    done = run("--json", "-o", target, cwd=str(tmp_path))
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_bytes(b"old")

    def fail() -> None:
        with AtomicFile(target) as file:
            file.write(b"new")
            assert target.read_bytes() == b"old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_made_meanwhile_is_refused(tmp_path: Path) -> None:
    target, victim = tmp_path / "x", tmp_path / "victim"
    victim.write_bytes(b"precious")

    def swap() -> None:
        with AtomicFile(target) as file:
            file.write(b"new")
            target.symlink_to(victim)

    with pytest.raises(NettopError, match="symbolic link"):
        swap()
    assert victim.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["victim", "x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_under_sudo_the_file_belongs_to_the_caller(tmp_path: Path) -> None:
    environ = {"SUDO_UID": "12345", "SUDO_GID": "23456"}
    with AtomicFile(tmp_path / "x", environ) as file:
        file.write(b"new")
    about = (tmp_path / "x").stat()
    assert (about.st_uid, about.st_gid) == (12345, 23456)


def test_keep_cuts_back_to_the_last_complete_tick(tmp_path: Path) -> None:
    target = tmp_path / "x"
    with AtomicFile(target) as file:
        file.write(b"tick 1\n")
        file.mark()
        file.write(b"tick 2, half" * 10000)
        assert file.keep()
    assert target.read_bytes() == b"tick 1\n"


@pytest.mark.usefixtures("pair")
def test_open_prints_what_was_written_and_exports_the_same(run: Run, tmp_path: Path) -> None:
    shot = tmp_path / "shot.json"
    run("snapshot", "-o", str(shot), *FAST, *me())
    shown = run("open", str(shot))
    assert shown.returncode == 0
    assert "file shot.json" in shown.stdout
    assert shown.stdout.count("127.0.0.1:") == 2
    assert run("open", str(shot), "--json").stdout == shot.read_text()


BAD = {
    "empty": (b"", "empty"),
    "no json": (b"hello", "no JSON object"),
    "list": (b"[]", "no JSON object"),
    "no schema": (b"{}", "schema"),
    "foreign": (b'{"schema":"other/1","sockets":[]}', "other/1"),
    "newer": (b'{"schema":"nettop.snapshot/2","sockets":[]}', "nettop.snapshot/2"),
    "binary": (b"\xff\xfe\x00", "UTF-8"),
    "nan": (b'{"schema":"nettop.snapshot/1","interval_s":NaN}', "NaN"),
    "deep": (b'{"schema":"nettop.snapshot/1","x":' + b"[" * 100000, "deeply"),
    "deep socket": (b'{"schema":"nettop.snapshot/1","sockets":[' + b'{"a":' * 100000, "deeply"),
    "cut": (b'{"schema":"nettop.snapshot/1","sockets":[', "cut short"),
    "cut in text": (b'{"schema":"nettop.snapshot/1","sockets":[{"netns', "cut short"),
    "more": (b'{"schema":"nettop.snapshot/1","sockets":[]} x', "follows"),
    "no sockets": (b'{"schema":"nettop.snapshot/1"}', "sockets"),
    "sockets no list": (b'{"schema":"nettop.snapshot/1","sockets":{}}', "no list"),
    "socket no object": (b'{"schema":"nettop.snapshot/1","sockets":[1]}', "sockets[0]"),
    "long number": (b'{"schema":"nettop.snapshot/1","x":' + b"9" * 5000 + b"}", "JSON"),
    "no host": (b'{"schema":"nettop.snapshot/1","sockets":[],"taken":"1"}', "taken"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_snapshot_is_told_in_one_line(run: Run, tmp_path: Path, case: str) -> None:
    content, told = BAD[case]
    file = tmp_path / "x.json"
    file.write_bytes(content)
    done = run("open", str(file))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


@pytest.mark.parametrize("path", ["missing.json", ".", "fifo", "/dev/zero"])
def test_files_that_cannot_be_read(run: Run, tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = run("open", path, cwd=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("pair")
def test_a_truncated_snapshot_never_opens(run: Run, tmp_path: Path) -> None:
    shot = tmp_path / "shot.json"
    run("snapshot", "-o", str(shot), *FAST, *me())
    whole = shot.read_bytes()
    for part in (len(whole) // 3, len(whole) - 200, len(whole) - 3):
        shot.write_bytes(whole[:part])
        done = run("open", str(shot))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1


def test_too_large_is_refused_before_it_is_read(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with file.open("wb") as out:
        out.truncate(2 << 30)
    done = run("open", str(file))
    assert done.returncode == 1
    assert "too large" in done.stderr


def test_a_message_is_one_line_whatever_the_names_in_it(run: Run, tmp_path: Path) -> None:
    name = "a\nb\x1b]0;x\x07\u202e$(touch y)"
    file = tmp_path / f"{name}.json"
    for content in (
        b"[]",
        b'{"schema":"nettop.snapshot/1","sockets":[],"totals":{"by_state":{"a\\nb\\u0007":[]}}}',
    ):
        file.write_bytes(content)
        done = run("open", str(file))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert done.stderr[:-1].isprintable()
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_what_does_not_fit_into_memory_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"schema":"nettop.snapshot/1","x":[' + "[]," * 4_000_000 + "[]]}")
    done = subprocess.run(
        [*NETTOP, "open", str(file)], preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (200 << 20, 200 << 20)
        ),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment(), timeout=30,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "memory" in done.stderr


HOSTILE = "\x1b]0;x\x07\n$(id)`"  # 14 bytes, as many as a process's name can have


@pytest.fixture
def hostile() -> Iterator[int]:
    """A process of that name that holds a socket."""
    code = (
        "import ctypes, socket, sys; server = socket.create_server(('127.0.0.1', 0));"
        f"ctypes.CDLL(None).prctl(15, {HOSTILE.encode()!r}, 0, 0, 0);"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.mark.parametrize("form", ["txt", "json", "csv", "svg", "ndjson"])
def test_names_of_processes_and_files_stay_names(
    run: Run, tmp_path: Path, hostile: int, form: str
) -> None:
    out = tmp_path / f"{HOSTILE}.{form}"
    argv = ["-n", "1"] if form in ("ndjson", "csv") else []
    done = run("-a", "-p", str(hostile), "-o", str(out), *argv)
    assert done.returncode == 0, done.stderr
    assert done.stdout[:-1].isprintable()
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    text = out.read_text()
    assert "?]0;x??$(id)`" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    if form == "json":
        shown = run("open", str(out))
        assert shown.returncode == 0
        assert all(line.isprintable() for line in shown.stdout.splitlines())
        assert "file ?]0;x??$(id)`.json" in shown.stdout


def test_a_parquet_file_is_whole_after_a_signal(tmp_path: Path) -> None:
    """Its footer comes last; without it the ticks before would be lost."""
    import pyarrow.parquet

    with subprocess.Popen(
        [*NETTOP, "-o", "x.parquet", "-a", "--no-bpf", "-d", "0.2", "--debug", "notes"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        until_swept(tmp_path / "notes", 4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM
        assert process.stderr is not None
        assert process.stderr.read() == b""
    table = pyarrow.parquet.read_table(tmp_path / "x.parquet")
    assert len(set(table.column("taken").cast("int64").to_pylist())) >= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "x.parquet"]
