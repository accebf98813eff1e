"""What a filter says, before it is compiled."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from msgspec import Struct

from nettop.text.fields import Field


class And(Struct, frozen=True):
    parts: tuple[Node, ...]


class Or(Struct, frozen=True):
    parts: tuple[Node, ...]


class Not(Struct, frozen=True):
    part: Node


class States(Struct, frozen=True):
    """TCP states by bit; of a list of `state` clauses their union."""

    mask: int


class Address(Struct, frozen=True):
    """src or dst within a prefix, perhaps with a port; network None is any address."""

    remote: bool
    network: IPv4Network | IPv6Network | None
    port: int | None
    equal: bool = True


class Compare(Struct, frozen=True):
    """A field against a number in its base unit, or against factor × another field."""

    field: Field
    cmp: str
    number: float
    other: Field | None = None


class Text(Struct, frozen=True, eq=False):
    """A text field against a pattern with * and ?; where both stand in the text, which says nothing
    to who compares two filters."""

    field: Field
    equal: bool
    pattern: str
    field_at: int = 0
    pattern_at: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and self._said == other._said

    def __ne__(self, other: object) -> bool:  # Struct has its own
        return not self == other

    def __hash__(self) -> int:
        return hash(self._said)

    @property
    def _said(self) -> tuple[Field, bool, str]:
        return self.field, self.equal, self.pattern


class OwnedBy(Struct, frozen=True):
    """Held by a process, also as one of several."""

    pid: int
    equal: bool


class Like(Struct, frozen=True):
    """A plain word: part of the name of a program, a container or a namespace."""

    word: str


Node = And | Or | Not | States | Address | Compare | Text | OwnedBy | Like
