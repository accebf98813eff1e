"""What a filter says, before it is compiled."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from nettop.text.fields import Field


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


@dataclass(frozen=True, slots=True)
class States:
    """TCP states by bit; of a list of `state` clauses their union."""

    mask: int


@dataclass(frozen=True, slots=True)
class Address:
    """src or dst within a prefix, perhaps with a port; network None is any address."""

    remote: bool
    network: IPv4Network | IPv6Network | None
    port: int | None
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against a number in its base unit, or against factor × another field."""

    field: Field
    cmp: str
    number: float
    other: Field | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A text field against a pattern with * and ?; where both stand in the text."""

    field: Field
    equal: bool
    pattern: str
    field_at: int = dataclasses.field(default=0, compare=False)
    pattern_at: int = dataclasses.field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class OwnedBy:
    """Held by a process, also as one of several."""

    pid: int
    equal: bool


@dataclass(frozen=True, slots=True)
class Like:
    """A plain word: part of the name of a program, a container or a namespace."""

    word: str


Node = And | Or | Not | States | Address | Compare | Text | OwnedBy | Like
