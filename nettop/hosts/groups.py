"""The groups of many hosts as one list, worst first."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any, NamedTuple

from nettop.groups import Groups, ManyGroups
from nettop.model.types import Group


class Part(NamedTuple):
    """The groups of one host."""

    name: str  # of the host, as -H has it
    place: int  # and there
    groups: Groups


class HostGroups(ManyGroups):
    """Each is a group of one host; places are those of the parts, one after the other."""

    def __init__(self, parts: Sequence[Part], named: Callable[[str, int, Group], Group]) -> None:
        """named: what a group of a host is here, of its name and place."""
        self._parts, self._named = parts, named
        self._begins = [0, *accumulate(len(part.groups) for part in parts)]
        loud = [*chain.from_iterable(part.groups.loudness() for part in parts)]
        super().__init__(sorted(range(len(loud)), key=loud.__getitem__, reverse=True))

    def _part(self, place: int) -> tuple[Part, int]:
        number = bisect_right(self._begins, place) - 1
        return self._parts[number], place - self._begins[number]

    def _make(self, place: int) -> Group:
        part, at = self._part(place)
        return self._named(part.name, part.place, part.groups[at])

    def _key(self, place: int) -> bytes:
        part, at = self._part(place)
        return b"%d " % part.place + part.groups.key_of(at)

    def _place_of(self, key: bytes) -> int | None:
        host, _, own = key.partition(b" ")
        for begin, part in zip(self._begins, self._parts, strict=False):
            if part.place == int(host) and (at := part.groups.at_key(own)) is not None:
                return begin + at
        return None

    def _column_of(self, name: str) -> list[Any]:
        return [*chain.from_iterable(part.groups.column(name) for part in self._parts)]
