"""Signals, pipes that close, full disks and terminals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import stat
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import NETTOP, environment

ENDLESS = [["--ndjson"], ["--csv"], ["--batch"]]


def start(*argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*NETTOP, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip


@pytest.mark.parametrize("argv", ENDLESS)
def test_sigint_is_130_without_a_word(argv: list[str]) -> None:
    with start(*argv, "-d", "0.2") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == b""
        assert process.wait(5) == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_it_by_that_signal(number: signal.Signals) -> None:
    with start("--ndjson", "-d", "0.2") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.send_signal(number)
        process.stdout.read()
        assert process.stderr.read() == b""
        assert process.wait(5) == -number


def test_a_server_answers_until_its_signal() -> None:
    with start("serve", "127.0.0.1:0", "--no-bpf") as process:
        assert process.stderr
        url = process.stderr.readline().decode().split()[-1]
        text = None
        while text is None:  # 503: its first tick is not over
            with suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=10) as said:
                text = said.read()
        assert b'nettop_source_up{source="diag"} 1\n' in text
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM


@pytest.mark.parametrize("name", ["INT", "HUP"])
def test_what_is_ignored_at_the_start_stays_ignored(name: str) -> None:
    """As a script's background job and nohup want it; SIGTERM ends it all the same."""
    with subprocess.Popen(
        ["sh", "-c", f"trap '' {name}; exec \"$@\"", "sh", *NETTOP, "--ndjson", "-d", "0.1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.Signals[f"SIG{name}"])
        assert all(process.stdout.readline() for _ in range(3))
        process.terminate()
        process.stdout.read()
        assert process.wait(5) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("form", ["ndjson", "csv", "txt"])
def test_a_file_of_many_ticks_grows_and_keeps_the_complete_ones(
    tmp_path: Path, number: signal.Signals, form: str
) -> None:
    out = tmp_path / f"log.{form}"
    out.write_text("of a run before")
    argv = ["-b"] if form == "txt" else []
    with (
        socket.create_server(("127.0.0.1", 0)) as own,
        start(
            *argv, "-a", "-d", "0.1", "-o", str(out), f"sport = :{own.getsockname()[1]}"
        ) as process,
    ):
        sizes: list[int] = []
        deadline = time.monotonic() + 15
        while len(sizes) < 4 and time.monotonic() < deadline:
            size = out.stat().st_size
            if size != 15 and size not in sizes:
                sizes.append(size)
            time.sleep(0.02)
        assert len(sizes) == 4
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        process.send_signal(number)
        assert process.wait(5) in (130, -number)
    assert out.stat().st_size >= sizes[-1]
    text = out.read_text()
    assert "of a run before" not in text
    if form == "ndjson":
        assert all(json.loads(line)["schema"] for line in text.splitlines())
    elif form == "csv":
        assert {line.count(",") for line in text.splitlines() if '"' not in line} == {
            text.splitlines()[0].count(",")
        }
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("form", [".json", ".svg"])
def test_one_object_is_whole_or_not_there(
    tmp_path: Path, number: signal.Signals, form: str
) -> None:
    out = tmp_path / f"x{form}"
    with start("snapshot", "--for", "30", "-o", str(out)) as process:
        deadline = time.monotonic() + 10
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not out.exists()
        process.send_signal(number)
        assert process.wait(5) in (130, -number)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--help-json"], ["-a", "--json"], ["-a", "--csv", "-d", "0.1"],
     ["--ndjson", "-d", "0.1"], ["-b", "-d", "0.1"], ["-1"]],
)  # fmt: skip
def test_broken_pipe_is_quiet(argv: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [*NETTOP, *argv], stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE,
        env=environment(),
    )  # fmt: skip
    os.close(write)
    _, errors = process.communicate(timeout=20)
    assert errors == b""
    assert process.returncode == 0


def test_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*NETTOP, "--json"], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE,
            env=environment(), timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert b"No space left" in done.stderr


@pytest.mark.parametrize("argv", ["--json", "-1", "--help", "doctor", "snapshot -o -"])
def test_closed_output_is_told(argv: str) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *NETTOP, *argv.split()],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(), timeout=20,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"nettop: standard output is closed\n"


def in_terminal(*argv: str, term: str, size: tuple[int, int] = (24, 80)) -> tuple[int, bytes]:
    """Runs in a pseudo terminal until it ends; exit code and everything that it printed."""
    main, other = pty.openpty()
    os.set_blocking(main, False)
    with subprocess.Popen(
        ["sh", "-c", f'stty rows {size[0]} cols {size[1]}; exec "$@"', "sh", *NETTOP, *argv],
        stdin=other, stdout=other, stderr=other, env=environment(TERM=term),
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(other)
        out = b""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if select.select([main], [], [], 0.2)[0]:
                try:
                    data = os.read(main, 65536)
                except OSError:  # the other side is closed
                    break
                out += data
            elif process.poll() is not None:
                break
        os.close(main)
        return process.wait(5), out


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_plain_text_once(term: str) -> None:
    code, out = in_terminal(term=term)
    assert code == 0
    assert b"\x1b" not in out
    assert b"PROC" in out


def test_a_table_in_a_terminal_fits_it() -> None:
    code, out = in_terminal("-1", "-a", term="xterm", size=(24, 80))
    assert code == 0
    lines = out.decode().split("\r\n")
    assert max(map(len, lines)) <= 80
    assert "RETR/S" not in out.decode()  # the narrow set


def test_an_opened_file_in_a_terminal_is_a_table_with_once(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(subprocess.run([*NETTOP, "--json"], capture_output=True, check=True).stdout)
    code, out = in_terminal("open", "-1", str(file), term="xterm")
    assert code == 0
    assert b"\x1b" not in out
    assert b"PROC" in out


def test_json_in_a_terminal_is_one_object() -> None:
    code, out = in_terminal("--json", term="xterm")
    assert code == 0
    assert json.loads(out)["schema"] == "nettop.snapshot/1"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--theme", "foo"], "terminal"),
        (["open", "x.json", "--theme", "drak"], "dark"),
        (["-d", "x"], "0.1"),
        (["srtt >"], "^"),
        (["probe", "tcp", "127.0.0.1:9", "-s", "1"], "bytes"),
    ],
)
def test_a_wrong_value_is_said_before_the_screen_starts(argv: list[str], told: str) -> None:
    code, out = in_terminal(*argv, term="xterm-256color")
    assert code == 2
    assert b"\x1b" not in out
    assert out.startswith(b"nettop: ")
    assert told in out.decode()
    assert out.count(b"\n") == (3 if told == "^" else 1)
