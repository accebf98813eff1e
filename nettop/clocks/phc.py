"""PTP hardware clocks of this machine: finding, opening, reading them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from nettop import refusal
from nettop.clocks.offset import Method, Reading, Sample
from nettop.engine import ffi, lib
from nettop.text.clean import clean

SAMPLES = 25  # of EXTENDED and BASIC: the narrowest counts
PRECISE_SAMPLES = 5
CLASS = Path("/sys/class/ptp")
CLOCK_REALTIME = 0
METHOD_NAMES = {
    Method.PRECISE: "PTP_SYS_OFFSET_PRECISE",
    Method.EXTENDED: "PTP_SYS_OFFSET_EXTENDED",
    Method.BASIC: "PTP_SYS_OFFSET",
}
# Errors that another try of the same method would bring again.
_FOR_GOOD = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL}
_NAME = re.compile(r"ptp(\d+)")


class Device(Struct, frozen=True):
    """A PHC as the system lists it."""

    path: str
    index: int | None = None
    name: str | None = None  # as its driver calls it
    virtual_of: int | None = None  # the PHC that a virtual clock is made from
    virtual_clocks: int = 0  # made from this one


class Caps(Struct, frozen=True):
    """PTP_CLOCK_GETCAPS."""

    max_adj_ppb: int
    n_alarm: int
    n_ext_ts: int
    n_per_out: int
    pps: bool
    n_pins: int
    cross_timestamping: bool
    adjust_phase: bool
    max_phase_adj_ns: int


def devices() -> list[Device]:
    """Every PHC that sysfs lists, by its number; none where sysfs is not mounted."""
    try:
        names = [entry.name for entry in CLASS.iterdir()]
    except OSError:
        return []
    found = [int(m[1]) for name in names if (m := _NAME.fullmatch(name))]
    return [device(f"/dev/ptp{index}") for index in sorted(found)]


def device(path: str) -> Device:
    """What sysfs says of a PHC, if it says anything."""
    match = _NAME.fullmatch(Path(path).resolve().name)
    if match is None:
        return Device(path)
    index = int(match[1])
    entry = CLASS / f"ptp{index}"
    # The parent of a virtual clock is the clock that it is made from.
    parent = _NAME.fullmatch((entry / "device").resolve().name)
    return Device(
        path,
        index,
        _read(entry / "clock_name"),
        int(parent[1]) if parent else None,
        int(_read(entry / "n_vclocks") or 0),
    )


def _read(path: Path) -> str | None:
    try:
        return clean(path.read_bytes().strip()) or None
    except OSError:
        return None


def why_not(error: OSError, path: str) -> tuple[str, str | None]:
    """Why a PHC cannot be used, and the command that would fix it."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            why, fix = refusal.explain(("CAP_DAC_READ_SEARCH",), f"nettop clocks {path}")
            if why.startswith("refused"):
                why, fix = "a container's device cgroup, perhaps", f"give it the device {path}"
            return f"no permission to read {path}: {why}", fix
        case errno.ENOENT:
            return f"{path} is not there: this container or system was not given the device", None
        case errno.ENOTTY:
            return f"{path} is no PTP hardware clock", None
        case errno.ENODEV | errno.ENXIO:
            return f"the device of {path} is gone", None
        case errno.EBUSY:
            return f"the driver of {path} was busy each time that it was asked", None
    return f"{path}: {error.strerror}", None


class Phc:
    """An open PHC; it remembers the best method that works."""

    def __init__(self, path: str) -> None:
        """Opens it for reading.

        Raises:
            OSError: why not; ENOTTY if this is no PHC.
        """
        caps = ffi.new("struct nt_phc_caps *")
        self._fd = int(lib.nt_phc_open(os.fsencode(path), caps))
        if self._fd < 0:
            raise OSError(-self._fd, os.strerror(-self._fd), path)
        self.path = path
        self.caps = _caps(caps)
        self.busy = 0  # times that the driver was
        self._first = Method.PRECISE if self.caps.cross_timestamping else Method.EXTENDED
        self._read: Any = ffi.new("struct nt_phc_read *")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def read(self) -> Reading:
        """Both clocks by the best method that works now.

        Raises:
            OSError: none does.
        """
        error = errno.EOPNOTSUPP
        for method in Method:
            if method < self._first:
                continue
            result, reading = self._read_by(method)
            if reading is not None:
                return reading
            error = -result or errno.EPROTO
            if -result in _FOR_GOOD and method is not Method.BASIC:
                self._first = Method(method + 1)
        raise OSError(error, os.strerror(error), self.path)

    def _read_by(self, method: Method) -> tuple[int, Reading | None]:
        samples: list[Sample] = []
        wanted = PRECISE_SAMPLES if method is Method.PRECISE else SAMPLES
        read = self._read
        while len(samples) < wanted:
            result = lib.nt_phc_read(self._fd, int(method), SAMPLES, CLOCK_REALTIME, read)
            if result:
                return int(result), None
            self.busy += read.busy
            if not read.n:
                return -errno.EPROTO, None
            samples += _samples(read)
            if method is not Method.PRECISE:
                break
        return 0, Reading(
            method,
            samples,
            read.realtime_minus_mono_ns,
            (read.realtime_minus_mono_width_ns + 1) // 2,
        )


def _samples(read: Any) -> Sequence[Sample]:
    return [Sample(s.sys_ns, s.phc_ns, s.width_ns) for s in read.samples[0 : read.n]]


def _caps(raw: Any) -> Caps:
    return Caps(
        raw.max_adj_ppb, raw.n_alarm, raw.n_ext_ts, raw.n_per_out, bool(raw.pps), raw.n_pins,
        bool(raw.cross_timestamping), bool(raw.adjust_phase), raw.max_phase_adj_ns,
    )  # fmt: skip
