"""How many segments of a connection this host drops: the rate, and how long it is said."""

from __future__ import annotations

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.causes import Cause
from tests.unit.test_causes import Host, candidate


def dropped(*segments: int) -> list[Cause | None]:
    """So many in each second."""
    host = Host()
    return [host.tick(candidate(dropped_here=n, dropped_segs=n)).get(1) for n in segments]


def rates(*segments: int) -> list[float | None]:
    return [found.value if found is not None else None for found in dropped(*segments)]


def test_as_many_in_each_second_are_as_many_a_second() -> None:
    assert rates(*[70] * 8) == [pytest.approx(70.0)] * 8


def test_what_comes_in_bursts_is_a_mean_of_five_seconds() -> None:
    assert rates(*[100, 0, 0, 0, 0] * 3)[4:] == [pytest.approx(20.0)] * 11


def test_what_has_ended_is_not_said_for_longer_than_that() -> None:
    assert rates(70, 70, 0, 0, 0, 0, 0)[-2:] == [pytest.approx(14.0), None]


def test_it_is_segments_of_a_time_that_are_counted() -> None:
    (found,) = dropped(64)
    assert found is not None
    assert "64 segments of it dropped here in 1.00s" in found.evidence[0].says
