"""What the planes cost in an interval."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class PlaneTick(Struct, frozen=True):
    """Of one interval, beside what the engine took."""

    runs_per_s: Mapping[str, float] = field(default_factory=dict)  # of BPF programs, by plane
    # Records and samples that the kernel had no room for, so far, by plane.
    lost_by_plane: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Of all planes."""
        return sum(self.lost_by_plane.values())
