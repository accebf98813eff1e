"""The events plane with an engine that takes what it reads: what a test asks, in one object."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any

from nettop.engine.eventlog import EventLog
from nettop.engine.handle import Engine
from nettop.model.events import EventMemory, EventsTick
from nettop.sources.events import EventsPlane, open_plane


class Recorder(EventLog):
    def __init__(self, plane: EventsPlane) -> None:
        self.plane, self.engine = plane, Engine()
        super().__init__(self.engine)
        self.last: EventsTick | None = None

    @property
    def handle(self) -> Any:
        return self.plane.handle

    def watch(self, netns: Collection[int]) -> None:
        self.plane.watch(netns)

    def read(self) -> EventsTick:
        self.plane.read(self.engine)
        self.last = self.tick()
        assert self.last is not None
        return self.last

    def remembered(self, *cookies: int) -> EventMemory:
        memory = self.memory(cookies)
        assert memory is not None
        return memory


@contextmanager
def recorder(netns: Collection[int], *, confined: bool = True) -> Iterator[Recorder]:
    """Of these namespaces; the first interval has ended."""
    plane, status = open_plane(confined=confined)
    assert plane is not None, status.reason
    with closing(plane):
        made = Recorder(plane)
        made.watch(netns)
        made.read()
        yield made
