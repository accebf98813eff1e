"""Stamps of messages: when the kernel or the NIC saw them, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import NamedTuple


class StampType(IntEnum):
    """Where a sent message was stamped; ee_info of include/uapi/linux/errqueue.h."""

    SND = 0  # handed to the driver; with a hardware time: left the NIC
    SCHED = 1  # entered the packet scheduler
    ACK = 2  # TCP: the peer acknowledged the last byte
    COMPLETION = 3  # the driver reported it sent


class StampHas(IntFlag):
    """What a packed record holds; enum nt_stamp_has."""

    SOFTWARE = 1
    HARDWARE = 2
    LEGACY = 4
    KEY = 8
    PKTINFO = 16
    STATS = 32
    ICMP = 64


class StampError(IntFlag):
    """What of the control data could not be used; enum nt_stamp_error."""

    TRUNCATED = 1
    LENGTH = 2
    SHORT = 4
    VALUE = 8
    UNKNOWN = 16
    STATS = 32


ERROR_TEXTS = {
    StampError.TRUNCATED: "control data was cut by the kernel",
    StampError.LENGTH: "a control message has a wrong length",
    StampError.SHORT: "a stamp is shorter than its layout",
    StampError.VALUE: "a stamp is no time",
    StampError.UNKNOWN: "a control message of an unknown type",
    StampError.STATS: "TCP statistics are malformed",
}


class Stamp(NamedTuple):
    """What came with one message. Times in ns: software and legacy of CLOCK_REALTIME, hardware of
    the NIC's own clock. What did not come is None."""

    software_ns: int | None
    hardware_ns: int | None
    legacy_ns: int | None  # of SO_TIMESTAMP or SO_TIMESTAMPNS
    read_ns: int  # CLOCK_REALTIME when the program had it
    read_mono_ns: int
    type: StampType | None  # of a sent message
    key: int | None
    errno: int | None  # the network's answer to a sent message, no stamp
    if_index: int | None
    wire_bytes: int | None
    stats: Mapping[str, int] | None  # OPT_STATS
    errors: StampError
    msg_flags: int
    sender: bytes  # struct sockaddr of a datagram's sender

    @property
    def queue_wait_ns(self) -> int | None:
        """From the kernel's stamp of a received message until the program had it; None without
        one, or when CLOCK_REALTIME was set back meanwhile."""
        arrived = self.software_ns if self.software_ns is not None else self.legacy_ns
        if arrived is None or self.read_ns < arrived:
            return None
        return self.read_ns - arrived


class Sent(NamedTuple):
    """Clocks around the call that sent a message."""

    before_ns: int  # CLOCK_REALTIME
    before_mono_ns: int
    after_mono_ns: int
