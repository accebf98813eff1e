"""What the waits for a reader were spent on, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nettop.model.types import PlaneHas, Row, Split
from nettop.text import units


class SplitPart(NamedTuple):
    """A part of the time in which received data waited; of all that the program's doing."""

    name: str  # short, for a legend
    says: str  # "it …" with its time
    of: Callable[[Split], int]  # ns


# The order of a bar. What is left of waiting_ns is unknown.
SPLIT_PARTS = (
    SplitPart("wake-up", "it was not woken yet", lambda s: s.wake_ns),
    SplitPart("no CPU", "it was ready and no CPU was given to it", lambda s: s.cpu_ns),
    SplitPart("ran", "it ran and did something else", lambda s: s.ran_ns),
    SplitPart("asleep", "it slept elsewhere", lambda s: s.asleep_ns),
    SplitPart("stopped", "it was stopped", lambda s: s.stopped_ns),
    SplitPart("unknown", "what it did is not known", lambda s: s.unknown_ns),
)


def split_of(row: Row) -> Split | None:
    """None: nothing waited, or what it was spent on was not measured."""
    split = row.plane.split
    return split if row.plane.has & PlaneHas.SPLIT and split.waiting_ns else None


def is_settled(split: Split) -> bool:
    """What the program did is known for half of the time or more: verdicts go by that."""
    return split.unknown_ns * 2 <= split.waiting_ns


def split_says(split: Split) -> str:
    """In a sentence, the longest first, parts below a hundredth left out."""
    waited = units.time(split.waiting_ns)
    if split.unknown_ns * 100 > split.waiting_ns * 99:
        return (
            f"data waited for {waited} of this interval, and what the reader did meanwhile is not "
            "known"
        )
    shares = sorted(((part.of(split), part.says) for part in SPLIT_PARTS), reverse=True)
    said = [f"{says} for {units.time(ns)}" for ns, says in shares if ns * 100 >= split.waiting_ns]
    return f"of {waited} that data waited in this interval, {', '.join(said)}"
