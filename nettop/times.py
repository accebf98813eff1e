"""Moments and stretches of time as a user writes them, and what they mean in a recording."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from msgspec import Struct

from nettop.errors import UsageError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?", re.ASCII)
MOST_S = 10 * 365 * 86400.0
# CLOCK_REALTIME is not read at quite the moment of the others.
CLOCK_STEP_LEAST_NS = 500_000_000


def duration_s(text: str) -> float:
    """Seconds of 90, 90s, 500ms, 15m, 2h or 1d.

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _SECONDS[match[2]] if match else -1.0
    if not 0 < seconds <= MOST_S:
        most = f"up to {MOST_S / 86400:.0f}d"
        raise ValueError(f"takes a time such as 90s, 15m or 2h, {most}, not '{text}'")
    return seconds


class Moment(Struct, frozen=True):
    """A moment that a user named; where it lies depends on the recording."""

    text: str
    before_end_s: float | None = None
    clock: tuple[int, int, float] | None = None  # local time of the recording's last day
    date: datetime | None = None

    def wall_ns(self, end_ns: int) -> int:
        """CLOCK_REALTIME; end_ns: of the recording's last tick."""
        if self.before_end_s is not None:
            return end_ns - int(self.before_end_s * 1e9)
        if self.date is not None:
            return int(self.date.timestamp() * 1e9)
        assert self.clock is not None
        hour, minute, second = self.clock
        end = datetime.fromtimestamp(end_ns / 1e9)
        at = end.replace(hour=hour, minute=minute, second=int(second), microsecond=0)
        at += timedelta(seconds=second % 1)
        if at > end + timedelta(hours=1):  # of the evening before, for a recording past midnight
            at -= timedelta(days=1)
        return int(at.timestamp() * 1e9)


def moment(text: str) -> Moment:
    """Of 14:02, 14:02:30, -10m (before the end) or 2026-11-28T14:02:30.

    Raises:
        ValueError: it is none of these.
    """
    if text.startswith("-"):
        try:
            return Moment(text, before_end_s=duration_s(text[1:]))
        except ValueError:
            pass  # the message below says what all forms are
    match = _CLOCK.fullmatch(text)
    if match and int(match[1]) < 24 and int(match[2]) < 60 and float(match[3] or 0) < 60:
        return Moment(text, clock=(int(match[1]), int(match[2]), float(match[3] or 0)))
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        date = None
    if date is not None and len(text) >= 10 and 1970 < date.year < 2200:
        return Moment(text, date=date)
    raise ValueError(
        f"takes a time such as 14:02, 14:02:30, -10m or 2026-11-28T14:02:30, not '{text}'"
    )


def local_text(wall_ns: int) -> str:
    """2026-11-28 14:02:30, local time."""
    return datetime.fromtimestamp(wall_ns / 1e9).strftime("%Y-%m-%d %H:%M:%S")


def check_order(
    first: Moment | None, last: Moment | None, end_ns: int, at: str | None = None
) -> None:
    """
    Args:
        at: how the user wrote both; None: as --from and --to.

    Raises:
        UsageError: the stretch ends before it begins.
    """
    if first and last and first.wall_ns(end_ns) > last.wall_ns(end_ns):
        if at is not None:
            raise UsageError(f"{at}: {first.text} is later than {last.text}")
        raise UsageError(f"--from {first.text} is later than --to {last.text}")
