"""How many sockets the wait plane traces, by what it takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nettop.engine import lib
from nettop.sources import wait
from nettop.sources.split import SplitPlane
from nettop.sources.wait import (
    BUDGET_FIX,
    BY_FILES,
    JUDGED_S,
    PROBE_REASON,
    RUN_NS,
    SAMPLE_NS,
    Load,
    WaitPlane,
)


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
    plane._govern(Load(runs_per_s, cpu_pct, read_pct), shift)
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


def test_ticks_that_follow_at_once_are_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read of 0.4 ms in an interval of 4 ms is no 10 % of a CPU."""
    now = 100.0
    monkeypatch.setattr(wait, "time", SimpleNamespace(monotonic=lambda: now))
    plane = WaitPlane.__new__(WaitPlane)
    plane._before, plane._samples, plane._reading_ns = None, 0, 0
    assert plane._load(0) is None
    for _ in range(4):
        now += 0.004
        plane._reading_ns += 400_000
        assert plane._load(1000) is None
    now = 100.0 + JUDGED_S * 2
    load = plane._load(1000)
    assert load is not None
    assert load.runs_per_s == pytest.approx(1000 / (JUDGED_S * 2))
    assert load.read_pct == pytest.approx(1.6 / (JUDGED_S * 2) / 10)


def loaded(method: str, *, asked: bool, by_files: bool = False, **tick: int) -> WaitPlane:
    plane = WaitPlane.__new__(WaitPlane)
    plane._w, plane.ended, plane._method, plane._asked = object(), None, method, asked
    numbers = {"sample_shift": 0, "no_storage": 0, **tick}
    plane.last = SimpleNamespace(**numbers)  # type: ignore[assignment]
    return plane


def test_the_status_tells_each_reason_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    by_files = False
    fake = SimpleNamespace(
        nt_wait_by_files=lambda handle: by_files,
        NT_WAIT_PROBE=lib.NT_WAIT_PROBE, NT_WAIT_EXACT=lib.NT_WAIT_EXACT,
    )  # fmt: skip
    monkeypatch.setattr(wait, "lib", fake)
    exact = loaded("exact", asked=False).status()
    assert (exact.state, exact.reason, exact.fix) == ("ok", None, None)
    by_files = True
    status = loaded("tcp_probe", asked=True, sample_shift=3, no_storage=7).status()
    assert status.state == "partial"
    reason, fix = status.reason or "", status.fix or ""
    for part in (PROBE_REASON, "--rx-method asks for it", BY_FILES, "1 socket in 8",
                 "7 deliveries were not traced"):  # fmt: skip
        assert part in reason
    assert "no sk_data_ready" not in reason, "this kernel may have it"
    assert reason.startswith("1 socket in 8 is traced"), "which the pane says of a socket"
    assert fix == "sysctl -w net.core.optmem_max=131072, if it is less; nettop without --rx-method"
    by_files = False
    alone = loaded("tcp_probe", asked=False).status()
    assert alone.reason == f"~ {PROBE_REASON}: no sk_data_ready here"
    assert alone.fix is None


def test_the_split_says_whose_choice_it_is_that_it_cannot_be() -> None:
    split = SplitPlane.__new__(SplitPlane)
    split._unable = "needs sk_data_ready (Linux 6.3)"
    split._wait = loaded("tcp_probe", asked=False)
    assert split.ability().reason == split._unable
    split._wait = loaded("tcp_probe", asked=True)
    status = split.ability()
    assert status.reason == "needs the exact RX wait, and --rx-method asks for tcp_probe"
    assert status.fix == "nettop without --rx-method"
    split._wait._w = None
    assert split.ability().fix == BUDGET_FIX
