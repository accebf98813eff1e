"""Installations that lack a part: one line that says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

import nettop
from tests.cli.conftest import environment

COMMANDS = (["-1"], ["--json"], ["snapshot", "-o", "x.json"], ["open", "x.json"], ["doctor"],
            ["probe", "tcp", "127.0.0.1:9", "-c", "1"], ["reflect", ":7000"])  # fmt: skip


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The package without its compiled helper."""
    shutil.copytree(
        Path(nettop.__file__).parent, tmp_path / "nettop",
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )  # fmt: skip
    return tmp_path


def helper() -> Path:
    spec = find_spec("nettop._native")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def call(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Runs the copy; -S keeps away what makes an editable installation found."""
    paths = os.pathsep.join([str(folder), sysconfig.get_paths()["purelib"]])
    return subprocess.run(
        [sys.executable, "-S", "-m", "nettop", *argv], env=environment(PYTHONPATH=paths),
        cwd=folder, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.startswith("nettop: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_copy_with_its_helper_works(copied: Path) -> None:
    shutil.copy(helper(), copied / "nettop")
    assert "PROC" in call(copied, "-1").stdout


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda a: a[0])
def test_without_the_helper(copied: Path, argv: list[str]) -> None:
    refused(call(copied, *argv), "compiled helper is missing", "pip")


def test_help_needs_no_helper(copied: Path) -> None:
    for argv in (["--help"], ["--version"], ["--help-json"], ["-s", "help"]):
        assert call(copied, *argv).returncode == 0


def test_a_helper_of_another_python(copied: Path) -> None:
    shutil.copy(helper(), copied / "nettop" / "_native.cpython-399-x86_64-linux-gnu.so")
    refused(call(copied, "-1"), "compiled helper is missing", "another Python", "pip")


def test_a_helper_of_another_machine(copied: Path) -> None:
    code = bytearray(helper().read_bytes())
    code[18:20] = b"\xf3\x00"  # e_machine: RISC-V
    (copied / "nettop" / helper().name).write_bytes(code)
    refused(call(copied, "-1"), "compiled helper cannot be loaded", "pip")


def test_a_helper_whose_library_is_gone(copied: Path) -> None:
    code = helper().read_bytes()
    if b"libbpf.so.1" not in code:
        pytest.skip("built without BPF")
    # The same length, so that nothing else in the file moves.
    (copied / "nettop" / helper().name).write_bytes(code.replace(b"libbpf.so.1", b"libbxf.so.1"))
    refused(call(copied, "-1"), "libbxf.so.1", "install libbxf")


def test_a_package_that_is_gone(copied: Path) -> None:
    shutil.copy(helper(), copied / "nettop")
    (copied / "lark.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'lark'\", name='lark')"
    )
    refused(call(copied, "-1", "srtt > 1ms"), "lark is missing", "pip")
