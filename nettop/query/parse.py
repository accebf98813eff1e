"""Filter text to a tree; every mistake has its column."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, cast

from nettop.query import plain as words
from nettop.query import values
from nettop.query.ast import Address, And, Compare, Node, Not, Or, OwnedBy, States, Text
from nettop.query.errors import FilterError
from nettop.query.plain import VERDICT
from nettop.text.fields import FIELDS, Field, Kind, lookup, nearest
from nettop.text.verdicts import named as named_verdicts
from nettop.text.verdicts import worded

CMP_WORDS = {"eq": "=", "==": "=", "ne": "!=", "neq": "!=", "lt": "<", "le": "<=", "leq": "<=",
             "gt": ">", "ge": ">=", "geq": ">="}  # fmt: skip
# Words of ss that are no fields of ours.
_SIDES = {"src": False, "dst": True}
_ENDS = _SIDES | {"local": False, "remote": True}
_PORTS = {"sport": "lport", "dport": "rport"}
_HOST, _PORT = "an address, such as 10.0.0.0/8", "a port, such as :443"
_AFTER = {"src": _HOST, "dst": _HOST, "host": _HOST, "net": _HOST, "port": _PORT, "sport": _PORT,
          "dport": _PORT, "state": "a state, such as established",
          "exclude": "a state, such as time-wait", "proto": "tcp, udp or mptcp",
          "dev": "a device", "cgroup": "a path"}  # fmt: skip
DEEPEST = 24  # nested parentheses
LONGEST = 4096


@cache
def _parser() -> Any:
    from importlib.resources import files

    from lark import Lark

    grammar = files("nettop.query").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="basic")


def parse(text: str) -> Node | None:
    """The tree of a filter; None of a blank one.

    Raises:
        FilterError: with the column of the first mistake.
    """
    if not text.strip():
        return None
    if len(text) > LONGEST:
        raise FilterError(text, LONGEST, f"longer than {LONGEST} letters")
    from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken

    try:
        tree = _parser().parse(text)
    except UnexpectedEOF:
        raise FilterError(text, len(text), _expected_at_end(text)) from None
    except UnexpectedToken as e:
        column = len(text) if e.token.type == "$END" else e.token.start_pos
        raise FilterError(text, column, _unexpected(text, e)) from None
    except UnexpectedCharacters as e:
        column = e.pos_in_stream or 0
        letter = text[column]
        what = "the quote is not closed" if letter in "\"'" else f"cannot read '{letter}'"
        raise FilterError(text, column, what) from None
    return _Builder(text).node(tree.children[0], 0)


def _expected_at_end(text: str) -> str:
    return "the filter ends too soon" + (
        ": a ) is missing" if text.count("(") > text.count(")") else ""
    )


def _unexpected(text: str, error: Any) -> str:
    token = error.token
    before = _word_before(text, token.start_pos if token.type != "$END" else len(text))
    if token.type == "$END":
        comparison = re.search(r"([^\s()<>=!&|]+)\s*([<>]=?|[!=]?=)\s*$", text)
        if comparison:
            field = lookup(comparison[1])
            kind = values.example(field.kind, field.words) if field else "a value"
            return f"after {comparison[2]} comes {kind}"
        if before.lower() in _AFTER:
            return f"after {before} comes {_AFTER[before.lower()]}"
        return _expected_at_end(text)
    if token.type == "CMP":
        field = lookup(_word_before(text, _start_of_operator(text, token.start_pos)))
        if before in ("<", ">", "=", "!"):
            kind = values.example(field.kind, field.words) if field else "a value"
            return f"after {before} comes {kind}"
        return f"'{token}' needs a field before it"
    if token.type == "RPAR":
        return "nothing is open before this )" if text.count(")") > text.count("(") else "empty ( )"
    return f"'{token}' cannot stand here"


def _start_of_operator(text: str, column: int) -> int:
    while column > 0 and text[column - 1] in "<>=! ":
        column -= 1
    return column


def _word_before(text: str, column: int) -> str:
    words = text[:column].replace("(", " ").replace(")", " ").split()
    if not words:
        return ""
    last = words[-1]
    return last[-1] if last[-1] in "<>=!" else last


class _Builder:
    """Turns lark's tree into ours, where words get their meaning."""

    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, token: Any, message: str, hint: str | None = None) -> FilterError:
        return FilterError(self.text, token.start_pos, message, hint)

    def node(self, tree: Any, depth: int) -> Node:
        if depth > DEEPEST:
            column = _first_column(tree)
            raise FilterError(self.text, column, f"nested deeper than {DEEPEST} levels")
        match tree.data:
            case "disjunction":
                return Or(tuple(self.node(t, depth + 1) for t in tree.children))
            case "conjunction":
                return And(tuple(self.node(t, depth + 1) for t in tree.children))
            case "juxtaposed":
                return _joined([(_is_state(t), self.node(t, depth)) for t in tree.children])
            case "negated":
                return words.negated(self.node(tree.children[0], depth + 1))
            case "group":
                return self.node(tree.children[0], depth + 1)
            case "alone":
                raise self.fail(tree.children[0], "autobound is not visible outside the kernel")
            case "named":
                head, value = tree.children
                return self.named(head, value.children[0])
            case "sided":
                side, end, value = tree.children
                head = end.update(value=f"{side[0]}port".lower()) if end.lower() == "port" else side
                return self.relation(head, "=", value.children[0])
            case "plain":
                return self.plain(tree.children[0])
            case _:
                head, cmp, product = tree.children
                return self.compared(head, cmp, product)

    def named(self, head: Any, token: Any) -> Node:
        """Two words: state NAME, exclude NAME, src HOST, sport PORT, dev NAME, cgroup PATH."""
        word = head.lower()
        if word in ("state", "exclude"):
            mask = self.value(token, values.state_mask)
            return States(mask) if word == "state" else Not(States(mask))
        return self.relation(head, "=", token)

    def plain(self, token: Any) -> Node:
        """A word alone: what a row says of itself, but no field, which is to be compared."""
        word, quoted = _unquoted(token), token.type == "STRING"
        low = word.lower()
        if not quoted and low == "fwmark":
            raise self.fail(token, "fwmark is not kept for every socket", "the detail shows it")
        if not quoted and word.startswith(words.PATHS):
            # Of a mistyped file nothing must be said, least of all that nothing is wrong in it.
            raise self.fail(
                token, f"{word} is a path, and no filter",
                f"nettop open, replay and why take a file; for a program: comm = {word}",
            )  # fmt: skip
        field = None if quoted else VERDICT if low == VERDICT.id else lookup(word)
        if field is not None:
            after = token.start_pos + len(token)
            message = f"after {word} comes a comparison"
            raise FilterError(self.text, after, message, _comparison(word, field))
        return cast("Node", self.value(token, lambda text: words.meaning(text, quoted=quoted)))

    def compared(self, head: Any, cmp_token: Any, product: Any) -> Node:
        cmp = CMP_WORDS.get(cmp_token.lower(), str(cmp_token))
        if product.data == "value":
            name = _unquoted(product.children[0])
            if head.lower() == "host" and _HOST_NAME.fullmatch(name) and not words.is_peer(name):
                self.only_equal(head, cmp)
                return self.matched(FIELDS["host"], cmp, head, product.children[0], name)
            return self.relation(head, cmp, product.children[0])
        left, _star, right = (
            product.children[0].children[0], product.children[1], product.children[2].children[0]
        )  # fmt: skip
        return self.multiple(self.field(head), cmp, left, right)

    def endpoint(self, word: str, cmp: str, token: Any) -> Node:
        """An address as it is shown: with %dev where the socket is bound to a device."""
        peers = words.peers_at(_unquoted(token), (_ENDS[word],))
        if peers is not None:
            return peers if cmp == "=" else Not(peers)
        scoped = _SCOPE.search(_unquoted(token))
        if scoped is None:
            network, port = self.value(token, values.endpoint)
            return Address(_ENDS[word], network, port, cmp == "=")

        network, port = self.value(token, lambda t: values.endpoint(_SCOPE.sub("", t, count=1)))
        both = And((Address(_ENDS[word], network, port), Text(FIELDS["dev"], True, scoped[1])))
        return both if cmp == "=" else Not(both)

    def relation(self, head: Any, cmp: str, token: Any) -> Node:
        word = head.lower()
        plain = _unquoted(token)
        if word in ("state", "st"):
            mask = self.value(token, values.state_mask)
            self.only_equal(head, cmp)
            return States(mask) if cmp == "=" else Not(States(mask))
        if word in _ENDS:
            self.only_equal(head, cmp)
            return self.endpoint(word, cmp, token)
        if word in ("host", "net"):
            self.only_equal(head, cmp)
            ends: Node = self.value(token, words.either_end)
            return ends if cmp == "=" else Not(ends)
        if word == "port":
            return words.port(cmp, self.value(token, values.port))
        if word in _PORTS or word in _PORTS.values():
            return Compare(FIELDS[_PORTS.get(word, word)], cmp, self.value(token, values.port))
        if word == "dev":
            self.only_equal(head, cmp)
            return self.matched(FIELDS["dev"], cmp, head, token, self.value(token, _device))
        if word == "fwmark":
            raise self.fail(head, "fwmark is not kept for every socket", "the detail shows it")
        if word == "verdict":
            self.only_equal(head, cmp)
            return self.matched(VERDICT, cmp, head, token, plain)
        if word == "cmd":
            raise self.fail(head, "command lines are not kept", "comm is the program's name")
        field = self.field(head)
        if field.id == "pid" and cmp in ("=", "!="):
            pid = values.whole(plain)
            if pid is not None:
                return OwnedBy(pid, cmp == "=")
        if field.id == "user":  # uid is another name of it
            self.only_equal(head, cmp)
            return self.matched(field, cmp, head, token, plain)
        if field.loc is None and field.kind in (Kind.TEXT, Kind.ADDRESS):
            self.only_equal(head, cmp)
            return self.matched(field, cmp, head, token, plain)
        multiple = _split_product(plain)
        if multiple:
            return self.multiple_text(field, cmp, token, *multiple)
        other = None if field.words else lookup(plain)
        if other is not None and not plain[0].isdigit():
            return self.against(field, cmp, 1.0, other, token)

        def number(text: str) -> float:
            return values.number(text, field.kind, field.words)

        return Compare(field, cmp, self.value(token, number, cmp))

    def matched(self, field: Field, cmp: str, head: Any, token: Any, pattern: str) -> Text:
        return Text(field, cmp == "=", pattern, head.start_pos, token.start_pos)

    def multiple(self, field: Field, cmp: str, left: Any, right: Any) -> Node:
        return self.multiple_text(field, cmp, left, _unquoted(left), _unquoted(right))

    def multiple_text(self, field: Field, cmp: str, token: Any, left: str, right: str) -> Node:
        for factor, name in ((left, right), (right, left)):
            other = lookup(name)
            try:
                times = float(factor)
            except ValueError:
                continue  # the other one may be the number
            if other is None:
                raise self.fail(token, f"no field '{name}'", _perhaps(name))
            return self.against(field, cmp, times, other, token)
        raise self.fail(token, "a product is a number times a field", "such as 2*minrtt")

    def against(self, field: Field, cmp: str, factor: float, other: Field, token: Any) -> Node:
        if other.kind is not field.kind:
            raise self.fail(token, f"{other.id} is a {other.kind.value}, {field.id} a "
                            f"{field.kind.value}: they cannot be compared")  # fmt: skip
        return Compare(field, cmp, factor, other)

    def field(self, head: Any) -> Field:
        found = lookup(head)
        if found is None:
            raise self.unknown(head)
        return found

    def unknown(self, head: Any) -> FilterError:
        return self.fail(head, f"no field '{head}'", _perhaps(head))

    def only_equal(self, head: Any, cmp: str) -> None:
        if cmp not in ("=", "!="):
            raise self.fail(head, f"{head} can only be compared with = and !=")

    def value(self, token: Any, read: Any, cmp: str | None = None) -> Any:
        try:
            return read(_unquoted(token))
        except values.ValueMistake as e:
            after = f"after {cmp} comes a value: " if cmp and str(token) in ("", "*") else ""
            raise self.fail(token, after + str(e), e.hint) from None


DEVICE_BYTES = 15
_HOST_NAME = re.compile(r"(?=[^:/%]*[A-Za-z_])[^:/%\s]+")  # no address, and no port
_SCOPE = re.compile(r"%([^\]:/]+)")


def _device(name: str) -> str:
    fits = len(name.encode(errors="replace")) <= DEVICE_BYTES and not re.search(r"[/:\s\0]", name)
    legal = fits and name not in ("", ".", "..") and not re.search("[\ud800-\udfff]", name)
    if not legal and values.whole(name) is None:
        raise values.ValueMistake(f"no device '{name}'", "ip link lists them")
    return name


def _comparison(word: str, field: Field) -> str:
    """How a comparison of a field goes on, and what else its name may have been written for."""
    text = field.loc is None
    example = f"such as {word} {'= …' if text else '> …'}"
    if named_verdicts(word.lower()) or worded(word):
        example += f", or verdict = {word}"
    return f"{example}; as a part of a name: '{word}'"


def _perhaps(name: str) -> str | None:
    near = nearest(name)
    return f"perhaps {' or '.join(near)}" if near else None


def _unquoted(token: Any) -> str:
    return str(token)[1:-1] if token.type == "STRING" else str(token)


def _split_product(text: str) -> tuple[str, str] | None:
    left, star, right = text.partition("*")
    return (left, right) if star and left and right and "*" not in right else None


def _is_state(tree: Any) -> bool:
    """Whether it is `state NAME`, which `st = NAME` is not."""
    return bool(tree.data == "named" and tree.children[0].lower() == "state")


def _joined(parts: list[tuple[bool, Node]]) -> Node:
    """Parts with no `and` between them; `state a state b …` at the start is the union, as in ss."""
    mask, rest = 0, [node for _, node in parts]
    for is_state, node in parts:
        if not is_state or not isinstance(node, States):
            break
        mask |= node.mask
        rest.pop(0)
    nodes = [States(mask), *rest] if mask else rest
    return nodes[0] if len(nodes) == 1 else And(tuple(nodes))


def _first_column(tree: Any) -> int:
    while hasattr(tree, "children"):
        tree = tree.children[0]
    return int(tree.start_pos)
