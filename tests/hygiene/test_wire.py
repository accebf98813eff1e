"""The records that Python unpacks are the records that C packs."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from nettop.engine import ffi, lib, wire
from nettop.engine.abi import version_of

INCLUDE = Path(__file__).resolve().parents[2] / "native" / "include"


def functions() -> list[str]:
    text = re.sub(r"/\*.*?\*/", "", (INCLUDE / "nt_api.cdef.h").read_text(), flags=re.DOTALL)
    return re.findall(r"\b(nt_\w+)\(", text)


@pytest.mark.parametrize(
    ("record", "size"),
    [
        ("nt_rec", wire.REC.size),
        ("nt_proc", wire.PROC.size),
        ("nt_row", wire.ROW_SIZE),
    ],
)
def test_sizes_agree(record: str, size: int) -> None:
    assert ffi.sizeof(f"struct {record}") == size


@pytest.mark.parametrize("member", wire.Rec._fields)
def test_every_member_of_the_record_lands_in_its_place(member: str) -> None:
    raw = bytearray(wire.REC.size)
    at = ffi.offsetof("struct nt_rec", member)
    raw[at] = 0x41
    values = wire.Rec._make(wire.REC.unpack(raw))._asdict()
    value = values.pop(member)
    assert value == b"A" + bytes(len(value) - 1) if isinstance(value, bytes) else value > 0
    assert not any(v.strip(b"\0") if isinstance(v, bytes) else v for v in values.values())


@pytest.mark.parametrize("name", functions())
def test_every_function_of_the_interface_is_linked(name: str) -> None:
    assert callable(getattr(lib, name))


def test_the_helper_is_of_this_version() -> None:
    assert lib.nt_abi_version() == version_of(INCLUDE)
    assert lib.nt_bpf_built() in (0, 1)


@pytest.mark.parametrize("name", sorted(path.name for path in INCLUDE.glob("*.cdef.h")))
def test_a_change_of_any_header_is_another_version(name: str, tmp_path: Path) -> None:
    headers = tmp_path / "include"
    shutil.copytree(INCLUDE, headers)
    assert version_of(headers) == version_of(INCLUDE)
    (headers / name).write_text((headers / name).read_text() + "\n")
    assert version_of(headers) != version_of(INCLUDE)


def test_a_helper_of_other_headers_is_refused(tmp_path: Path) -> None:
    """The package and its helper as they are, beside headers with a member more."""
    root = INCLUDE.parents[1]
    shutil.copytree(INCLUDE, tmp_path / "native" / "include")
    shutil.copytree(root / "nettop", tmp_path / "nettop")
    helper = Path(str(importlib.import_module("nettop._native").__file__))
    shutil.copy(helper, tmp_path / "nettop" / helper.name)
    command = [sys.executable, "-S", "-c", "import nettop.engine"]
    paths = os.pathsep.join([str(tmp_path), *site.getsitepackages()])
    environment = {**os.environ, "PYTHONPATH": paths}

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, cwd=tmp_path, text=True,
                              capture_output=True, timeout=60)  # fmt: skip

    assert start().returncode == 0
    header = tmp_path / "native" / "include" / "nt_wire.cdef.h"
    header.write_text(header.read_text().replace("uint32_t flags;", "uint32_t flags, more;", 1))
    refused = start()
    assert refused.returncode != 0
    assert "built from other headers" in refused.stderr
