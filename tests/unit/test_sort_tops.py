"""What the sort picker says that each key brings to the top."""

from __future__ import annotations

from nettop.text.columns import cell
from nettop.text.fields import FIELDS, Kind
from nettop.tui.screens.sort import USUAL, top_text
from tests.fakes import FakeFeed


def test_the_top_is_the_first_of_the_order_by_that_key() -> None:
    feed = FakeFeed()
    rows = feed.window(0, feed.count())
    assert top_text(None, True, rows) == "RTT 13.3ms"
    checked = 0
    for name in USUAL:
        field = FIELDS[name]
        by_hand = [
            (v, r) for r in rows if isinstance(v := field.value(r), float | int) and v is not None
        ]
        if field.kind in (Kind.TEXT, Kind.ADDRESS) or not by_hand:
            assert top_text(field, field.descending, rows) == ""
            continue
        by_hand.sort(key=lambda pair: pair[0], reverse=field.descending)
        value, row = by_hand[0]
        assert top_text(field, field.descending, rows) == (cell(field, row, None) if value else "")
        checked += bool(value)
    assert checked > 5
    assert top_text(FIELDS["srtt"], True, []) == ""


def test_the_keys_fit_a_small_terminal() -> None:
    assert len(USUAL) == 15, "sixteen with unwell"
    assert all(len(text) <= 33 and FIELDS[name].sortable for name, text in USUAL.items())
