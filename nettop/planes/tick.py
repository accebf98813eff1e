"""One interval of the planes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nettop.model.types import Dist, NicStage, Stage


@dataclass(frozen=True, slots=True)
class PlaneTick:
    """What the planes say of one interval beside what the engine took."""

    tx: tuple[Dist, ...] | None = None  # by Stage; None: nothing is selected
    nic: NicStage | None = None
    tx_absent: Mapping[Stage, str] = field(default_factory=dict)  # stages not measured here
    runs_per_s: Mapping[str, float] = field(default_factory=dict)  # of BPF programs, by plane
    lost: int = 0  # records and samples that the kernel had no room for, so far
