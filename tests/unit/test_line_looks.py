"""How lines look: underlines in the place of colours, the strip of time, the last line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nettop.query.complete import help_of
from nettop.text.fields import FIELDS
from nettop.tui.footer import PANE_KEYS, fitting, footer_keys
from nettop.tui.glyphs import UTF8
from nettop.tui.style import Role, styles
from nettop.tui.widgets.filter_line import helped
from nettop.tui.widgets.lines import line, strip_of, words_of
from nettop.tui.widgets.strip import Cell, strip_line

TERMINFO = ("/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo")


def underlined(parts: Any, *, color: bool) -> str:
    app: Any = SimpleNamespace(glyphs=UTF8, styles_of=styles(color))
    strip = strip_of(parts, 40, app)
    return "".join(
        "_" * len(s.text) if s.style is not None and s.style.underline else "." * len(s.text)
        for s in strip
    )


def test_blanks_are_not_underlined() -> None:
    loud = line("a ", ("app  ", Role.WATCH), ("   1.0", Role.UNWELL), ("     ", Role.WATCH))
    assert underlined(loud, color=False) == ".." + "___.." + "...___" + "." * 27
    assert "_" not in underlined(loud, color=True)
    words = line(("window 0", Role.UNWELL))
    assert underlined(words, color=False).startswith("________."), "one blank between words"
    titles = line(("PROC    ST", Role.TITLE))
    assert underlined(titles, color=False).startswith("_" * 10), "a rule"
    assert words_of(titles) == titles


@pytest.mark.parametrize(
    ("term", "none"), [("vt220", True), ("xterm", False), ("no-such-terminal", False), ("", False)]
)
def test_a_terminal_without_colors_gets_none(term: str, none: bool) -> None:
    if term == "vt220" and not any(Path(d, "v/vt220").exists() for d in TERMINFO):
        pytest.skip("terminfo does not know vt220")
    said = subprocess.run(
        [sys.executable, "-c", "from nettop.tui import NO_COLOR; print(NO_COLOR)"],
        env={"TERM": term}, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert said.strip() == str(none)


def test_the_footer_of_a_pane_at_full_size_names_its_keys() -> None:
    usual: dict[str, Any] = {"paused": False, "grouped": False, "readonly": False}
    for pane in ("heatmap", "events", "histogram", "pane"):
        keys = footer_keys(**usual, pane=pane)
        assert keys[: len(PANE_KEYS.get(pane, ()))] == list(PANE_KEYS.get(pane, ()))
        assert {("z", "back"), ("q", "quit")} <= set(keys)
    assert ("z", "back") not in footer_keys(**usual)


def test_a_wide_footer_names_more_keys_and_those_of_a_narrow_one_first() -> None:
    keys = footer_keys(paused=False, grouped=False, readonly=False, kept=True)
    usual = [word for _, word in fitting(keys, 120)]
    assert {"help", "quit", "back"} <= set(usual)
    wide = [word for _, word in fitting(keys, 200)]
    assert wide[: len(usual)] == usual
    marked = [word for _, word in fitting(keys, 120, "* 12 marked  1-24/10055")]
    assert len(marked) < len(usual), "how many are marked is seen beside them"
    assert usual[: len(marked)] == marked
    assert {"view", "pane", "full size", "columns"} <= set(wide)


def test_what_a_field_of_a_filter_means_is_whole_in_a_narrow_box() -> None:
    for field in FIELDS.values():
        title, shown = helped(field, 30)
        lines = ["".join(t for t, _ in parts) for parts in shown]
        assert title == field.id
        assert max(map(len, lines)) <= 30, field.id
        said = "".join("".join(lines).split())
        assert all("".join(text.split()) in said for text in help_of(field)), field.id


def test_one_socket_that_is_always_unwell_is_a_low_line() -> None:
    def heights(*unwell: int) -> str:
        cells = [Cell(unwell=n) for n in unwell]
        parts = strip_line(cells, -1, ("", ""), UTF8)
        return "".join(text for text, _ in parts)

    ramp = UTF8.spark
    assert heights(1, 1, 1) == ramp[2] * 3
    assert heights(1, 2, 1) == ramp[2] + ramp[4] + ramp[2], "a second one stands out"
    assert heights(1, 8, 4) == ramp[1] + ramp[7] + ramp[4]
