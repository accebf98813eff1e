"""Moments and durations as users write them."""

from __future__ import annotations

from datetime import datetime

import pytest

from nettop.errors import UsageError
from nettop.times import check_order, duration_s, local_text, moment

END = datetime(2026, 11, 28, 0, 10, 0)
END_NS = int(END.timestamp() * 1e9)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5s", 1.5), ("15m", 900), ("2h", 7200), ("1d", 86400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "5 m", "1w", "1e9", "m", "99999d", "١m", "1h30m"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="takes a time such as"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-10m", "2026-11-28 00:00:00"),
        ("-90", "2026-11-28 00:08:30"),
        ("00:05", "2026-11-28 00:05:00"),
        ("00:05:30", "2026-11-28 00:05:30"),
        ("23:50", "2026-11-27 23:50:00"),  # the evening before
        ("2026-11-27T12:00:00", "2026-11-27 12:00:00"),
        ("2026-11-27 12:00", "2026-11-27 12:00:00"),
    ],
)
def test_moments_of_a_recording(text: str, shown: str) -> None:
    assert local_text(moment(text).wall_ns(END_NS)) == shown


@pytest.mark.parametrize(
    "text", ["", "-", "24:00", "12:60", "12", "12:00:61", "-x", "0001-01-01", "9999-01-01", "now"]
)
def test_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match="takes a time such as 14:02"):
        moment(text)


def test_a_stretch_does_not_end_before_it_begins() -> None:
    check_order(moment("-5m"), moment("-1m"), END_NS)
    with pytest.raises(UsageError, match=r"^a@-1m..-5m: -1m is later than -5m"):
        check_order(moment("-1m"), moment("-5m"), 10**18, "a@-1m..-5m")
    with pytest.raises(UsageError, match="--from -1m is later than --to -5m"):
        check_order(moment("-1m"), moment("-5m"), END_NS)
