"""A few damaged files through the real screen; `python -m tests.tui.fuzz_files` tries more."""

from __future__ import annotations

from tests.tui.fuzz_files import run


def test_damaged_files_through_the_screen() -> None:
    assert run(24, 1, seed=5000) == []
