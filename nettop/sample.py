"""A sample: what one host's kernel said in one tick, with nothing derived and nothing formatted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One tick's raw input; an engine that takes it makes the same Tick anywhere, any day."""

    seq: int  # from 1
    mono_ns: int  # CLOCK_MONOTONIC
    wall_ns: int  # CLOCK_REALTIME
    sections: bytes = b""  # nettop.ffi.frames.Sections, in the order in which they were read
    # Counters, statuses, names and configuration: what JSON can hold; unknown is absent.
    facts: Mapping[str, Any] = field(default_factory=dict)
