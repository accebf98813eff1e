"""A sample: what one host's kernel said in one tick, with nothing derived and nothing formatted."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from nettop.model.cost import Cost
from nettop.model.evidence import NO_EVIDENCE, Evidence
from nettop.model.tcpinfo import InfoField
from nettop.model.types import HostCounters, NicStage, SourceStatus, Totals


class Asked(Struct, frozen=True):
    """Which sockets the dumps of a sample were asked for."""

    tcp_states: int = 0  # 1 << state; 0: no TCP
    udp: bool = False
    mptcp: bool = False
    family: int = 0  # AF_INET, AF_INET6, 0: both
    rows_all: bool = False  # every dumped socket is a row; else the default rule
    listen_only: bool = False
    tcp: bool = True  # TCP was wanted, and MPTCP where the kernel has it


class Names(Struct, frozen=True):
    """What the host calls the numbers of its sockets; a number that is missing has no name."""

    users: Mapping[int, str] = field(default_factory=dict)  # uid
    cgroups: Mapping[int, str] = field(default_factory=dict)  # id → path below the mount
    netns: Mapping[int, str] = field(default_factory=dict)  # inode → name of `ip netns`
    devices: Mapping[int, Mapping[int, str]] = field(default_factory=dict)  # netns → ifindex →


class Chosen(Struct, frozen=True):
    """A sample says of some sockets only; what the host counted over all of them."""

    totals: Totals
    filter_text: str | None = None  # that was in force there
    top: int | None = None  # at most so many rows of those that it lets through; None: all


class Facts(Struct, frozen=True):
    """What a sample says beside its sections: about the host and about nettop itself there."""

    host: str = ""
    kernel: str = ""
    nettop: str = ""
    interval_s: float | None = None  # since the sweep before ended; None: the first
    counters: HostCounters = field(default_factory=HostCounters)
    counters_ns: int = 0  # CLOCK_MONOTONIC when they were read
    evidence: Evidence = NO_EVIDENCE  # what else the host says beside its sockets
    hidden_netns: int = 0  # namespaces that exist and are not polled
    sources: tuple[SourceStatus, ...] = ()
    cost: Cost = field(default_factory=Cost)
    asked: Asked = Asked()
    names: Names = field(default_factory=Names)
    tcp_info_tail: tuple[InfoField, ...] = ()  # layout of the members that kernels differ in
    nic: NicStage | None = None  # None: no sends are selected, or no NIC's stamps come
    tx_absent: Mapping[int, str] = field(default_factory=dict)  # Stage not measured → why
    chosen: Chosen | None = None  # None: the sections say of all sockets
    skipped_ticks: int = 0  # of a stream: left out so far, its reader being slow


class Sample(Struct, frozen=True):
    """One tick's raw input; an engine that takes it makes the same Tick anywhere, any day."""

    seq: int  # from 1
    mono_ns: int  # CLOCK_MONOTONIC
    wall_ns: int  # CLOCK_REALTIME
    # nettop.engine.frames.Sections, in the order in which they were read. A live one's are a view
    # of the engine's memory, valid until its next sample is made: pack it before.
    sections: bytes | memoryview = b""
    facts: Facts = field(default_factory=Facts)
    whole: bool = False  # it says all that is known, not only what changed since the one before
