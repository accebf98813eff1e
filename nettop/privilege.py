"""What nettop may do, and giving up what it no longer needs.

Called by the main thread after everything is opened and before other threads start:
capabilities belong to a thread, and new threads take over those of their maker.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from nettop.engine import check, ffi, lib
from nettop.refusal import CAPABILITIES as CAPABILITIES
from nettop.users import USERS

PR_SET_KEEPCAPS = 8
_THREAD_ENDS_S = 0.5

_FOR_NAMES = {
    "CAP_SYS_PTRACE": "to see which processes of other users hold a socket",
    "CAP_DAC_READ_SEARCH": "to list other users' /proc/PID/fd; to open cgroups and NICs' clocks",
}
_FOR_NETNS = {"CAP_SYS_ADMIN": "to enter the other network namespaces of -N"}


class KeptPrivilege(Struct, frozen=True):
    """What a running nettop can still do."""

    capabilities: Mapping[str, str]  # name → why it is kept
    uid: int
    user: str | None  # by passwd(5); files that nettop writes belong to this user
    no_new_privs: bool
    note: str | None = None  # what could not be given up, and why


def _names(mask: int) -> frozenset[str]:
    known = {name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1}
    return frozenset(known | {f"CAP_{b}" for b in range(len(CAPABILITIES), 64) if mask >> b & 1})


def _mask(names: Mapping[str, str]) -> int:
    return sum(1 << CAPABILITIES.index(name) for name in names)


def _read() -> tuple[int, int]:
    effective, permitted = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    check(lib.nt_caps_get(effective, permitted), "capget")
    return int(effective[0]), int(permitted[0])


def held() -> frozenset[str]:
    """Names of the capabilities in effect for the calling thread."""
    return _names(_read()[0])


def permitted() -> frozenset[str]:
    """Names of the capabilities that the calling thread could put into effect."""
    return _names(_read()[1])


def to_keep(available: frozenset[str], *, keep_netns: bool) -> dict[str, str]:
    """The capabilities that polling needs, of those available, each with its reason."""
    wanted = _FOR_NAMES | (_FOR_NETNS if keep_netns else {})
    return {name: why for name, why in wanted.items() if name in available}


def drop(
    keep_netns: bool,
    environ: Mapping[str, str] = os.environ,
    elsewhere: Callable[[Callable[[], object]], None] | None = None,
) -> KeptPrivilege:
    """Gives up all capabilities but those still needed, and under sudo the user root.

    Args:
        keep_netns: -N: other namespaces must be entered again, or may appear later.
        environ: where sudo says who called it (SUDO_UID, SUDO_GID).
        elsewhere: has the one other thread there may be call this; it keeps nothing.

    Raises:
        RuntimeError: other threads run already and would keep their privileges.
        OSError: a call that must not fail did.
    """
    if threading.current_thread() is not threading.main_thread() or not _alone(
        but_for=0 if elsewhere is None else 1
    ):
        raise RuntimeError("privileges must be dropped before other threads start")
    note = None
    caller = _sudo_caller(environ) if os.geteuid() == 0 else None
    if caller is not None:
        note = _become(*caller)
    kept = to_keep(permitted(), keep_netns=keep_netns)
    check(lib.nt_caps_keep(_mask(kept)), "giving up capabilities")
    if elsewhere is not None:
        elsewhere(drop_all)
    uid = os.geteuid()
    return KeptPrivilege(kept, uid, USERS.filed(uid), no_new_privs=True, note=note)


def drop_all() -> None:
    """Gives up every capability of the calling thread, and of what it starts.

    Raises:
        OSError: a call that must not fail did.
    """
    check(lib.nt_caps_keep(0), "giving up capabilities")


def _alone(but_for: int) -> bool:
    """No other thread runs; one that was joined may need a moment to be gone."""
    end = time.monotonic() + _THREAD_ENDS_S
    most = 1 + but_for
    while sum(1 for _ in Path("/proc/self/task").iterdir()) > most:
        if threading.active_count() > most or time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def _sudo_caller(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """(uid, gid) of the user who called sudo; None without sudo, or if it was root."""
    try:
        uid, gid = int(environ["SUDO_UID"]), int(environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None
    return (uid, gid) if 0 < uid < 2**32 - 1 and 0 <= gid < 2**32 - 1 else None


def _become(uid: int, gid: int) -> str | None:
    """Changes to that user for good but keeps the permitted capabilities; why not, if not."""
    if not {"CAP_SETUID", "CAP_SETGID"} <= held():
        return f"stays uid {os.geteuid()} without CAP_SETUID and CAP_SETGID"
    groups = _groups(uid, gid)
    keep_capabilities(True)
    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    finally:
        keep_capabilities(False)
    return None


def keep_capabilities(on: bool) -> None:
    """PR_SET_KEEPCAPS: whether permitted capabilities outlive the change to another user."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_KEEPCAPS, int(on), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_KEEPCAPS")


def _groups(uid: int, gid: int, proc: Path = Path("/proc")) -> list[int]:
    """The groups of the caller, as the process that called sudo has them.

    No user database is asked: a directory service may be what nettop is called to look at.
    """
    pid = os.getppid()
    while pid > 1:
        try:
            text = (proc / str(pid) / "status").read_bytes()
        except OSError:
            break
        of = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
        if {int(u) for u in of[b"Uid"].split()} == {uid}:
            return sorted({gid, *(int(g) for g in of[b"Groups"].split())})
        pid = int(of[b"PPid"])
    return [gid]
