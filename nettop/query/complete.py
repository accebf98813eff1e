"""What may come next in the filter line, and what the word at the cursor means."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from nettop.model.types import Row
from nettop.query.plain import PROTOS, VERDICT_WORDS
from nettop.query.values import STATE_NAMES, example
from nettop.text.fields import FIELDS, Field, Kind, lookup
from nettop.text.words import WHO_NUMBERS

_WORD = re.compile(r"[^\s()<>=!&|\"']*$")
_OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_HEADS = ("state", "exclude", "src", "dst", "host", "net", "sport", "dport", "port", "dev",
          "verdict")  # fmt: skip
_ENDS = ("src", "dst", "host", "net", "local", "remote")
_PORTS = ("sport", "dport", "port", "lport", "rport")
# Of these a value that is being written is the beginning of a name.
_NAMES = ("comm", "proc", "container", "cgroup", "netns", "cc")
_BEGUN = re.compile(rf"\b({'|'.join(_NAMES)})\s*==?\s*[^\s()<>=!&|\"'*?]+$", re.IGNORECASE)
_BEGINS_FIELD = re.compile(
    r"(?P<before>|.*?\S)(?:\s+(?:and|&&))?(?:^|\s+)(?P<word>[a-zA-Z][\w.%/]+)"
)
# A field, and perhaps an operator and a value, or the beginning of one.
_COMPARES = re.compile(
    r"(?P<before>|.*[\s(!&|])(?P<word>[a-zA-Z][\w.%/]*)\s*"
    r"(?:(?:[<>=]=?|!=)\s*[^\s()<>=!&|\"']*)?"
)
_JOINED = re.compile(r"(?:\band|&&)\s*$", re.IGNORECASE)
_OPEN = re.compile(r"[(!|]|\b(?:or|not|exclude)\b", re.IGNORECASE)
Known = Mapping[str, Sequence[str]]
_JOINTS = ("and", "or", "not")
_UNITS = {
    Kind.TIME: ("ns", "us", "ms", "s", "m", "h"),
    Kind.SIZE: ("K", "M", "G"),
    Kind.BITRATE: ("K", "M", "G", "MB/s"),
    Kind.COUNT: ("K", "M"),
    Kind.PERCENT: ("%",),
}


class Completion(Struct, frozen=True):
    """start: column where the completed word begins; words: what it may become, best first."""

    start: int
    words: tuple[str, ...]
    field: Field | None = None  # the one the cursor is in or behind
    expects: str = ""  # field, comparison, value or joint


def known_values(rows: Iterable[Row]) -> Known:
    """What these sockets have, the most frequent first: by field, and `host` and `port` of both
    ends."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        for name in (*_NAMES, "user", "dev"):
            value = FIELDS[name].value(row)
            if value is not None:
                counts.setdefault(name, Counter())[str(value)] += 1
        ends = [(row.local_addr, row.rec.sport)]
        ends += [(row.remote_addr, row.rec.dport)] if row.has_remote else []
        for address, number in ends:
            counts.setdefault("host", Counter())[address] += 1
            counts.setdefault("port", Counter())[f":{number}"] += 1
    return {name: tuple(v for v, _ in found.most_common()) for name, found in counts.items()}


def begun(text: str) -> str:
    """A filter that is being written, as it is put in force meanwhile: `comm = ngi` is ngi*."""
    return f"{text}*" if _BEGUN.search(text) else text


def without_field(text: str) -> str | None:
    """A filter without its last word, which begins the name of a field: it may be about to become
    a comparison. None: it begins none."""
    match = _BEGINS_FIELD.fullmatch(text)
    if match is None or not any(name.startswith(match["word"].lower()) for name in FIELDS):
        return None
    return match["before"]


def compared(text: str, cursor: int | None = None) -> tuple[Field, str] | None:
    """The field whose comparison is being written at the cursor, and the filter before it ("": of
    all rows, also where an `or`, `not` or open bracket leaves open what the comparison narrows).

    None: nothing is compared there.
    """
    match = _COMPARES.fullmatch(text[: len(text) if cursor is None else cursor])
    field = lookup(match["word"]) if match else None
    if match is None or field is None:
        return None
    before = match["before"]
    return field, "" if _OPEN.search(before) else _JOINED.sub("", before).strip()


def complete(text: str, cursor: int | None = None, known: Known | None = None) -> Completion:
    """Completions at the cursor (the end of the text if it is not given).

    Args:
        known: values of the sockets there are, as known_values() has them.
    """
    known = known or {}
    before = text[: len(text) if cursor is None else cursor]
    match = _WORD.search(before)
    word = match[0] if match else ""
    start = len(before) - len(word)
    tokens = re.findall(
        r"<=|>=|==|!=|[<>=()!]|&&|\|\||\"[^\"]*\"|'[^']*'|[^\s()<>=!&|\"']+", before[:start]
    )
    expects, field, candidates = _next(tokens, known)
    if word and expects in ("field", "joint"):
        plain = [v for name in ("comm", "container", "host", "port") for v in known.get(name, ())]
        others = _fields() if expects == "joint" else ()
        candidates = (*candidates, *others, *map(_quoted, dict.fromkeys(plain)))
    if not word and expects == "field":
        candidates = tuple(c for c in candidates if c in _SHOWN or c in _HEADS)
    no_unit = field is not None and (field.id in _PORTS or field.words)
    if expects == "value" and field is not None and field.kind in _UNITS and not no_unit:
        number = re.fullmatch(r"[\d.]+", word)
        candidates = tuple(word + unit for unit in _UNITS[field.kind]) if number else ()
    words = tuple(
        c for c in candidates if c.lower().lstrip('"').startswith(word.lower()) and c != word
    )
    return Completion(start, words, field or lookup(word), expects)


# Offered before a letter is typed; the rest of tcp_info comes once one is.
_SHOWN = tuple(f.id for f in FIELDS.values() if f.title)


def _fields() -> tuple[str, ...]:
    return (*_HEADS, *(f.id for f in FIELDS.values() if f.id != "why"))


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"[\s()<>=!&|']", value) else value


def _next(tokens: list[str], known: Known) -> tuple[str, Field | None, tuple[str, ...]]:
    fields = _fields()
    operators = {*_OPERATORS, "=="}
    if not tokens or tokens[-1] in ("(", "!", "&&", "||") or tokens[-1].lower() in _JOINTS:
        return "field", None, fields
    last = tokens[-1].lower()
    previous = tokens[-2].lower() if len(tokens) > 1 else ""
    if last in operators:
        field = lookup(previous)
        return "value", field, _values(previous, field, known)
    if last in ("state", "exclude") and previous not in operators:
        return "value", None, STATE_NAMES
    if last == "verdict":
        return "comparison", None, ("=", "!=")
    if last in _HEADS:
        return "value", None, _values(last, None, known)
    field = lookup(last)
    starts = (
        not previous
        or previous in ("(", "!", "&&", "||", *_JOINTS)
        or (previous not in operators and previous not in _HEADS)
    )
    if field is not None and starts:
        return "comparison", field, _OPERATORS
    return "joint", None, (*_JOINTS[:2], ")")


def _values(word: str, field: Field | None, known: Known) -> tuple[str, ...]:
    name = field.id if field is not None else word
    there = "host" if name in _ENDS else "port" if name in _PORTS else name
    if there in known:
        return tuple(map(_quoted, known[there]))
    if word in ("state", "st"):
        return STATE_NAMES
    if word == "verdict":
        return VERDICT_WORDS
    if word == "who":
        return tuple(WHO_NUMBERS)
    if field is not None and field.words:
        return tuple(map(_quoted, field.words))
    if word == "proto":
        return PROTOS
    return ()


def help_of(field: Field) -> tuple[str, str]:
    """What a field is, and how a value of it is written."""
    return field.help, example(field.kind, field.words)
