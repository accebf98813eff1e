"""What shells complete, and the scripts that ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from nettop.commands.completion import FILES, SHELLS, candidates
from nettop.commands.topics import TOPICS
from nettop.options import COMMANDS
from nettop.text.fields import FIELDS
from nettop.text.usage import options_of
from nettop.text.verdicts import VERDICTS
from tests.cli.conftest import NETTOP, Run, environment


def after(*words: str) -> list[str]:
    return list(candidates(["nettop", *words]))


def test_commands_come_first_and_all_of_them() -> None:
    assert set(after("")) == set(COMMANDS)
    assert after("sn")[0] == "snapshot"
    assert set(after("help", "")) == {*TOPICS, *COMMANDS}


@pytest.mark.parametrize("command", ["live", *(c for c in COMMANDS if c != "help")])
def test_every_option_of_a_command_is_offered_there(command: str) -> None:
    head = [] if command == "live" else [command]
    offered = after(*head, "-")
    assert set(offered) >= {name for o in options_of(command) for name in o.names}
    assert ("--csv" in offered) == (command in ("live", "open", "replay"))


def test_every_field_and_verdict_is_offered_in_a_filter() -> None:
    for name in FIELDS:
        if name != "why":
            assert name in after(name[:-1]) or name in after(name[:1]), name
    for spec in VERDICTS.values():
        word = spec.words[0].lower()
        assert word in after("verdict", "=", word[:2]), word


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["'srtt > 5ms and verdict = lo"], ["srtt > 5ms and verdict = loss"]),
        (["verdict=lo"], ["verdict=loss"]),
        (["snapshot", "-N", "all", "state", "estab"], ["established"]),
        (["-s", "retr/"], ["retr/s"]),
        (["--sort", "=", "retr/"], ["retr/s"]),  # as bash takes it apart
        (["--sort=retr/"], ["--sort=retr/s"]),
        (["--columns", "proc,retr/"], ["proc,retr/s"]),
        (["doctor", "--require", "wait,st"], ["wait,stages", "wait,stamps"]),
        (["diff", "--by", "remo"], ["remote"]),
        (["diff", "a.json", ""], [FILES]),
        (["diff", "a.json", "b.json", "com"], ["comm"]),
        (["replay", ""], [FILES]),
        (["-o", ""], [FILES]),
        (["-p", ""], []),
        (["--no-such-option", "sn"], ["snd_wscale", "snd_mss", "sndq"]),
        (["-1", "--", "--js"], []),
        (["completion", "z"], ["zsh"]),
        (["serve", "com"], ["comm"]),
        (["version", ""], []),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_what_may_come_next(words: list[str], found: list[str]) -> None:
    offered = after(*words)
    assert set(found) <= set(offered)
    assert len(offered) == len(found) or words[-1] == "sn"


def test_what_a_shell_takes_for_itself_is_offered_in_quotes_alone() -> None:
    assert {"lt", "geq", "="} <= set(after("srtt", ""))
    assert not set(after("srtt", "")) & {"<", ">", "<=", ">="}
    assert "srtt >=" in after("'srtt ")


def test_a_name_of_an_interface_that_a_terminal_would_obey_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nettop.commands import completion

    for name in ("eth0", "a\x1b[2J", "$(reboot)", "web-1.2"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(
        completion, "Path", lambda path: tmp_path if str(path).startswith("/run") else Path(path)
    )
    assert after("-N", "") == ["all", "eth0", "web-1.2"]


@pytest.mark.parametrize(
    "words", [["completion"], ["completion", "zhs"], ["completion", "zsh", "x"]]
)
def test_a_wrong_shell_is_one_line(run: Run, words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "zsh" in done.stderr


def test_a_broken_line_is_completed_to_nothing(run: Run) -> None:
    for words in (["'"], ["a\0b"[:1], '"'], ["--config"], ["é", "\udcff"]):
        done = run("completion", "bash", "--", "nettop", *words)
        assert done.returncode == 0, done.stderr
    assert run("completion", "bash", "--").stdout == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_its_shell_reads(run: Run, shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell}")
    script = tmp_path / "script"
    script.write_text(run("completion", shell).stdout)
    subprocess.run([program, "-n", script], check=True, timeout=20)


def test_bash_completes(tmp_path: Path, run: Run) -> None:
    (tmp_path / "nettop").write_text(f'#!/bin/sh\nexec {" ".join(NETTOP)} "$@"\n')
    (tmp_path / "nettop").chmod(0o755)
    script = (
        run("completion", "bash").stdout
        + 'COMP_WORDS=(nettop verdict = lo); COMP_CWORD=3; _nettop nettop lo =; printf "%s\\n" '
        + '"${COMPREPLY[@]}"\n'
        + 'compopt() { :; }; COMP_WORDS=(nettop open "$1"); COMP_CWORD=2\n'
        + '_nettop nettop "$1" open\n'
        + 'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    hostile = tmp_path / "a b;$(touch x)"
    hostile.touch()
    done = subprocess.run(
        ["bash", "-c", script, "bash", str(tmp_path / "a")],
        env=environment(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}"), cwd=tmp_path,
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["loss", str(hostile)], done.stderr
    assert not (tmp_path / "x").exists()


def test_an_installation_brings_the_page_and_the_scripts_to_their_places() -> None:
    installed = {str(path) for path in distribution("nettop").files or ()}
    for place in ("man/man1/nettop.1", *SHELLS.values()):
        found = [path for path in installed if path.endswith(f"share/{place}")]
        assert any(path.startswith("..") for path in found), place  # beside the packages


def page() -> str:
    return TOPICS["man"][1]()


def test_the_man_page_says_all_that_the_tables_have() -> None:
    from nettop.text.keys import KEYS

    source = page().replace("\\-", "-")
    assert all(f"nettop {command}" in source for command in COMMANDS)
    for command in ("live", *COMMANDS):
        for option in options_of(command):
            assert all(name in source for name in option.names)
    assert all(f"\\fB{field}\\fR" in source for field in FIELDS if not set(field) & set("'\"^~"))
    assert all(f"\\fB{spec.words[0]}\\fR" in source for spec in VERDICTS.values())
    assert source.count(".TP") > len(FIELDS) + len(KEYS)
    assert source.isascii()
    assert str(Path(sys.prefix)) not in source


def test_no_text_becomes_a_request() -> None:
    from nettop.commands.manpage import _escaped

    assert _escaped(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert _escaped("'\\fB") == "\\(aq\\efB"
    known = {".TH", ".nh", ".ad", ".ss", ".SH", ".SS", ".TP", ".PP", ".B", ".br", ".nf", ".fi",
             ".sp", ".RS", ".RE"}  # fmt: skip
    assert {line.split()[0] for line in page().splitlines() if line[:1] in ".'"} <= known


@pytest.mark.parametrize(
    "check",
    [["groff", "-ww", "-man", "-Tutf8", "-z"], ["mandoc", "-Tlint", "-Wwarning"]],
    ids=lambda c: c[0],
)
def test_formatters_have_no_complaint(check: list[str]) -> None:
    if shutil.which(check[0]) is None:
        pytest.skip(f"no {check[0]}")
    done = subprocess.run(
        check, input=page(), capture_output=True, text=True, timeout=60, check=False
    )
    said = (done.stdout + done.stderr).splitlines()
    # A date would differ from build to build.
    assert [line for line in said if "missing date" not in line] == []
