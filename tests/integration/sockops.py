"""Another tool's sockops program, for tests: a few instructions, loaded without a compiler."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from pathlib import Path

_NR_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280}
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH = 5, 8, 9
_TYPE_SOCK_OPS, _CGROUP_SOCK_OPS = 13, 3
_ALLOW_MULTI = 2
_TIMEOUT_INIT = 1  # enum of bpf_sock_ops.op


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhi", code, src << 4 | dst, off, imm)


def _program(syn_rto_jiffies: int | None) -> bytes:
    """Returns 1; at TIMEOUT_INIT replies with so many jiffies, if any are named."""
    answer = b""
    if syn_rto_jiffies is not None:
        answer = (
            _insn(0x61, dst=2, src=1)  # r2 = ctx->op
            + _insn(0x55, dst=2, off=2, imm=_TIMEOUT_INIT)  # if r2 != TIMEOUT_INIT skip 2
            + _insn(0xB7, dst=2, imm=syn_rto_jiffies)  # r2 = jiffies
            + _insn(0x63, dst=1, src=2, off=4)  # ctx->reply = r2
        )
    return answer + _insn(0xB7, dst=0, imm=1) + _insn(0x95)


def bpf(command: int, attr: bytes) -> int:
    """The system call; what attr does not say is 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    room = ctypes.create_string_buffer(attr, max(len(attr), 128))
    done = libc.syscall(_NR_BPF[platform.machine()], command, room, len(room))
    if done < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return int(done)


@contextlib.contextmanager
def attached(
    cgroup: str, *, syn_rto_jiffies: int | None = None, exclusive: bool = False
) -> Iterator[None]:
    """The program at this cgroup, beside others, or (exclusive) allowing none beside it."""
    code = ctypes.create_string_buffer(_program(syn_rto_jiffies))
    license_text = ctypes.create_string_buffer(b"GPL")
    program = bpf(
        _PROG_LOAD,
        struct.pack("<IIQQ", _TYPE_SOCK_OPS, (len(code) - 1) // 8, ctypes.addressof(code),
                    ctypes.addressof(license_text)),
    )  # fmt: skip
    group = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    flags = 0 if exclusive else _ALLOW_MULTI
    attr = struct.pack("<IIII", group, program, _CGROUP_SOCK_OPS, flags)
    try:
        bpf(_PROG_ATTACH, attr)
        try:
            yield
        finally:
            bpf(_PROG_DETACH, struct.pack("<III", group, program, _CGROUP_SOCK_OPS))
    finally:
        os.close(group)
        os.close(program)


@contextlib.contextmanager
def cgroup_below(root: str) -> Iterator[str]:
    """A cgroup of its own; empty again by the end."""
    path = Path(root) / f"nt{os.getpid()}"
    path.mkdir()
    try:
        yield str(path)
    finally:
        path.rmdir()
