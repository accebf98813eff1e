"""Numbers that Python writes down are those of the compiled helper, member by member."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

from nettop.clocks.offset import Method
from nettop.engine import ffi, wire
from nettop.feed import Grouping
from nettop.metrics.series import Count
from nettop.model.events import EventFlag, EventType
from nettop.model.path import Hook
from nettop.model.stamps import StampError, StampHas, StampType
from nettop.model.types import (
    WHO_MAYBE,
    Because,
    Flag,
    Level,
    Owner,
    PlaneHas,
    Proto,
    Stage,
    Verdict,
    Who,
)
from nettop.model.usual import UsualOf
from nettop.query import compile as compiler
from nettop.sources import RX_METHODS

INCLUDE = Path(__file__).resolve().parents[2] / "native" / "include"
Members = Mapping[str, int]


def members(kind: type[IntEnum] | type[IntFlag], **more: int) -> Members:
    return {**{name: int(value) for name, value in kind.__members__.items()}, **more}


OPCODES = "TRUE AND OR NOT CMP ADDR TEXT IN STATES OWNER"
SIGNS = {"=": "EQ", "!=": "NE", "<": "LT", "<=": "LE", ">": "GT", ">=": "GE"}
RX = list(enumerate(RX_METHODS))

# Of each enum of the headers: what its names begin with, and what Python has for it.
SAME: dict[str, tuple[str, Members]] = {
    "nt_proto": ("NT_PROTO_", members(Proto)),
    "nt_owner": ("NT_OWNER_", members(Owner)),
    "nt_flag": ("NT_F_", members(Flag)),
    "nt_level": ("NT_LEVEL_", members(Level)),
    "nt_verdict": ("NT_V_", members(Verdict, COUNT=len(Verdict))),
    "nt_who": ("NT_WHO_", members(Who, COUNT=len(Who), MAYBE=WHO_MAYBE)),
    "nt_because": ("NT_B_", members(Because)),
    "nt_usual_of": ("NT_USUAL_", members(UsualOf, COUNT=len(UsualOf))),
    "nt_stage": ("NT_TX_", members(Stage, STAGES=len(Stage))),
    "nt_plane_has": ("NT_P_", members(PlaneHas)),
    "nt_event_type": ("NT_EV_", members(EventType, TYPES=len(EventType))),
    "nt_event_flag": ("NT_EVF_", members(EventFlag)),
    "nt_path_hook": ("NT_PATH_", members(Hook)),
    "nt_stamp_has": ("NT_ST_", members(StampHas)),
    "nt_stamp_error": ("NT_STE_", members(StampError)),
    "nt_stamp_type": ("NT_STAMP_", members(StampType)),
    "nt_phc_method": ("NT_PHC_", members(Method)),
    "nt_grouping": ("NT_GROUP_", {k: v for k, v in members(Grouping).items() if v}),
    "nt_wait_method": ("NT_WAIT_", {n.removeprefix("tcp_").upper(): i for i, n in RX}),
    "nt_count": ("NT_C_", members(Count)),
    "nt_opcode": ("NT_OP_", {name: getattr(compiler, name) for name in OPCODES.split()}),
    "nt_cmp": ("NT_", {SIGNS[sign]: n for sign, n in compiler.CMPS.items()}),
    "nt_text": (
        "NT_TEXT_",
        {
            "COMM": compiler.TEXT_COMM,
            "CONG": compiler.TEXT_CONG,
            "COMM_NOCASE": compiler.TEXT_COMM_NOCASE,
        },
    ),
}
# tests/unit/test_tcpinfo.py compares this one with the table of members.
ELSEWHERE = {"nt_info"}
# Python takes these from the helper by name, or has no use for them.
BY_NAME = {
    "nt_buckets", "nt_number", "nt_type", "nt_base", "nt_text_key", "nt_stages_method",
    "nt_count_by", "nt_count_rtt", "nt_role",
    "nt_section_kind", "nt_dump_how", "nt_how", "nt_emit_code", "nt_emit_base", "nt_emit_end",
}  # fmt: skip


def declared() -> set[str]:
    text = "".join(path.read_text() for path in INCLUDE.glob("*.cdef.h"))
    return set(re.findall(r"^enum (\w+) \{", text, re.MULTILINE))


def test_every_enum_is_compared_or_taken_by_name() -> None:
    assert declared() == set(SAME) | BY_NAME | ELSEWHERE
    assert not set(SAME) & BY_NAME


@pytest.mark.parametrize("name", SAME)
def test_both_have_the_same_members(name: str) -> None:
    prefix, ours = SAME[name]
    compiled = ffi.typeof(f"enum {name}").relements
    assert ours == {member.removeprefix(prefix): n for member, n in compiled.items()}


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_these_are_taken_by_name(name: str) -> None:
    """No constant of the package spells a member out but as lib's."""
    names = ffi.typeof(f"enum {name}").relements
    for path in (INCLUDE.parents[1] / "nettop").rglob("*.py"):
        for member in re.findall(r"(?<!lib\.)\bNT_\w+", path.read_text()):
            assert member not in names, path


def test_attributes_of_a_detail() -> None:
    """nt_detail.has names its members in comments, in the order of the bits."""
    text = (INCLUDE / "nt_wire.cdef.h").read_text()
    said = dict(re.findall(r"\buint\d+_t (\w+);\s*/\* with has & (\d+)", text))
    assert {name: int(bit) for name, bit in said.items()} == wire.ATTRS
