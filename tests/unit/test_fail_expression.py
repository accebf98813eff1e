"""--fail: what it takes, where it stops, and what holds within an error."""

from __future__ import annotations

import pytest

from nettop.compare.bands import Band, change
from nettop.compare.expression import Against, Compare, comparisons, holds, looks, parse
from nettop.errors import UsageError

W99 = "rxwait.p99"
NS, RATIO, MORE = Against.B, Against.RATIO, Against.DIFFERENCE


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("rxwait.p99 > 2x and > 1ms", [(W99, ">", 2, RATIO), (W99, ">", 1e6, NS)]),
        ("retr% > +0.5", [("retr%", ">", 0.5, MORE)]),
        ("RXW99 >= 1.5X or srtt < -1ms", [(W99, ">=", 1.5, RATIO), ("srtt", "<", -1e6, MORE)]),
        ("tx < 0.5x or < 10M", [("tx", "<", 0.5, RATIO), ("tx", "<", 1.25e6, NS)]),
        ("(srtt gt 2x)", [("srtt", ">", 2, RATIO)]),
    ],
)  # fmt: skip
def test_an_expression_says(text: str, parts: list[tuple[str, str, float, Against]]) -> None:
    found = comparisons(parse(text).node)
    assert [(c.number.id, c.cmp, c.value, c.against) for c in found] == parts


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("rxwait.p9 > 2x", 1, "perhaps rxwait.p99"),
        ("cwnd > 2x", 1, "does not compare cwnd"),
        ("rxwait.p99 > 3", 14, "say 3ms"),
        ("rxwait.p99 = 2x", 12, "use > or <"),
        ("rxwait.p99 > 1e400x", 14, "too large"),
        ("rxwait.p99 > +2x", 14, "no sign"),
        ("> 2x", 1, "names no number"),
        ("srtt >", 7, "value such as 2x"),
        ("srtt", 5, "comparison, such as srtt > 2x"),
        ("(srtt > 2x", 11, ") is missing"),
        ("srtt > 2x srtt", 11, "cannot stand here"),
        ("", 1, "rxwait.p99 > 2x"),
        ("srtt > \x1b[31m", 8, "not a time"),
        ("(" * 60 + "srtt > 2x" + ")" * 60, 1, "nested"),
        ("srtt > 2x or " * 200 + "srtt > 2x", 1001, "longer"),
    ],
)
def test_a_mistake_has_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value) == "broken --fail"
    caret = caught.value.below[1]
    assert caret.index("^") - 2 == column - 1
    assert f"column {column}: " in caret
    assert words in caret


MS = 1e6
A = Band(0.9 * MS, MS, MS, 1.1 * MS, 100)
TWICE = Band(1.8 * MS, 2 * MS, 2 * MS, 2.2 * MS, 100)
UNBOUNDED = Band(1.2 * MS, 2 * MS, 2 * MS, float("inf"), 4)


@pytest.mark.parametrize(
    ("text", "b", "held", "seems"),
    [
        ("srtt > 1.5x", TWICE, True, True),
        ("srtt > 1.9x", TWICE, None, True),
        ("srtt > 2.1x", TWICE, None, False),
        ("srtt > 3x", TWICE, False, False),
        ("srtt > 1.5x", UNBOUNDED, None, True),
        ("srtt > +0.5ms", TWICE, True, True),
        ("srtt > +2ms", TWICE, False, False),
        ("srtt > 1.5ms", TWICE, True, True),
        ("srtt < 1.5ms", TWICE, False, False),
        ("srtt > 1.5x and > 5ms", TWICE, False, False),
        ("srtt > 1.5x or > 5ms", TWICE, True, True),
        ("srtt > 1.9x and > 1.5ms", TWICE, None, True),
        ("srtt > 1.5x and retr% > 1", TWICE, None, False),  # of which nothing is known
        ("srtt > 3x and retr% > 1", TWICE, False, False),
    ],
)
def test_what_holds(text: str, b: Band, held: bool | None, seems: bool) -> None:
    known = {"srtt": (A, b, change(A, b))}
    node = parse(text).node
    assert holds(node, known) is held
    assert looks(node, known) is seems


def test_a_comparison_without_a_name_is_of_the_number_before_it() -> None:
    found = comparisons(parse("(srtt > 2x or rxwait.p50 > 2x) and > 1ms").node)
    assert [c.number.id for c in found] == ["srtt", "rxwait.p50", "rxwait.p50"]
    assert all(isinstance(c, Compare) for c in found)
