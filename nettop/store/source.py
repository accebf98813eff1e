"""Where recorded ticks come from, be it a file or memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from nettop.sample import Sample


class FrameInfo(NamedTuple):
    """A frame's place in a recording."""

    seq: int
    wall_ns: int
    mono_ns: int
    key: bool


class FrameSource(Protocol):
    """Frames in order; any thread may read them, also while they are written."""

    @property
    def cleared_seq(self) -> int | None:
        """The tick behind which runs were begun anew; None: they never were."""

    def frames(self) -> list[FrameInfo]:
        """All of them, oldest first."""

    def samples(
        self, first: int = 0, last: int = 2**62, *, in_place: bool = False
    ) -> Iterator[Sample]:
        """From the last key frame at or before a seq on, or from the first there is; up to last.

        Args:
            in_place: each sample is valid only until the next is asked for, and is cheaper.

        Raises:
            NettopError: in one line, when one of them cannot be read.
        """
