"""What is shown while the level sinks: in TCP's terms `recovering` is a state of the connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from nettop.model.types import Because, Flag, Level, Row, Verdict
from nettop.text.explain import explain
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_text, why_text
from tests.export.make import Rows, make_model, make_row
from tests.export.test_roundtrip import export, opened

KINDS = [
    (verdict, because)
    for verdict, spec in VERDICTS.items()
    for because in (Because.PLAIN, *spec.causes)
]


def sinking(verdict: Verdict, because: Because, level: Level = Level.UNWELL) -> Row:
    return make_row(
        1, level=int(level), strength=3, verdict=verdict, verdict_value=2.0, because=because,
        verdict_since_s=7, flags=int(Flag.MATCH),
    )  # fmt: skip


@pytest.mark.parametrize(("verdict", "because"), KINDS)
def test_what_was_is_named(verdict: Verdict, because: Because, tmp_path: Path) -> None:
    row = sinking(verdict, because)
    said = why_text(row) or ""
    if verdict is Verdict.CWND:
        assert said == "better now", "that is informational, and made no level"
        return
    assert said.startswith("was ")
    assert said.removeprefix("was ") in VERDICTS[verdict].words
    assert len(said) <= 13, "WHY has room for it at every width"
    assert who_text(row) is None, "nobody is blamed for what is over"
    made = explain(row, None, make_model(), None)
    assert made.what.startswith("nothing unusual now; a moment ago: ")
    feed = opened(tmp_path / "a.json", export(Rows([(row, None)], []), make_model(1)))
    (again,) = feed.window(0, 1)
    assert why_text(again) == said
    assert again.verdicts == []


def test_a_file_that_does_not_say_what_was() -> None:
    assert why_text(make_row(1, level=1)) == "better now"
    assert explain(make_row(1, level=1), None, make_model(), None).what == "nothing unusual"
    assert why_text(sinking(Verdict.LOSS, Because.PLAIN, Level.OK)) is None
