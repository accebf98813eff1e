"""What is read: the planes beside sock_diag, which are on and why others are off."""

from __future__ import annotations

from msgspec import Struct

from nettop.model.types import SourceStatus

# Of the RX wait, by enum nt_wait_method; each where the kernel lacks what those before it need.
RX_METHODS = ("exact", "fentry", "tcp_probe")
NAMES = ("wait", "split", "stages", "path", "events", "stamps", "clocks")


def off(name: str, reason: str, fix: str | None = None) -> SourceStatus:
    return SourceStatus(name, "off", reason=reason, fix=fix)


class PlaneOptions(Struct, frozen=True):
    """What the command line says about the planes."""

    bpf: bool = True
    observes: bool = True  # more than one tick: there is an interval to measure
    bpf_budget_pct: float = 5.0
    tx_sample: int | None = None  # 0: none but those that are selected; None: by itself too
    path: bool = False
    rx_method: str | None = None  # one of RX_METHODS; None: the best that loads
