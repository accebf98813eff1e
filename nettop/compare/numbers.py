"""The one registry of what diff compares: names of fields, and from when on a change matters.

To add a number: a line in _numbers(), and where tally.py counts it.
"""

from __future__ import annotations

from msgspec import Struct

from nettop.model.types import Stage
from nettop.text.fields import FIELDS, Kind, nearest

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Number(Struct, frozen=True):
    """worse: +1 more is worse, -1 less is, 0 neither, so that only --fail judges it.

    A change is worse, or better, where all of its band is beyond both floor and ratio; it is the
    same where its band stays within one of same_floor and same_ratio.
    """

    id: str  # of the field, or of one that diff alone has
    kind: Kind
    help: str
    of: str  # what is counted for it: tally.py
    q: float | None = None  # a quantile of it
    worse: int = 1
    floor: float = 0.0
    ratio: float = 1.1
    same_floor: float = 0.0
    same_ratio: float = 1.25

    @property
    def plane(self) -> str:
        """rxwait or stages, which may be off; else empty."""
        if self.of.startswith("tx."):
            return "stages"
        return "rxwait" if self.of.startswith("rxwait") else ""


_TIME_FLOOR_NS = 50e3
# The tail moves with every neighbour of the machine: more of it is no change.
_RATIOS = {"p50": 1.05, "p90": 1.1, "p99": 1.25}


def _times(name: str, about: str) -> list[Number]:
    """Percentiles and mean of a time."""

    def number(label: str, words: str, q: float | None, ratio: float) -> Number:
        return Number(
            f"{name}.{label}", Kind.TIME, f"{words} of {about}", name, q,
            floor=_TIME_FLOOR_NS, ratio=ratio, same_floor=_TIME_FLOOR_NS,
            same_ratio=max(1.25, 1.2 * ratio),
        )  # fmt: skip

    words = {"p50": "median", "p90": "90th percentile", "p99": "99th percentile"}
    out = [number(label, words[label], q, _RATIOS[label]) for label, q in QUANTILES.items()]
    return [*out, number("mean", "mean", None, 1.1)]


def _numbers() -> dict[str, Number]:
    found = _times("rxwait", "the time that received data waited for the program")
    for stage in Stage:
        found += _times(f"tx.{stage.name.lower()}", f"the {stage.name.lower()} stage of sends")
    found += [
        Number("retr%", Kind.PERCENT, "bytes resent of bytes sent, less what DSACK proved spurious",
               "retr%", floor=0.1, ratio=1.25, same_floor=0.5, same_ratio=2.0),
        Number("drops/s", Kind.RATE, "packets dropped per second", "drops/s",
               floor=0.1, ratio=1.25, same_floor=0.5, same_ratio=2.0),
        Number("resets/s", Kind.RATE, "connections reset per second (EstabResets), of the host",
               "resets/s", floor=0.1, ratio=1.25, same_floor=0.5, same_ratio=2.0),
        Number("srtt", Kind.TIME, "smoothed round-trip time, mean of sockets with new ACKs", "srtt",
               floor=100e3, same_floor=100e3),
        Number("unwell", Kind.COUNT, "sockets that are unwell at a time, listeners too", "unwell",
               floor=0.5, ratio=1.25, same_floor=0.5, same_ratio=2.0),
        Number("retr/s", Kind.RATE, "segments resent per second", "retr/s", worse=0),
        Number("rxwait.n", Kind.RATE, "deliveries read, per second", "rxwait.n", worse=0),
        Number("tx", Kind.BITRATE, "payload acknowledged by the peer", "tx", worse=0),
        Number("rx", Kind.BITRATE, "payload received in order", "rx", worse=0),
    ]  # fmt: skip
    return {number.id: number for number in found}


NUMBERS: dict[str, Number] = _numbers()


def lookup(name: str) -> Number | None:
    """Of that name or another name of the field."""
    key = name.lower()
    if key in NUMBERS:
        return NUMBERS[key]
    field = next((f for f in FIELDS.values() if key in f.aliases), None)
    return NUMBERS.get(field.id) if field is not None else None


def near(name: str) -> list[str]:
    """Up to three that this may have been meant to be."""
    return nearest(name, list(NUMBERS))
