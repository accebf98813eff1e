"""nettop watch, as a program: what a deployment's script and an alarm rest on."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nettop.store.recording import Recording
from tests.cli.conftest import NETTOP, environment, until_swept
from tests.unit.test_watch import wait_until_gone

FAST = ["--no-bpf", "-d", "0.2"]
Pair = tuple[socket.socket, socket.socket]

# A program of a chosen name that does not read what has come.
LATE = """
import socket, sys, time
open("/proc/self/comm", "w").write(sys.argv[1])
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept()
client.sendall(b"hello")
print(server.getsockname()[1], flush=True)
time.sleep(60)
"""

GATE = """
nettop() { %s "$@"; }
nettop watch "lport = $PORT and unread > 200ms" --for 600ms --within 1500ms "$@" -o "canary.json"
case $? in
    0) echo roll back;;
    1) echo go on;;
    *) echo stop;;
esac
"""


def watch(*argv: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*NETTOP, "watch", *argv], capture_output=True, text=True, timeout=60, check=False,
        env=environment(), cwd=cwd, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def late(request: pytest.FixtureRequest) -> Iterator[int]:
    """The local port of a socket with unread data; its program's name is the parameter."""
    name = getattr(request, "param", "late")
    with subprocess.Popen(
        [sys.executable, "-c", LATE, name], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@pytest.mark.parametrize("late", ["$(touch pwned)"], indirect=True)
def test_what_held_is_said_written_and_handed_over(late: int, tmp_path: Path) -> None:
    done = watch(
        f"lport = {late} and level >= watch", "--for", "400ms", "--within", "20s", *FAST,
        "--then", 'echo "$NETTOP_PROC|$NETTOP_WHO|$NETTOP_VERDICT|$NETTOP_FILE"; exit 3',
        cwd=tmp_path,
    )  # fmt: skip
    first, handed = done.stdout.splitlines()
    words = first.split("; ")
    assert words[0].startswith("$(touch pwned)/")
    assert f"tcp 127.0.0.1:{late} > 127.0.0.1:" in words[0]
    assert words[1].startswith("app: unread ≥") or words[1].startswith("app?: unread ≥")
    assert words[2].startswith("held ")
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("nettop-")
    proc, who, verdict, named = handed.split("|")
    assert proc == words[0].partition(" tcp ")[0]
    assert who == words[1].partition(":")[0]
    assert (verdict, named) == ("reads_late", str(file))
    assert done.stderr.splitlines() == [
        f"nettop: snapshot: {file}", "nettop: --then: exit code 3",
    ]  # fmt: skip
    snapshot = json.loads(file.read_text())
    mine = [s for s in snapshot["sockets"] if s["local"].get("port") == late and "procs" in s]
    assert [s["verdicts"] for s in mine] == [["reads_late"]]
    assert len(mine[0]["tcp_info"]) > 30
    # All that there was, not only what matched: the other end, too, in full.
    other = [s for s in snapshot["sockets"] if s["remote"].get("port") == late]
    assert len(other[0]["tcp_info"]) > 30


def test_a_gate_passes_fails_and_does_not_know(late: int, pair: Pair, tmp_path: Path) -> None:
    """The same script for a healthy service, one that reads late, and one that cannot be seen."""
    client, accepted = pair
    accepted.recv(5)
    healthy = str(accepted.getsockname()[1])
    script = GATE % " ".join(NETTOP)
    runs = {
        "go on": (healthy, FAST),
        "roll back": (str(late), FAST),
        "stop": (healthy, [*FAST, "-N", "no-such-namespace"]),
    }
    started = {
        wanted: subprocess.Popen(
            ["sh", "-c", script, "gate", *more], env=environment(PORT=port), cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for wanted, (port, more) in runs.items()
    }  # fmt: skip
    said = {wanted: process.communicate(timeout=60) for wanted, process in started.items()}
    for wanted, (out, err) in said.items():
        assert out.splitlines()[-1] == wanted, err
    assert "did not hold for 0.6s within 1.5s: no socket matched in" in said["go on"][1]
    assert "no network namespace is called no-such-namespace" in said["stop"][1]
    assert [f.name for f in tmp_path.iterdir()] == ["canary.json"]
    assert client.fileno() >= 0


def test_a_plane_that_is_off_is_no_answer(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give it up")
    done = subprocess.run(
        ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", *NETTOP, "watch",
         "rxwait.p99 > 1h", "--within", "30s"],
        capture_output=True, text=True, timeout=60, check=False, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("nettop: the condition needs wait, which is off: ")


def test_missed_ticks_end_nothing(late: int, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with subprocess.Popen(
        [*NETTOP, "watch", f"lport = {late}", "--for", "1h", "--within", "2h", *FAST,
         "--debug", str(notes)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True,
    ) as process:  # fmt: skip
        until_swept(notes, 3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.7)
        process.send_signal(signal.SIGCONT)
        until_swept(notes, 6)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
    assert list(tmp_path.iterdir()) == [notes]


def started_with(code: str, *argv: str, cwd: Path) -> subprocess.Popen[str]:
    run = f"{code}\nfrom nettop.__main__ import run\nrun()"
    return subprocess.Popen(
        [sys.executable, "-c", run, "watch", *argv], stdin=subprocess.DEVNULL, cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (1, 2, 3)],
    )  # fmt: skip


def test_a_recording_around_the_moment(pair: Pair, tmp_path: Path) -> None:
    _, accepted = pair
    accepted.recv(5)
    port = accepted.getsockname()[1]
    process = started_with(
        "import nettop.watch.command as c\nc.AFTER_S = 0.6",
        f"lport = {port} and rcvq > 0", "--for", "200ms", "--within", "30s", *FAST,
        "-o", "x.nettop", "--then", "test -s $NETTOP_FILE && echo there", "--debug", "notes",
        cwd=tmp_path,
    )  # fmt: skip
    until_swept(tmp_path / "notes", 4)
    sent_ns = time.time_ns()
    pair[0].sendall(b"hello")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[1] == "there"
    recording = Recording(tmp_path / "x.nettop")
    walls = [frame.wall_ns for frame in recording.frames()]
    recording.close()
    with closing(sqlite3.connect(tmp_path / "x.nettop")) as db:
        spells = db.execute("SELECT verdict, local FROM spells WHERE local LIKE ?", (f"%:{port}",))
        assert spells.fetchall() == [("reads_late", f"127.0.0.1:{port}")]
        matched = db.execute("SELECT min(matched) FROM ticks").fetchone()
        assert matched[0] >= 1  # of all sockets, not of the condition
    before = [wall for wall in walls if wall < sent_ns]
    after = [wall for wall in walls if wall >= sent_ns]
    assert len(before) >= 2
    assert after[-1] - after[0] >= 600_000_000
    assert f"({len(walls)} ticks)" in err
    assert [f.name for f in tmp_path.iterdir() if f.name != "notes"] == ["x.nettop"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_too(late: int, tmp_path: Path, number: signal.Signals) -> None:
    process = started_with(
        "",
        f"lport = {late}",
        *FAST,
        "-o",
        "x.json",
        "--then",
        "echo $$; exec sleep 60",
        cwd=tmp_path,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        command = process.stdout.readline().strip()
        process.send_signal(number)
        assert process.wait(3) == (130 if number == signal.SIGINT else -number)
    wait_until_gone(command)


def test_a_disk_that_is_full_keeps_no_alarm_away(late: int, tmp_path: Path) -> None:
    process = started_with(
        "import nettop.watch.command as c\nfrom nettop.errors import NettopError\n"
        "def full(*_, **__): raise NettopError('cannot write x.json: No space left on device')\n"
        "c.write_snapshot = full",
        f"lport = {late}", *FAST, "-o", "x.json", "--then", 'echo "file: $NETTOP_FILE."',
        cwd=tmp_path,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[1] == "file: ."
    assert (
        err.splitlines()[0]
        == "nettop: nothing is written: cannot write x.json: No space left on device"
    )


@pytest.mark.parametrize("end", [">&- 2>&-", "2>&1 | true"])
def test_an_alarm_is_not_lost_with_its_reader(late: int, tmp_path: Path, end: str) -> None:
    script = f'{" ".join(NETTOP)} watch "lport = {late}" {" ".join(FAST)} --then "touch a" {end}'
    subprocess.run(["sh", "-c", script], cwd=tmp_path, timeout=60, check=True, env=environment())
    deadline = time.monotonic() + 10
    while len(names := sorted(f.name for f in tmp_path.iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert names[0] == "a"
    assert names[1].startswith("nettop-")


@pytest.mark.needs_root
@pytest.mark.needs_tools("ip")
def test_a_namespace_that_is_gone_is_no_health(tmp_path: Path) -> None:
    name = f"nettop-watch-{os.getpid()}"
    netns = ["ip", "netns"]
    subprocess.run([*netns, "add", name], check=True)
    try:
        with subprocess.Popen(
            [*NETTOP, "watch", "level >= unwell", "-N", name, "--within", "2s", *FAST,
             "--debug", "notes"],
            stderr=subprocess.PIPE, cwd=tmp_path, text=True, env=environment(),
        ) as process:  # fmt: skip
            until_swept(tmp_path / "notes", 2)
            subprocess.run([*netns, "del", name], check=True)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 3, err
        assert "no namespace is left to look at" in err.splitlines()[-1]
    finally:
        subprocess.run([*netns, "del", name], check=False, stderr=subprocess.DEVNULL)


def test_owners_that_cannot_be_seen_are_said(late: int, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give it up")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--no-new-privs", *NETTOP,
         "watch", "comm = late", "--within", "500ms", *FAST],
        capture_output=True, text=True, timeout=60, check=False, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("nettop: procs is partial: ")


def test_a_mistake_has_its_column(tmp_path: Path) -> None:
    done = watch("level >= unwel", cwd=tmp_path, code=2)
    assert done.stderr.splitlines()[1:] == [
        "  level >= unwel",
        "           ^ column 10: 'unwel' is not ok, watch or unwell",
    ]
