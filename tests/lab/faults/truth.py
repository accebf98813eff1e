"""What is known of a scenario: whose fault it is, as each end sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec


class Seen(NamedTuple):
    """One socket in one tick, as nettop has it."""

    proto: str
    state: str
    local: int  # port
    remote: int  # port
    who: str | None
    verdict: str | None  # the worst
    level: str


class Tick(NamedTuple):
    at_s: float  # wall clock
    sockets: list[Seen]


@dataclass(frozen=True)
class Sockets:
    """Which sockets a view is of."""

    ports: tuple[int, int]  # from, to, both included
    state: str | None = None
    proto: str = "tcp"
    side: str = "both"  # whose port it is: local, remote, both
    listening: bool = False
    without: tuple[int, int] | None = None  # ports at either side

    def match(self, s: Seen) -> bool:
        low, high = self.ports
        if s.proto != self.proto or self.listening != (s.state == "LISTEN"):
            return False
        if self.state and s.state != self.state:
            return False
        if self.without and any(
            self.without[0] <= port <= self.without[1] for port in (s.local, s.remote)
        ):
            return False
        here, there = low <= s.local <= high, low <= s.remote <= high
        return (here and self.side != "remote") or (there and self.side != "local")


@dataclass(frozen=True)
class View:
    end: str  # A or B
    label: str
    truth: str  # app cpu kern net peer nic, none: healthy
    sockets: Sockets
    whys: tuple[str, ...] = ()  # verdicts that are right; (): any of a right party
    also: tuple[str, ...] = ()  # other parties that are right too
    blank_ok: bool = False  # this end cannot know: saying nothing is right


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    warm: float = 5  # healthy, before
    hold: float = 14  # the fault
    tail: float = 4  # healthy again
    before: float = 2.9  # from the onset until ticks are judged
    after: float = 1.5  # ticks up to so long after the cure belong to the fault


@dataclass(frozen=True)
class Truth:
    """The file beside two recordings."""

    cause: str
    group: str
    origin: str  # given, added
    views: tuple[View, ...]
    timing: Timing
    on_s: float = 0.0  # wall clock
    off_s: float = 0.0
    load: float = 0.0  # of the machine when it was recorded, mean of a minute
    kernel: str = ""
    first: dict[str, str] = field(default_factory=dict)  # view → outcome at its very first run


@dataclass(frozen=True)
class Scenario:
    name: str
    truth: Truth
    # Builds the healthy state and yields; called again it makes the fault, then cures it.
    fn: Callable[[Any], Iterator[None]]
    bed: Callable[[], Any]


def name_of(view: View) -> str:
    return f"{view.end} {view.label}"


def read(path: Path) -> Truth:
    return msgspec.json.decode(path.read_bytes(), type=Truth)


def write(path: Path, truth: Truth) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(truth), indent=1) + b"\n")
