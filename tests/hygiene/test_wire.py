"""The records that Python unpacks are the records that C packs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nettop.ffi import ABI, ffi, lib, wire

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
    assert lib.nt_abi_version() == ABI
    assert lib.nt_bpf_built() in (0, 1)
