"""What reflect prints of an interval."""

from __future__ import annotations

from typing import Any, cast

from nettop.probe.reflect import Counts
from nettop.probe.report import reflect_line

NOBODY: Any = None  # no line says anything of the reflector itself


def test_an_interval_in_which_nothing_came_is_no_line() -> None:
    assert reflect_line(NOBODY, {"tcp": Counts(), "udp": Counts()}) == []
    (line,) = reflect_line(NOBODY, {"tcp": Counts(), "udp": Counts(strangers=3)})
    assert " udp " in line
    assert line.endswith("waited p50 – p99 – max – strangers 3")


def test_the_longest_line_fits_a_narrow_terminal() -> None:
    counts = Counts(answered=123_456_789, clients=cast("set[int]", range(123_456)))
    for _ in range(100):
        counts.wait.add(48_123_456)
    (line,) = reflect_line(NOBODY, {"udp": counts})
    assert "answered 123M" in line
    assert "p50 48.1ms p99 48.1ms max 48.1ms" in line
    assert len(line) <= 80
