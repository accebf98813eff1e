"""What --fail takes, and whether it holds: the words of filters, with 2x and +0.5 of a change.

`NUMBER > 2x` is B as a multiple of A, `> +0.5` or `> -1ms` B less A, `> 1ms` B itself. It holds
where all of the error band does; where only a part does, that is not known.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct

from nettop.compare.bands import Band, Change
from nettop.compare.numbers import NUMBERS, Number, lookup, near
from nettop.errors import UsageError
from nettop.query import values
from nettop.query.errors import FilterError
from nettop.query.parse import CMP_WORDS
from nettop.text.fields import Kind
from nettop.text.fields import lookup as field_of

LONGEST = 1000
DEEPEST = 20
_RATIO = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?[xX×]")


class Against(Enum):
    """What a value is compared with."""

    B = "b"
    RATIO = "ratio"
    DIFFERENCE = "difference"


class Compare(Struct, frozen=True):
    """One comparison, its value in the number's base unit."""

    number: Number
    cmp: str
    value: float
    against: Against


class And(Struct, frozen=True):
    parts: tuple[Node, ...]


class Or(Struct, frozen=True):
    parts: tuple[Node, ...]


Node = Compare | And | Or


class Fail(Struct, frozen=True):
    """An expression as it was written, and what it says."""

    text: str
    node: Node

    @property
    def numbers(self) -> list[Number]:
        """Each once, in the order of the text."""
        return list(dict.fromkeys(c.number for c in comparisons(self.node)))


def comparisons(node: Node) -> list[Compare]:
    if isinstance(node, Compare):
        return [node]
    return [c for part in node.parts for c in comparisons(part)]


# --- reading ---


@cache
def _parser() -> Any:
    from lark import Lark
    from lark.load_grammar import FromPackageLoader

    grammar = files("nettop.compare").joinpath("fail.lark").read_text(encoding="utf-8")
    return Lark(
        grammar, parser="lalr", lexer="basic",
        import_paths=[FromPackageLoader("nettop", ("query",))],
    )  # fmt: skip


def parse(text: str) -> Fail:
    """
    Raises:
        UsageError: with the expression and a caret under the column where it went wrong.
    """
    try:
        return Fail(text, _parse(text))
    except FilterError as error:
        wrong = UsageError("broken --fail")
        wrong.below = (f"  {error.text}", f"  {error.caret()}")
        raise wrong from None


def _parse(text: str) -> Node:
    from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

    if not text.strip():
        raise FilterError(text, 0, "says nothing", "such as rxwait.p99 > 2x and > 1ms")
    if len(text) > LONGEST:
        raise FilterError(text[:LONGEST], LONGEST, f"longer than {LONGEST} letters")
    try:
        tree = _parser().parse(text)
    except UnexpectedEOF:
        raise FilterError(text, len(text), "ends too soon") from None
    except UnexpectedToken as e:
        if e.token.type == "$END":
            raise FilterError(text, len(text), _at_end(text)) from None
        raise FilterError(text, e.token.start_pos, f"'{e.token}' cannot stand here") from None
    except UnexpectedCharacters as e:
        at = e.pos_in_stream or 0
        raise FilterError(text, at, f"cannot read '{text[at]}'") from None
    return _Builder(text).node(tree.children[0], 0)


def _at_end(text: str) -> str:
    if text.count("(") > text.count(")"):
        return "a ) is missing"
    word = text.split()[-1]
    if lookup(word) is not None:
        return f"after {word} comes a comparison, such as {word} > 2x"
    return "ends too soon: a value such as 2x, +0.5 or 1ms is missing"


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.last: Number | None = None

    def fail(self, token: Any, message: str, hint: str | None = None) -> FilterError:
        return FilterError(self.text, token.start_pos, message, hint)

    def node(self, tree: Any, depth: int) -> Node:
        if depth > DEEPEST:
            raise FilterError(self.text, 0, f"nested deeper than {DEEPEST} levels")
        match tree.data:
            case "disjunction":
                return Or(tuple(self.node(t, depth + 1) for t in tree.children))
            case "conjunction":
                return And(tuple(self.node(t, depth + 1) for t in tree.children))
            case "group":
                return self.node(tree.children[0], depth + 1)
            case _:
                return self.compared(*tree.children[-2:], *tree.children[:-2])

    def compared(self, cmp_token: Any, value: Any, head: Any = None) -> Compare:
        if head is not None:
            self.last = self.number(head)
        if self.last is None:
            raise self.fail(cmp_token, "names no number", "such as rxwait.p99 > 2x")
        cmp = CMP_WORDS.get(cmp_token.lower(), str(cmp_token))
        if cmp in ("=", "!="):
            raise self.fail(cmp_token, f"{cmp_token} says nothing of numbers that have an error",
                            "use > or <")  # fmt: skip
        number, text = self.last, str(value)
        against = Against.DIFFERENCE if text[0] in "+-" else Against.B
        kind = number.kind
        if _RATIO.fullmatch(text):
            if against is Against.DIFFERENCE:
                raise self.fail(value, "a multiple has no sign", "2x: twice as much as in A")
            against, kind, text = Against.RATIO, Kind.RATIO, text[:-1]
        try:
            return Compare(number, cmp, values.number(text, kind), against)
        except values.ValueMistake as e:
            raise self.fail(value, str(e), e.hint) from None

    def number(self, head: Any) -> Number:
        found = lookup(str(head))
        if found is not None:
            return found
        field = field_of(str(head))
        if field is not None:
            raise self.fail(head, f"diff does not compare {field.id}", f"it compares {_listed()}")
        names = near(str(head))
        hint = f"perhaps {' or '.join(names)}" if names else f"they are {_listed()}"
        raise self.fail(head, f"no number '{head}'", hint)


def _listed() -> str:
    """All of them, those of one distribution together."""
    names = dict.fromkeys(
        f"{n.of}.…" if n.id.startswith(("rxwait.p", "rxwait.mean", "tx.")) else n.id
        for n in NUMBERS.values()
    )
    return ", ".join(names)


# --- whether it holds ---

Known = dict[str, tuple[Band, Band, Change]]


def holds(node: Node, known: Known) -> bool | None:
    """Of one group, whose numbers are known by name; None: that is not known."""
    if isinstance(node, Compare):
        return _holds(node, known.get(node.number.id))
    parts = [holds(part, known) for part in node.parts]
    deciding = isinstance(node, Or)
    if deciding in parts:
        return deciding
    return None if None in parts else not deciding


def looks(node: Node, known: Known) -> bool:
    """Whether it would hold if the numbers had no error."""
    if isinstance(node, Compare):
        found = known.get(node.number.id)
        if found is None:
            return False
        _, b, change = found
        value = {
            Against.B: b.value, Against.RATIO: change.ratio, Against.DIFFERENCE: change.difference
        }[node.against]  # fmt: skip
        return _meets(node.cmp, value, node.value)
    return (all if isinstance(node, And) else any)(looks(part, known) for part in node.parts)


def _holds(node: Compare, found: tuple[Band, Band, Change] | None) -> bool | None:
    if found is None:
        return None
    _, b, change = found
    low, high = {
        Against.B: (b.low, b.high),
        Against.RATIO: (change.ratio_low, change.ratio_high),
        Against.DIFFERENCE: (change.difference_low, change.difference_high),
    }[node.against]
    near_end, far_end = (low, high) if node.cmp[0] == ">" else (high, low)
    if _meets(node.cmp, near_end, node.value):
        return True
    return None if _meets(node.cmp, far_end, node.value) else False


def _meets(cmp: str, one: float, other: float) -> bool:
    return {
        ">": one > other, ">=": one >= other, "<": one < other, "<=": one <= other
    }[cmp]  # fmt: skip
