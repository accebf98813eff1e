"""When a selection of the stages plane is put in force: a walk locks every socket it passes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from nettop.sources import stages
from nettop.sources.sendchoice import CHOSEN_MOST, KEPT_S, MOST_PCT, REST_S, RUN_NS, SendChoice
from nettop.text.evidence import STAMPED_BY_ITSELF


class Kernel:
    """Counts what the plane asks of the helper; time stands still unless told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.walks = 0
        self.selected: list[tuple[list[int], bool, int]] = []
        self.detached = 0
        self.refuse = 0
        self.walk_s = 0.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.walks * self.walk_s

    def nt_stages_select(
        self, _s: object, cookies: list[int], n: int, everything: bool, every: int, *_: object
    ) -> int:
        assert len(cookies) == n
        self.selected.append((cookies, everything, every))
        return self.refuse

    NT_STAGES_STAMPS, NT_STAGES_TRACEPOINTS = 1, 2

    def nt_stages_by_files(self, _s: object) -> int:
        return 0

    def nt_stages_sees_calls(self, _s: object) -> int:
        return 1

    def nt_stages_method(self, _s: object) -> int:
        return self.NT_STAGES_TRACEPOINTS

    def nt_stages_walk(self, _s: object, ns_fd: int, did: Any) -> int:
        self.walks += 1
        return 0

    def nt_stages_detach(self, _s: object) -> None:
        self.detached += 1

    def nt_stages_close(self, _s: object) -> None: ...


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(stages, "lib", made)
    clocks = SimpleNamespace(monotonic=made.monotonic, thread_time=made.thread_time)
    monkeypatch.setattr(stages, "time", clocks)
    return made


def tick(plane: stages.StagesPlane) -> None:
    if plane.due:
        plane.apply(here)


def here(walk: Callable[[int], None]) -> None:
    walk(-1)


def test_a_selection_settles_for_a_second(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    tick(plane)
    assert kernel.walks == 0, "nothing is selected"
    for cookie in range(20):  # a cursor that moves on ten times a second
        plane.select([cookie])
        kernel.now += 0.1
        tick(plane)
    assert kernel.walks == 0
    kernel.now += 0.85
    tick(plane)
    assert kernel.walks == 0
    kernel.now += 0.1
    tick(plane)
    assert kernel.selected == [([19], False, 1)]
    assert kernel.walks == 1


def test_the_status_says_what_is_in_force(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    assert plane.status().reason == stages.OFF_REASON
    plane.select([1])
    assert plane.status().reason == "stamping of what is selected begins in 1 s"
    kernel.now += 1
    assert plane.status().reason == "stamping of what is selected begins with the next tick"
    tick(plane)
    assert plane.status().state != "off"
    plane.select([])
    kernel.now += 10
    tick(plane)
    plane.select([2])
    kernel.now += 2.5
    assert plane.status().reason == "stamping of what is selected begins in 8 s"


def test_another_selection_is_on_its_way_while_one_is_in_force(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    plane.select([1])
    kernel.now += 1
    tick(plane)
    in_force = plane.status()
    plane.select([2])
    kernel.now += 4
    coming = plane.status()
    assert coming.state == in_force.state
    assert coming.reason is not None
    assert coming.reason.startswith("stamping of what is selected begins in 6 s")
    plane.select([1])
    assert plane.status() == in_force


def test_the_same_again_is_no_change(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    plane.select([2, 1])
    kernel.now += 1
    tick(plane)
    for _ in range(100):
        plane.select([1, 2, 2])
        kernel.now += 1
        tick(plane)
    assert kernel.walks == 1


def test_one_walk_in_ten_seconds(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    at = []
    for i in range(400):  # a new selection every two seconds, for 40 s
        if i % 20 == 0:
            plane.select([i + 1])
        before = kernel.walks
        tick(plane)
        if kernel.walks > before:
            at.append(kernel.now)
        kernel.now += 0.1
    assert len(at) == 4
    assert min(b - a for a, b in itertools.pairwise(at)) >= 10


def test_nothing_selected_detaches_after_the_walk(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    plane.select([1])
    kernel.now += 1
    tick(plane)
    plane.select([])
    kernel.now += 5
    tick(plane)
    assert (kernel.walks, kernel.detached) == (1, 0), "the flags are still set"
    kernel.now += 5
    tick(plane)
    assert (kernel.walks, kernel.detached) == (2, 1)


def test_all_sockets_are_sampled_at_once(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), 16)
    plane.select([1, 2])  # has no meaning then
    tick(plane)
    assert kernel.selected == [([], True, 16)]
    assert kernel.walks == 1
    kernel.now += 100
    tick(plane)
    assert kernel.walks == 1


def test_what_is_refused_is_asked_again_only_when_changed(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    kernel.refuse = -1
    plane.select([1])
    for _ in range(50):
        kernel.now += 1
        tick(plane)
    assert (len(kernel.selected), kernel.walks) == (1, 0)
    assert plane.status().state == "off"
    kernel.refuse = 0
    plane.select([2])
    kernel.now += 1
    tick(plane)
    assert kernel.walks == 1
    assert plane.status().state == "partial", "on, by tracepoints"


def test_the_end_waits_for_nothing(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    plane.select([1])
    kernel.now += 1
    tick(plane)
    plane.close(here)
    assert (kernel.walks, kernel.detached) == (2, 1)


def test_by_itself_it_begins_where_it_decides_and_ends_after(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None, choice=SendChoice())
    assert plane.status().reason == stages.OFF_REASON
    for _ in range(3):
        plane.choose([8, 9])
        kernel.now += 1
        tick(plane)
    assert kernel.selected == [([8, 9], False, 1)]
    reason = plane.status().reason
    assert reason is not None
    assert reason.startswith(f"{STAMPED_BY_ITSELF} 2 sockets whose verdicts that decides")
    for _ in range(int(KEPT_S) + 12):  # at most one walk in ten seconds
        plane.choose([])
        kernel.now += 1
        tick(plane)
    assert kernel.selected[1:] == [([], False, 1)]
    assert kernel.detached == 1
    assert plane.status().reason == stages.OFF_REASON


def test_what_the_user_selects_is_stamped_beside_it(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None, choice=SendChoice())
    plane.choose([8])
    plane.select([3, 8])
    kernel.now += 1
    tick(plane)
    assert kernel.selected == [([3, 8], False, 1)]
    plane.select([])
    kernel.now += 10
    plane.choose([8])
    tick(plane)
    kernel.now += 1
    tick(plane)
    assert kernel.selected[1:] == [([8], False, 1)]
    assert (plane.status().reason or "").startswith(STAMPED_BY_ITSELF)


def test_it_is_forbidden_by_itself(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None)
    for _ in range(20):
        plane.choose([8])
        kernel.now += 1
        tick(plane)
    assert kernel.selected == []
    assert plane.status().reason == stages.OFF_REASON


def test_nothing_is_chosen_after_the_end(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None, choice=SendChoice())
    plane.choose([8])
    kernel.now += 1
    tick(plane)
    plane.undo(here)
    plane.choose([9])  # a poll that was under way
    kernel.now += 20
    tick(plane)
    assert kernel.selected == [([8], False, 1), ([], False, 1)]


def test_what_is_refused_once_is_not_asked_again_by_itself(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None, choice=SendChoice())
    kernel.refuse = -1
    for n in range(100):
        plane.choose([n])
        kernel.now += 1
        tick(plane)
    assert len(kernel.selected) == 1


def test_walks_take_one_hundredth_of_the_time(kernel: Kernel) -> None:
    plane = stages.StagesPlane(object(), None, choice=SendChoice())
    kernel.walk_s = 0.6  # of some hundred thousand sockets
    for n in range(180):
        plane.choose([n])  # another one each second
        kernel.now += 1
        tick(plane)
    assert kernel.walks == 3


def test_the_worst_are_chosen_and_stay() -> None:
    choice = SendChoice()
    first = choice.take(range(20), 0.0)
    assert first == tuple(range(CHOSEN_MOST))
    assert choice.take([30, *range(20)], 1.0) == first, "all are held for ill still"
    assert 30 in choice.take([30, *range(1, 20)], 2.0)
    assert 0 not in choice.take([30, *range(1, 20)], 3.0), "it gave its place"
    assert choice.take([], 3.0 + KEPT_S) == ()


def test_what_costs_too_much_rests() -> None:
    choice = SendChoice()
    per_s = int(MOST_PCT * 1e7 / RUN_NS)
    choice.take([1], 0.0)
    assert choice.ran(0, 0.0)
    assert choice.ran(per_s, 1.0)
    assert not choice.ran(per_s + per_s * 2, 2.0)
    assert "4.0 % of a CPU" in choice.why_rests(3.0)
    assert choice.take([1], 3.0) == ()
    assert choice.take([1], 2.0 + REST_S) == (1,)
    assert choice.why_rests(2.0 + REST_S) == ""
