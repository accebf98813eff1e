"""FILE@FROM..TO, and the ticks that it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from nettop.errors import NettopError, UsageError
from nettop.store.source import FrameInfo
from nettop.stretches import stretch_of

S = 10**9
# A tick a second; the last at noon of a day in local time does not matter: -N counts back from it.
FRAMES = [FrameInfo(i + 1, (1_000_000 + i) * S, i * S, i == 0) for i in range(301)]


def ticks(text: str) -> tuple[int, int, list[str]]:
    """Seconds before the end of the first and the last, and what was said."""
    said: list[str] = []
    first, last = stretch_of(text).ticks(FRAMES, said.append)
    return 301 - first.seq, 301 - last.seq, said


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("a", 300, 0), ("a@-60s..-10s", 60, 10), ("a@-60s..", 60, 0), ("a@..-60s", 300, 60),
     ("a@-100s", 130, 70), ("a@-0.5s", 30, 0), ("x@y@-2m..-1m", 120, 60)],
)  # fmt: skip
def test_a_stretch_means_these_ticks(text: str, first: int, last: int) -> None:
    assert ticks(text) == (first, last, [])


def test_the_file_is_what_stands_before_the_last_at() -> None:
    assert stretch_of("user@host.nettop@14:02..14:03").file == "user@host.nettop"
    assert stretch_of("@14:02").file == "@14:02"


def test_a_file_of_that_very_name_is_the_file(tmp_path: Path) -> None:
    path = tmp_path / "host@-10m"
    path.touch()
    assert stretch_of(str(path)).whole


@pytest.mark.parametrize(
    ("text", "apart"),
    [("a@-900s..-600s", "5m00s later"), ("a@..-600s", "5m00s later"), ("a@-600s", "5m00s later")],
)
def test_another_time_is_no_answer(text: str, apart: str) -> None:
    with pytest.raises(NettopError) as error:
        ticks(text)
    assert str(error.value).startswith(f"{text}: no tick of that time; the nearest is of ")
    assert str(error.value).endswith(apart)


def test_an_edge_that_is_not_there_is_the_nearest_and_says_so() -> None:
    first, last, said = ticks("a@-900s..-200s")
    assert (first, last) == (300, 200)
    assert len(said) == 1
    assert said[0].endswith("10m00s later")


@pytest.mark.parametrize("text", ["a@noon", "a@14:99", "a@1..2..3", "a@", "a@14:02..x"])
def test_what_is_no_time_is_said_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^\S+: after @ it takes a time such as 14:02"):
        stretch_of(text)


def test_a_stretch_does_not_end_before_it_begins() -> None:
    with pytest.raises(UsageError, match="later than"):
        ticks("a@-10s..-60s")
