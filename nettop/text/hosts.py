"""What is said of hosts that are looked at together."""

from __future__ import annotations

from collections.abc import Sequence

from nettop.model.hosts import HostState
from nettop.text import units
from nettop.text.clean import clean


def hosts_text(hosts: Sequence[HostState]) -> str:
    """3 hosts; 2 of 3 hosts, not web-2; 5 of 9 hosts"""
    away = [host.name for host in hosts if not host.live]
    of = f"{len(hosts) - len(away)} of " if away else ""
    not_ = f", not {clean(away[0])[:16]}" if len(away) == 1 and len(hosts) > 1 else ""
    return f"{of}{units.counted(len(hosts), 'host')}{not_}"


def host_line(host: HostState) -> str:
    """One line of one host: its totals, or why there are none."""
    name = f"  {clean(host.name)}"
    if host.model is None:
        return f"{name}  {state_text(host)}"
    t = host.model.totals
    parts = [
        name,
        f"! {t.unwell} unwell  ▲ {t.watch} watch",
        f"{t.matched} match" + (f", {host.top} sent" if _cut(host) else ""),
        f"retr {units.rate(t.retrans_per_s)}/s",
        f"↑{units.bits_per_s(t.tx_bytes_per_s)} ↓{units.bits_per_s(t.rx_bytes_per_s)}",
        clock_text(host),
    ]
    if host.lag_s is not None and host.lag_s >= 2 * (host.model.interval_s or 1.0):
        parts.append(f"{host.lag_s:.0f} s behind")
    if host.skipped_ticks:
        parts.append(f"{host.skipped_ticks} ticks skipped")
    return "   ".join(parts)


def _cut(host: HostState) -> bool:
    return host.top is not None and host.model is not None and host.model.totals.matched > host.top


def state_text(host: HostState) -> str:
    """live, or what else it is and why."""
    again = f", again in {host.again_s:.0f} s" if host.again_s is not None else ""
    if host.state == "asked":
        return clean(host.reason or "no answer yet")
    reason = f": {clean(host.reason)}" if host.reason else ""
    return host.state + (reason.removesuffix(".") if again else reason) + again


def clock_text(host: HostState) -> str:
    """clock +1.2ms ±0.4ms: its system clock less this host's."""
    if host.clock_offset_ns is None or host.clock_bar_ns is None:
        return f"clock {units.ABSENT}"
    sign = "-" if host.clock_offset_ns < 0 else "+"
    return f"clock {sign}{units.time(abs(host.clock_offset_ns))} ±{units.time(host.clock_bar_ns)}"
