"""Switching a NIC's hardware stamping on for a while, and putting back what was there.

A NIC has one setting, and it outlives the program that made it: ptp4l and similar daemons rely on
theirs. So this refuses where another program uses it, and a small process of its own restores the
setting when this one ends, even if it is killed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from nettop import refusal
from nettop.clocks.interfaces import (
    NET,
    RX_FILTERS,
    TX_TYPES,
    Interface,
    Setting,
    interface,
    word,
)
from nettop.engine import ffi, lib
from nettop.errors import NettopError
from nettop.text.clean import clean

# Programs that set stamping or steer clocks, by the name that the kernel has of them.
OWNERS = frozenset({"ptp4l", "phc2sys", "ts2phc", "timemaster", "chronyd", "ptpd", "ptpd2", "ptp4u",
                    "sptp", "sfptpd"})  # fmt: skip
_ON, _NONE = TX_TYPES.index("on"), RX_FILTERS.index("none")


class Owner(Struct, frozen=True):
    """A process that has to do with PTP clocks."""

    pid: int
    comm: str
    why: str


class Stamping(Struct, frozen=True):
    """What a NIC stamps while the guard holds."""

    interface: str
    phc: int | None
    before: Setting
    now: Setting
    changed: bool  # False: it was as wanted already
    rx: bool  # received packets are stamped too


def find_owners(proc: Path = Path("/proc")) -> list[Owner]:
    """Processes that set stamping or steer a PHC, as far as this user may see."""
    found = []
    own = str(os.getpid())
    for entry in proc.iterdir():
        if not entry.name.isdigit() or entry.name == own:
            continue
        try:
            comm, state = _comm_and_state((entry / "stat").read_bytes())
        except (OSError, ValueError):
            continue  # it has ended
        if state in "ZX":
            continue
        if comm in OWNERS:
            found.append(Owner(int(entry.name), comm, "is running"))
        elif (path := _writes_a_phc(entry)) is not None:
            found.append(Owner(int(entry.name), comm, f"has {path} open for writing"))
    return sorted(found, key=lambda o: o.pid)


def _comm_and_state(stat: bytes) -> tuple[str, str]:
    """From /proc/PID/stat; the name may hold parentheses itself."""
    start, end = stat.index(b"("), stat.rindex(b")")
    return clean(stat[start + 1 : end]), stat[end + 2 : end + 3].decode("ascii", "replace")


def _writes_a_phc(entry: Path) -> str | None:
    """The PHC that a process has open in a way that can steer it."""
    try:
        for fd in (entry / "fd").iterdir():
            path = str(fd.readlink())
            if not path.startswith("/dev/ptp") or path.startswith("/dev/ptmx"):
                continue
            info = (entry / "fdinfo" / fd.name).read_text()
            flags = next(line for line in info.splitlines() if line.startswith("flags:"))
            if int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                return clean(path)
    except (OSError, StopIteration, ValueError):
        pass  # ended, or another user's: its name alone may still give it away
    return None


@contextmanager
def hardware_stamping(name: str, proc: Path = Path("/proc")) -> Iterator[Stamping]:
    """Transmit stamps on, receive stamps of all packets where the NIC can; then as it was.

    Raises:
        NettopError: in one line why not; nothing was changed then.
    """
    nic = _capable(name)
    before = _setting(name)
    wanted = _wanted(nic)
    _refuse_owners(name, proc)
    if before.tx_type == "on" and before.rx_filter in (wanted.rx_filter, "all"):
        yield Stamping(name, nic.phc, before, before, False, before.rx_filter == "all")
        return
    if not before.is_off:
        raise NettopError(
            f"{name}: another program has set its timestamping (tx {before.tx_type}, "
            f"rx {before.rx_filter}) "
            f"and may rely on it; if nothing does: hwstamp_ctl -i {name} -t 0 -r 0"
        )
    guard = ffi.new("struct nt_hwtstamp_guard *")
    guard.pipe_fd = -1
    guard.now.tx_type = _ON
    guard.now.rx_filter = RX_FILTERS.index(wanted.rx_filter)
    try:
        result = lib.nt_hwtstamp_guard(os.fsencode(name), guard)
        if result == -errno.ERANGE and guard.now.rx_filter != _NONE:
            # Some drivers list filters that this card has not: what is sent is stamped at least.
            guard.now.tx_type, guard.now.rx_filter = _ON, _NONE
            result = lib.nt_hwtstamp_guard(os.fsencode(name), guard)
        if result:
            raise NettopError(_why_not_set(name, -result))
        now = _of(guard.now)
        yield Stamping(name, nic.phc, before, now, True, now.rx_filter == "all")
    finally:
        _put_back(name, guard)


def _capable(name: str) -> Interface:
    try:
        nic = interface(name)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise NettopError(f"no interface {clean(name)} here (ip link lists them)") from None
        raise NettopError(f"{clean(name)}: {error.strerror}") from None
    if not nic.stamps_tx or "on" not in nic.tx_types:
        raise NettopError(
            f"{name}: its driver {nic.driver or '(unnamed)'} cannot stamp what it sends in hardware"
        )
    if "/" not in name and (NET / name / "bonding").is_dir():
        raise NettopError(f"{name} is a bond: name the interface below it that sends")
    return nic


def _setting(name: str) -> Setting:
    raw = ffi.new("struct nt_hwtstamp *")
    result = lib.nt_hwtstamp_get(os.fsencode(name), raw)
    if result:
        raise NettopError(
            f"{name}: its driver does not report its timestamping setting, so it "
            f"could not be restored ({os.strerror(-result)})"
        )
    return _of(raw)


def _of(raw: object) -> Setting:
    tx_type, rx_filter, flags = (getattr(raw, m) for m in ("tx_type", "rx_filter", "flags"))
    return Setting(word(tx_type, TX_TYPES), word(rx_filter, RX_FILTERS), flags)


def _wanted(nic: Interface) -> Setting:
    everything = nic.stamps_rx and "all" in nic.rx_filters
    return Setting("on", "all" if everything else "none")


def _refuse_owners(name: str, proc: Path) -> None:
    owners = find_owners(proc)
    if owners:
        named = ", ".join(f"{o.comm} (pid {o.pid}) {o.why}" for o in owners[:3])
        more = f" and {len(owners) - 3} more" if len(owners) > 3 else ""
        raise NettopError(
            f"{name}: {named}{more}, and changing the NIC's stamping could break it; "
            "stop it first, or go without hardware stamps"
        )


def _why_not_set(name: str, number: int) -> str:
    match number:
        case errno.EPERM | errno.EACCES:
            why, fix = refusal.explain(("CAP_NET_ADMIN",), "nettop probe")
            return f"{name}: setting its stamping is refused: {why}" + (f" ({fix})" if fix else "")
        case errno.ERANGE | errno.EOPNOTSUPP | errno.EINVAL:
            return f"{name}: its driver refused to stamp in hardware ({os.strerror(number)})"
        case errno.EBUSY:
            return f"{name}: its timestamping is in use by another program"
    return f"{name}: its stamping could not be set: {os.strerror(number)}"


def _put_back(name: str, guard: object) -> None:
    result = lib.nt_hwtstamp_unguard(guard)
    if result < 0:
        raise NettopError(
            f"{name}: its stamping could not be put back ({os.strerror(-result)}): "
            f"hwstamp_ctl -i {name} -t 0 -r 0"
        )
