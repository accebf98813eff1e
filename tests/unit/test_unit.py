"""The systemd unit: what it runs is a command line that nettop takes, in the words of systemd."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nettop.commands import topics, unit
from nettop.errors import UsageError
from nettop.options import Options, parse_args
from nettop.refusal import CAPABILITIES
from nettop.serve.options import PORT, parse_serve


def entry(name: str, of: str = unit.NAME) -> str:
    """Several lines of one name add up."""
    text = unit.service(of).replace("\\\n", " ")
    return " ".join(re.findall(rf"^{name}=(.*)$", text, re.MULTILINE))


def test_the_command_is_one_that_nettop_takes() -> None:
    program, *words = shlex.split(entry("ExecStart"))
    assert Path(program).is_absolute()
    options = parse_args(words[words.index("record") :], {})
    assert isinstance(options, Options)
    assert options.command == "record"
    assert options.keep_s == 48 * 3600
    assert options.max_bytes == 2 << 30
    assert options.output == "%S/nettop/record.nettop"
    assert entry("StateDirectory") == "nettop"  # the folder of that file


def test_the_server_runs_as_nobody_with_what_it_needs() -> None:
    _, *words = shlex.split(entry("ExecStart", unit.SERVE))
    options = parse_serve(words[words.index("serve") + 1 :], {})
    assert options.address == ("127.0.0.1", PORT)
    allowed = entry("AmbientCapabilities", unit.SERVE)
    assert allowed == entry("CapabilityBoundingSet", unit.SERVE)
    assert set(allowed.split()) <= set(CAPABILITIES)
    assert entry("DynamicUser", unit.SERVE) == "yes"


def test_it_may_what_nettop_needs_and_nothing_else() -> None:
    allowed = entry("CapabilityBoundingSet").split()
    assert set(allowed) <= set(CAPABILITIES)
    assert {"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"} <= set(allowed)
    assert "AF_NETLINK" in entry("RestrictAddressFamilies").split()


@pytest.mark.parametrize(
    ("path", "said"),
    [("/opt/net top/nettop", '"/opt/net top/nettop"'), ("/a/50%/nettop", "/a/50%%/nettop")],
)
def test_a_path_is_quoted(path: str, said: str) -> None:
    assert unit._quoted(path) == said


def test_help_shows_it_with_the_nettop_that_was_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "nettop"
    own.write_text("")
    monkeypatch.setattr(sys, "argv", [str(own), "help", "systemd"])
    assert f"ExecStart={own} \\\n" in topics.topic("systemd")
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert f"ExecStart={sys.executable} -m nettop \\\n" in topics.topic("systemd")
    with pytest.raises(UsageError, match="no help topic"):
        topics.topic("systemd-unit")


@pytest.mark.parametrize("name", [unit.NAME, unit.SERVE])
def test_systemd_takes_it(tmp_path: Path, name: str) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze")
    path = tmp_path / name
    path.write_text(unit.service(name).replace(entry("ExecStart", name).split()[0], "/bin/true", 1))
    done = subprocess.run(
        [program, "verify", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert name not in done.stderr
