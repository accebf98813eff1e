"""One layout of struct tcp_info: Python's table, the helper's offsets, the kernel's own BTF."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from nettop.engine import ffi
from nettop.model import tcpinfo
from nettop.model.tcpinfo import ABSENT, TAIL_6_18, TAIL_7_0, TCP_INFO, InfoField, decode
from nettop.model.types import Proto
from nettop.sources import kernel
from nettop.text.fields import FIELDS
from tests.feeding import FedEngine as Engine
from tests.netlink import connection, done

BY_NAME = {item.name: item for item in TCP_INFO}


@pytest.mark.parametrize("member", ffi.typeof("enum nt_info").relements)
def test_the_helper_reads_a_member_where_it_is(member: str) -> None:
    item = BY_NAME[member.removeprefix("TI_").lower()]
    assert ffi.typeof("enum nt_info").relements[member] == item.offset


def test_no_offset_of_the_helper_stands_elsewhere() -> None:
    native = Path(__file__).resolve().parents[2] / "native"
    for path in native.glob("*/nt_*.[ch]"):
        if path.name != "nt_wire.cdef.h":
            assert not re.search(r"\bTI_\w+ *=", path.read_text()), path


def btf(path: Path, types: bytes, names: bytes, magic: int = 0xEB9F, gap: int = 0) -> Path:
    header = struct.pack("=HBBIIIII", magic, 1, 0, 24 + gap, 0, len(types), len(types), len(names))
    path.write_bytes(header + bytes(gap) + types + names)
    return path


@pytest.mark.parametrize(
    ("names", "tail"),
    [
        (b"\0tcpi_accecn_fail_mode\0tcpi_rtt\0", TAIL_6_18),
        (b"\0tcpi_rtt\0tcpi_ecn_mode\0tcpi_accecn_fail_mode\0", TAIL_7_0),
        (b"\0tcpi_rtt\0", ()),
    ],
)
@pytest.mark.parametrize("gap", [0, 8])
def test_the_last_word_is_named_by_the_kernel(
    names: bytes, tail: tuple[InfoField, ...], gap: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    types = b"\0tcpi_ecn_mode\0"  # bytes of types say nothing
    monkeypatch.setattr(kernel, "BTF", btf(tmp_path / "vmlinux", types, names, gap=gap))
    assert kernel.tcp_info_tail.__wrapped__() == tail
    assert kernel.names_of(kernel.BTF) == names


def test_what_is_no_btf_has_no_names(tmp_path: Path) -> None:
    whole = btf(tmp_path / "whole", b"", b"\0tcpi_ecn_mode\0")
    other = btf(tmp_path / "other", b"", b"\0tcpi_ecn_mode\0", magic=0x9FEB)
    assert kernel.names_of(other) is None
    for length in (0, 10, 24, 30):
        cut = tmp_path / "cut"
        cut.write_bytes(whole.read_bytes()[:length])
        assert kernel.names_of(cut) is None
    assert kernel.names_of(tmp_path / "absent") is None


@pytest.mark.needs_tools("bpftool")
def test_the_running_kernel_has_it_so() -> None:
    """As far as this kernel's struct goes."""
    btf = Path("/sys/kernel/btf/vmlinux")
    if not btf.exists():
        pytest.skip("this kernel has no BTF")
    bpftool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    dump = subprocess.run([bpftool, "btf", "dump", "file", str(btf)], text=True, check=True,
                          capture_output=True, timeout=60).stdout  # fmt: skip
    head = re.search(r"^\[\d+\] STRUCT 'tcp_info' size=(\d+).*\n((?:\t.*\n)+)", dump, re.MULTILINE)
    assert head is not None
    size, bits = int(head[1]), dict(re.findall(r"'tcpi_(\w+)' .*bits_offset=(\d+)", head[2]))
    tail = TAIL_7_0 if "ecn_mode" in bits else TAIL_6_18
    ours = {i.name: i.offset * 8 + i.bit for i in (*TCP_INFO, *tail) if i.offset + i.size <= size}
    assert ours == {name: int(at) for name, at in bits.items() if name in ours}
    assert {name for name, at in bits.items() if int(at) < 280 * 8} <= set(ours)


def test_a_minimum_that_is_unknown_is_so_everywhere() -> None:
    """Before Linux 4.6 the kernel sends none, later all ones until the first sample."""
    for length, sent in ((104, 0), (280, ABSENT["min_rtt"])):
        engine = Engine()
        engine.feed_begin(1)
        engine.feed(1, Proto.TCP, connection(1, length, min_rtt=sent) + done())
        engine.feed_end(1)
        row = engine.find(1)
        assert row is not None
        assert row.rec.min_rtt_us == ABSENT["min_rtt"]
        assert FIELDS["minrtt"].value(row, engine.detail(1)) is None


def test_members_may_stand_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one more, that lies inside of another or between two."""
    raw = bytes(random.Random(1).randrange(256) for _ in range(280))
    in_order = decode(raw, 280, TAIL_7_0)
    shuffled = [*TCP_INFO, InfoField("low", 68, 2, "us", "gauge", "time", "half of rtt")]
    random.Random(2).shuffle(shuffled)
    monkeypatch.setattr(tcpinfo, "TCP_INFO", tuple(shuffled))
    tcpinfo._plan.cache_clear()
    try:
        for length in (280, 248, 104):
            assert decode(raw, length, TAIL_7_0) == {
                **{name: n for name, n in in_order.items() if _fits(name, length)},
                "low": struct.unpack_from("<H", raw, 68)[0],
            }
    finally:
        tcpinfo._plan.cache_clear()


def _fits(name: str, length: int) -> bool:
    item = next(i for i in (*TAIL_7_0, *BY_NAME.values()) if i.name == name)
    return item.offset + item.size <= length
