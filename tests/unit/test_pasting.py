"""Marks of pasted text: which end is missing."""

from __future__ import annotations

from nettop.tui.pasting import BEGINS, ENDS, QUIET_S, Pastes


def test_a_whole_paste_is_left_alone() -> None:
    pastes = Pastes()
    assert pastes.take(f"{BEGINS}nginx{ENDS}", 1.0) == f"{BEGINS}nginx{ENDS}"
    assert not pastes.is_over(9.0)
    assert pastes.take("q", 9.0) == "q"


def test_a_paste_that_goes_on_is_not_over_before_it_is_quiet() -> None:
    pastes = Pastes()
    for at in range(5):
        text = "x" * 4096 if at else BEGINS
        assert pastes.take(text, at * 0.9 * QUIET_S) == text
    assert not pastes.is_over(4.5 * QUIET_S)
    assert pastes.is_over(4.7 * QUIET_S)


def test_a_lost_end_comes_before_the_next_key() -> None:
    pastes = Pastes()
    pastes.take(f"{BEGINS}nginx", 1.0)
    assert pastes.take("q", 3.0) == f"{ENDS}q"
    assert pastes.take("q", 9.0) == "q"


def test_marks_may_come_in_parts() -> None:
    for cut in range(1, len(BEGINS)):
        pastes = Pastes()
        pastes.take(BEGINS[:cut], 1.0)
        pastes.take(BEGINS[cut:], 1.1)
        assert pastes.is_over(3.0)
        pastes.take("x" + ENDS[:cut], 1.2)
        pastes.take(ENDS[cut:], 1.3)
        assert not pastes.is_over(9.0)
