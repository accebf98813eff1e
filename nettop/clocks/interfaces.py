"""What each interface can stamp and is set to stamp, in the kernel's own words; read only."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from nettop.clocks import tsstats
from nettop.clocks.tsstats import TxStats
from nettop.engine import ffi, lib
from nettop.text.clean import clean

# By bit of SOF_TIMESTAMPING_*, HWTSTAMP_TX_* and HWTSTAMP_FILTER_*: net/ethtool/common.c.
CAPABILITIES = (
    "hardware-transmit", "software-transmit", "hardware-receive", "software-receive",
    "software-system-clock", "hardware-legacy-clock", "hardware-raw-clock", "option-id",
    "sched-transmit", "ack-transmit", "option-cmsg", "option-tsonly", "option-stats",
    "option-pktinfo", "option-tx-swhw", "bind-phc", "option-id-tcp", "option-rx-filter",
    "completion-transmit",
)  # fmt: skip
TX_TYPES = ("off", "on", "onestep-sync", "onestep-p2p")
RX_FILTERS = (
    "none", "all", "some", "ptpv1-l4-event", "ptpv1-l4-sync", "ptpv1-l4-delay-req",
    "ptpv2-l4-event", "ptpv2-l4-sync", "ptpv2-l4-delay-req", "ptpv2-l2-event", "ptpv2-l2-sync",
    "ptpv2-l2-delay-req", "ptpv2-event", "ptpv2-sync", "ptpv2-delay-req", "ntp-all",
)  # fmt: skip
NET = Path("/sys/class/net")


class Setting(Struct, frozen=True):
    """SIOCGHWTSTAMP: what the NIC stamps now."""

    tx_type: str
    rx_filter: str
    flags: int = 0

    @property
    def is_off(self) -> bool:
        return self.tx_type == "off" and self.rx_filter == "none"


class Remark(Struct, frozen=True):
    """Something missing or odd, and the command that fixes it."""

    text: str
    fix: str | None = None
    odd: bool = False  # it should not be so


class Interface(Struct, frozen=True):
    """One interface of this network namespace."""

    name: str
    index: int
    driver: str | None = None
    phc: int | None = None
    capabilities: tuple[str, ...] = ()
    tx_types: tuple[str, ...] = ()
    rx_filters: tuple[str, ...] = ()
    setting: Setting | None = None
    tx_stats: TxStats | None = None  # None: the driver does not count
    remarks: tuple[Remark, ...] = ()

    @property
    def stamps_tx(self) -> bool:
        return "hardware-transmit" in self.capabilities

    @property
    def stamps_rx(self) -> bool:
        return "hardware-receive" in self.capabilities


def words(bits: int, names: Sequence[str]) -> tuple[str, ...]:
    """Names of the bits that are set; bit-N for those that have none yet."""
    return tuple(
        names[bit] if bit < len(names) else f"bit-{bit}" for bit in range(32) if bits >> bit & 1
    )


def word(number: int, names: Sequence[str]) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


def interfaces() -> list[Interface]:
    """All of them, in the kernel's order."""
    found = []
    for index, name in socket.if_nameindex():
        try:
            found.append(interface(name, index))
        except OSError as error:
            # It went away meanwhile, or may not be asked.
            if error.errno != errno.ENODEV:
                why = Remark(f"its capabilities cannot be read: {error.strerror}")
                found.append(Interface(clean(name), index, remarks=(why,)))
    return found


def interface(name: str, index: int | None = None) -> Interface:
    """Asks the driver.

    Raises:
        OSError: ENODEV if there is no such interface.
    """
    raw = ffi.new("struct nt_ts_info *")
    result = lib.nt_ts_info(os.fsencode(name), raw)
    if result:
        raise OSError(-result, os.strerror(-result), name)
    setting = ffi.new("struct nt_hwtstamp *")
    failed = lib.nt_hwtstamp_get(os.fsencode(name), setting)
    plain = Interface(
        name=clean(name),
        index=socket.if_nametoindex(name) if index is None else index,
        driver=clean(ffi.string(raw.driver)) or None,
        phc=raw.phc_index if raw.phc_index >= 0 else None,
        capabilities=words(raw.so_timestamping, CAPABILITIES),
        tx_types=words(raw.tx_types, TX_TYPES),
        rx_filters=words(raw.rx_filters, RX_FILTERS),
        setting=None if failed else _setting(setting.tx_type, setting.rx_filter, setting.flags),
    )
    if plain.stamps_tx:
        plain = replace(plain, tx_stats=tsstats.read(name))
    return replace(plain, remarks=(*judge(plain), *_stacked(name, plain)))


def _setting(tx_type: int, rx_filter: int, flags: int) -> Setting:
    return Setting(word(tx_type, TX_TYPES), word(rx_filter, RX_FILTERS), flags)


def judge(nic: Interface) -> tuple[Remark, ...]:
    """What its capabilities mean, and where they contradict each other. Pure."""
    hardware = nic.stamps_tx or nic.stamps_rx
    if not hardware and nic.phc is None:
        who = f"the driver {nic.driver}" if nic.driver else "this device"
        return (Remark(f"{who} stamps in software only; no setting changes that"),)
    remarks = []
    if not hardware:
        remarks.append(Remark("it has a clock, but its packets get no hardware stamps"))
    if hardware and nic.phc is None:
        text = "the driver claims hardware stamps, but names no clock to read them by"
        remarks.append(Remark(text, odd=True))
    if nic.stamps_tx and "on" not in nic.tx_types:
        text = "the driver claims hardware transmit stamps, but no way to switch them on"
        remarks.append(Remark(text, odd=True))
    if nic.stamps_rx and not set(nic.rx_filters) - {"none"}:
        text = "the driver claims hardware receive stamps, but no filter that would give any"
        remarks.append(Remark(text, odd=True))
    elif nic.stamps_rx and "all" not in nic.rx_filters:
        text = "hardware receive stamps are for PTP packets only: no filter `all`"
        remarks.append(Remark(text))
    if hardware and nic.setting is None:
        remarks.append(Remark("the driver does not report its timestamping setting"))
    elif hardware and nic.setting is not None and nic.setting.is_off:
        text = "hardware stamping is off now, so no packet carries a hardware stamp"
        remarks.append(Remark(text, f"sudo nettop probe udp HOST:PORT --hw -I {nic.name}"))
    if nic.tx_stats is not None:
        remarks += _delivery(nic.tx_stats)
    return tuple(remarks)


def _delivery(stats: TxStats) -> list[Remark]:
    missing = stats.lost + stats.errors
    if not missing:
        return []
    if not stats.delivered:
        text = (
            f"{missing} transmit stamps were requested and none came, though the "
            "driver claims to support them"
        )
        return [Remark(text, odd=True)]
    asked = missing + stats.delivered
    return [Remark(f"{missing} of {asked} transmit stamps that were asked for never came")]


def _stacked(name: str, nic: Interface) -> tuple[Remark, ...]:
    """Whose clock it is, of bonds and of interfaces on top of others."""
    if nic.phc is None or "/" in name:
        return ()
    entry = NET / name
    if (entry / "bonding").is_dir():
        try:
            active = clean((entry / "bonding" / "active_slave").read_bytes().strip())
        except OSError:
            active = ""
        text = f"the clock is that of its active slave {active}".rstrip()
        return (Remark(f"{text}, and changes on failover"),)
    try:
        lower = sorted(p.name[6:] for p in entry.glob("lower_*"))
    except OSError:
        return ()
    return (Remark(f"it stamps with the clock of {clean(', '.join(lower))}"),) if lower else ()
