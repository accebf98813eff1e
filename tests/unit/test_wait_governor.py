"""How many sockets the wait plane traces, by what it takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nettop.model.types import NO_HISTOGRAM
from nettop.sources import wait
from nettop.sources.wait import RUN_NS, SAMPLE_NS, WaitPlane, WaitTick


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What was set in the programs: one socket in 2^k."""
    shifts: list[int] = []

    def sample(handle: object, shift: int) -> int:
        shifts.append(shift)
        return 0

    monkeypatch.setattr(wait, "lib", SimpleNamespace(nt_wait_sample=sample))
    return shifts


def govern(shift: int, runs_per_s: float, traced_per_s: float, read_pct: float = 0.0) -> WaitPlane:
    plane = WaitPlane.__new__(WaitPlane)
    plane._w, plane._budget_pct, plane._method, plane.ended = None, 5.0, "exact", None
    cpu_pct = (runs_per_s * RUN_NS + traced_per_s * SAMPLE_NS) / 1e7 + read_pct
    plane._govern(WaitTick(NO_HISTOGRAM, 0, runs_per_s, cpu_pct, read_pct, 0, 0, 0, 0, shift))
    return plane


def test_too_dear_halves_the_sockets(chosen: list[int]) -> None:
    govern(3, 300_000, 50_000)
    assert chosen == [4]


def test_after_a_flood_all_are_traced_at_once(chosen: list[int]) -> None:
    govern(10, 5_000, 0)
    assert chosen == [0]


def test_what_may_be_too_dear_again_is_tried_out(chosen: list[int]) -> None:
    """Few runs are traced, and all of them would take 1.6 %."""
    govern(6, 90_000, 100)
    assert chosen == [5]


def test_between_the_bounds_nothing_changes(chosen: list[int]) -> None:
    govern(4, 200_000, 5_000)
    assert chosen == []


def test_dearer_than_the_budget_ends_the_plane(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WaitPlane, "close", lambda plane: None)
    assert "--bpf-budget 5" in str(govern(0, 1_200_000, 0).ended)
    assert chosen == []


def test_reading_through_files_is_no_matter_of_how_many_are_traced(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WaitPlane, "close", lambda plane: None)
    assert govern(0, 1_000, 100, read_pct=4.0).ended is None
    assert chosen == []
    assert "would cost 20.0 % of a CPU" in str(govern(0, 1_000, 100, read_pct=20.0).ended)
    assert chosen == []
