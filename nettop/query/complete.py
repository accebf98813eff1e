"""What may come next in the filter line, and what the word at the cursor means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nettop.query.values import STATE_NAMES, example
from nettop.text.fields import FIELDS, Field, Kind, lookup
from nettop.text.verdicts import NAMES
from nettop.text.words import WHO_NUMBERS

_WORD = re.compile(r"[^\s()<>=!&|\"']*$")
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_HEADS = ("state", "exclude", "src", "dst", "sport", "dport", "dev", "verdict")
_JOINTS = ("and", "or", "not")
_UNITS = {
    Kind.TIME: ("ns", "us", "ms", "s", "m", "h"),
    Kind.SIZE: ("K", "M", "G"),
    Kind.BITRATE: ("K", "M", "G", "MB/s"),
    Kind.COUNT: ("K", "M"),
    Kind.PERCENT: ("%",),
}


@dataclass(frozen=True, slots=True)
class Completion:
    """start: column where the completed word begins; words: what it may become, best first."""

    start: int
    words: tuple[str, ...]
    field: Field | None = None  # the one the cursor is in or behind
    expects: str = ""  # field, comparison, value or joint


def complete(text: str, cursor: int | None = None) -> Completion:
    """Completions at the cursor (the end of the text if it is not given)."""
    before = text[: len(text) if cursor is None else cursor]
    match = _WORD.search(before)
    word = match[0] if match else ""
    start = len(before) - len(word)
    tokens = re.findall(
        r"<=|>=|==|!=|[<>=()!]|&&|\|\||\"[^\"]*\"|'[^']*'|[^\s()<>=!&|\"']+", before[:start]
    )
    expects, field, candidates = _next(tokens)
    if not word and expects == "field":
        candidates = tuple(c for c in candidates if c in _SHOWN or c in _HEADS)
    if expects == "value" and field is not None and field.kind in _UNITS:
        number = re.fullmatch(r"[\d.]+", word)
        candidates = tuple(word + unit for unit in _UNITS[field.kind]) if number else ()
    words = tuple(c for c in candidates if c.lower().startswith(word.lower()) and c != word)
    return Completion(start, words, field or lookup(word), expects)


# Offered before a letter is typed; the rest of tcp_info comes once one is.
_SHOWN = tuple(f.id for f in FIELDS.values() if f.title)


def _next(tokens: list[str]) -> tuple[str, Field | None, tuple[str, ...]]:
    fields = (*_HEADS, *(f.id for f in FIELDS.values() if f.id != "why"))
    operators = {*_OPERATORS, "=="}
    if not tokens or tokens[-1] in ("(", "!", "&&", "||") or tokens[-1].lower() in _JOINTS:
        return "field", None, fields
    last = tokens[-1].lower()
    previous = tokens[-2].lower() if len(tokens) > 1 else ""
    if last in operators:
        field = lookup(previous)
        return "value", field, _values(previous, field)
    if last in ("state", "exclude") and previous not in operators:
        return "value", None, STATE_NAMES
    if last in ("src", "dst", "sport", "dport", "dev", "verdict"):
        return (
            ("value", None, _values(last, None))
            if last != "verdict"
            else ("comparison", None, ("=", "!="))
        )
    field = lookup(last)
    starts = (
        not previous
        or previous in ("(", "!", "&&", "||", *_JOINTS)
        or (previous not in operators and previous not in _HEADS)
    )
    if field is not None and starts:
        return "comparison", field, _OPERATORS
    return "joint", None, (*_JOINTS[:2], ")")


def _values(word: str, field: Field | None) -> tuple[str, ...]:
    if word in ("state", "st"):
        return STATE_NAMES
    if word == "verdict":
        return NAMES
    if word == "who":
        return tuple(WHO_NUMBERS)
    if word == "level":
        return ("ok", "watch", "unwell")
    if word == "proto":
        return ("tcp", "udp", "mptcp")
    return ()


def help_of(field: Field) -> tuple[str, str]:
    """What a field is, and how a value of it is written."""
    return field.help, example(field.kind)
