"""nettop -H, as a program: hosts are other nettops here, behind programs that stand for ssh."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nettop.export.load import load_snapshot
from nettop.hosts.wire import MOST_FRAME_BYTES, Hello, hello_bytes
from nettop.store.frames import HEAD, MAGIC, SCHEMA
from nettop.store.recording import Recording
from tests.cli.conftest import NETTOP, Run, environment

HERE = ("--ssh", "env -u {}", "--remote", f"{sys.executable} -m nettop", "--no-bpf")
HI = hello_bytes(Hello("0.1.0", SCHEMA, "evil\x1b[2J", "6.18"))
ABSURD = HI + HEAD.pack(MAGIC, 0, 1, 1, MOST_FRAME_BYTES + 1, 1, 1, 1)
LIES = HI + struct.pack("<4sIHHIQqq", MAGIC, 7, 1, 1, 4, 1, 1, 1) + b"abcd"
NEWER = hello_bytes(Hello("9.9", 99, "new", "6.18"))


def test_sockets_of_two_hosts_are_one_table_and_each_says_whose_it_is(
    run: Run, pair: tuple[socket.socket, socket.socket]
) -> None:
    port = pair[1].getsockname()[1]
    text = f"sport = :{port} or (dport = :{port} and host = b)"
    done = run("-H", "a,b", *HERE, "--json", "-d", "0.6", text)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    seen = sorted((s["host"], s["local"]["port"] == port) for s in got["sockets"])
    assert seen == [("a", True), ("b", False), ("b", True)]
    assert {s["procs"][0]["comm"] for s in got["sockets"]} != set()
    assert list(got["hosts"]) == ["a", "b"]
    for host in got["hosts"].values():
        assert host["state"] == "live"
        # One kernel, one clock.
        assert abs(host["clock_offset_ns"]) <= host["clock_bar_ns"]
        assert host["totals"]["tcp"] >= 3
    assert got["totals"]["matched"] == 3
    assert got["totals"]["tcp"] == sum(h["totals"]["tcp"] for h in got["hosts"].values())


@pytest.fixture
def stand_in(tmp_path: Path) -> str:
    """A program instead of ssh, whose hosts are well, noisy, or evil."""
    for name, said in (("absurd", ABSURD), ("lies", LIES), ("newer", NEWER)):
        (tmp_path / name).write_bytes(said)
    script = tmp_path / "ssh"
    script.write_text(
        "#!/bin/sh\n"
        "host=$1; shift\n"
        'case $host in\n'
        '    noisy) echo "Welcome to noisy"; echo "  * 3 updates"; exec "$@";;\n'
        '    well) exec "$@";;\n'
        '    refused) echo "Permission denied (publickey)." >&2; exit 255;;\n'
        '    missing) echo "sh: 1: nettop: not found" >&2; exit 127;;\n'
        f'    absurd|lies|newer) cat "{tmp_path}/$host"; exec sleep 60;;\n'
        '    garbage) head -c 200000 /dev/urandom; exec sleep 60;;\n'
        'esac\n'
    )  # fmt: skip
    script.chmod(0o755)
    return str(script)


def test_hosts_that_are_evil_or_ill_are_a_line_each_and_the_others_go_on(
    run: Run, stand_in: str
) -> None:
    hosts = "well,noisy,refused,missing,absurd,lies,newer,garbage"
    remote = f"{sys.executable} -m nettop"
    done = run("-H", hosts, "--ssh", stand_in, "--remote", remote, "--no-bpf", "--json", "-a")
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    states = {name: host["state"] for name, host in got["hosts"].items()}
    assert states.pop("well") == states.pop("noisy") == "live"
    assert set(states.values()) == {"lost"}
    assert {s["host"] for s in got["sockets"]} <= {"well", "noisy"}
    said = dict(line.removeprefix("nettop: ").split(": ", 1) for line in done.stderr.splitlines())
    assert said["refused"] == "Permission denied (publickey)."
    assert "pipx install nettop there" in said["missing"]
    assert "a frame of 64 MB" in said["absurd"]
    assert "checksum is wrong" in said["lies"]
    assert "nettop 9.9 there sends frames of schema 99" in said["newer"]
    assert "no stream of nettop" in said["garbage"]
    assert len(said) == len(done.stderr.splitlines()) == 6
    assert "\x1b" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("leads", "said", "hint"),
    [
        ("podman exec -i", "executable file `nettop` not found in $PATH", "nsenter -n -t"),
        ("docker exec -i", 'exec: "nettop": executable file not found in $PATH', "in the image"),
        ("kubectl exec -i {} --", "command terminated with exit code 127", "nsenter -n -t"),
        ("ip netns exec", 'exec of "nettop" failed: No such file or directory', "with --remote"),
        ("ssh", "bash: line 1: nettop: command not found", "pipx install nettop there"),
    ],
)
def test_how_nettop_comes_to_a_host_is_by_what_leads_there(
    run: Run, tmp_path: Path, leads: str, said: str, hint: str
) -> None:
    name, *words = leads.split()
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 127\n")
    program.chmod(0o755)
    done = run("-H", "docker", "--ssh", " ".join([str(program), *words]), "--json")
    assert done.returncode == 1
    assert said in done.stderr
    assert hint in done.stderr
    assert ("pipx" in done.stderr) == (name == "ssh")


def test_commands_that_look_for_a_while_take_hosts_too(
    tmp_path: Path, stand_in: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    here = ("--ssh", stand_in, "--remote", f"{sys.executable} -m nettop", "--no-bpf")
    port = f"sport = :{pair[1].getsockname()[1]}"
    asked = {
        "record": ("-H", "well,refused", "-o", "rec.nettop", "-d", "0.2", "-n", "2"),
        "watch": ("-H", "refused,well", "-d", "0.2", "-o", "held.json", port),
        "why": ("-H", "well,refused", "--for", "1", "--json", port),
        "diff": ("-H", "well", "-H", "noisy", "--for", "2", "--json"),
    }
    running = {
        command: subprocess.Popen(
            [*NETTOP, command, *here, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
        )
        for command, words in asked.items()
    }  # fmt: skip
    out = {command: process.communicate(timeout=120) for command, process in running.items()}
    codes = {command: process.returncode for command, process in running.items()}
    assert (codes["record"], codes["watch"]) == (0, 0), out
    for command in ("record", "watch", "why"):
        assert "nettop: refused: Permission denied (publickey).\n" in out[command][1]
    assert len(Recording(tmp_path / "rec-well.nettop").frames()) == 2
    assert not (tmp_path / "rec-refused.nettop").exists()
    assert out["watch"][0].startswith("well: ")
    assert load_snapshot(str(tmp_path / "held.json")).name == "held.json"
    well, refused = json.loads(out["why"][0])["hosts"]
    assert well["report"]["matched"] == 1
    assert (refused["name"], refused["reason"]) == ("refused", "Permission denied (publickey).")
    assert codes["why"] == bool(well["report"]["findings"])
    both = json.loads(out["diff"][0])
    assert [both[side]["file"] for side in "ab"] == ["well", "noisy"]
    assert codes["diff"] == both["exit"]


def test_no_host_that_answers_is_a_failure(run: Run, stand_in: str) -> None:
    done = run("-H", "refused", "--ssh", stand_in, "--once")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "nettop: no host has answered"
    assert run("-H", "refused", "--ssh", stand_in, "-b", "-n", "2", "-d", "0.2").returncode == 1
    # Of commands whose 0 and 1 are answers it is 3: what they compare or look at was not there.
    for words in (["diff", "-H", "refused,gone", "--for", "2s"], ["why", "-H", "refused"]):
        done = run(*words, "--ssh", stand_in)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.splitlines()[-1] == "nettop: no host has answered"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["replay", "x", "-H", "a"], "takes no -H"),
        (["diff", "-H", "a"], "compares two hosts, and here are 1"),
        (["-H", "a", "-U", "0"], "write 'user = NAME'"),
        (["-H", "a", "-N", "x;y"], "cannot pass through another host's shell"),
        (["-H", "a", "srtt >"], "column 7"),
        (["-H", "@/dev/zero"], "is larger than 1024 KB"),
    ],
)
def test_a_wrong_command_line_is_said_before_any_host_is_asked(
    run: Run, words: list[str], says: str
) -> None:
    done = run(*words, "--ssh", "/nonexistent")
    assert done.returncode == 2
    assert says in done.stderr
