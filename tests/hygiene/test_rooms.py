"""The pure part of the C helper makes no system call and reads no clock, see native/README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
PURE = sorted(
    path
    for pattern in ("engine/*.[ch]", "planes/*_apply.c", "planes/*_state.h",
                    "planes/*_ask.c", "planes/*_memory.c", "planes/*_ends.c", "planes/*_bases.c",
                    "host/*_parse.c")
    for path in NATIVE.glob(pattern)
)  # fmt: skip
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]+)[>\"]", re.MULTILINE)
# The headers that declare system calls, and those of libbpf and its skeletons.
CALLS = re.compile(
    r"unistd\.h|fcntl\.h|sched\.h|poll\.h|signal\.h|dirent\.h|net/if\.h|bpf/.*|.*\.skel\.h"
    r"|sys/(socket|syscall|ioctl|stat|vfs|mman|prctl|wait|timex|epoll|uio)\.h"
)
CLOCK = re.compile(r"\b(nt_clock_ns|clock_gettime|gettimeofday|nanosleep|time)\(")


def included(path: Path) -> dict[str, Path]:
    """The system's headers that a file includes, itself or by headers of ours: name, in which."""
    found: dict[str, Path] = {}
    seen, todo = {path}, [path]
    while todo:
        at = todo.pop()
        for name in INCLUDE.findall(at.read_text()):
            ours = list(NATIVE.glob(f"*/{Path(name).name}"))
            if ours:
                todo += [p for p in ours if p not in seen]
                seen.update(ours)
            else:
                found[name] = at
    return found


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.name)
def test_pure_files_call_nothing(path: Path) -> None:
    assert {n: p.name for n, p in included(path).items() if CALLS.fullmatch(n)} == {}
    # nt_engine.h defines nt_clock_ns() for the other rooms.
    if path.suffix == ".c":
        assert CLOCK.search(path.read_text()) is None


def test_every_source_is_in_a_room() -> None:
    assert {p.parent.name for p in NATIVE.glob("**/nt_*.c")} - {NATIVE.name} == {
        "engine", "planes", "procs", "stamps", "clocks", "host"
    }  # fmt: skip
    assert [p.name for p in NATIVE.glob("*.c")] == ["nt_native.csrc.c"]


def test_calls_are_found() -> None:
    """In a file itself, and in a header that it includes."""
    assert len(PURE) > 30
    assert "sys/socket.h" in included(NATIVE / "host" / "nt_diag.c")
    assert "bpf/libbpf.h" in included(NATIVE / "planes" / "nt_wait_read.c")
    assert all(map(CALLS.fullmatch, ("unistd.h", "sys/syscall.h", "bpf/bpf.h", "wait.skel.h")))
    assert CLOCK.search((NATIVE / "planes" / "nt_wait_read.c").read_text())
