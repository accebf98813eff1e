"""What NICs' drivers count themselves (`ethtool -S`), by one vocabulary instead of each driver's.

Only drivers of NICS are asked: a name says what it counts by its driver alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from nettop.engine import ffi
from nettop.model.evidence import Device, Numbers

MOST_STATS = 8192  # that a device may have: some have dozens a queue
_MOST_DEVICES = 64  # of a namespace that are asked
_SIOCETHTOOL = 0x8946
_GDRVINFO, _GSTRINGS, _GSTATS, _GSSET_INFO = 0x3, 0x1B, 0x1D, 0x37
_SS_STATS = 1
_NAME_BYTES = 32
_DRVINFO_BYTES = 196

# Packets shaped or dropped by the cloud, since the instance is allowed no more.
_ENA = {
    "allowance_bandwidth_in": r"bw_in_allowance_exceeded",
    "allowance_bandwidth_out": r"bw_out_allowance_exceeded",
    "allowance_packets": r"pps_allowance_exceeded",
    "allowance_connections": r"conntrack_allowance_exceeded",
    "allowance_link_local": r"linklocal_allowance_exceeded",
    "tx_ring_full": r"queue_\d+_tx_queue_stop",
}
_STAMPS = {"tx_stamps_skipped": r"tx_hwtstamp_skipped", "tx_stamps_lost": r"tx_hwtstamp_timeouts"}
_FLOW_CONTROL = {"rx_pauses": r"rx_flow_control_xoff", "tx_pauses": r"tx_flow_control_xoff"}
# Driver → name of DRIVER → the driver's own names, whose numbers are added up.
NICS: Mapping[str, Mapping[str, str]] = {
    "ena": _ENA,
    "gve": {"rx_ring_full": r"rx_no_buffers_posted\[\d+\]", "tx_ring_full": r"tx_stop\[\d+\]"},
    "virtio_net": {"rx_driver_drops": r"(rx\d+|rx_queue_\d+)_drops"},
    "mlx5_core": {
        "rx_ring_full": r"rx_out_of_buffer",
        "tx_ring_full": r"tx_queue_stopped",
        "rx_port_discards": r"rx_discards_phy",
        "rx_pauses": r"rx_pause_ctrl_phy",
        "tx_pauses": r"tx_pause_ctrl_phy",
    },
    "ixgbe": {
        "rx_ring_full": r"rx_no_dma_resources", "tx_ring_full": r"tx_restart_queue",
        **_FLOW_CONTROL, **_STAMPS,
    },
    "igb": {"rx_ring_full": r"rx_queue_\d+_drops", **_FLOW_CONTROL, **_STAMPS},
    "igc": {"rx_ring_full": r"rx_queue_\d+_drops", **_FLOW_CONTROL, **_STAMPS},
    "e1000e": {"rx_ring_full": r"rx_no_buffer_count", **_FLOW_CONTROL, **_STAMPS},
    "i40e": {
        "rx_port_discards": r"port\.rx_discards",
        "rx_pauses": r"port\.link_xoff_rx",
        "tx_pauses": r"port\.link_xoff_tx",
        **_STAMPS,
    },
    "ice": {
        "rx_port_discards": r"rx_dropped\.nic",
        "rx_pauses": r"link_xoff_rx\.nic",
        "tx_pauses": r"link_xoff_tx\.nic",
        **_STAMPS,
    },
}  # fmt: skip


class Named:
    """Where the numbers of a device are among those of its driver."""

    def __init__(self, driver: str, names: Sequence[str]) -> None:
        wanted = NICS.get(driver, {})
        self.total = len(names)
        self.places = {
            ours: places
            for ours, pattern in wanted.items()
            if (places := [i for i, name in enumerate(names) if re.fullmatch(pattern, name)])
        }

    def numbers(self, values: Sequence[int]) -> Numbers:
        """By DRIVER's names; what is 0 is left out."""
        sums = {ours: sum(values[i] for i in places) for ours, places in self.places.items()}
        return {ours: n for ours, n in sums.items() if n}


class Drivers:
    """Asks a namespace's NICs; what their drivers call things is asked once."""

    def __init__(self) -> None:
        # By device and name: one that was made anew has another name or index.
        self._driver: dict[tuple[int, int, str], str] = {}
        self._named: dict[tuple[int, int, str], Named] = {}

    def read(
        self, netns: int, fd: int, devices: Mapping[int, Device]
    ) -> tuple[dict[int, Device], int]:
        """By ifindex, those whose driver is known here; and how many devices were not asked.

        Args:
            fd: any socket made in the namespace.
        """
        found: dict[int, Device] = {}
        for ifindex, device in list(devices.items())[:_MOST_DEVICES]:
            key = (netns, ifindex, device.name)
            try:
                if key not in self._driver:
                    self._driver[key] = driver_of(fd, device.name)
                if self._driver[key] in NICS:
                    found[ifindex] = Device(device.name, self._numbers(key, fd))
            except OSError:  # it has no driver that says so, or is gone
                self._driver.setdefault(key, "")
        return found, max(0, len(devices) - _MOST_DEVICES)

    def _numbers(self, key: tuple[int, int, str], fd: int) -> Numbers:
        name = key[2]
        total = stats_of(fd, name)
        named = self._named.get(key)
        if named is None or named.total != total:  # another number of queues has other names
            named = self._named[key] = Named(self._driver[key], names_of(fd, name, total))
        return named.numbers(values_of(fd, name, total)) if named.places else {}

    def forget(self, netns: Mapping[int, object]) -> None:
        """All but what is of these namespaces."""
        for kept in (self._driver, self._named):
            for key in [k for k in kept if k[0] not in netns]:
                del kept[key]


def _ask(fd: int, name: str, data: Any) -> None:
    request = struct.pack("16sP", os.fsencode(name)[:15], int(ffi.cast("uintptr_t", data)))
    fcntl.ioctl(fd, _SIOCETHTOOL, request.ljust(40, b"\0"))


def driver_of(fd: int, name: str) -> str:
    """
    Raises:
        OSError: the kernel refuses, or the device has none.
    """
    data = ffi.new("char[]", _DRVINFO_BYTES)
    ffi.buffer(data)[0:4] = struct.pack("I", _GDRVINFO)
    _ask(fd, name, data)
    return bytes(ffi.buffer(data)[4 : 4 + _NAME_BYTES]).split(b"\0")[0].decode(errors="replace")


def stats_of(fd: int, name: str) -> int:
    """How many numbers the driver has; more than MOST_STATS are none.

    Raises:
        OSError: as in driver_of.
    """
    data = ffi.new("char[]", 20)
    ffi.buffer(data)[0:16] = struct.pack("IIQ", _GSSET_INFO, 0, 1 << _SS_STATS)
    _ask(fd, name, data)
    mask, total = struct.unpack("QI", ffi.buffer(data)[8:20])
    return int(total) if mask and total <= MOST_STATS else 0


def names_of(fd: int, name: str, total: int) -> list[str]:
    """Their names, in order.

    Raises:
        OSError: as in driver_of.
    """
    raw = _list(fd, name, struct.pack("III", _GSTRINGS, _SS_STATS, total), total, _NAME_BYTES)
    parts = (raw[i * _NAME_BYTES : (i + 1) * _NAME_BYTES] for i in range(total))
    return [part.split(b"\0")[0].decode(errors="replace") for part in parts]


def values_of(fd: int, name: str, total: int) -> tuple[int, ...]:
    """Their values, in the same order.

    Raises:
        OSError: as in driver_of.
    """
    return struct.unpack(f"{total}Q", _list(fd, name, struct.pack("II", _GSTATS, total), total, 8))


def _list(fd: int, name: str, head: bytes, total: int, each: int) -> bytes:
    # The kernel writes as many as there are by then, whatever was asked for: room for any number
    # that a device may have grown to meanwhile.
    data = ffi.new("char[]", len(head) + (total + MOST_STATS) * each)
    ffi.buffer(data)[0 : len(head)] = head
    _ask(fd, name, data)
    return bytes(ffi.buffer(data)[len(head) : len(head) + total * each])
