"""One interval of the planes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nettop.model.events import EventsTick
from nettop.model.path import PathTick


@dataclass(frozen=True, slots=True)
class PlaneTick:
    """What the planes say of one interval beside what the engine took."""

    path: PathTick | None = None
    events: EventsTick | None = None  # None: the plane is off
    runs_per_s: Mapping[str, float] = field(default_factory=dict)  # of BPF programs, by plane
    lost: int = 0  # records and samples that the kernel had no room for, so far
