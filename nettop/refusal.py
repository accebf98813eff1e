"""What is missing when the kernel answers EPERM or EACCES, and who could grant it."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection
from pathlib import Path

from nettop.engine import check, ffi, lib
from nettop.text.clean import clean

# linux/capability.h, by number.
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
    "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip

_WHOLE_HOST = "0 0 4294967295"  # uid_map of the first user namespace
_BY_SYS_ADMIN = frozenset({"CAP_BPF", "CAP_PERFMON"})  # which were split off from it
BPF = ("CAP_BPF", "CAP_PERFMON")


def effective() -> frozenset[str]:
    """Names of the capabilities in effect for the calling thread."""
    mask, permitted = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    check(lib.nt_caps_get(mask, permitted), "capget")
    return frozenset(name for bit, name in enumerate(CAPABILITIES) if mask[0] >> bit & 1)


def inside_user_namespace(root: Path = Path("/")) -> bool:
    """Other than the first one, so that capabilities do not count on the host."""
    uid_map = " ".join(_read(root / "proc/self/uid_map").split())
    return bool(uid_map) and uid_map != _WHOLE_HOST


def outside(command: str = "nettop") -> str:
    """What to do where that is so."""
    return f"{command} outside of the user namespace (rootless container)"


def may_load() -> bool:
    """Whether the caller has what loading BPF programs needs, as far as capabilities say."""
    held = effective()
    enough = "CAP_SYS_ADMIN" in held or set(BPF) <= held
    return enough and not inside_user_namespace()


def descriptors_left() -> tuple[int, int]:
    """How many more this process may open, and its limit (ulimit -n)."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return max(0, most - len([*Path("/proc/self/fd").iterdir()]) + 1), most
    except OSError:
        return 0, most


def explain(
    needed: Collection[str],
    command: str = "nettop",
    *,
    root: Path = Path("/"),
    held: frozenset[str] | None = None,
    uid: int | None = None,
) -> tuple[str, str | None]:
    """Why, and what to do: a capability that is missing first, else what overrules it.

    Args:
        needed: capabilities of which each would be needed.
        command: what to call with sudo where that would help.
        root: where /proc and /sys are.
        held: capabilities in effect; None: the caller's.
        uid: effective user; None: the caller's.
    """
    held = effective() if held is None else held
    uid = os.geteuid() if uid is None else uid
    missing = [c for c in needed if c not in held]
    if "CAP_SYS_ADMIN" in held:
        missing = [c for c in missing if c not in _BY_SYS_ADMIN]
    names = " and ".join(missing)
    if needed and inside_user_namespace(root):
        text = f"needs {' and '.join(needed)} on the host: capabilities of a user namespace do not"
        return f"{text} count", outside(command)
    if missing and uid:
        return f"needs {names}", f"sudo {command}"
    if missing:
        return f"needs {names}, which root lacks here", f"give the container {names}"
    lockdown = _read(root / "sys/kernel/security/lockdown")
    if "[confidentiality]" in lockdown and set(needed) & _BY_SYS_ADMIN:
        return "kernel lockdown is set to confidentiality", "boot without lockdown=confidentiality"
    status = _read(root / "proc/self/status")
    if "\nSeccomp:\t2" in status:
        return "a seccomp filter refuses it", "run the container with seccomp=unconfined"
    label = _read(root / "proc/self/attr/current").strip("\0\n ")
    if label and label != "unconfined":
        return f"a security module refuses it to {clean(label)}", "change its policy"
    modules = _read(root / "sys/kernel/security/lsm").strip()
    if modules:
        return f"refused in spite of every capability; security modules: {clean(modules)}", None
    return "refused in spite of every capability", None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # not built in, or hidden: then it is not what is named
