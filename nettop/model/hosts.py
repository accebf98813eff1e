"""What is known of the hosts that are looked at together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from nettop.model.types import Model

ASKED, LIVE, SILENT, LOST = "asked", "live", "silent", "lost"


class HostState(Struct, frozen=True):
    """One host at a tick. None: not known."""

    name: str  # as -H names it
    state: str  # asked: no tick yet; live; silent: it says nothing any more; lost
    reason: str | None = None  # why it is not live
    again_s: float | None = None  # of a lost one: until it is tried again
    own_name: str | None = None  # what it calls itself
    nettop: str | None = None  # version there
    kernel: str | None = None
    clock_offset_ns: int | None = None  # its system clock less this host's
    clock_bar_ns: int | None = None  # the truth is within so much of it
    bytes_per_s: float | None = None  # that came from it, of the last seconds
    lag_s: float | None = None  # since its newest tick was polled, by both clocks
    skipped_ticks: int = 0  # there, since this end read too slowly
    top: int | None = None  # at most so many of its rows are sent; None: all that match
    model: Model | None = None  # its tick; None: none that still holds

    @property
    def live(self) -> bool:
        return self.state == LIVE
