"""Values out of JSON objects whose shape was checked: of the range that is needed, or Bad.

Raises Bad with the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nettop.text.clean import clean


class Bad(ValueError):
    """A value that a snapshot cannot have; the text, one line of it, names its place."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(clean(f"{where} {what}" if where else what))
        self.where, self.what = where, what

    def inside(self, outer: str) -> Bad:
        """The same, named from one object further out."""
        dot = "." if self.where and not self.where.startswith("[") else ""
        return Bad(f"{outer}{dot}{self.where}", self.what)


def integer(
    source: Mapping[str, Any], key: str, where: str, bits: int, default: int | None = None
) -> int:
    """An unsigned number of so many bits; the default, if there is one, when it is missing."""
    value = source.get(key)
    if value is None:
        if default is None:
            raise Bad(f"{where}{key}", "is missing")
        return default
    if type(value) is not int:
        raise Bad(f"{where}{key}", "is no whole number")
    if value < 0 or value >> bits:
        raise Bad(f"{where}{key}", f"does not fit into {bits} bits")
    return value


def optional_integer(source: Mapping[str, Any], key: str, where: str) -> int | None:
    """An unsigned number of 64 bits, None when it is missing."""
    return integer(source, key, where, 64) if source.get(key) is not None else None


def optional_number(source: Mapping[str, Any], key: str, where: str) -> float | None:
    """A number, None when it is missing."""
    value = source.get(key)
    return None if value is None else float(value)


def number(source: Mapping[str, Any], key: str, where: str) -> float:
    """A number that must be there."""
    value = optional_number(source, key, where)
    if value is None:
        raise Bad(f"{where}{key}", "is missing")
    return value


def optional_text(source: Mapping[str, Any], key: str, where: str) -> str | None:
    """Text, None when it is missing."""
    value = source.get(key)
    if value is not None and type(value) is not str:
        raise Bad(f"{where}{key}", "is no text")
    return value


def text(source: Mapping[str, Any], key: str, where: str) -> str:
    """Text that must be there."""
    value = optional_text(source, key, where)
    if value is None:
        raise Bad(f"{where}{key}", "is missing")
    return value


def word(source: Mapping[str, Any], key: str, known: Mapping[str, int], where: str) -> int:
    """The number of one of the known words, which must be there."""
    value = text(source, key, where)
    if value not in known:
        raise Bad(f"{where}{key}", f"is none of {', '.join(known)}")
    return known[value]


def mapping(source: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """An object; empty when it is missing."""
    value = source.get(key)
    if value is None:
        return {}
    if type(value) is not dict:
        raise Bad(f"{where}{key}", "is no object")
    return value


def sequence(source: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """A list; empty when it is missing."""
    value = source.get(key)
    if value is None:
        return []
    if type(value) is not list:
        raise Bad(f"{where}{key}", "is no list")
    return value


def objects(source: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    """A list of objects; empty when it is missing."""
    out = sequence(source, key, where)
    for at, item in enumerate(out):
        if type(item) is not dict:
            raise Bad(f"{where}{key}[{at}]", "is no object")
    return out
