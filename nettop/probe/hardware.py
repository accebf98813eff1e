"""A NIC's own stamps for a probe: its stamping switched on for the run, its clock followed."""

from __future__ import annotations

import fcntl
import socket
import struct
import threading
from contextlib import ExitStack
from typing import NamedTuple, Self

from nettop.clocks.hwtstamp import hardware_stamping
from nettop.clocks.offset import SECOND_NS, Tracker, estimate
from nettop.clocks.phc import Phc, why_not
from nettop.errors import NettopError

_PERIOD_S = 1.0
_FIRST_READINGS = 3
_FIRST_PAUSE_S = 0.1
_SIOCGIFADDR = 0x8915


class HardwareTime(NamedTuple):
    """A hardware stamp as CLOCK_REALTIME, right within the bar."""

    ns: int
    bar_ns: int


class Hardware:
    """The NIC set to stamp, and its PHC read once a second; a context manager.

    Raises:
        NettopError: why not; the NIC is then as it was.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        try:
            stamping = self._stack.enter_context(hardware_stamping(interface))
            self.stamps_received = stamping.rx
            if stamping.phc is None:
                raise NettopError(f"{interface}: its driver names no hardware clock")
            self._phc = self._stack.enter_context(_opened(f"/dev/ptp{stamping.phc}"))
            self._tracker = Tracker(int(_PERIOD_S * SECOND_NS), self._phc.caps.max_adj_ppb)
            for _ in range(_FIRST_READINGS):
                self._read()
                self._ended.wait(_FIRST_PAUSE_S)
        except BaseException:
            self._stack.close()
            raise
        self._thread = threading.Thread(target=self._follow, name="probe-phc", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self._read()

    def _read(self) -> None:
        try:
            offset = estimate(self._phc.read())
        except OSError:
            offset = None
        with self._lock:
            if offset is None:
                self._tracker.lose()
            else:
                self._tracker.add(offset)

    @property
    def steps_seen(self) -> int:
        """Steps of either clock so far: a stamp from before one cannot be told after it."""
        with self._lock:
            return self._tracker.steps_seen

    def is_between(self, hw_ns: int) -> bool:
        """Whether a reading later than this stamp is known: it will not be told better."""
        with self._lock:
            last = self._tracker.last
            return last is not None and last.phc_ns >= hw_ns

    def to_system(self, hw_ns: int) -> HardwareTime | None:
        """None: the clock stepped, or was not read around that time."""
        with self._lock:
            found = self._tracker.to_system(hw_ns)
        return HardwareTime(*found) if found is not None else None

    def close(self) -> None:
        """The NIC is set as it was."""
        self._ended.set()
        if hasattr(self, "_thread"):
            self._thread.join(timeout=2)
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: str) -> Phc:
    try:
        return Phc(path)
    except OSError as error:
        reason, fix = why_not(error, path)
        raise NettopError(f"--hw: {reason}" + (f": {fix}" if fix else "")) from None


def interface_of(sock: socket.socket) -> str:
    """The interface that a connected socket's own address is on.

    Raises:
        NettopError: it is on none, or on several; -I names one then.
    """
    own = sock.getsockname()[0].partition("%")[0]
    found = [name for _, name in socket.if_nameindex() if own in _addresses(name)]
    if len(found) != 1:
        raise NettopError(f"--hw: which interface has {own} is not clear: name it with -I")
    return found[0]


def _addresses(name: str) -> set[str]:
    """IPv4 (the first) and IPv6 addresses of an interface."""
    out = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            raw = fcntl.ioctl(sock, _SIOCGIFADDR, struct.pack("16s24x", name.encode()))
            out.add(socket.inet_ntoa(raw[20:24]))
        except OSError:
            pass
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as file:  # noqa: PTH123
            lines = [line.split() for line in file]
    except OSError:
        return out
    return out | {
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(words[0]))
        for words in lines
        if words[-1] == name
    }
