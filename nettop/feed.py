"""What the screen and the files read from: a live poller and an opened file look the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from msgspec import Struct

from nettop.model.events import ALL_TYPES, Closed, Event, EventMemory, EventType
from nettop.model.types import Detail, Group, Histogram, Model, Point, Proc, Row
from nettop.text.fields import Field

if TYPE_CHECKING:
    from nettop.query.compile import Filter, NameSets

BETWEEN_S = 2.0  # how long a namespace that is gone may be held at most


class Grouping(IntEnum):
    """enum nt_grouping; NONE shows sockets."""

    NONE = 0
    PROCESS = 1
    REMOTE = 2
    LOCAL = 3
    CGROUP = 4
    NETNS = 5
    PROGRAM = 6
    HOST = 7  # an engine knows one host: all that match are one
    PORT = 8
    REMOTE_PORT = 9


class Sort(Struct, frozen=True):
    """How rows are ordered; field None is the `unwell` order."""

    field: Field | None = None
    descending: bool = True

    @property
    def key(self) -> str | None:
        """As the command line has it: srtt:desc; None: `unwell`."""
        if self.field is None:
            return None
        return f"{self.field.id}:{'desc' if self.descending else 'asc'}"


class Feed(Protocol):
    """Source of models and rows; the UI thread may call all but start and stop at any time."""

    live: bool
    title: str | None  # file name of an opened snapshot

    @property
    def file_filter(self) -> str | None:
        """What its sockets passed when it was written or sent; None: no more than the filter."""

    @property
    def names(self) -> NameSets | None:
        """Whose users, cgroups and namespaces filters name; None: this host's."""

    def start(self, on_model: Callable[[], None]) -> None:
        """Begins to poll; the poller thread calls on_model, at most once until latest()."""

    def stop(self) -> None:
        """Ends the poller and waits for it, but not for long."""

    def undo(self) -> None:
        """Undoes what was set in the kernel, though another thread hangs; for any thread."""

    def latest(self) -> Model | None:
        """The newest model, the same object until there is a newer one."""

    def one_tick(self) -> AbstractContextManager[Model | None]:
        """All that is asked inside is of one tick, whose model it gives; for the UI thread, nested
        or not. A short sweep is waited for.

        None: a long one is under way. Rows and details around the window that was asked for last
        are still those of the tick before; other rows, distributions, groups and events may be of
        either.
        """

    def matching(self, compiled: Filter | None = None) -> list[int]:
        """Cookies of the sockets that a filter (None: the one in force) lets through now."""

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        """How many sockets would be rows under a filter (None: under none), and the values that a
        number has in them now, where it is known: C's doubles, in its base unit."""

    def count(self) -> int:
        """Rows in the order: the sockets that pass the filter."""

    def window(self, offset: int, rows: int) -> list[Row]: ...

    def position(self, cookie: int) -> int | None:
        """Where a socket stands in the order."""

    def find(self, cookie: int) -> Row | None: ...

    def detail(self, cookie: int) -> Detail | None: ...

    def owners(self, row: Row) -> list[Proc]:
        """Every process that holds a socket."""

    def seconds_since(self, engine_s: int) -> float | None:
        """How long ago a record's *_s was; None where no clock runs (a file)."""

    def groups(self, grouping: Grouping) -> Sequence[Group]: ...

    def members(self, grouping: Grouping, cookie: int, *, most: int) -> list[int]:
        """Cookies of the first sockets, in the order, of the group that a socket is in."""

    def sum(self, cookies: Sequence[int]) -> Group | None:
        """The marked sockets together."""

    def events(
        self, cookies: Sequence[int], *, most: int, types: Collection[EventType] = ALL_TYPES
    ) -> list[Event]:
        """Newest first, of these types, of these sockets or (none named) of those that match."""

    def tick_events(
        self, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        """Of the last interval and of sockets that match (everything: of all), newest first; and by
        type how many such lists left out so far, as there were more than `most`."""

    def events_memory(self, cookies: Sequence[int]) -> EventMemory | None:
        """What is remembered of these sockets' past; None: nothing is recorded."""

    def closed(self, cookies: Sequence[int], *, most: int) -> list[Closed]:
        """The last sockets that closed, newest first; none named: of those that match."""

    def select_tx(self, cookies: Sequence[int]) -> None:
        """Selects these sockets, and no others, for timestamping of their sends."""

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        """TX stages (by Stage) of these sockets, or (None) of every stamped send."""

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        """RX queue wait of these sockets together, or (None) of those that are chosen by filter or
        protocol; where none is, of all in the polled namespaces.

        run: since nettop saw the sockets, else of the last interval. None: not measured.
        """

    def history(self, cookie: int | None) -> list[Point]:
        """At most 300 points, oldest first; None: the sum of the matched sockets. Unwatched: []."""

    def set_focus(self, cookies: Sequence[int]) -> None:
        """The sockets (marked and visible, at most 256) whose history is kept."""

    def set_filter(self, compiled: Filter | None) -> None: ...

    def show_all(self, on: bool) -> bool:
        """Whether every socket is a row, or those that the command line asked for; False: which
        there are was decided when they were written."""

    def set_sort(self, sort: Sort) -> None: ...

    def hold_order(self, held: bool) -> None:
        """While held, rows keep their places."""

    def set_interval(self, seconds: float) -> None: ...

    def measure_cost(self, wanted: bool) -> None:
        """While wanted, the BPF programs are timed now and then, which costs the whole host."""

    def set_paused(self, paused: bool) -> None:
        """While paused no socket is polled; the model's header values live on."""

    def clear(self) -> None:
        """Forgets histories and moves the baseline of interval statistics."""


class NotPolled:
    """What a Feed of what was has of the calls that change how sockets are polled: nothing."""

    def undo(self) -> None: ...

    def select_tx(self, cookies: Sequence[int]) -> None: ...

    def hold_order(self, held: bool) -> None: ...

    def set_interval(self, seconds: float) -> None: ...

    def measure_cost(self, wanted: bool) -> None: ...

    def set_paused(self, paused: bool) -> None: ...

    def show_all(self, on: bool) -> bool:
        return False


@runtime_checkable
class OfHosts(Protocol):
    """A feed of many hosts."""

    def host_events(
        self, name: str, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        """As tick_events, of one of them and by its own clock."""
