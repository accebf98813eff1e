"""What nettop itself takes of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct, field


class ProgramCost(NamedTuple):
    """A BPF program of ours, by the kernel's own statistics."""

    plane: str
    name: str
    runs_per_s: float
    ns_per_run: float | None  # None: it did not run


class Cost(Struct, frozen=True):
    """What nettop itself takes. None: not known yet."""

    cpu_pct: float | None = None  # of one core, whole process
    poll_ms: float | None = None  # CPU of the last poll
    lost_events: int = 0  # records that the kernel had no room for
    missed_ticks: int = 0  # deadlines that passed while a poll ran
    rss_bytes: int | None = None
    bpf_runs_per_s: float | None = None
    bpf_ns_per_run: float | None = None
    interval_s: float = 1.0  # in force; longer than asked when a poll costs too much
    stretched: str | None = None  # why the interval is longer than asked
    plane_runs_per_s: Mapping[str, float] = field(default_factory=dict)  # our own counters
    lost_by_plane: Mapping[str, int] = field(default_factory=dict)  # of lost_events
    programs: tuple[ProgramCost, ...] = ()  # measured while the cost screen is open
    programs_age_s: float | None = None
    programs_reason: str | None = None  # why they are not measured
