"""What the planes cost in an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PlaneTick:
    """Of one interval, beside what the engine took."""

    runs_per_s: Mapping[str, float] = field(default_factory=dict)  # of BPF programs, by plane
    lost: int = 0  # records and samples that the kernel had no room for, so far
