"""What the host's counters, the planes and nettop itself add to the sockets' verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from nettop.findings.values import Moved, Unknown
from nettop.model.evidence import HostTick, Numbers
from nettop.model.types import SourceStatus
from nettop.text.evidence import (
    CGROUP,
    CONNTRACK,
    COUNTERS,
    DEVICE,
    DRIVER,
    NEIGHBOURS,
    PRESSURE,
    QDISC,
    SOFTNET,
    Meaning,
)

# By plane: what stays unknown while it is off. Planes that have to be asked for are not listed.
NOT_SAID = {
    "diag": "what the sockets are like that could not be listed",
    "procs": "which program holds a socket, so whom an app verdict is about",
    "wait": "how late programs read, unless their queues stand full when one looks",
    "stages": "whether sends wait in this host's own queues (verdicts qdisc and nic)",
    "events": "why packets were dropped, what this host dropped itself, sockets that closed",
}
_LACKING = "what the host's own numbers say"
_NOT_READ_YET = "not read yet"
_NONE_STAMPED = "no sends are stamped"  # as the plane says it, with the option of other commands


# What stands still on a healthy host, by source. Anything that grew is shown; this stands out.
_TROUBLE: Mapping[str, frozenset[str]] = {
    "counters": frozenset({
        "TcpExtTCPRetransFail", "IpOutDiscards", "Ip6OutDiscards", "IpOutNoRoutes",
        "Ip6OutNoRoutes", "IpInDiscards", "Ip6InDiscards", "TcpExtTCPBacklogDrop",
        "TcpExtTCPRcvQDrop", "TcpExtRcvPruned", "TcpExtPruneCalled", "TcpExtOfoPruned",
        "TcpExtTCPOFODrop", "TcpExtTCPToZeroWindowAdv", "TcpExtTCPZeroWindowDrop",
        "TcpExtTCPMemoryPressures", "TcpExtTCPAbortOnMemory", "TcpExtListenOverflows",
        "TcpExtListenDrops", "TcpExtTCPReqQFullDrop", "TcpExtTCPReqQFullDoCookies",
        "TcpExtTCPTimeouts", "TcpExtTCPLostRetransmit", "TcpExtTCPAbortOnTimeout", "TcpInErrs",
        "TcpInCsumErrors", "UdpInErrors", "UdpRcvbufErrors", "UdpSndbufErrors", "UdpMemErrors",
        "UdpInCsumErrors", "Udp6InErrors", "Udp6RcvbufErrors", "Udp6SndbufErrors",
        "Udp6MemErrors", "Udp6InCsumErrors",
    }),
    "softnet": frozenset({"dropped", "flow_limited"}),
    "devices": frozenset({
        "rx_errors", "tx_errors", "tx_dropped", "rx_missed_errors", "rx_fifo_errors",
        "rx_over_errors", "rx_crc_errors", "tx_fifo_errors", "tx_carrier_errors",
        "tx_aborted_errors", "carrier_changes",
    }),
    "qdiscs": frozenset({
        "drops", "flows_plimit", "horizon_drops", "drop_overlimit", "drop_overmemory",
    }),
    "cgroups": frozenset({"nr_throttled", "throttled_us"}),
    "conntrack": frozenset({"drop", "early_drop", "insert_failed"}),
    "neighbours": frozenset({"table_fulls", "unresolved_discards"}),
    "drivers": frozenset({
        "rx_ring_full", "rx_driver_drops", "rx_port_discards", "allowance_bandwidth_in",
        "allowance_bandwidth_out", "allowance_packets", "allowance_connections",
        "allowance_link_local",
    }),
}  # fmt: skip
# What grows with any traffic.
_TRAFFIC = frozenset({
    "bytes", "packets", "rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "nr_periods",
})  # fmt: skip
_MEANINGS: Mapping[str, Mapping[str, Meaning]] = {
    "counters": COUNTERS, "softnet": SOFTNET, "pressure": PRESSURE, "devices": DEVICE,
    "qdiscs": QDISC, "cgroups": CGROUP, "conntrack": CONNTRACK, "neighbours": NEIGHBOURS,
    "drivers": DRIVER,
}  # fmt: skip


class HostSum:
    """How much the host's own numbers grew over a look."""

    def __init__(self) -> None:
        self._grown: Counter[tuple[str, str, str]] = Counter()  # source, place, name
        self._read_ns: dict[str, int] = {}
        self._lacks: dict[str, str] = {}
        self._seconds: dict[str, float] = {}  # by source: what its growth is of
        self.known = False  # counters were read twice

    def take(self, tick: HostTick) -> None:
        """A source that was not read again keeps what it had, and is not counted twice."""
        now, moved = tick.now, tick.moved
        self._lacks |= now.reasons
        for source in _MEANINGS:
            read_ns = now.read_ns.get(source)
            again = read_ns is not None and self._read_ns.get(source) != read_ns
            if read_ns is None or not again or source not in moved.since_s:
                continue
            self._read_ns[source] = read_ns
            self.known |= source == "counters"
            self._seconds[source] = self._seconds.get(source, 0.0) + moved.since_s[source]
            for place, numbers in _places(source, tick):
                self._grown.update(
                    {(source, place, n): by for n, by in numbers.items() if n not in _TRAFFIC}
                )

    def moved(self) -> tuple[Moved, ...]:
        """Those that grew, trouble first."""
        found = []
        for (source, place, name), by in self._grown.items():
            meaning = _MEANINGS[source].get(name)
            if meaning is not None and by:
                trouble = name in _TROUBLE.get(source, ())
                found.append(
                    Moved(
                        source, place, name, by, meaning.unit, meaning.says, trouble,
                        self._seconds[source],
                    )
                )  # fmt: skip
        order = {name: i for names in _MEANINGS.values() for i, name in enumerate(names)}
        sources = list(_MEANINGS)
        return tuple(
            sorted(
                found,
                key=lambda m: (not m.trouble, sources.index(m.source), m.place, order[m.name]),
            )
        )

    def unknown(self) -> tuple[Unknown, ...]:
        return tuple(
            Unknown(SourceStatus(source, "partial", reason=reason), f"for some: {_LACKING}", 0)
            for source, reason in sorted(self._lacks.items())
        )


def _places(source: str, tick: HostTick) -> Iterator[tuple[str, Numbers]]:
    """What grew, by where: namespaces and CPUs are added up, the others have names."""
    now, moved = tick.now, tick.moved
    match source:
        case "counters" | "softnet" | "conntrack":
            for numbers in getattr(moved, source).values():
                yield "", numbers
        case "devices" | "drivers":
            named = getattr(now, source)
            for netns, devices in getattr(moved, source).items():
                for index, numbers in devices.items():
                    yield named[netns][index].name, numbers
        case "qdiscs":
            for netns, qdiscs in moved.qdiscs.items():
                for key, numbers in qdiscs.items():
                    qdisc = now.qdiscs[netns][key]
                    device = now.devices.get(netns, {}).get(qdisc.ifindex)
                    name = device.name if device else f"device {qdisc.ifindex}"
                    yield f"{name} {qdisc.kind}", numbers
        case _:
            yield from getattr(moved, source).items()


class SourceLog:
    """Which planes were off, and in how many ticks."""

    def __init__(self) -> None:
        self._off: dict[str, tuple[SourceStatus, int]] = {}

    def take(self, sources: tuple[SourceStatus, ...]) -> None:
        for status in sources:
            if status.name == "stages" and status.state == "ok":
                self._off.pop(status.name, None)  # it is on once sockets are chosen for it
            elif (
                status.name in NOT_SAID and status.state != "ok" and status.reason != _NOT_READ_YET
            ):
                ticks = self._off[status.name][1] if status.name in self._off else 0
                self._off[status.name] = status, ticks + 1

    def unknown(self, sources: tuple[SourceStatus, ...]) -> tuple[Unknown, ...]:
        """sources: of the last tick."""
        named = {status.name for status in sources}
        absent = [
            Unknown(SourceStatus(name, "off", reason="not in this file"), NOT_SAID[name], 0)
            for name in NOT_SAID
            if name not in named
        ]
        known = [_unknown(*self._off[name]) for name in NOT_SAID if name in self._off]
        return (*known, *absent)


def _unknown(status: SourceStatus, ticks: int) -> Unknown:
    if (status.reason or "").startswith(_NONE_STAMPED):
        fix = "nettop why --tx-sample 1 stamps all"
        status = SourceStatus(status.name, status.state, status.method, _NONE_STAMPED, fix)
    says = NOT_SAID[status.name]
    return Unknown(status, f"for some: {says}" if status.state == "partial" else says, ticks)
