"""No text from outside may move the cursor, turn the line or break the width of a cell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nettop.text.clean import clean


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"nginx", "nginx"),
        (b"", ""),
        (b"a b~", "a b~"),
        (b"\x1b[31mred\x1b]0;title\x07", "?[31mred?]0;title?"),
        (b"tab\there\nnext\r", "tab?here?next?"),
        (b"\x7f\x00", "??"),
        (b"\xff\xfex", "\ufffd\ufffdx"),
        ("\x9b31m", "?31m"),  # CSI as one C1 character
        ("abc\u202egnp.exe", "abc?gnp.exe"),
        ("\u2066\u200b\u2028\ue000", "????"),
        ("\udcff", "\ufffd"),
        ("größe 東京 ✓", "größe 東京 ✓"),
    ],
)
def test_known_texts(raw: bytes | str, shown: str) -> None:
    assert clean(raw) == shown


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40)))
def test_only_printable_characters_come_out(raw: bytes | str) -> None:
    shown = clean(raw)
    assert shown.isprintable()
    assert clean(shown) == shown
    if isinstance(raw, str):
        assert len(shown) == len(raw)
